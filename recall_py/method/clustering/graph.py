"""The neighbour graph of the cells on their principal components."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

from recall_py.method.params import GraphParams

EXACT_CELLS = 20_000
"""Above it, neighbours are searched approximately, by nearest neighbour descent."""
MIN_JACCARD = 1 / 15
"""Seurat's ``prune.SNN``."""


def build_graph(scores: NDArray[np.float64], params: GraphParams) -> sparse.csr_array:
    """Symmetric weighted graph, (n_cells, n_cells), without a diagonal.

    Parameters
    ----------
    scores
        (n_cells, dims) principal components.
    params
        Kind and parameters of the graph.
    """
    if params.kind == "snn":
        return snn_graph(nearest_neighbours(scores, params.n_neighbors))
    return _scanpy_graph(scores, params)


def nearest_neighbours(scores: NDArray[np.float64], k: int) -> NDArray[np.int32]:
    """(n_cells, k) Euclidean neighbours, each cell first in its own row; exact up to `EXACT_CELLS` cells."""
    if len(scores) > EXACT_CELLS:
        from pynndescent import NNDescent

        found = NNDescent(scores, n_neighbors=k, random_state=0, **_descent(len(scores))).neighbor_graph[0]
    else:
        from sklearn.neighbors import NearestNeighbors

        with threadpool_limits(1):
            found = NearestNeighbors(n_neighbors=k).fit(scores).kneighbors(scores, return_distance=False)
    cells = np.arange(len(found))
    # Among identical cells the search may list another one first, or leave the cell itself out.
    position = np.where(found == cells[:, None], 0, 1)
    found = np.take_along_axis(found, np.argsort(position, axis=1, kind="stable"), axis=1)
    found[:, 0] = cells
    return found.astype(np.int32)


def snn_graph(neighbours: NDArray[np.int32]) -> sparse.csr_array:
    """Jaccard overlap of neighbour sets, overlaps below 1/15 dropped, as Seurat's ``FindNeighbors``.

    Parameters
    ----------
    neighbours
        (n_cells, k) neighbours of each cell, itself included.
    """
    from recall_py._kernels.neighbours import shared_neighbours

    n_cells, k = neighbours.shape
    membership = sparse.csr_array(
        (np.ones(neighbours.size, dtype=np.int8), neighbours.ravel(), np.arange(n_cells + 1) * k),
        shape=(n_cells, n_cells),
    ).tocsc()
    rows, columns, weights = shared_neighbours(neighbours, membership.indptr, membership.indices, MIN_JACCARD)
    upper = sparse.coo_array((weights, (rows, columns)), shape=(n_cells, n_cells))
    return sparse.csr_array(upper + upper.T)


def _scanpy_graph(scores: NDArray[np.float64], params: GraphParams) -> sparse.csr_array:
    """Connectivities of ``scanpy.pp.neighbors``, with exact neighbours up to `EXACT_CELLS` cells.

    scanpy's own choice below 8,192 cells is exact too. Above, it searches as here, but with random numbers that are
    split by thread, so its graph would depend on the machine.
    """
    import anndata as ad
    import scanpy as sc

    transformer: Any = "sklearn"
    if len(scores) > EXACT_CELLS:
        transformer = _descent_transformer(params, len(scores))
    holder = ad.AnnData(sparse.csr_matrix((len(scores), 1), dtype=np.float32), obsm={"X_pca": scores})
    with threadpool_limits(1, user_api="blas"), sc.settings.verbosity.override("warning"):
        sc.pp.neighbors(
            holder,
            n_neighbors=params.n_neighbors,
            use_rep="X_pca",
            metric=params.metric,
            method=params.method,
            transformer=transformer,
            random_state=params.random_state,
        )
    return sparse.csr_array(holder.obsp["connectivities"])


def _descent_transformer(params: GraphParams, n_cells: int) -> Any:
    """The approximate search in the form that scanpy takes."""
    from pynndescent import PyNNDescentTransformer

    class Descent(PyNNDescentTransformer):  # type: ignore[misc]
        def fit_transform(self, x: NDArray[np.float64]) -> sparse.csr_matrix:
            """Distances; pynndescent 0.7 gives a sparse array, which scanpy 1.11 cannot read."""
            return sparse.csr_matrix(super().fit_transform(x))

    return Descent(params.n_neighbors, params.metric, random_state=params.random_state, **_descent(n_cells))


def _descent(n_cells: int) -> dict[str, int]:
    """Options of UMAP and scanpy for the approximate search, on one thread: its random numbers are split by thread."""
    return {"n_jobs": 1, "n_trees": min(64, 5 + round(n_cells**0.5 / 20)), "n_iters": max(5, round(math.log2(n_cells)))}
