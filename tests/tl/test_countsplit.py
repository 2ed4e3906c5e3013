"""``tl.countsplit``: folds sum to the counts, have their shares, and are independent where the model is right."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
from scipy import sparse, stats

import recall_py
from recall_py.method.thinning import thin


def folds_of(adata: ad.AnnData, key: str = "countsplit") -> list[np.ndarray]:
    return [adata.layers[name].toarray() for name in adata.uns[key]["folds"]]


def cells(counts) -> ad.AnnData:
    return ad.AnnData(sparse.csr_matrix(counts, dtype=np.float32))


@pytest.fixture
def poisson(rng) -> ad.AnnData:
    return cells(rng.poisson(3.0, (5000, 4)))


@pytest.fixture
def clumped(rng) -> ad.AnnData:
    """Negative binomial counts with mean 3 and sizes .5, 1, 2 and 4."""
    size = np.array([0.5, 1.0, 2.0, 4.0])
    adata = cells(rng.negative_binomial(size, size / (size + 3.0), (5000, 4)))
    adata.var["size"] = size
    return adata


def largest_correlation(folds: list[np.ndarray]) -> float:
    """Between two folds of the same gene."""
    return max(
        abs(np.corrcoef(first[:, gene], second[:, gene])[0, 1])
        for i, first in enumerate(folds)
        for second in folds[:i]
        for gene in range(first.shape[1])
    )


@pytest.mark.parametrize("model", ["poisson", "negative_binomial"])
@pytest.mark.parametrize("n_folds", [2, 5])
def test_folds_sum_to_the_counts_exactly(model, n_folds):
    adata = recall_py.datasets.pbmc68k()
    before = adata.X.copy()
    recall_py.tl.countsplit(adata, n_folds, model=model)
    assert (sum(folds_of(adata)) == before.toarray()).all()
    assert (before != adata.X).nnz == 0
    assert min(fold.min() for fold in folds_of(adata)) == 0
    assert all(not (adata.layers[name].data == 0).any() for name in adata.uns["countsplit"]["folds"])


@pytest.mark.parametrize("n_folds", [2, 3])
def test_folds_of_poisson_counts_are_independent_poisson(poisson, n_folds):
    recall_py.tl.countsplit(poisson, n_folds)
    folds = folds_of(poisson)
    assert largest_correlation(folds) < 0.07
    for fold in folds:
        np.testing.assert_allclose(fold.mean(axis=0), 3 / n_folds, rtol=0.06)
        np.testing.assert_allclose(fold.var(axis=0), 3 / n_folds, rtol=0.09)


@pytest.mark.parametrize("n_folds", [2, 3])
def test_folds_of_negative_binomial_counts_are_independent(clumped, n_folds):
    recall_py.tl.countsplit(clumped, n_folds, model="negative_binomial", size="size")
    folds = folds_of(clumped)
    assert largest_correlation(folds) < 0.07
    sizes = clumped.var["size"].to_numpy()
    for fold in folds:
        mean = 3 / n_folds
        np.testing.assert_allclose(fold.var(axis=0), mean + mean**2 / (sizes / n_folds), rtol=0.25)


def test_negative_binomial_counts_split_as_poisson_go_together(clumped):
    recall_py.tl.countsplit(clumped)
    assert largest_correlation(folds_of(clumped)) > 0.3


def test_size_is_estimated_where_none_is_given(rng):
    counts = rng.negative_binomial(2.0, 2.0 / (2.0 + 3.0), (5000, 30))
    adata = cells(counts)
    recall_py.tl.countsplit(adata, model="negative_binomial")
    np.testing.assert_allclose(adata.var["countsplit_size"], 2.0, rtol=0.35)
    assert largest_correlation(folds_of(adata)) < 0.07


def test_single_count_is_split_by_the_beta_binomial_distribution():
    counts = sparse.csc_array(np.full((20_000, 1), 4.0))
    first, _ = thin(counts, np.array([0.3, 0.7]), np.array([1.5]), np.random.default_rng(0))
    observed = np.bincount(first.toarray().ravel().astype(int), minlength=5)
    expected = stats.betabinom(4, 0.45, 1.05).pmf(np.arange(5)) * 20_000
    assert stats.chisquare(observed, expected).pvalue > 0.001


def test_shares_are_those_asked_for(poisson):
    recall_py.tl.countsplit(poisson, 3, shares=(0.6, 0.3, 0.1))
    total = poisson.X.sum()
    np.testing.assert_allclose([fold.sum() / total for fold in folds_of(poisson)], [0.6, 0.3, 0.1], atol=0.01)


def test_same_seed_gives_the_same_folds_however_the_counts_are_stored(poisson):
    dense = poisson.copy()
    dense.X = poisson.X.toarray()
    for adata in (poisson, dense):
        recall_py.tl.countsplit(adata, random_state=3)
    assert (folds_of(poisson)[0] == folds_of(dense)[0]).all()
    recall_py.tl.countsplit(dense, random_state=4)
    assert (folds_of(poisson)[0] != folds_of(dense)[0]).any()


def test_another_split_takes_the_place_of_the_first(poisson):
    recall_py.tl.countsplit(poisson, 3, model="negative_binomial")
    copied = recall_py.tl.countsplit(poisson, 2, copy=True)
    assert set(copied.layers) - {None} == {"countsplit_1", "countsplit_2"}
    assert "countsplit_size" not in copied.var
    assert set(poisson.layers) - {None} == {"countsplit_1", "countsplit_2", "countsplit_3"}


def test_folds_can_be_written_and_clustered(tmp_path):
    adata = recall_py.datasets.simulate(120, 200, group_shares=(0.5, 0.5), log2_fold_change=3, random_state=1)
    recall_py.tl.countsplit(adata)
    adata.write_h5ad(tmp_path / "a.h5ad")
    adata = ad.read_h5ad(tmp_path / "a.h5ad")
    recall_py.tl.test_clusters(adata, "group", layer="countsplit_2", external=True)
    assert recall_py.get.clusters(adata, "recall_test")["supported"].all()
    recall_py.tl.countsplit(adata, random_state=1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"n_folds": 1}, "n_folds is 1; a whole number from 2 on"),
        ({"shares": (0.5, 0.6)}, "shares is .*; 2 numbers above 0 that sum to 1"),
        ({"shares": (1.0,)}, "2 numbers above 0 that sum to 1"),
        ({"model": "gamma"}, "Unknown model 'gamma'. Available: poisson, negative_binomial"),
        ({"size": "size"}, "size is for model='negative_binomial'"),
        ({"size": "no", "model": "negative_binomial"}, r"var\['no'\] does not exist"),
        (
            {"size": [1, 2, 0, 1], "model": "negative_binomial"},
            "a number above 0 for each of the 4 features.* 1 others",
        ),
        ({"layer": "no"}, r"layers\['no'\] does not exist"),
        ({"key_added": "taken"}, r"uns\['taken'\] is there already"),
        ({"key_added": "mine"}, r"layers\['mine_2'\] is there already"),
    ],
)
def test_what_cannot_be_done_is_refused(poisson, arguments, said):
    poisson.uns["taken"] = 1
    poisson.layers["mine_2"] = poisson.X
    with pytest.raises((ValueError, KeyError), match=said):
        recall_py.tl.countsplit(poisson, **arguments)


def test_counts_that_are_not_in_memory_or_not_of_these_genes_are_refused(poisson, tmp_path):
    poisson.write_h5ad(tmp_path / "a.h5ad")
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    with pytest.raises(ValueError, match=r"backed by a file.*adata\.to_memory"):
        recall_py.tl.countsplit(backed)
    backed.file.close()
    da = pytest.importorskip("dask.array")
    lazy = ad.AnnData(da.from_array(poisson.X.toarray()))
    with pytest.raises(ValueError, match=r"X is a dask array.*adata\.to_memory"):
        recall_py.tl.countsplit(lazy)
    poisson.raw = poisson.copy()
    poisson.X = poisson.X / 2
    with pytest.raises(ValueError, match=r"The counts are in adata\.raw"):
        recall_py.tl.countsplit(poisson)


def test_features_that_are_no_genes_are_split_too(poisson):
    poisson.var["feature_types"] = ["Gene Expression"] * 3 + ["Antibody Capture"]
    recall_py.tl.countsplit(poisson)
    assert (sum(folds_of(poisson)) == poisson.X.toarray()).all()
