"""Normalised and scaled values and principal components, against the original and a dense twin."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy import sparse
from threadpoolctl import threadpool_info

from recall_py.method.clustering.components import ScaledGenes, embed, scale
from recall_py.method.normalisation import log_normalise
from recall_py.method.threads import one_blas_thread


def scale_densely(values: np.ndarray) -> np.ndarray:
    """Centre, scale to unit variance (ddof 1), clip above at 10; not below, and no centring again."""
    deviation = values.std(axis=0, ddof=1)
    scaled = (values - values.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    return np.minimum(scaled, 10.0)


def random_counts(n_cells: int, n_genes: int, density: float = 0.2, seed: int = 0) -> sparse.csc_array:
    counts = sparse.random_array(
        (n_cells, n_genes), density=density, format="csc", rng=np.random.default_rng(seed),
        data_sampler=lambda size: np.random.default_rng(seed).geometric(0.4, size).astype(np.float64),
    )  # fmt: skip
    first = sparse.csc_array(np.ones((n_cells, 1)))
    return sparse.csc_array(sparse.hstack([first, counts[:, 1:]], format="csc"))


def test_normalised_cells_are_the_originals(dataset):
    golden = dataset.table("augmented_cell_checks.tsv.gz")
    counts = dataset.augmented.counts
    values = log_normalise(counts, dtype=np.float64)
    np.testing.assert_array_equal(np.asarray(counts.sum(axis=1)).ravel(), golden["total_counts"])
    np.testing.assert_allclose(np.asarray(values.sum(axis=1)).ravel(), golden["lognorm_sum"], rtol=1e-12)
    np.testing.assert_allclose(
        np.asarray(values.multiply(values).sum(axis=1)).ravel(), golden["lognorm_sumsq"], rtol=1e-12
    )


def test_normalised_and_scaled_genes_are_the_originals(dataset):
    golden = dataset.table("augmented_feature_checks.tsv.gz")
    values = log_normalise(dataset.augmented.counts, dtype=np.float64)
    dense, scaled = values.toarray(), scale(values).toarray()
    assert golden["feature"].tolist()[: len(dataset.genes)] == dataset.genes
    for name, found in {
        "lognorm_mean": dense.mean(axis=0),
        "lognorm_var": dense.var(axis=0, ddof=1),
        "scaled_min": scaled.min(axis=0),
        "scaled_max": scaled.max(axis=0),
        "scaled_sumsq": (scaled**2).sum(axis=0),
    }.items():
        kept = golden[name].notna().to_numpy()
        np.testing.assert_allclose(found[kept], golden[name][kept], rtol=1e-10, err_msg=name)
    assert (scaled.max(axis=0) == 10.0).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_components_are_the_originals_up_to_sign(dataset, dtype):
    golden = dataset.table("augmented_feature_checks.tsv.gz")
    in_pca = np.flatnonzero(golden["in_pca"])
    values = sparse.csc_array(log_normalise(dataset.augmented.counts, dtype=dtype)[:, in_pca])
    found = embed(scale(values), 50)
    r = [np.corrcoef(found.scores[:, i], dataset.components[:, i])[0, 1] for i in range(10)]
    assert np.abs(r).min() > 0.9999, r
    stdev = dataset.table("pca_stdev.tsv")["stdev"].to_numpy()
    np.testing.assert_allclose(found.standard_deviation[:10], stdev[:10], rtol=1e-5)


def test_normalisation_is_log_of_counts_per_ten_thousand():
    counts = np.array([[1.0, 3.0, 0.0], [0.0, 2.0, 8.0]])
    expected = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    found = log_normalise(sparse.csc_array(counts), dtype=np.float64)
    np.testing.assert_allclose(found.toarray(), expected, rtol=1e-15)


def test_equal_ratios_stay_exactly_equal():
    counts = np.array([[1.0, 2.0], [3.0, 6.0], [7.0, 14.0], [49.0, 98.0]])
    for dtype in (np.float32, np.float64):
        values = log_normalise(sparse.csc_array(counts), dtype=dtype).toarray()
        assert len(np.unique(values[:, 0])) == 1


def test_cell_without_counts_is_refused_with_their_number():
    counts = np.array([[1.0, 2.0], [0.0, 0.0], [0.0, 0.0]])
    with pytest.raises(ValueError, match="2 cells have no counts"):
        log_normalise(sparse.csc_array(counts))


def test_scaling_agrees_with_the_dense_twin():
    values = log_normalise(random_counts(300, 80, density=0.02), dtype=np.float64)
    found = scale(values)
    expected = scale_densely(values.toarray())
    assert (expected == 10.0).any()
    np.testing.assert_allclose(found.toarray(), expected, atol=1e-12)


@pytest.mark.parametrize("shape", [(300, 80), (80, 300)])
def test_components_agree_with_the_dense_twin(shape):
    values = log_normalise(random_counts(*shape), dtype=np.float64)
    dense = scale_densely(values.toarray())
    left, singular, right = np.linalg.svd(dense, full_matrices=False)
    found = embed(scale(values), 10)
    np.testing.assert_allclose(found.standard_deviation, singular[:10] / np.sqrt(shape[0] - 1), rtol=1e-10)
    for i in range(10):
        sign = np.sign(left[:, i] @ found.scores[:, i])
        np.testing.assert_allclose(found.scores[:, i], sign * left[:, i] * singular[i], atol=1e-7)
        np.testing.assert_allclose(found.loadings[:, i], sign * right[i], atol=1e-8)


def test_components_from_the_covariance_are_those_of_the_lanczos_method(monkeypatch):
    values = log_normalise(random_counts(5000, 600))
    by_lanczos = embed(scale(values), 8)
    monkeypatch.setattr("recall_py.method.clustering.components.MANY_CELLS", 4999)
    found = [embed(scale(values), 8, n_jobs=n_jobs) for n_jobs in (1, 3)]
    np.testing.assert_array_equal(found[0].scores, found[1].scores)
    np.testing.assert_allclose(found[0].standard_deviation, by_lanczos.standard_deviation, rtol=1e-6)
    size = np.abs(by_lanczos.scores).max()
    np.testing.assert_allclose(found[0].scores, by_lanczos.scores, atol=1e-3 * size)
    np.testing.assert_allclose(found[0].loadings, by_lanczos.loadings, atol=1e-3)


def test_components_of_several_groups_of_cells_are_those_of_one(monkeypatch):
    values = log_normalise(random_counts(5000, 300))
    monkeypatch.setattr("recall_py.method.clustering.components.MANY_CELLS", 4999)
    whole = embed(scale(values), 8)
    monkeypatch.setattr(
        "recall_py.method.clustering.components.GROUP", 2100
    )  # no multiple of the block, nor a divisor of the cells
    parts = embed(scale(values), 8)
    np.testing.assert_allclose(parts.scores, whole.scores, atol=1e-4 * np.abs(whole.scores).max())


def test_order_of_the_cells_within_a_gene_does_not_matter(monkeypatch):
    monkeypatch.setattr("recall_py.method.clustering.components.MANY_CELLS", 299)
    values = log_normalise(random_counts(300, 40))
    unsorted = values.copy()
    for gene in range(40):
        extent = slice(unsorted.indptr[gene], unsorted.indptr[gene + 1])
        unsorted.indices[extent] = unsorted.indices[extent][::-1]
        unsorted.data[extent] = unsorted.data[extent][::-1]
    unsorted.has_sorted_indices = False
    np.testing.assert_array_equal(embed(scale(unsorted), 5).scores, embed(scale(values), 5).scores)


def test_clipped_values_are_not_centred_again():
    values = log_normalise(random_counts(400, 60, density=0.004), dtype=np.float64)
    dense = scale_densely(values.toarray())
    assert np.abs(dense.mean(axis=0)).max() > 0.01
    singular = np.linalg.svd(dense, compute_uv=False)
    recentred = np.linalg.svd(dense - dense.mean(axis=0), compute_uv=False)
    found = embed(scale(values), 5).standard_deviation * np.sqrt(399)
    np.testing.assert_allclose(found, singular[:5], rtol=1e-9)
    assert np.abs(recentred[:5] / singular[:5] - 1).max() > 1e-6


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1])
def test_constant_gene_is_scaled_to_zero(value):
    dense = np.random.default_rng(0).random((50, 4))
    dense[:, 2] = value
    scaled = scale(sparse.csc_array(dense))
    np.testing.assert_array_equal(scaled.toarray()[:, 2], 0.0)
    assert np.isfinite(embed(scaled, 2).scores).all()
    np.testing.assert_allclose(embed(scaled, 2).loadings[2], 0.0, atol=1e-12)


def test_largest_loading_of_each_component_is_positive():
    loadings = embed(scale(log_normalise(random_counts(200, 60))), 15).loadings
    assert (loadings[np.abs(loadings).argmax(axis=0), np.arange(15)] > 0).all()


def test_mirrored_values_only_mirror_the_scores():
    """The rule for signs does not depend on what the solver happens to return."""
    genes = scale(log_normalise(random_counts(200, 60), dtype=np.float64))
    mirrored = ScaledGenes(genes.values, genes.mean, -genes.inverse_sd)
    np.testing.assert_allclose(embed(mirrored, 5).loadings, embed(genes, 5).loadings, atol=1e-8)
    np.testing.assert_allclose(embed(mirrored, 5).scores, -embed(genes, 5).scores, atol=1e-7)


def test_same_values_give_the_same_bits():
    values = log_normalise(random_counts(500, 200))
    first, second = (embed(scale(values), 20) for _ in range(2))
    np.testing.assert_array_equal(first.scores, second.scores)
    np.testing.assert_array_equal(first.loadings, second.loadings)


def test_counts_are_left_unchanged():
    counts = random_counts(60, 20)
    before = counts.toarray()
    for array in (counts.data, counts.indices, counts.indptr):
        array.flags.writeable = False
    embed(scale(log_normalise(counts)), 3)
    np.testing.assert_array_equal(counts.toarray(), before)


def test_never_holds_a_dense_matrix_of_cells_by_genes():
    n_cells, n_genes = 20_000, 4_000
    counts = random_counts(n_cells, n_genes, density=0.001)
    scale(log_normalise(counts[:50]))  # compiles
    tracemalloc.start()
    try:
        embed(scale(log_normalise(counts)), 10)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < n_cells * n_genes * 4 / 8, f"peak {peak / 2**20:.0f} MiB"


def test_blas_is_held_to_one_thread_until_the_last_has_left():
    def threads():
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    before = threads()
    first, second = one_blas_thread(), one_blas_thread()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert threads() == {1}
    second.__exit__(None, None, None)
    assert threads() == before
