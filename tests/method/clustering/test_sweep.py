"""Clusters that last over a range of resolutions, and how well they are found again."""

from __future__ import annotations

from itertools import combinations

import igraph
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.cluster.hierarchy import linkage
from sklearn.metrics import adjusted_rand_score, jaccard_score
from sklearn.neighbors import kneighbors_graph

from recall_py.method.clustering import sweep as rooms
from recall_py.method.clustering.sweep import Sweep, _best_cut, _Nodes

FOUR = np.repeat([0, 1, 2, 3], [40, 30, 20, 10])
LEFT_AND_RIGHT = np.repeat([0, 0, 1, 1], [40, 30, 20, 10])
LEFT_SPLIT = np.repeat([0, 1, 2, 2], [40, 30, 20, 10])


def sweep_of(*runs: tuple[int, np.ndarray]) -> Sweep:
    """A sweep in which each partition was found so many times; the last is the finest."""
    return Sweep(np.concatenate([np.tile(labels, (times, 1)) for times, labels in runs]).astype(np.int32))


def same(one: np.ndarray, other: np.ndarray) -> bool:
    return adjusted_rand_score(one, other) == 1.0


def groups_of_points(sizes: tuple[int, ...], apart: float, seed: int = 0) -> tuple[sparse.csr_array, np.ndarray]:
    """The graph of the 15 nearest neighbours of points in groups."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    points = apart * rng.standard_normal((len(sizes), 8))[truth] + rng.standard_normal((truth.size, 8))
    near = sparse.csr_array(kneighbors_graph(points, 15))
    return sparse.csr_array((near + near.T) / 2), truth


def slow_stability(labels: np.ndarray, runs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By sets of cells and scikit-learn's Jaccard, cluster by cluster."""
    of_clusters, of_cells = np.zeros(labels.max() + 1), np.zeros(labels.size)
    for run in runs:
        for code in range(labels.max() + 1):
            found = [jaccard_score(labels == code, run == other) for other in range(run.max() + 1)]
            of_clusters[code] += max(found) / len(runs)
            of_cells[labels == code] += (run == np.argmax(found))[labels == code] / len(runs)
    return of_clusters, of_cells


def test_what_most_runs_find_is_taken():
    assert same(sweep_of((20, LEFT_AND_RIGHT), (10, FOUR)).lasting(), LEFT_AND_RIGHT)
    assert same(sweep_of((10, LEFT_AND_RIGHT), (20, FOUR)).lasting(), FOUR)


def test_each_cluster_has_the_resolution_that_suits_it():
    whole = np.zeros(100, dtype=int)
    assert same(sweep_of((2, whole), (2, LEFT_AND_RIGHT), (20, LEFT_SPLIT), (8, FOUR)).lasting(), LEFT_SPLIT)


def test_a_rare_cluster_that_most_runs_find_is_kept():
    rare = np.repeat([0, 1], [2985, 15])
    assert same(sweep_of((6, np.zeros(3000, dtype=int)), (26, rare)).lasting(), rare)


def test_cells_go_where_most_runs_have_them():
    strayed = LEFT_AND_RIGHT.copy()
    strayed[:3] = 1
    found = sweep_of((20, LEFT_AND_RIGHT), (1, strayed))
    assert same(found.lasting(), LEFT_AND_RIGHT)
    np.testing.assert_allclose(found.stability(LEFT_AND_RIGHT).of_cells[[0, 50]], [20 / 21, 1.0])


def test_a_graph_of_very_many_parts_is_taken_as_the_finest_run_has_it():
    parts = np.arange(1500, dtype=np.int32)
    assert sweep_of((32, parts)).lasting().tolist() == parts.tolist()


