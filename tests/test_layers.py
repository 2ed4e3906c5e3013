"""What each layer may import, seen in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys

import pytest

CORE = (
    "method.params",
    "method.results",
    "method.nulls",
    "method.pairs.rank_sum",
    "method.pairs.filter",
    "method.calibrate",
    "datasets._simulation",
    "_kernels.ranksum",
    "_kernels.columns",
    "_kernels.neighbours",
)


def loaded_after(statement: str) -> set[str]:
    """Top-level modules that are loaded once `statement` has run."""
    code = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(found.stdout.split())


@pytest.mark.parametrize("module", CORE)
def test_core_imports_neither_anndata_nor_scanpy(module):
    assert not loaded_after(f"import recall_py.{module}") & {"anndata", "scanpy", "h5py", "matplotlib"}


def test_filter_needs_numpy_only():
    assert not loaded_after("import recall_py.method.pairs.filter") & {"scipy", "numba", "pandas", "igraph", "sklearn"}


def test_import_of_the_package_is_instant():
    heavy = {"scanpy", "anndata", "matplotlib", "numba", "pandas", "scipy", "numpy", "igraph", "sklearn"}
    assert not loaded_after("import recall_py") & heavy


def test_public_names_are_there_once_the_package_is_imported():
    assert "rpy2" not in loaded_after("import recall_py; recall_py.seurat.find_clusters; recall_py.CalibrationWarning")


@pytest.mark.parametrize(
    "module",
    ["pairs.rank_sum", "clustering.components", "clustering.graph", "clustering.partition", "calibrate", "pipeline"],
)
def test_import_compiles_nothing(module):
    assert "numba" not in loaded_after(f"import recall_py.method.{module}")


def test_loaded_modules_are_seen():
    assert "json" in loaded_after("import json")
