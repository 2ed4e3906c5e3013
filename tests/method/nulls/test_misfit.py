"""How well null models fit, as the user sees it: ``pp.null_misfit``, and the fitted parameters of ``pp.knockoffs``."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import recall_py
from recall_py.adata.read import read_counts
from recall_py.method.nulls import NULL_MODELS, augment, null_model

PBMC = Path(__file__).parents[3] / "data" / "pbmc68k.h5ad"
COLUMNS = [
    "observed_mean", "fitted_mean", "observed_variance", "fitted_variance", "variance_ratio", "observed_zeros",
    "fitted_zeros",
]  # fmt: skip


@pytest.fixture(scope="module")
def pbmc() -> ad.AnnData:
    adata = ad.read_h5ad(PBMC)
    adata.obs["batch"] = pd.Categorical(np.where(np.arange(adata.n_obs) % 3 == 0, "third", "rest"))
    return adata


def test_observed_columns_are_those_of_the_counts(pbmc):
    found = recall_py.pp.null_misfit(pbmc)
    counts = pbmc.X.toarray().astype(np.float64)
    assert list(found) == COLUMNS
    assert found.index.tolist() == pbmc.var_names.tolist()
    np.testing.assert_allclose(found["observed_mean"], counts.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found["observed_variance"], counts.var(axis=0), rtol=1e-10)
    np.testing.assert_allclose(found["observed_zeros"], (counts == 0).mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(found["variance_ratio"], found["fitted_variance"] / found["observed_variance"])


@pytest.mark.parametrize(
    ("name", "median"),
    [
        ("ZIP", (0.89, 0.95)),
        ("NB", (0.98, 1.02)),
        ("NB-depth", (0.98, 1.05)),
        ("Poisson-copula", (0.6, 0.8)),
        ("permutation", (1 - 1e-9, 1 + 1e-9)),
    ],
)
def test_median_variance_ratio_on_real_cells(pbmc, name, median):
    """ZIP knockoffs vary less than their genes, NB knockoffs about as much. Measured: 0.923, 1.001, 1.021, 0.720, 1."""
    found = recall_py.pp.null_misfit(pbmc, null_method=name)
    assert median[0] < found["variance_ratio"].median() < median[1]


def test_zip_varies_less_than_its_genes_more_often_than_nb(pbmc):
    """Measured: a tenth of the genes below 0.646 for ZIP, below 0.940 for NB."""
    tenth = {
        name: recall_py.pp.null_misfit(pbmc, null_method=name)["variance_ratio"].quantile(0.1) for name in ("ZIP", "NB")
    }
    assert tenth["ZIP"] < 0.7
    assert tenth["NB"] > 0.9


@pytest.mark.parametrize("name", NULL_MODELS)
def test_mean_is_kept_with_and_without_batches(pbmc, name):
    few = pbmc[:, :60].copy()
    for batch_key in (None, "batch"):
        found = recall_py.pp.null_misfit(few, null_method=name, batch_key=batch_key)
        if name == "Gaussian-copula":  # clipping at 0 raises most means
            assert (found["fitted_mean"] / found["observed_mean"]).median() > 1.02
        else:
            np.testing.assert_allclose(found["fitted_mean"], found["observed_mean"], rtol=1e-6)


def test_misfit_with_batches_includes_the_variance_between_them(pbmc):
    """A gene whose mean differs ten times between batches: only the fit within batches leaves it its variance."""
    adata = pbmc[:, :20].copy()
    counts = adata.X.toarray()
    rng = np.random.default_rng(0)
    counts[:, 0] = rng.poisson(np.where(adata.obs["batch"] == "third", 20.0, 2.0))
    adata.X = counts
    ratio = [recall_py.pp.null_misfit(adata, batch_key=key)["variance_ratio"].iloc[0] for key in (None, "batch")]
    assert ratio[0] < 0.8
    assert ratio[1] == pytest.approx(1.0, abs=0.1)


def test_constant_gene_has_no_variance_ratio(pbmc):
    adata = pbmc[:, :5].copy()
    adata.X = np.column_stack([np.full(adata.n_obs, 2), adata.X.toarray()[:, 1:]])
    adata.var["highly_variable"] = True
    ratio = recall_py.pp.null_misfit(adata, null_method="NB")["variance_ratio"]
    assert ratio.isna().tolist() == [True, False, False, False, False]


def test_unknown_null_method_and_column_are_refused(pbmc):
    with pytest.raises(ValueError, match=r"Available: ZIP, NB, .*NB-depth"):
        recall_py.pp.null_misfit(pbmc, null_method="nb")
    with pytest.raises(KeyError, match="donor"):
        recall_py.pp.null_misfit(pbmc, batch_key="donor")


@pytest.mark.parametrize("name", ["ZIP", "NB-depth", "NB-copula", "permutation"])
def test_knockoffs_holds_the_fitted_parameters(pbmc, name):
    few = pbmc[:, :60].copy()
    found = recall_py.pp.knockoffs(few, null_method=name)
    data = read_counts(few)
    fit = null_model(name).fit(data.read().counts, data.depth)
    for key, value in fit.parameters.items():
        np.testing.assert_allclose(found.var[f"{name}_{key}"], np.tile(value, 2), rtol=1e-10)


def test_knockoffs_within_batches_are_those_of_augment(pbmc):
    """Fitted parameters have the name of the batch as suffix."""
    few = pbmc[:, :60].copy()
    found = recall_py.pp.knockoffs(few, null_method="NB-depth", batch_key="batch", random_state=3)
    data = read_counts(few, batch_key="batch")
    (seed,) = np.random.SeedSequence(3).spawn(1)
    expected = augment(data.read(), "NB-depth", seed)
    np.testing.assert_array_equal(found.X.toarray(), expected.counts.toarray())
    fitted = [name for name in found.var if name.startswith("NB-depth")]
    assert sorted(fitted) == [
        f"NB-depth_{p}_{batch}" for p in ("mean", "overdispersion") for batch in ("rest", "third")
    ]
    mean = few.X.toarray()[few.obs["batch"] == "third"].sum(axis=0) / (few.obs["batch"] == "third").sum()
    np.testing.assert_allclose(found.var["NB-depth_mean_third"], np.tile(mean, 2), rtol=1e-6)
