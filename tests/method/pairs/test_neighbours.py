"""Neighbours of clusters: on graphs and by centroids, at the start and after merges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from recall_py.method.pairs.neighbours import Centroids, EdgeWeights

SEEDS = st.integers(0, 2**32 - 1)


def codes_in_use(rng, n, k):
    """(n,) codes 0..k-1, each in use."""
    return rng.permutation(np.concatenate((np.arange(k), rng.integers(k, size=n - k))))


def random_graph(rng, n, density=0.2):
    weights = np.triu(rng.random((n, n)) * (rng.random((n, n)) < density), k=1)
    return weights + weights.T


def slow_pairs(weights, labels, taking_part):
    """Cell by cell."""
    k = labels.max() + 1
    between = np.zeros((k, k))
    for i, j in np.argwhere(weights):
        between[labels[i], labels[j]] += weights[i, j]
    degree = [weights[labels == a].sum() for a in range(k)]
    over_chance = {}
    for a in range(k):
        for b in range(k):
            if a != b and taking_part[a] and taking_part[b] and between[a, b] > 0:
                over_chance[a, b] = between[a, b] / (degree[a] * degree[b] / weights.sum())
    chosen = {pair for pair, ratio in over_chance.items() if ratio > 1.0}
    for a in range(k):
        chosen |= set(sorted((pair for pair in over_chance if pair[0] == a), key=lambda p: -over_chance[p])[:3])
    return sorted({tuple(sorted(pair)) for pair in chosen})


def as_tuples(pairs):
    return [tuple(pair) for pair in pairs.tolist()]


@settings(max_examples=50, deadline=None)
@given(seed=SEEDS, k=st.integers(1, 8))
def test_neighbours_on_a_graph_are_those_of_the_slow_twin(seed, k):
    rng = np.random.default_rng(seed)
    weights, labels = random_graph(rng, 30), codes_in_use(rng, 30, k)
    taking_part = rng.random(k) < 0.8
    found = EdgeWeights(sparse.csr_array(weights), labels).pairs(np.arange(k), taking_part)
    assert as_tuples(found) == slow_pairs(weights, labels, taking_part)


@settings(max_examples=50, deadline=None)
@given(seed=SEEDS, k=st.integers(1, 9), on_graph=st.booleans())
def test_joined_clusters_have_the_neighbours_that_they_would_have_at_the_start(seed, k, on_graph):
    rng = np.random.default_rng(seed)
    labels = codes_in_use(rng, 40, k)
    n_left = int(rng.integers(1, k + 1))
    joined, taking_part = codes_in_use(rng, k, n_left), rng.random(n_left) < 0.9
    if on_graph:
        graph = sparse.csr_array(random_graph(rng, 40))
        used, fresh = EdgeWeights(graph, labels), EdgeWeights(graph, joined[labels])
    else:
        scores = rng.normal(size=(40, 3))
        used, fresh = Centroids.of_cells(scores, labels), Centroids.of_cells(scores, joined[labels])
    left = np.arange(n_left)
    found = used.pairs(joined, taking_part)
    np.testing.assert_array_equal(found, fresh.pairs(left, taking_part))
    assert (found[:, 0] < found[:, 1]).all()
    assert taking_part[found].all()
    assert [used.nearest(joined, code) for code in left] == [fresh.nearest(left, code) for code in left]


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, k=st.integers(2, 8))
def test_by_centroids_each_cluster_has_its_three_nearest(seed, k):
    rng = np.random.default_rng(seed)
    centroids = rng.normal(size=(k, 4))
    found = as_tuples(Centroids(centroids, rng.integers(1, 9, size=k)).pairs(np.arange(k), np.ones(k, dtype=bool)))
    expected = set()
    for a in range(k):
        others = sorted((b for b in range(k) if b != a), key=lambda b: np.linalg.norm(centroids[a] - centroids[b]))
        expected |= {tuple(sorted((a, b))) for b in others[:3]}
    assert found == sorted(expected)


def test_no_edges_make_no_neighbours():
    graph = sparse.csr_array((6, 6))
    relation = EdgeWeights(graph, np.array([0, 0, 1, 1, 2, 2]))
    assert relation.pairs(np.arange(3), np.ones(3, dtype=bool)).shape == (0, 2)
    assert relation.nearest(np.arange(3), 0) is None


def test_parts_that_no_edge_joins_are_no_neighbours():
    block = np.ones((4, 4)) - np.eye(4)
    graph = sparse.csr_array(np.kron(np.eye(2), block))
    relation = EdgeWeights(graph, np.repeat([0, 1, 2, 3], 2))
    assert as_tuples(relation.pairs(np.arange(4), np.ones(4, dtype=bool))) == [(0, 1), (2, 3)]


def test_the_direction_of_edges_does_not_matter():
    rng = np.random.default_rng(1)
    weights, labels = random_graph(rng, 30), codes_in_use(rng, 30, 6)
    whole, one_way = (EdgeWeights(sparse.csr_array(w), labels) for w in (weights, np.tril(weights)))
    everyone = np.ones(6, dtype=bool)
    np.testing.assert_array_equal(whole.pairs(np.arange(6), everyone), one_way.pairs(np.arange(6), everyone))


@pytest.mark.parametrize("most", [10**6, 5])
def test_ward_is_what_a_merge_adds_to_the_sum_of_squares(most):
    rng = np.random.default_rng(2)
    scores, labels = rng.normal(size=(60, 3)), codes_in_use(rng, 60, 5)
    joined = np.array([0, 1, 1, 2, 0])
    now = joined[labels]
    found = Centroids.of_cells(scores, labels).ward(joined, 0, 2, most=most)

    def spread(values):
        return ((values - values.mean(axis=0)) ** 2).sum()

    # As many cells as count, all at the centroid: the within sums are then zero.
    copies = [np.repeat(scores[now == a].mean(axis=0)[None], min(most, (now == a).sum()), axis=0) for a in (0, 2)]
    assert found == pytest.approx(spread(np.concatenate(copies)))
