"""The neighbour graph of the cells on their principal components."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recall_py.method.params import GraphParams
from recall_py.method.threads import one_thread

MakeGraph = Callable[[NDArray[np.float64], GraphParams], sparse.csr_array]
"""Components and parameters into a graph."""
EXACT_CELLS = 20_000
"""Above it, neighbours are searched approximately, by nearest neighbour descent."""
MIN_JACCARD = 1 / 15
"""Seurat's ``prune.SNN``."""


def build_graph(
    scores: NDArray[np.float64], params: GraphParams, make_graph: MakeGraph | None = None
) -> sparse.csr_array:
    """Symmetric weighted graph, (n_cells, n_cells), without a diagonal.

    Parameters
    ----------
    scores
        (n_cells, dims) principal components.
    params
        Kind and parameters of the graph.
    make_graph
        Makes a graph of another kind than ``"snn"``.

    Raises
    ------
    ValueError
        For another kind without `make_graph`.
    """
    if params.kind == "snn":
        return snn_graph(nearest_neighbours(scores, params.n_neighbors))
    if make_graph is None:
        msg = f"A graph of kind {params.kind!r} is not made here. Pass make_graph, or GraphParams(kind='snn')."
        raise ValueError(msg)
    return make_graph(scores, params)


def searched_exactly(n_cells: int) -> bool:
    """Whether so few cells have their neighbours searched exactly."""
    return n_cells <= EXACT_CELLS


def nearest_neighbours(scores: NDArray[np.float64], k: int) -> NDArray[np.int32]:
    """(n_cells, k) Euclidean neighbours, each cell first in its own row; exact up to `EXACT_CELLS` cells."""
    if not searched_exactly(len(scores)):
        from pynndescent import NNDescent

        neighbours = NNDescent(scores, n_neighbors=k, random_state=0, **descent_options(len(scores))).neighbor_graph[0]
    else:
        from sklearn.neighbors import NearestNeighbors

        with one_thread():
            neighbours = NearestNeighbors(n_neighbors=k).fit(scores).kneighbors(scores, return_distance=False)
    cells = np.arange(len(neighbours))
    # Among identical cells the search may list another one first, or leave the cell itself out.
    position = np.where(neighbours == cells[:, None], 0, 1)
    neighbours = np.take_along_axis(neighbours, np.argsort(position, axis=1, kind="stable"), axis=1)
    neighbours[:, 0] = cells
    return neighbours.astype(np.int32)


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


def descent_options(n_cells: int) -> dict[str, int]:
    """Options of UMAP and scanpy for the approximate search, on one thread: its random numbers are split by thread."""
    return {"n_jobs": 1, "n_trees": min(64, 5 + round(n_cells**0.5 / 20)), "n_iters": max(5, round(math.log2(n_cells)))}