def test_one_cluster_in_every_run_is_one_cluster():
    found = sweep_of((32, np.zeros(10, dtype=int)))
    assert found.lasting().tolist() == [0] * 10
    assert found.stability(found.lasting()).of_clusters.tolist() == [1.0]


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_stability_is_that_of_the_definition_and_names_of_clusters_do_not_matter(data):
    n_cells, n_runs = data.draw(st.integers(2, 30)), data.draw(st.integers(1, 5))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    runs = np.array(
        [np.unique(rng.integers(rng.integers(1, 6), size=n_cells), return_inverse=True)[1] for _ in range(n_runs)]
    ).astype(np.int32)
    labels = Sweep(runs).lasting()
    sizes = np.bincount(labels)
    assert (np.diff(sizes) <= 0).all()
    assert sizes.min() > 0
    of_clusters, of_cells = slow_stability(labels, runs)
    found = Sweep(runs).stability(labels)
    np.testing.assert_allclose(found.of_clusters, of_clusters, atol=1e-12)
    np.testing.assert_allclose(found.of_cells, of_cells, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_the_cut_of_a_tree_is_the_best_of_all(n_leaves, seed):
    rng = np.random.default_rng(seed)
    tree = linkage(rng.random((n_leaves, 2)), "average")[:, :2].astype(int)
    score = rng.integers(0, 20, size=2 * n_leaves - 1).astype(float)
    leaves = [{leaf} for leaf in range(n_leaves)]
    for left, right in tree:
        leaves.append(leaves[left] | leaves[right])
    sums = [
        sum(score[list(nodes)])
        for size in range(1, n_leaves + 1)
        for nodes in combinations(range(len(leaves)), size)
        if sorted(leaf for node in nodes for leaf in leaves[node]) == list(range(n_leaves))
    ]
    cut = _best_cut(tree, score, np.zeros(score.size))
    assert sorted(leaf for node in cut for leaf in leaves[node]) == list(range(n_leaves))
    assert score[cut].sum() == max(sums)


def test_parts_that_are_found_nearly_as_well_are_taken():
    tree, score = np.array([[0, 1]]), np.array([4.0, 5.0, 10.0])
    assert _best_cut(tree, score, np.array([0.0, 0.0, 0.9])) == [2]
    assert _best_cut(tree, score, np.array([0.0, 0.0, 1.1])) == [0, 1]


@pytest.fixture(scope="module")
def graph() -> tuple[sparse.csr_array, np.ndarray]:
    return groups_of_points((400, 200, 100, 60), apart=4.0)


def test_groups_are_found_whatever_the_seed(graph):
    adjacency, truth = graph
    found = [Sweep.of(adjacency, seed).lasting() for seed in range(5)]
    assert min(adjusted_rand_score(truth, labels) for labels in found) > 0.98
    assert min(adjusted_rand_score(found[0], labels) for labels in found) > 0.98


def test_clusters_of_one_blob_are_found_worse_than_groups(graph):
    adjacency, _ = groups_of_points((600,), apart=0.0)
    blob, groups = Sweep.of(adjacency, 0), Sweep.of(graph[0], 0)
    assert blob.stability(blob.lasting()).of_clusters.max() < 0.6 < groups.stability(groups.lasting()).of_clusters.min()


def test_the_same_seed_gives_the_same_labels(graph):
    one, other = Sweep.of(graph[0], 3), Sweep.of(graph[0], 3)
    np.testing.assert_array_equal(one.lasting(), other.lasting())
    np.testing.assert_array_equal(one.stability(graph[1]).of_cells, other.stability(graph[1]).of_cells)


def test_nodes_of_many_cells_are_clustered_by_the_modularity_of_the_cells(graph):
    adjacency, truth = graph
    between = sparse.triu(adjacency, k=1, format="coo")
    whole = igraph.Graph(n=truth.size, edges=np.column_stack(between.coords))
    nodes = _Nodes(adjacency, np.arange(truth.size)).clusters(30.0, 0, 2)
    assert 60 < nodes.max() < 400
    labels = _Nodes(adjacency, nodes).clusters(1.0, 0, -1)[nodes]

    def modularity(labels):
        return whole.modularity(labels.tolist(), weights=between.data.tolist())

    moved = [
        modularity(np.where(nodes == node, cluster, labels))
        for node in range(nodes.max() + 1)
        for cluster in range(labels.max() + 2)
    ]
    assert max(moved) <= modularity(labels) + 1e-12, "one node in another cluster is better"


def test_many_cells_are_joined_to_nodes_first(graph, monkeypatch):
    adjacency, truth = graph
    monkeypatch.setattr(rooms, "MOST_NODES", 500)
    monkeypatch.setattr(rooms, "VERY_FINE", 20.0)
    first = np.random.default_rng(0).integers(2**31, size=1 + rooms.N_RUNS)[0]
    nodes = _Nodes(adjacency, np.arange(truth.size)).clusters(20.0, int(first), 2)
    together = sparse.csr_array((np.ones(truth.size), (nodes, np.arange(truth.size))))
    found = Sweep.of(adjacency, 0)
    for run in found._partitions:
        of_nodes = together @ sparse.csr_array((np.ones(truth.size), (np.arange(truth.size), run)))
        assert (np.diff(of_nodes.tocsr().indptr) == 1).all()
    assert adjusted_rand_score(truth, found.lasting()) > 0.98


def test_cells_without_an_edge_are_clusters_of_their_own(graph):
    adjacency, _ = graph
    alone = sparse.csr_array(sparse.block_diag([adjacency, sparse.csr_array((30, 30))]))
    found, without = Sweep.of(alone, 0), Sweep.of(adjacency, 0)
    labels = found.lasting()
    assert same(labels[:-30], without.lasting())
    assert np.unique(labels[-30:]).size == 30
    assert not np.isin(labels[-30:], labels[:-30]).any()
    np.testing.assert_array_equal(found.stability(labels).of_cells[-30:], 0.0)
    np.testing.assert_array_equal(found.stability(labels).of_cells[:-30], without.stability(labels[:-30]).of_cells)
