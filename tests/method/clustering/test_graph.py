"""Neighbour graphs: Seurat's shared nearest neighbours, and scanpy's own."""

from __future__ import annotations

import anndata as ad
import numba
import numpy as np
import pytest
import scanpy as sc
from scipy import sparse

from recall_py.adata.neighbours import scanpy_graph
from recall_py.method.clustering.graph import MIN_JACCARD, build_graph, nearest_neighbours, snn_graph
from recall_py.method.params import GraphParams


def jaccard_slowly(neighbours: np.ndarray, min_overlap: float) -> np.ndarray:
    """Overlap of every two sets of neighbours, 0 where it is below `min_overlap`."""
    sets = [set(row.tolist()) for row in neighbours]
    overlap = np.array([[len(a & b) / len(a | b) for b in sets] for a in sets])
    np.fill_diagonal(overlap, 0.0)
    return np.where(overlap >= min_overlap, overlap, 0.0)


@pytest.fixture
def scores(rng) -> np.ndarray:
    centres = rng.normal(scale=6, size=(4, 8))
    return centres[rng.integers(4, size=250)] + rng.normal(size=(250, 8))


def test_snn_of_the_originals_neighbours_is_the_originals(dataset):
    graph, golden = (matrix.sorted_indices() for matrix in (snn_graph(dataset.neighbours), dataset.snn))
    np.testing.assert_array_equal(graph.indptr, golden.indptr)
    np.testing.assert_array_equal(graph.indices, golden.indices)
    np.testing.assert_allclose(graph.data, golden.data, rtol=1e-12)


def test_graph_of_the_originals_components_has_nearly_all_of_its_edges(dataset):
    """The original's neighbours are approximate: on ``pbmc68k`` 9 of 10 rows are exact, elsewhere more."""
    graph = build_graph(dataset.components, GraphParams(kind="snn", n_neighbors=20))
    ours, theirs = graph > 0, dataset.snn > 0
    shared = ours.multiply(theirs).sum()
    found = shared / theirs.sum()
    surplus = 1 - shared / ours.sum()
    print(f"{dataset.name}: {found:.4f} of the original's edges, {surplus:.4f} of ours are not its")
    assert found >= 0.99
    assert surplus <= 0.02


@pytest.mark.parametrize("k", [2, 5, 20])
def test_snn_agrees_with_the_slow_twin(scores, k):
    neighbours = nearest_neighbours(scores, k)
    np.testing.assert_allclose(snn_graph(neighbours).toarray(), jaccard_slowly(neighbours, MIN_JACCARD), rtol=1e-14)


def test_overlap_of_exactly_one_fifteenth_is_kept():
    # Cells 0 and 1 have 8 neighbours each and share one of them, cell 8: 1 / (16 - 1).
    windows = [[cell, *(c for c in range(2, 15) if c != cell)][:8] for cell in range(2, 15)]
    graph = snn_graph(np.array([[0, *range(2, 9)], [1, *range(8, 15)], *windows], dtype=np.int32))
    assert graph[0, 1] == pytest.approx(1 / 15)


@pytest.mark.parametrize("kind", ["snn", "umap"])
def test_graph_is_symmetric_without_a_diagonal(scores, kind):
    graph = build_graph(scores, GraphParams(kind=kind), scanpy_graph)
    assert sparse.issparse(graph)
    assert graph.shape == (250, 250)
    assert (graph - graph.T).nnz == 0
    assert not graph.diagonal().any()
    assert graph.data.min() > 0
    assert graph.data.max() <= 1


@pytest.mark.parametrize("kind", ["snn", "umap"])
def test_same_scores_give_the_same_bits(scores, kind):
    first, second = (build_graph(scores, GraphParams(kind=kind), scanpy_graph) for _ in range(2))
    np.testing.assert_array_equal(first.toarray(), second.toarray())


def test_neighbours_are_the_nearest_with_the_cell_itself_first(scores):
    found = nearest_neighbours(scores, 12)
    distance = np.linalg.norm(scores[:, None] - scores, axis=2)
    np.testing.assert_array_equal(found[:, 0], np.arange(250))
    np.testing.assert_array_equal(np.sort(found, axis=1), np.sort(np.argsort(distance, axis=1)[:, :12], axis=1))


@pytest.mark.parametrize("n_identical", [30, 250])
def test_each_of_many_identical_cells_is_its_own_first_neighbour(scores, n_identical):
    scores[:n_identical] = scores[0]
    found = nearest_neighbours(scores, 10)
    np.testing.assert_array_equal(found[:, 0], np.arange(250))
    assert all(len(set(row)) == 10 for row in found.tolist())


@pytest.fixture
def many(rng) -> np.ndarray:
    centres = rng.normal(scale=4, size=(12, 10))
    return centres[rng.integers(12, size=4000)] + rng.normal(size=(4000, 10))


def test_approximate_neighbours_are_nearly_all_exact(many, monkeypatch):
    exact = nearest_neighbours(many, 20)
    monkeypatch.setattr("recall_py.method.clustering.graph.EXACT_CELLS", 3999)
    found = nearest_neighbours(many, 20)
    np.testing.assert_array_equal(found[:, 0], np.arange(4000))
    hits = [len(np.intersect1d(a, b)) for a, b in zip(exact, found, strict=True)]
    assert np.mean(hits) / 20 > 0.99


def test_approximate_graph_does_not_depend_on_the_number_of_threads(many, monkeypatch):
    """That of scanpy is tried in tests/peers: umap compiles for twenty seconds more before it is made."""
    monkeypatch.setattr("recall_py.method.clustering.graph.EXACT_CELLS", 3999)
    threads = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        first = build_graph(many, GraphParams(kind="snn"), scanpy_graph)
        numba.set_num_threads(threads)
        second = build_graph(many, GraphParams(kind="snn"), scanpy_graph)
    finally:
        numba.set_num_threads(threads)
    np.testing.assert_array_equal(first.indices, second.indices)
    np.testing.assert_array_equal(first.data, second.data)


# scanpy warns of itself where a cell is not among its own neighbours.
@pytest.mark.filterwarnings("ignore:Changing the sparsity structure")
@pytest.mark.parametrize("kind", ["snn", "umap"])
def test_identical_cells_give_a_finite_graph(scores, kind):
    scores[:30] = scores[0]
    graph = build_graph(scores, GraphParams(kind=kind, n_neighbors=10), scanpy_graph)
    assert np.isfinite(graph.data).all()
    assert (graph - graph.T).nnz == 0
    assert graph[:30].sum() > 0


@pytest.mark.parametrize(
    "asked",
    [{}, {"n_neighbors": 8}, {"metric": "cosine"}, {"method": "gauss"}, {"random_state": 7}],
    ids=lambda asked: ",".join(asked) or "defaults",
)
def test_umap_graph_is_what_scanpy_makes_of_the_same_components(scores, asked):
    adata = ad.AnnData(np.zeros((250, 1), dtype=np.float32), obsm={"X_pca": scores})
    sc.pp.neighbors(adata, use_rep="X_pca", **{"n_neighbors": 15, **asked})
    found = build_graph(scores, GraphParams(kind="umap", **asked), scanpy_graph)
    np.testing.assert_array_equal(found.toarray(), adata.obsp["connectivities"].toarray())


def test_graph_of_another_kind_needs_who_makes_it(scores):
    with pytest.raises(ValueError, match=r"kind 'umap' is not made here\. Pass make_graph"):
        build_graph(scores, GraphParams(kind="umap"))
