"""``pp.embed`` without the packages behind it: what they are given, what is written, and what is refused."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

import recall_py


@pytest.fixture
def cells():
    adata = recall_py.datasets.simulate(40, 30, n_batches=2, n_markers=5, random_state=1)
    adata.obsm["X_pca"] = np.random.default_rng(0).normal(size=(40, 6))
    return adata


@pytest.fixture(params=["cells first", "components first"])
def asked(request, monkeypatch):
    """Stands for harmonypy: keeps what it was asked, and turns the signs of the components."""
    found = {}

    def run_harmony(scores, obs, batch_key, **options):
        found.update(scores=scores, batches=obs[batch_key], options=options)
        return SimpleNamespace(Z_corr=-scores if request.param == "cells first" else -scores.T)

    monkeypatch.setitem(sys.modules, "harmonypy", SimpleNamespace(run_harmony=run_harmony))
    return found


def test_corrected_components_are_written_by_cell(cells, asked):
    recall_py.pp.embed(cells, "harmony", batch_key="batch", random_state=3, theta=1.5)
    assert cells.obsm["X_harmony"].dtype == np.float32
    np.testing.assert_allclose(cells.obsm["X_harmony"], -cells.obsm["X_pca"], rtol=1e-6)
    assert asked["options"] == {"verbose": False, "random_state": 3, "theta": 1.5}


def test_other_components_and_another_slot_can_be_named(cells, asked):
    cells.obsm["mine"] = cells.obsm["X_pca"][:, :2] + 1
    recall_py.pp.embed(cells, "harmony", batch_key="batch", use_rep="mine", key_added="X_mine")
    np.testing.assert_allclose(cells.obsm["X_mine"], -cells.obsm["mine"], rtol=1e-6)
    assert "X_harmony" not in cells.obsm


@pytest.mark.parametrize(
    ("method", "package", "extra"),
    [("harmony", "harmonypy", "harmony"), ("scvi", "scvi", "scvi"), ("cvae", "torch", "torch")],
)
def test_an_absent_package_is_named_with_the_line_that_installs_it(cells, monkeypatch, method, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"needs {package}.*pip install 'recall-py\[{extra}\]'"):
        recall_py.pp.embed(cells, method, batch_key="batch")


@pytest.mark.parametrize(
    ("change", "arguments", "error", "says"),
    [
        (None, ("bbknn", "batch"), ValueError, "Unknown method 'bbknn'. Available: harmony, scvi, cvae"),
        (None, ("harmony", "donor"), KeyError, "obs['donor'] does not exist. Columns of obs: group, batch"),
        ("one", ("harmony", "batch"), ValueError, "obs['batch'] has one value, a: there are no batches"),
        ("missing", ("harmony", "batch"), ValueError, "obs['batch'] has no label for 1 cells"),
        ("no components", ("harmony", "batch"), KeyError, "obsm['X_pca'] does not exist.*sc.pp.pca(adata)"),
    ],
)
def test_what_cannot_be_embedded_is_refused(cells, asked, change, arguments, error, says):
    if change == "one":
        cells.obs["batch"] = "a"
    if change == "missing":
        cells.obs.loc[cells.obs_names[0], "batch"] = np.nan
    if change == "no components":
        del cells.obsm["X_pca"]
    method, batch_key = arguments
    with pytest.raises(error) as caught:
        recall_py.pp.embed(cells, method, batch_key=batch_key)
    for part in says.split(".*"):
        assert part in str(caught.value)
    assert "scores" not in asked


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"n_latents": 3}, TypeError, "no option n_latents. It has: covariates, layer"),
        ({"n_latent": 0}, ValueError, "n_latent is 0; a whole number from 1 on is needed"),
        ({"held_out": 1.0}, ValueError, "held_out is 1.0; a share between 0 and 1"),
        ({"max_epochs": -1}, ValueError, "max_epochs is -1"),
        ({"covariates": ["age"]}, KeyError, "obs['age'] does not exist"),
    ],
)
def test_what_the_autoencoder_cannot_be_is_refused_before_it_is_trained(cells, options, error, says):
    with pytest.raises(error) as caught:
        recall_py.pp.embed(cells, "cvae", batch_key="batch", **options)
    assert says in str(caught.value)
