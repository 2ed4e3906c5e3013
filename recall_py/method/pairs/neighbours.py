"""Which clusters are next to each other: on a graph, or by their centroids.

A relation is made once, from the clusters that came in. Everything that it keeps of them adds up when clusters are
joined, so no step of a merging looks at the cells again.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

N_NEAREST = 3
"""Neighbours that each cluster has at least."""


class Neighbours(Protocol):
    """Says which clusters are neighbours."""

    def pairs(self, joined: NDArray[np.int64], taking_part: NDArray[np.bool_]) -> NDArray[np.int64]:
        """(n_pairs, 2) codes a < b of neighbours.

        Parameters
        ----------
        joined
            (n_start,) code 0..k-1 that each cluster at the start has now.
        taking_part
            (k,) the clusters that may have neighbours.
        """
        ...

    def nearest(self, joined: NDArray[np.int64], code: int) -> int | None:
        """The cluster that is nearest to the cluster `code`; None if no other is near at all."""
        ...


class EdgeWeights:
    """Neighbours on a graph: clusters that are joined by more edge weight than chance would give.

    Chance gives two clusters the product of their degrees over the sum of all degrees (Wolf et al., Genome Biol. 2019,
    doi 10.1186/s13059-019-1663-x, with weights). Each cluster has at least its three best neighbours, as far as edges
    lead to so many; clusters that no edge joins are not neighbours.

    Parameters
    ----------
    adjacency
        (n_cells, n_cells) weights; of a directed graph both directions are added up.
    labels
        (n_cells,) codes of the clusters at the start.
    """

    def __init__(self, adjacency: sparse.csr_array, labels: NDArray[np.integer]) -> None:
        if adjacency.shape != (labels.size, labels.size):
            msg = (
                f"The graph is {adjacency.shape[0]} x {adjacency.shape[1]}, and the labels are of {labels.size} cells. "
                "Make it anew on these cells: sc.pp.neighbors(adata)"
            )
            raise ValueError(msg)
        member = _membership(labels)
        weight = (member @ adjacency @ member.T).toarray().astype(np.float64)
        self._weight = weight + weight.T

    def pairs(self, joined: NDArray[np.int64], taking_part: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Pairs above chance, and the three best of each cluster; see :class:`Neighbours`."""
        weight = self._between(joined)
        degree = weight.sum(axis=1)
        chance = np.outer(degree, degree) / max(degree.sum(), np.finfo(np.float64).tiny)
        over_chance = np.divide(weight, chance, out=np.zeros_like(weight), where=chance > 0)
        over_chance[~taking_part] = over_chance[:, ~taking_part] = 0.0
        np.fill_diagonal(over_chance, 0.0)
        joint = (over_chance > 1.0) | (_among_best(over_chance) & (over_chance > 0.0))
        return np.argwhere(np.triu(joint | joint.T))

    def nearest(self, joined: NDArray[np.int64], code: int) -> int | None:
        """The cluster that most edge weight leads to."""
        weight = self._between(joined)[code]
        weight[code] = 0.0
        return int(weight.argmax()) if weight.any() else None

    def _between(self, joined: NDArray[np.int64]) -> NDArray[np.float64]:
        """(k, k) edge weight between the clusters there are now; twice that within on the diagonal."""
        member = _membership(joined)
        return np.asarray(member @ (member @ self._weight).T)


class Centroids:
    """Neighbours by centroids: each cluster and the three whose centroids are nearest.

    Parameters
    ----------
    centroids
        (n_start, n_dimensions) of the clusters at the start.
    sizes
        (n_start,) their cells.
    """

    def __init__(self, centroids: NDArray[np.float64], sizes: NDArray[np.int64]) -> None:
        self._sizes = sizes.astype(np.float64)
        self._sums = centroids * self._sizes[:, np.newaxis]

    @classmethod
    def of_cells(cls, scores: NDArray[np.floating], labels: NDArray[np.integer]) -> Centroids:
        """Centroids of clusters in an embedding of the cells, (n_cells, n_dimensions)."""
        sizes = np.bincount(labels)
        return cls(_membership(labels) @ scores.astype(np.float64) / sizes[:, np.newaxis], sizes)

    def pairs(self, joined: NDArray[np.int64], taking_part: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The three nearest of each cluster; see :class:`Neighbours`."""
        closeness = -self._squared_distances(joined)
        closeness[~taking_part] = closeness[:, ~taking_part] = -np.inf
        np.fill_diagonal(closeness, -np.inf)
        joint = _among_best(closeness) & np.isfinite(closeness)
        return np.argwhere(np.triu(joint | joint.T))

    def nearest(self, joined: NDArray[np.int64], code: int) -> int | None:
        """The cluster whose centroid is nearest."""
        squared = self._squared_distances(joined)[code]
        squared[code] = np.inf
        return int(squared.argmin()) if squared.size > 1 else None

    def ward(self, joined: NDArray[np.int64], first: int, second: int, *, most: int) -> float:
        """What joining two clusters adds to the sum of squares, were they of at most `most` cells each."""
        sizes = np.minimum(np.bincount(joined, self._sizes), most)[[first, second]]
        centroids = self._now(joined)
        return float(((centroids[first] - centroids[second]) ** 2).sum() * sizes.prod() / sizes.sum())

    def _squared_distances(self, joined: NDArray[np.int64]) -> NDArray[np.float64]:
        centroids = self._now(joined)
        squared = (centroids**2).sum(axis=1)
        return np.asarray(np.maximum(squared[:, np.newaxis] + squared - 2.0 * centroids @ centroids.T, 0.0))

    def _now(self, joined: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(_membership(joined) @ self._sums / np.bincount(joined, self._sizes)[:, np.newaxis])


class AllPairs:
    """Every cluster is a neighbour of every other; no one is nearer than another."""

    def pairs(self, joined: NDArray[np.int64], taking_part: NDArray[np.bool_]) -> NDArray[np.int64]:
        """All pairs; see :class:`Neighbours`."""
        return np.argwhere(np.triu(np.outer(taking_part, taking_part), k=1))

    def nearest(self, joined: NDArray[np.int64], code: int) -> int | None:
        """None: this relation knows no distances."""
        return None


def _membership(codes: NDArray[np.integer]) -> sparse.csr_array:
    """(n_codes, n_items) 1 where an item has the code."""
    return sparse.csr_array((np.ones(codes.size), (codes, np.arange(codes.size))))


def _among_best(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The largest values of each row."""
    best = np.argsort(-values, axis=1, kind="stable")[:, :N_NEAREST]
    among = np.zeros(values.shape, dtype=np.bool_)
    np.put_along_axis(among, best, True, axis=1)
    return among
