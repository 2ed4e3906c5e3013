"""A short look at an installation; not part of the suite, which says all of this more closely.

``tests/peers/run oldest newest`` names this file.
"""

import importlib
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import anndata as ad
import pytest

import recall_py

PBMC = Path(__file__).parents[2] / "data" / "pbmc68k.h5ad"


def test_every_module_can_be_imported():
    for module in pkgutil.walk_packages(recall_py.__path__, "recall_py."):
        importlib.import_module(module.name)


@pytest.mark.timeout(1200)  # a busy machine that compiles everything anew
def test_demo_runs(tmp_path):
    for arguments in (["doctor"], ["cluster", "--help"], ["demo", PBMC, "--output", tmp_path]):
        subprocess.run(["recall-py", *map(str, arguments)], check=True)
    assert ad.read_h5ad(tmp_path / "pbmc68k_labelled.h5ad").obs["leiden"].nunique() > 5


def test_scanpy_reads_the_neighbours_of_pynndescent():
    """The search of ``sc.pp.neighbors`` from 8,192 cells on, asked for by name on few cells.

    Not compiled, which would take a minute and more; pynndescent 0.7 cannot run so and needs the compiler.
    """
    lines = (
        "import anndata, numpy, scanpy",
        "adata = anndata.AnnData(numpy.random.default_rng(0).normal(size=(200, 8)))",
        "scanpy.pp.neighbors(adata, use_rep='X', transformer='pynndescent')",
        "assert adata.obsp['connectivities'].nnz > 10 * adata.n_obs",
    )
    subprocess.run([sys.executable, "-c", "; ".join(lines)], check=True, env={**os.environ, "NUMBA_DISABLE_JIT": "1"})
