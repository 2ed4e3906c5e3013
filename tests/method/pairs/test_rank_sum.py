"""The rank-sum test of all pairs of clusters, against a slow twin and scipy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from scipy import sparse, special, stats

from recall_py.method.pairs.against_knockoffs import SortedGeneTests
from recall_py.method.pairs.rank_sum import cluster_pairs, log10_two_sided, rank_sum, sort_genes
from recall_py.method.params import FilterParams


class Twin(NamedTuple):
    u: float
    z: float


def compare_slowly(first: np.ndarray, second: np.ndarray) -> Twin:
    """Mann-Whitney count and normal score by comparing each cell of one cluster with each of the other."""
    u = np.sum(first[:, None] > second) + 0.5 * np.sum(first[:, None] == second)
    n_a, n_b = first.size, second.size
    n = n_a + n_b
    t = np.unique(np.concatenate((first, second)), return_counts=True)[1].astype(float)
    if t.size == 1:
        return Twin(u, 0.0)
    variance = n_a * n_b / 12 * ((n + 1) - np.sum(t**3 - t) / (n * (n - 1)))
    deviation = u - n_a * n_b / 2
    return Twin(u, np.sign(deviation) * max(abs(deviation) - 0.5, 0.0) / np.sqrt(variance))


def assert_agrees_with_twin(values: np.ndarray, labels: np.ndarray, matrix: sparse.sparray, every: int = 1) -> None:
    """Compare every pair, or every so many, with the twin and scipy."""
    found = rank_sum(sort_genes(matrix), labels)
    pairs = cluster_pairs(labels.max() + 1)
    for pair in range(0, len(pairs), every):
        a, b = pairs[pair]
        for gene, column in enumerate(values.T):
            twin = compare_slowly(column[labels == a], column[labels == b])
            assert found.u[pair, gene] == twin.u
            np.testing.assert_allclose(found.z[pair, gene], twin.z, rtol=1e-10)
            assert found.log10_p[pair, gene] == pytest.approx(log10_p_of_scipy(column, labels, a, b), rel=1e-10)


def log10_p_of_scipy(column: np.ndarray, labels: np.ndarray, a: int, b: int) -> float:
    first, second = (column[labels == code].astype(np.float64) for code in (a, b))
    if np.ptp(np.concatenate((first, second))) == 0:
        return 0.0
    p = stats.mannwhitneyu(first, second, method="asymptotic", use_continuity=True).pvalue
    if p < 1e-290:
        return (np.log(2) + special.log_ndtr(-abs(compare_slowly(first, second).z))) / np.log(10)
    return np.log10(p)


def random_labels(rng: np.random.Generator, n_cells: int, k: int) -> np.ndarray:
    """Codes 0..k-1, each in use, of unequal size."""
    weights = np.arange(1, k + 1) / np.sum(np.arange(1, k + 1))
    labels = np.concatenate((np.arange(k), rng.choice(k, n_cells - k, p=weights)))
    return rng.permutation(labels).astype(np.int32)


def varied_genes(rng: np.random.Generator, n_cells: int) -> np.ndarray:
    """Continuous, tied, sparse, negative, constant and all-zero genes."""
    return np.column_stack(
        [
            rng.normal(size=n_cells),
            rng.poisson(0.2, n_cells),
            rng.poisson(3.0, n_cells),
            np.log1p(rng.poisson(1.0, n_cells) * rng.choice([0.5, 0.7, 1.1], n_cells)),
            rng.integers(-2, 3, n_cells),
            -rng.poisson(0.5, n_cells),
            np.full(n_cells, 1.5),
            np.full(n_cells, -1.5),
            np.zeros(n_cells),
            np.arange(n_cells) == n_cells // 2,
            -1.0 * (np.arange(n_cells) == n_cells // 2),
        ]
    )


@pytest.mark.parametrize("format_", [sparse.csr_array, sparse.csc_array, sparse.csr_matrix])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [2, 3, 7])
def test_u_and_p_of_every_pair_agree_with_scipy(rng, k, dtype, format_):
    values = varied_genes(rng, 60).astype(dtype)
    assert_agrees_with_twin(values, random_labels(rng, 60, k), format_(values))


def test_sixty_clusters_with_clusters_of_one_cell_agree_with_scipy(rng):
    values = varied_genes(rng, 150)[:, :6]
    labels = random_labels(rng, 150, 60)
    assert np.bincount(labels).min() == 1
    assert_agrees_with_twin(values, labels, sparse.csc_array(values), every=23)


def test_integer_counts_agree_with_scipy(rng):
    values = rng.poisson(1.0, (50, 4)).astype(np.int32)
    assert_agrees_with_twin(values, random_labels(rng, 50, 3), sparse.csc_array(values))


def test_two_clusters_of_one_cell_have_p_one():
    values = np.array([[0.0, 3.0, 1.0], [5.0, -3.0, 1.0]])
    found = rank_sum(sort_genes(sparse.csc_array(values)), np.array([0, 1], dtype=np.int32))
    np.testing.assert_array_equal(found.u, [[0.0, 1.0, 0.5]])
    np.testing.assert_array_equal(found.log10_p, 0.0)


@pytest.mark.parametrize("value", [0.0, 2.5, -1.0])
def test_constant_gene_has_p_one(value):
    values = sparse.csc_array(np.full((30, 1), value))
    found = rank_sum(sort_genes(values), np.repeat(np.array([0, 1], dtype=np.int32), [10, 20]))
    assert found.u[0, 0] == 100.0
    assert found.log10_p[0, 0] == 0.0


def test_gene_constant_over_one_pair_only_has_p_one_in_that_pair():
    labels = np.repeat(np.array([0, 1, 2], dtype=np.int32), 10)
    values = np.repeat([[1.0], [1.0], [4.0]], 10, axis=0)
    log10_p = rank_sum(sort_genes(sparse.csc_array(values)), labels).log10_p[:, 0]
    assert log10_p[0] == 0.0
    assert np.all(log10_p[1:] < -4)


def test_single_odd_cell_among_many_is_not_taken_for_constant():
    n = 100_000
    values = sparse.csc_array((np.array([1.0]), (np.array([0]), np.array([0]))), shape=(n, 1))
    labels = np.repeat(np.array([0, 1], dtype=np.int32), n // 2)
    found = rank_sum(sort_genes(values), labels)
    # U leads by n_b / 2, and the tie correction leaves 3 / n of the variance.
    expected = (n / 4 - 0.5) / np.sqrt(n**2 / 48 * (n + 1) * 3 / n * (1 - 1 / n) / (1 - 1 / n**2))
    assert found.z[0, 0] == pytest.approx(expected, rel=1e-6)


def test_log_p_stays_finite_and_right_where_p_underflows():
    n = 20_000
    values = sparse.csc_array(np.arange(1.0, n + 1)[:, None])
    labels = np.repeat(np.array([0, 1], dtype=np.int32), n // 2)
    found = rank_sum(sort_genes(values), labels)
    z = ((n / 2) ** 2 / 2 - 0.5) / np.sqrt((n / 2) ** 2 / 12 * (n + 1))
    assert z > 100
    assert found.u[0, 0] == 0.0
    assert found.z[0, 0] == pytest.approx(-z, rel=1e-12)
    assert found.log10_p[0, 0] == pytest.approx((np.log(2) + special.log_ndtr(-z)) / np.log(10), rel=1e-10)


def test_log_p_of_small_and_large_z_agrees_with_the_normal_distribution():
    z = np.concatenate(([0.0], np.geomspace(1e-12, 37.0, 400)))
    p = 2 * stats.norm.sf(z)
    usual = p < 1 - 1e-4
    np.testing.assert_allclose(log10_two_sided(z)[usual], np.log10(p[usual]), rtol=1e-11)
    # Near p = 1, 1 - p is z sqrt(2 / pi) to first order.
    np.testing.assert_allclose(log10_two_sided(z)[1:200], -z[1:200] * np.sqrt(2 / np.pi) / np.log(10), rtol=1e-4)
    np.testing.assert_array_equal(log10_two_sided(-z), log10_two_sided(z))
    assert np.isfinite(log10_two_sided(np.array([1e6]))).all()


def test_given_pairs_are_answered_in_their_order_and_direction(rng):
    values, labels = varied_genes(rng, 60), random_labels(rng, 60, 4)
    genes = sort_genes(sparse.csc_array(values))
    found = rank_sum(genes, labels, np.array([[3, 1], [0, 2]]))
    every = rank_sum(genes, labels)
    position = {tuple(pair): i for i, pair in enumerate(cluster_pairs(4).tolist())}
    np.testing.assert_array_equal(found.z[0], -every.z[position[1, 3]])
    np.testing.assert_array_equal(found.u[1], every.u[position[0, 2]])


def test_genes_tested_alone_or_in_any_order_give_the_same_bits(rng):
    genes = sort_genes(sparse.csc_array(varied_genes(rng, 80)))
    labels = random_labels(rng, 80, 5)
    every = rank_sum(genes, labels)
    columns = np.array([7, 0, 3])
    some = rank_sum(genes, labels, columns=columns)
    np.testing.assert_array_equal(some.u, every.u[:, columns])
    np.testing.assert_array_equal(some.z, every.z[:, columns])


@pytest.mark.parametrize("n_jobs", [2, 3])
def test_sorting_is_the_same_for_any_number_of_threads(rng, n_jobs):
    values = sparse.random_array((70, 900), density=0.3, rng=rng, format="csc")
    one, many = sort_genes(values, n_jobs=1), sort_genes(values, n_jobs=n_jobs)
    for name in ("indptr", "starts_group", "n_below_zero"):
        np.testing.assert_array_equal(getattr(one, name), getattr(many, name))
    labels = random_labels(rng, 70, 3)
    np.testing.assert_array_equal(rank_sum(one, labels).z, rank_sum(many, labels).z)


def test_contrasts_are_the_same_bits_for_any_number_of_threads(rng):
    values = sparse.csc_array(rng.poisson(0.7, (90, 600)).astype(np.float32))
    labels = random_labels(rng, 90, 4)
    pairs = cluster_pairs(4)
    one, two = (SortedGeneTests(values, FilterParams(), n_jobs=n_jobs).contrasts(labels, pairs) for n_jobs in (1, 2))
    np.testing.assert_array_equal(one, two)
    log10_p = rank_sum(sort_genes(values), labels).log10_p
    np.testing.assert_array_equal(one[0], log10_p[:, 300:] - log10_p[:, :300])


@pytest.mark.parametrize("format_", [sparse.csr_array, sparse.csc_array])
def test_input_is_left_unchanged(rng, format_):
    dense = varied_genes(rng, 40)
    values = format_(dense)
    for array in (values.data, values.indices, values.indptr):
        array.flags.writeable = False
    rank_sum(sort_genes(values), random_labels(rng, 40, 3))
    np.testing.assert_array_equal(values.toarray(), dense)


def test_duplicate_entries_of_a_matrix_count_as_their_sum():
    values = sparse.csc_array((np.ones(4), np.array([0, 0, 2, 1]), np.array([0, 4])), shape=(4, 1))
    labels = np.array([0, 0, 1, 1], dtype=np.int32)
    found = rank_sum(sort_genes(values), labels)
    assert found.u[0, 0] == compare_slowly(np.array([2.0, 1.0]), np.array([1.0, 0.0])).u
    assert values.nnz == 4


@pytest.mark.parametrize("place", [0, 3])
def test_nan_is_refused(place):
    values = np.ones((5, 2))
    values[place, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        sort_genes(sparse.csr_array(values))


@pytest.mark.parametrize("labels", [[0, 1, 1], [0, 0, 2, 2], [1, 1, 1, 1], [-1, 0, 0, 1]])
def test_labels_that_are_not_codes_in_use_are_refused(labels):
    genes = sort_genes(sparse.csc_array(np.ones((4, 1))))
    with pytest.raises(ValueError, match=r"codes 0\.\.k-1|negative"):
        rank_sum(genes, np.array(labels, dtype=np.int32))


@pytest.mark.parametrize("entries", [1, 100, 10**6])
def test_result_does_not_depend_on_the_block_size(monkeypatch, entries):
    rng = np.random.default_rng(4)
    genes = sort_genes(sparse.csc_array(rng.poisson(1.0, (50, 30)).astype(np.float32)))
    labels = np.resize(np.arange(4, dtype=np.int32), 50)
    expected = rank_sum(genes, labels)
    monkeypatch.setattr("recall_py.method.pairs.rank_sum._BLOCK_ENTRIES", entries)
    found = rank_sum(genes, labels, n_jobs=2)
    np.testing.assert_array_equal(found.u, expected.u)
    np.testing.assert_array_equal(found.z, expected.z)


@pytest.mark.parametrize("k", [2, 5, 12])
def test_some_pairs_have_the_bits_that_they_have_among_all(rng, k):
    values = sparse.csc_array(varied_genes(rng, 120))
    genes, labels, every = sort_genes(values), random_labels(rng, 120, k), cluster_pairs(k)
    whole = rank_sum(genes, labels)
    hub = np.flatnonzero((every == k // 2).any(axis=1))
    swapped = rank_sum(genes, labels, every[:, ::-1])
    np.testing.assert_array_equal(swapped.z, -whole.z)
    for rows in (hub, np.array([0]), rng.permutation(len(every))[: len(every) // 2 + 1], np.array([], dtype=int)):
        some = rank_sum(genes, labels, every[rows])
        np.testing.assert_array_equal(some.u, whole.u[rows])
        np.testing.assert_array_equal(some.z, whole.z[rows])
