"""Cells on the leading components of their Poisson deviance residuals, and Ward's tree of points."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import ClusterNode, linkage, to_tree
from scipy.sparse.linalg import eigsh
from scipy.spatial.distance import pdist

from recall_py.method.clustering.components import leading_components

_SMALL = 400
"""Rows up to which all eigenvalues of a matrix are as cheap as a few."""


class Components(NamedTuple):
    """Cells on components, and what brings others there."""

    scores: NDArray[np.float64]
    """(n_cells, n_components)."""
    centre: NDArray[np.float64]
    """(n_genes,) mean residuals."""
    loadings: NDArray[np.float64]
    """(n_genes, n_components) orthonormal columns."""

    def project(self, residuals: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, n_components) scores of other cells."""
        return (residuals - self.centre) @ self.loadings


def deviance_residuals(counts: NDArray[np.float64], members: list[NDArray[np.int64]]) -> NDArray[np.float64]:
    """Signed roots of the Poisson deviance of each count, given the total of the cell and the share of the gene.

    `members` are the cells of each batch; shares are those within it (Townes et al. 2019, doi
    10.1186/s13059-019-1861-6).
    """
    residuals = np.empty(counts.shape)
    for cells in members:
        own = counts[cells]
        expected = np.outer(own.sum(axis=1), own.sum(axis=0) / max(own.sum(), 1.0))
        ratio = np.divide(own, expected, out=np.ones(own.shape), where=own > 0)
        half_deviance = own * np.log(ratio) - (own - expected)
        residuals[cells] = np.copysign(np.sqrt(2.0 * np.maximum(half_deviance, 0.0)), own - expected)
    return residuals


def leading(residuals: NDArray[np.float64], n_components: int) -> Components:
    """The components with the largest variance, from products of cells or of genes, whichever are fewer."""
    centre = residuals.mean(axis=0)
    centred = residuals - centre
    n_cells, n_genes = centred.shape
    n_components = min(n_components, n_cells - 1, n_genes)
    if n_genes <= n_cells:
        _, loadings = leading_eigenvectors(centred.T @ centred, n_components)
        return Components(centred @ loadings, centre, loadings)
    variance, directions = leading_eigenvectors(centred @ centred.T, n_components)
    length = np.sqrt(variance)
    loadings = (centred.T @ directions) / np.where(length > 0, length, np.inf)
    return Components(directions * length, centre, loadings)


def leading_eigenvectors(
    symmetric: NDArray[np.float64], n_vectors: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The largest eigenvalues that are not negative, in decreasing order, and their vectors as columns."""
    if len(symmetric) <= max(_SMALL, 2 * n_vectors):
        return leading_components(symmetric.copy(), n_vectors)
    start = np.random.default_rng(0).uniform(size=len(symmetric))
    values, vectors = eigsh(symmetric, n_vectors, which="LA", v0=start)
    order = np.argsort(-values)
    return np.maximum(values[order], 0.0), vectors[:, order]


def ward_tree(points: NDArray[np.float64]) -> ClusterNode:
    """Ward's tree on plain distances, as ``ward.D`` of R; scipy squares what it is given, so it is given roots."""
    root: ClusterNode = to_tree(linkage(np.sqrt(pdist(points)), "ward"))
    return root


def gain(points: NDArray[np.float64], first: NDArray[np.bool_]) -> float:
    """What cutting the points in two takes from their sum of squares, for each point."""
    within = sum(_sum_of_squares(points[side]) for side in (first, ~first))
    return (_sum_of_squares(points) - within) / len(points)


def _sum_of_squares(points: NDArray[np.float64]) -> float:
    return float(((points - points.mean(axis=0)) ** 2).sum())
