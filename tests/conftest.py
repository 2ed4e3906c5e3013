"""Fixtures that more than one file of tests uses."""

from __future__ import annotations

import numpy as np
import pytest
from golden import DATASETS, RUNS, Golden, golden
from hypothesis import settings

# Compilation makes a first example slow, and runs must not differ from each other.
settings.register_profile("recall", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("recall")


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
