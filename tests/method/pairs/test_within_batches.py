"""Samples that are balanced over batches, and the batches that two clusters share."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from recall_py.method.pairs.batches import balanced, quotas, shared
from recall_py.method.pairs.outcomes import StartClusters, sampled_cells
from recall_py.method.pairs.pooled import PooledPair


@pytest.mark.parametrize(
    ("n_cells", "most", "expected"),
    [
        ([10, 10, 10], 100, [10, 10, 10]),
        ([100, 100, 100], 31, [11, 10, 10]),
        ([3, 100, 50], 43, [3, 20, 20]),
        ([9, 9, 9, 2], 10, [5, 5, 0, 0]),  # else none would have five
        ([2, 2, 2, 2], 5, [2, 1, 1, 1]),
    ],
)
def test_batches_have_equal_shares_of_a_sample(n_cells, most, expected):
    assert quotas(np.array(n_cells), most).tolist() == expected


@given(st.lists(st.integers(0, 40), min_size=1, max_size=12), st.integers(5, 80))
def test_no_more_is_taken_than_there_is_and_no_less_than_there_is_room_for(n_cells, most):
    taken = quotas(np.array(n_cells), most)
    assert (taken <= n_cells).all()
    assert taken.sum() <= most
    if most >= 5 * len(n_cells):
        assert taken.sum() == min(most, sum(n_cells))
        assert all(np.diff(sorted(taken[taken < n_cells])) <= 1)


def test_a_sample_has_cells_of_the_wanted_batches_alone():
    batches = np.repeat([0, 1, 2], [50, 8, 30])
    cells = balanced(np.arange(88), batches, np.array([2, 1]), 20)
    assert np.bincount(batches[cells]).tolist() == [0, 8, 12]
    assert (np.diff(cells) > 0).all()
    assert np.array_equal(cells, balanced(np.arange(88), batches, np.array([2, 1]), 20))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([0] * 9 + [1] * 20, [0] * 5 + [1] * 20, [1, 0]),
        ([0] * 9 + [1] * 20, [0] * 4 + [1] * 20, [1]),
        ([0] * 9, [1] * 9, []),
        ([0] * 9, [0] * 3, [0]),  # all cells of a small cluster
        ([0] * 9 + [1] * 9, [0, 0, 1], []),
    ],
)
def test_two_clusters_share_the_batches_with_five_cells_of_each(one, other, expected):
    found = shared(np.array(one), np.array(other))
    assert found.by_both.tolist() == expected
    assert set(found.by_one) == {batch for batch in (0, 1) if (one + other).count(batch) >= 5} - set(expected)


def test_a_cluster_is_read_evenly_and_twenty_five_cells_of_each_of_many_batches():
    few = np.repeat([0, 1], [5000, 200]).astype(np.int32)
    assert np.bincount(few[sampled_cells(np.zeros(5200, dtype=int), few)]).tolist() == [150, 150]
    many = np.repeat(np.arange(30), 100).astype(np.int32)
    assert np.bincount(many[sampled_cells(np.zeros(3000, dtype=int), many)]).tolist() == [25] * 30
    most = np.repeat(np.arange(300), 10).astype(np.int32)
    assert np.bincount(most[sampled_cells(np.zeros(3000, dtype=int), most)]).tolist() == [5] * 200


def test_a_union_of_clusters_has_as_many_cells_of_each_batch():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [900, 300, 50])
    batches = (rng.random(1250) < 0.2).astype(np.int32)
    clusters = StartClusters(labels, lambda cells: sparse.csr_array(np.ones((cells.size, 2))), None, batches)
    cells, counts = clusters.sample_of_batches((0, 1, 2), 300, np.array([0, 1]))
    assert counts.shape[0] == cells.size
    assert np.abs(np.bincount(batches[cells]) - 150).max() <= 15
    assert set(batches[clusters.sample_of_batches((0, 1), 300, np.array([1]))[0]]) == {1}
    filled, _ = clusters.sample_of_batches((2,), 40, np.array([1]), np.array([0]))
    assert np.bincount(batches[filled]).tolist() == [40 - (batches[1200:] == 1).sum(), (batches[1200:] == 1).sum()]


def test_fold_changes_are_those_within_batches():
    """The second cluster has four times the counts in a gene; batches, which it has other shares of, a hundred."""
    stratum = np.repeat([0, 1], [100, 100])
    is_first = np.concatenate((np.arange(100) < 90, np.arange(100) < 10))
    of_gene = np.where(stratum == 0, 400.0, 4.0) * np.where(is_first, 1, 4)
    counts = sparse.csr_array(np.column_stack((of_gene, 1e6 - of_gene)))[np.argsort(~is_first, kind="stable")]
    order = np.argsort(~is_first, kind="stable")
    pair, _ = PooledPair.of(counts, int(is_first.sum()), np.zeros(200, dtype=int), stratum[order], exact=False)
    alone, _ = PooledPair.of(counts, int(is_first.sum()), np.zeros(200, dtype=int), None, exact=False)
    within, over_all = (float(of.log2_fold_changes(np.array([0]))[0]) for of in (pair, alone))
    assert within < -0.5
    assert over_all > 0


@pytest.mark.parametrize(
    ("n_one", "n_other", "compared"),
    [
        ([11, 25], [11, 0], True),
        ([11, 25], [11, 0, 25], False),
        ([11, 25], [20, 0, 25], False),
        ([20, 25], [20, 0, 25], True),
        ([6, 5], [6, 0], True),
    ],
)
def test_clusters_with_most_cells_elsewhere_are_compared_by_twenty_or_not_at_all(n_one, n_other, compared):
    one, other = (np.repeat(np.arange(len(sizes)), sizes) for sizes in (n_one, n_other))
    assert bool(shared(one, other).by_both.size) == compared
