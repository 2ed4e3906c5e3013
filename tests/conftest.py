"""Fixtures that more than one file of tests uses."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator

import numba
import numpy as np
import pytest
import searches
from golden import DATASETS, RUNS, Golden, golden
from hypothesis import settings

from benchmarks.compiled import kept

# Compilation makes a first example slow, and runs must not differ from each other.
settings.register_profile("recall", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("recall")


@pytest.fixture(scope="session", autouse=True)
def _compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One of several test processes compiles what the others then load; at once, each would compile all of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numba, "njit", kept)
        if "PYTEST_XDIST_WORKER" in os.environ and os.name == "posix":
            import fcntl

            import recall_py

            with (tmp_path_factory.getbasetemp().parent / "compiling").open("w") as file, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                fcntl.flock(file, fcntl.LOCK_EX)
                adata = recall_py.datasets.simulate(60, 100, group_shares=(0.5, 0.5), n_markers=30, log2_fold_change=3)
                for graph in ("umap", "snn"):
                    searches.leiden(adata, 1, graph=graph, dims=5)
        yield


@pytest.fixture(params=DATASETS)
def dataset(request: pytest.FixtureRequest) -> Golden:
    """Each golden dataset with counts; skipped where it is absent."""
    return golden(request.param)


@pytest.fixture(params=RUNS)
def run(request: pytest.FixtureRequest) -> Golden:
    """Each search of the original; skipped where its folder is absent."""
    return golden(request.param)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20251121)
