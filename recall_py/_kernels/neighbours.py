"""Shared nearest neighbours."""

from __future__ import annotations

import numpy as np

from recall_py._kernels._jit import jit


@jit
def shared_neighbours(neighbours, by_point_indptr, by_point_indices, min_overlap):
    """Jaccard overlap of neighbour sets, upper triangle without the diagonal.

    `neighbours` is cells x k; the CSC-like pair lists, for each point, the cells that have it as a neighbour.
    Returns rows, columns and weights of the overlaps that reach `min_overlap`.
    """
    n_cells, k = neighbours.shape
    shared = np.zeros(n_cells, dtype=np.int32)
    touched = np.empty(n_cells, dtype=np.int32)
    capacity = max(16, n_cells * k)
    rows = np.empty(capacity, dtype=np.int32)
    columns = np.empty(capacity, dtype=np.int32)
    weights = np.empty(capacity, dtype=np.float64)
    n_edges = 0
    for cell in range(n_cells):
        n_touched = 0
        for point in neighbours[cell]:
            for i in range(by_point_indptr[point], by_point_indptr[point + 1]):
                other = by_point_indices[i]
                if other <= cell:
                    continue
                if shared[other] == 0:
                    touched[n_touched] = other
                    n_touched += 1
                shared[other] += 1
        if n_edges + n_touched > capacity:
            capacity = max(2 * capacity, n_edges + n_touched)
            rows = np.concatenate((rows, np.empty(capacity - rows.size, dtype=np.int32)))
            columns = np.concatenate((columns, np.empty(capacity - columns.size, dtype=np.int32)))
            weights = np.concatenate((weights, np.empty(capacity - weights.size, dtype=np.float64)))
        for other in np.sort(touched[:n_touched]):
            overlap = shared[other] / (2.0 * k - shared[other])
            shared[other] = 0
            if overlap >= min_overlap:
                rows[n_edges] = cell
                columns[n_edges] = other
                weights[n_edges] = overlap
                n_edges += 1
    return rows[:n_edges], columns[:n_edges], weights[:n_edges]
