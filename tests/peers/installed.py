"""A short look at an installation; not part of the suite, which says all of this more closely.

``tests/peers/run oldest newest`` names this file.
"""

import importlib
import pkgutil
import subprocess
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
import scanpy as sc

import recall_py

PBMC = Path(__file__).parents[2] / "data" / "pbmc68k.h5ad"


def test_every_module_can_be_imported():
    for module in pkgutil.walk_packages(recall_py.__path__, "recall_py."):
        importlib.import_module(module.name)


@pytest.mark.timeout(1200)  # a busy machine that compiles everything anew
def test_demo_runs(tmp_path):
    for arguments in (["doctor"], ["cluster", "--help"], ["demo", PBMC, "--output", tmp_path]):
        subprocess.run(["recall-py", *map(str, arguments)], check=True)
    assert ad.read_h5ad(tmp_path / "pbmc68k_labelled.h5ad").obs["leiden_calibrated"].nunique() > 5


@pytest.mark.timeout(1200)
@pytest.mark.filterwarnings("default")  # scanpy's own
def test_scanpy_finds_neighbours_approximately(rng):
    """From 4,096 cells on, from 8,192 with the Euclidean metric, scanpy asks pynndescent."""
    adata = ad.AnnData(rng.normal(size=(4_200, 8)).astype(np.float32))
    sc.pp.neighbors(adata, use_rep="X", metric="cosine")
    assert adata.obsp["connectivities"].nnz > 10 * adata.n_obs
