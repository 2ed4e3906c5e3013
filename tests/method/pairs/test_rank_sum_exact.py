"""The exact rank-sum test, against every labelling of the cells, an integer twin and scipy."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from itertools import combinations
from math import comb, log10

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse, stats

from recall_py.method.pairs.rank_sum import rank_sum, sort_genes
from recall_py.method.pairs.rank_sum_exact import exact_log10_p

RELATIVE_ERROR = 1e-12


def p_by_enumeration(column: np.ndarray, is_first: np.ndarray) -> Fraction:
    """Rank sum of the first cluster under every labelling of the cells."""
    ranks = (2 * stats.rankdata(column)).astype(int)
    n_first = int(is_first.sum())
    mean = n_first * (column.size + 1)
    sums = np.array([ranks[list(chosen)].sum() for chosen in combinations(range(column.size), n_first)])
    n_extreme = np.count_nonzero(np.abs(sums - mean) >= abs(ranks[is_first].sum() - mean))
    return Fraction(int(n_extreme), sums.size)


def p_by_integers(column: np.ndarray, is_first: np.ndarray) -> Fraction:
    """Choices of cells counted by size and rank sum in integers, zeros like any other cell."""
    ranks = [int(rank) for rank in 2 * stats.rankdata(column)]
    n_first = int(is_first.sum())
    ways: defaultdict[tuple[int, int], int] = defaultdict(int, {(0, 0): 1})
    for rank in ranks:
        for (n_chosen, total), n_ways in list(ways.items()):
            if n_chosen < n_first:
                ways[n_chosen + 1, total + rank] += n_ways
    mean = n_first * (column.size + 1)
    distance = abs(sum(rank for rank, first in zip(ranks, is_first, strict=True) if first) - mean)
    n_extreme = sum(n for (j, total), n in ways.items() if j == n_first and abs(total - mean) >= distance)
    return Fraction(n_extreme, comb(column.size, n_first))


def p_of(values: np.ndarray, is_first: np.ndarray, **kwargs) -> np.ndarray:
    return 10.0 ** exact_log10_p(sparse.csc_array(values), is_first, **kwargs)


def first_cells(n_cells: int, n_first: int) -> np.ndarray:
    return np.arange(n_cells) < n_first


def varied_genes(rng: np.random.Generator, n_cells: int) -> np.ndarray:
    """Continuous, tied, sparse, constant and all-zero genes, none negative."""
    return np.column_stack(
        [
            rng.random(n_cells) + 0.1,
            rng.random(n_cells) * (rng.random(n_cells) < 0.3),
            rng.random(n_cells) * (rng.random(n_cells) < 0.8),
            rng.poisson(0.3, n_cells),
            rng.poisson(3.0, n_cells),
            np.log1p(rng.poisson(0.6, n_cells) * rng.choice([0.5, 0.7, 1.1], n_cells)),
            rng.integers(1, 3, n_cells),
            np.full(n_cells, 1.5),
            np.zeros(n_cells),
            np.arange(n_cells) == n_cells // 2,
            np.arange(n_cells) != n_cells // 2,
        ]
    )


@st.composite
def labelled_pair(draw):
    """Values of up to 10 cells and 3 genes, with ties and zeros, and a mask with both clusters in it."""
    n_cells = draw(st.integers(2, 10))
    shape = (n_cells, draw(st.integers(1, 3)))
    element = draw(st.sampled_from([st.integers(0, 3).map(float), st.floats(0.0, 9.0)]))
    values = draw(arrays(np.float64, shape, elements=element, fill=st.just(0.0)))
    n_first = draw(st.integers(1, n_cells - 1))
    return values, first_cells(n_cells, n_first)[list(draw(st.permutations(range(n_cells))))]


@given(labelled_pair())
def test_p_is_the_share_of_labellings_at_least_as_extreme(case):
    values, is_first = case
    expected = [float(p_by_enumeration(column, is_first)) for column in values.T]
    np.testing.assert_allclose(p_of(values, is_first), expected, rtol=RELATIVE_ERROR)


@pytest.mark.parametrize(("n_cells", "n_first"), [(30, 1), (30, 4), (59, 9), (40, 20), (40, 33)])
def test_p_of_a_pair_too_large_to_enumerate_agrees_with_counting_in_integers(rng, n_cells, n_first):
    values = varied_genes(rng, n_cells)
    is_first = rng.permutation(first_cells(n_cells, n_first))
    expected = [float(p_by_integers(column, is_first)) for column in values.T]
    np.testing.assert_allclose(p_of(values, is_first), expected, rtol=RELATIVE_ERROR)


@pytest.mark.parametrize("n_first", [1, 3, 9, 30])
def test_p_of_untied_genes_agrees_with_scipy(rng, n_first):
    values = rng.random((40, 20)) + 0.1
    values[:n_first, ::4] += 1.0
    is_first = first_cells(40, n_first)
    expected = stats.mannwhitneyu(values[is_first], values[~is_first], method="exact").pvalue
    np.testing.assert_allclose(p_of(values, is_first), expected, rtol=1e-10)


def test_p_of_tied_genes_agrees_with_the_permutation_test_of_scipy(rng):
    values = varied_genes(rng, 12)
    is_first = first_cells(12, 4)
    for column, p in zip(values.T, p_of(values, is_first), strict=True):
        ranks = stats.rankdata(column)
        found = stats.permutation_test(
            (ranks[is_first], ranks[~is_first]),
            lambda first, second, axis: np.abs(first.sum(axis=axis) - 4 * 13 / 2),
            vectorized=True,
            n_resamples=np.inf,
            alternative="greater",
        )
        assert p == pytest.approx(found.pvalue, rel=RELATIVE_ERROR)


@pytest.mark.parametrize(
    "column", [[1, 2, 3, 4, 5, 6, 7, 8, 9], [0, 0, 0, 0, 1, 1, 2, 3, 3], [0, 0, 0, 0, 0, 0, 4, 5, 5]]
)
@pytest.mark.parametrize("n_first", [2, 3, 5])
def test_error_rate_over_all_labellings_is_each_p_attained(column, n_first):
    """P(p <= alpha) = alpha at every attained alpha, so it is below alpha in between."""
    labellings = []
    for chosen in combinations(range(9), n_first):
        rest = [cell for cell in range(9) if cell not in chosen]
        labellings.append([column[cell] for cell in (*chosen, *rest)])
    p = p_of(np.array(labellings, dtype=float).T, first_cells(9, n_first))
    for alpha in np.unique(p):
        assert np.mean(p <= alpha * (1 + RELATIVE_ERROR)) == pytest.approx(alpha, rel=RELATIVE_ERROR)


@given(labelled_pair())
def test_swapping_the_clusters_leaves_the_bits(case):
    values, is_first = case
    np.testing.assert_array_equal(p_of(values, is_first), p_of(values, ~is_first))


def test_cost_is_that_of_the_smaller_cluster_whichever_is_first(rng):
    values = sparse.csc_array(rng.random((400, 3)) + 0.1)
    is_first = first_cells(400, 9)
    # A table for choices of 391 cells would be refused.
    np.testing.assert_array_equal(exact_log10_p(values, ~is_first), exact_log10_p(values, is_first))


@given(labelled_pair())
def test_order_of_cells_and_genes_changes_nothing(case):
    values, is_first = case
    turned = exact_log10_p(sparse.csc_array(values[::-1, ::-1]), is_first[::-1])
    np.testing.assert_array_equal(turned[::-1], exact_log10_p(sparse.csc_array(values), is_first))


@given(labelled_pair())
def test_explicit_zeros_change_nothing(case):
    values, is_first = case
    explicit = sparse.csc_array((values.ravel(), np.indices(values.shape).reshape(2, -1)), shape=values.shape)
    assert explicit.nnz == values.size
    np.testing.assert_array_equal(exact_log10_p(explicit, is_first), exact_log10_p(sparse.csc_array(values), is_first))


@given(labelled_pair())
def test_log_p_is_finite_and_never_above_zero(case):
    values, is_first = case
    log10_p = exact_log10_p(sparse.csc_array(values), is_first)
    assert np.isfinite(log10_p).all()
    assert (log10_p <= 0).all()


@pytest.mark.parametrize("value", [0.0, 2.5])
@pytest.mark.parametrize("n_cells", [2, 7, 400])
def test_constant_gene_has_p_one(n_cells, value):
    values = sparse.csc_array(np.full((n_cells, 1), value))
    assert exact_log10_p(values, first_cells(n_cells, (n_cells + 1) // 4 + 1))[0] == 0.0


def test_gene_with_its_rank_sum_at_the_mean_has_p_one():
    values = sparse.csc_array(np.array([[1.0], [4.0], [2.0], [3.0]]))
    assert exact_log10_p(values, first_cells(4, 2))[0] == 0.0


@pytest.mark.parametrize("n_cells", range(40, 400, 40))
def test_rounding_never_takes_p_above_one(n_cells):
    """Halves of a pair with one non-zero: every labelling is as extreme."""
    values = sparse.csc_array(first_cells(n_cells, 1)[:, None].astype(float))
    log10_p = exact_log10_p(values, first_cells(n_cells, n_cells // 2))[0]
    assert log10_p <= 0.0
    assert log10_p == pytest.approx(0.0, abs=1e-13)


def test_separated_clusters_have_the_least_p_of_the_pair():
    values = np.arange(1.0, 61.0)[:, None]
    assert exact_log10_p(sparse.csc_array(values), first_cells(60, 9))[0] == pytest.approx(log10(2 / comb(60, 9)))


def test_ten_cells_against_ten_thousand_keep_their_precision():
    values = np.zeros((10_010, 1))
    values[:100, 0] = np.arange(100, 0, -1)
    log10_p = exact_log10_p(sparse.csc_array(values), first_cells(10_010, 10))
    # The other tail ends at the choice of zeros only, which is nearer to the mean.
    assert log10_p[0] == pytest.approx(-log10(comb(10_010, 10)), rel=1e-13)


def test_p_of_two_clusters_of_fifteen_cells_is_close_to_the_normal_approximation(rng):
    values = np.column_stack((rng.random((30, 50)) + 0.1, rng.poisson(2.0, (30, 50))))
    values[:15] += rng.choice([0.0, 0.2], 100)
    is_first = first_cells(30, 15)
    normal = rank_sum(sort_genes(sparse.csc_array(values)), (~is_first).astype(np.int32)).log10_p[0]
    exact = exact_log10_p(sparse.csc_array(values), is_first)
    usual = normal > -2
    assert usual.sum() > 50
    np.testing.assert_allclose(exact[usual], normal[usual], atol=0.06)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_p_is_that_of_the_ties_whatever_the_dtype(rng, dtype):
    values = rng.poisson(1.0, (20, 5))
    is_first = first_cells(20, 6)
    np.testing.assert_array_equal(p_of(values.astype(dtype), is_first), p_of(values.astype(float), is_first))


@pytest.mark.parametrize("n_jobs", [2, 3, -1])
def test_result_is_the_same_bits_for_any_number_of_threads(rng, n_jobs):
    values = sparse.csc_array(np.tile(varied_genes(rng, 60), 60) * (rng.random((60, 660)) < 0.5))
    is_first = rng.permutation(first_cells(60, 8))
    np.testing.assert_array_equal(exact_log10_p(values, is_first, n_jobs=n_jobs), exact_log10_p(values, is_first))


@pytest.mark.parametrize("block", [1, 7, 10**6])
def test_result_does_not_depend_on_the_genes_tested_together(monkeypatch, rng, block):
    values = sparse.csc_array(rng.poisson(rng.gamma(0.5, 1.0, 80), (50, 80)))
    is_first = first_cells(50, 7)
    expected = exact_log10_p(values, is_first)
    monkeypatch.setattr("recall_py.method.pairs.rank_sum_exact._BLOCK_GENES", block)
    np.testing.assert_array_equal(exact_log10_p(values, is_first), expected)


def test_input_is_left_unchanged(rng):
    dense = varied_genes(rng, 20)
    values, is_first = sparse.csc_array(dense), first_cells(20, 5)
    for array in (values.data, values.indices, values.indptr, is_first):
        array.flags.writeable = False
    exact_log10_p(values, is_first)
    np.testing.assert_array_equal(values.toarray(), dense)


def test_no_genes_have_no_p_values():
    assert exact_log10_p(sparse.csc_array((5, 0)), first_cells(5, 2)).shape == (0,)


def test_negative_values_are_refused():
    values = np.array([[1.0, -1.0], [0.0, 2.0], [3.0, 0.0]])
    with pytest.raises(ValueError, match=r"no negative values, and 1 genes"):
        exact_log10_p(sparse.csc_array(values), first_cells(3, 1))


def test_nan_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        exact_log10_p(sparse.csc_array([[1.0], [np.nan]]), first_cells(2, 1))


@pytest.mark.parametrize("n_first", [0, 4])
def test_a_cluster_without_cells_is_refused(n_first):
    with pytest.raises(ValueError, match=f"{n_first} of 4 cells"):
        exact_log10_p(sparse.csc_array(np.ones((4, 1))), first_cells(4, n_first))


@pytest.mark.parametrize("is_first", [[True, False], [0, 1, 1], [[True], [False], [True]]])
def test_a_mask_that_is_not_one_boolean_per_cell_is_refused(is_first):
    with pytest.raises(ValueError, match="must be 3 booleans"):
        exact_log10_p(sparse.csc_array(np.ones((3, 1))), np.array(is_first))


@pytest.mark.parametrize(("n_cells", "n_first", "n_non_zeros"), [(400, 200, 400), (3000, 1000, 1)])
def test_a_pair_beyond_the_table_or_float64_is_refused(n_cells, n_first, n_non_zeros):
    values = sparse.csc_array(first_cells(n_cells, n_non_zeros)[:, None].astype(float))
    with pytest.raises(ValueError, match=f"{n_first} among {n_cells} cells.*up to {n_non_zeros} non-zeros.*rank_sum"):
        exact_log10_p(values, first_cells(n_cells, n_first))
