"""What must hold for the rank-sum tests of any values and any labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse

from recall_py._kernels.ranksum import sort_in_rows
from recall_py.method.pairs.rank_sum import RankSums, cluster_pairs, rank_sum, sort_genes


@st.composite
def labelled_values(draw, min_clusters=2, floats=False):
    """Values of up to 40 cells and 3 genes, with ties and zeros, and labels with every code in use."""
    k = draw(st.integers(min_clusters, 6))
    n_cells = draw(st.integers(k, 40))
    element = st.floats(-1e6, 1e6, width=32) if floats else st.integers(-3, 4).map(float)
    n_genes = draw(st.integers(1, 3))
    values = draw(arrays(np.float64, (n_cells, n_genes), elements=element, fill=st.just(0.0)))
    rest = draw(st.lists(st.integers(0, k - 1), min_size=n_cells - k, max_size=n_cells - k))
    order = draw(st.permutations(range(n_cells)))
    return values, np.array([*range(k), *rest], dtype=np.int32)[list(order)]


def every_pair(values: np.ndarray, labels: np.ndarray, pairs: np.ndarray | None = None) -> RankSums:
    return rank_sum(sort_genes(sparse.csc_array(values)), labels, pairs)


@given(labelled_values())
def test_swapping_a_pair_leaves_p_and_turns_u_round(case):
    values, labels = case
    pairs = cluster_pairs(labels.max() + 1)
    there, back = every_pair(values, labels, pairs), every_pair(values, labels, pairs[:, ::-1])
    sizes = np.bincount(labels)
    np.testing.assert_array_equal(there.u + back.u, np.broadcast_to(sizes[pairs].prod(axis=1)[:, None], there.u.shape))
    np.testing.assert_array_equal(there.log10_p, back.log10_p)


@given(labelled_values(floats=True))
def test_monotone_transform_changes_nothing(case):
    values, labels = case
    # Ranks among the distinct values, moved so that 0 stays 0: monotone, and exact where exp or cube would round.
    distinct = np.unique(np.append(values, 0.0))
    transformed = (np.searchsorted(distinct, values) - np.searchsorted(distinct, 0.0)) ** 3.0
    plain, other = every_pair(values, labels), every_pair(transformed, labels)
    np.testing.assert_array_equal(plain.u, other.u)
    np.testing.assert_array_equal(plain.z, other.z)


@given(labelled_values(min_clusters=3))
def test_merging_two_clusters_adds_their_u(case):
    values, labels = case
    last = labels.max()
    merged = np.where(labels == last, last - 1, labels).astype(np.int32)
    against_first = np.array([[last - 1, 0], [last, 0]])
    parts = every_pair(values, labels, against_first)
    whole = every_pair(values, merged, against_first[:1])
    np.testing.assert_array_equal(parts.u.sum(axis=0), whole.u[0])


@pytest.mark.parametrize("every", [1, 2])
@given(case=labelled_values())
def test_explicit_zeros_change_nothing(every, case):
    """All zeros are stored, or every second one beside others that are not."""
    values, labels = case
    stored = (values != 0) | (np.add.outer(*map(np.arange, values.shape)) % every == 0)
    explicit = sparse.csc_array((values[stored], np.nonzero(stored)), shape=values.shape)
    assert explicit.nnz == stored.sum()
    plain, other = every_pair(values, labels), rank_sum(sort_genes(explicit), labels)
    np.testing.assert_array_equal(plain.u, other.u)
    np.testing.assert_array_equal(plain.z, other.z)


@given(labelled_values(), st.randoms(use_true_random=False))
def test_order_of_cells_changes_nothing(case, random):
    values, labels = case
    order = random.sample(range(len(labels)), len(labels))
    plain, shuffled = every_pair(values, labels), every_pair(values[order], labels[order])
    np.testing.assert_array_equal(plain.z, shuffled.z)


@given(labelled_values(floats=True))
def test_log_p_is_finite_and_never_above_zero(case):
    found = every_pair(*case)
    assert np.isfinite(found.log10_p).all()
    assert (found.log10_p <= 0).all()


@given(st.integers(1, 2000), st.integers(1, 2000))
def test_w_of_separated_clusters_of_any_size_is_a_number(n_a, n_b):
    values = np.zeros((n_a + n_b, 2))
    values[:n_a] = np.arange(1, n_a + 1)[:, None]
    labels = np.repeat(np.array([0, 1], dtype=np.int32), [n_a, n_b])
    log10_p = every_pair(values, labels).log10_p[0]
    assert log10_p[1] - log10_p[0] == 0.0


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2**32 - 1) | st.sampled_from([1 << 11, 1 << 22])), max_size=60)
)
def test_keys_are_sorted_in_their_rows(pairs):
    table = np.array(pairs, dtype=np.uint64).reshape(-1, 2)
    row, keys = table[:, 0].astype(np.int32), table[:, 1].astype(np.uint32)
    indptr = np.concatenate(([0], np.cumsum(np.bincount(row, minlength=4))))
    np.testing.assert_array_equal(sort_in_rows(keys.copy(), row.copy(), indptr), keys[np.lexsort((keys, row))])
