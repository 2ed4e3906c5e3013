"""Clusters that last: those that a clustering finds again over a range of resolutions.

No single resolution suits all clusters of a graph, and a single run of Leiden is one of many that are as good. So
Leiden runs over a range of resolutions, and from a tree of the finest clusters those are taken that all runs together
come closest to: a cluster and what it is split into are compared by how well the runs find them again, as HDBSCAN
compares them by how long they last (Campello et al., PAKDD 2013, doi 10.1007/978-3-642-37456-2_14). Last, each cell
goes where most runs have it. How well a run
finds a cluster is the overlap with its best match, by Jaccard (Hennig, Comput. Stat. Data Anal. 2007,
doi 10.1016/j.csda.2006.11.025).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform

from recall_py.method.clustering.partition import by_decreasing_size, igraph_seed

COARSEST, FINEST = 0.25, 2.0
"""Ends of the range of resolutions."""
N_RUNS = 32
"""Runs, at resolutions in equal steps of their logarithm."""
NEARLY = 0.03
"""Stability by which the parts of a cluster may fall short of it and are taken: what is too fine can be merged, what is
too coarse is not split."""
MOST_NODES = 20_000
"""With more cells, those that a very fine run keeps together are one node of the other runs."""
MOST_CLUSTERS = 600
"""With more, as on a graph of many parts, the finest run is taken as it is; so many are not compared anyway."""
VERY_FINE = 500.0
"""Resolution of that run: a few thousand nodes."""


class Stability(NamedTuple):
    """How well the runs of a sweep find clusters again."""

    of_clusters: NDArray[np.float64]
    """(n_clusters,) overlap with the best match in a run, by Jaccard, the mean over runs; 1 is the most."""
    of_cells: NDArray[np.float64]
    """(n_cells,) share of the runs in which a cell is in the best match of its cluster; 0 for cells without an edge."""


class Sweep:
    """Partitions of the same cells over a range of resolutions.

    Parameters
    ----------
    partitions
        (n_runs, n_linked) codes 0..k-1 of each run, the finest run last.
    linked
        (n_cells,) cells that an edge leads to, by default all. Any other is a cluster of its own in every run.
    """

    def __init__(self, partitions: NDArray[np.int32], linked: NDArray[np.bool_] | None = None) -> None:
        self._partitions = partitions
        self._linked = np.ones(partitions.shape[1], dtype=np.bool_) if linked is None else linked

    @classmethod
    def of(cls, adjacency: sparse.csr_array, seed: int, *, n_iterations: int = 2) -> Sweep:
        """Run Leiden on an (n_cells, n_cells) symmetric graph from `COARSEST` to `FINEST`, each run by its own seed."""
        linked = np.asarray(adjacency.sum(axis=1)).ravel() > 0
        adjacency = adjacency[linked][:, linked]
        first, *seeds = np.random.default_rng(seed).integers(2**31, size=1 + N_RUNS).tolist()
        nodes = np.arange(adjacency.shape[0])
        if nodes.size > MOST_NODES:
            nodes = _Nodes(adjacency, nodes).clusters(VERY_FINE, first, n_iterations)
        graph = _Nodes(adjacency, nodes)
        levels = np.geomspace(COARSEST, FINEST, N_RUNS).tolist()
        runs = [graph.clusters(level, own, n_iterations) for level, own in zip(levels, seeds, strict=True)]
        return cls(np.array(runs)[:, nodes], linked)

    def lasting(self) -> NDArray[np.int32]:
        """(n_cells,) codes, by decreasing size, of the clusters that the runs find again best.

        The finest clusters are joined by average linkage of the share of runs in which their cells are together. Of
        the clusters on this tree those are taken, each cell in one, whose stability is highest, the mean over cells.
        Then each cell goes to the cluster with whose best matches it is most often, each run weighted by the overlap.
        """
        labels = np.empty(self._linked.size, dtype=np.int64)
        found = self._lasting()
        labels[self._linked] = found
        labels[~self._linked] = found.max() + 1 + np.arange(np.count_nonzero(~self._linked))
        return by_decreasing_size(labels)

    def _lasting(self) -> NDArray[np.integer]:
        """Codes of the linked cells."""
        finest = self._partitions[-1]
        size = np.bincount(finest)
        if not 1 < size.size <= MOST_CLUSTERS:
            return finest
        overlaps = [_overlap(finest, run) for run in self._partitions]
        shares = [overlap / size[:, None] for overlap in overlaps]
        apart = 1.0 - np.mean([share @ share.T for share in shares], axis=0)
        np.fill_diagonal(apart, 0.0)
        tree = linkage(squareform((apart + apart.T) / 2, checks=False), "average")[:, :2].astype(np.int64)
        held = np.zeros((size.size + len(tree), size.size))
        held[: size.size] = np.eye(size.size)
        for node, (left, right) in enumerate(tree, start=size.size):
            held[node] = held[left] + held[right]
        score = np.mean([_jaccard(held @ overlap, overlap.sum(axis=0)).max(axis=1) for overlap in overlaps], axis=0)
        n_cells = held @ size
        taken = _best_cut(tree, score * n_cells, NEARLY * n_cells)
        return self._voted(held[taken].argmax(axis=0)[finest])

    def _voted(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Each cell in the cluster whose best matches hold it, weighted by how well they match."""
        votes = np.zeros((labels.max() + 1, labels.size), dtype=np.float32)
        for run, match, jaccard in self._matches(labels):
            for code, (best, weight) in enumerate(zip(match, jaccard, strict=True)):
                votes[code, run == best] += weight
        stays = votes[labels, np.arange(labels.size)] >= votes.max(axis=0)
        return np.where(stays, labels, votes.argmax(axis=0))

    def stability(self, labels: NDArray[np.integer]) -> Stability:
        """How well the runs find the clusters of (n_cells,) `labels`, codes 0..k-1, again."""
        of_clusters, of_cells = np.zeros(int(labels.max()) + 1), np.zeros(labels.size)
        own = labels[self._linked]
        for run, match, jaccard in self._matches(own):
            of_clusters[: jaccard.size] += jaccard
            of_cells[self._linked] += run == match[own]
        return Stability(of_clusters / len(self._partitions), of_cells / len(self._partitions))

    def _matches(
        self, labels: NDArray[np.integer]
    ) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.float64]]]:
        """Each run, the code of the best match of each cluster in it, and the Jaccard overlap of the two."""
        for run in self._partitions:
            overlap = _overlap(labels, run)
            jaccard = _jaccard(overlap, overlap.sum(axis=0))
            yield run, jaccard.argmax(axis=1), jaccard.max(axis=1)


class _Nodes:
    """A graph whose nodes are cells, or groups of cells, clustered by the modularity of the cells.

    Parameters
    ----------
    adjacency
        (n_cells, n_cells) symmetric weights.
    nodes
        (n_cells,) codes 0..k-1 of the node that a cell belongs to.
    """

    def __init__(self, adjacency: sparse.csr_array, nodes: NDArray[np.integer]) -> None:
        import igraph

        member = sparse.csr_array((np.ones(nodes.size), (nodes, np.arange(nodes.size))))
        between = sparse.triu(member @ adjacency @ member.T, format="coo")
        rows, columns = between.coords
        self._graph = igraph.Graph(n=member.shape[0], edges=np.column_stack((rows, columns)))
        self._weights = np.where(rows == columns, between.data / 2, between.data).tolist()
        self._degrees = member @ np.asarray(adjacency.sum(axis=1)).ravel()

    def clusters(self, resolution: float, seed: int, n_iterations: int) -> NDArray[np.int32]:
        """(k,) codes of one run of Leiden, by decreasing size.

        Modularity is written as the constant Potts model of nodes that weigh as much as their degrees: igraph forgets
        edges of a node with itself when it computes the degrees by itself.
        """
        with igraph_seed(seed):
            found = self._graph.community_leiden(
                "CPM",
                weights=self._weights,
                node_weights=self._degrees.tolist(),
                resolution=resolution / self._degrees.sum(),
                n_iterations=n_iterations,
            )
        return by_decreasing_size(found.membership)


def _overlap(one: NDArray[np.integer], other: NDArray[np.integer]) -> NDArray[np.float64]:
    """(n_one, n_other) cells that two clusters share."""
    return sparse.coo_array((np.ones(one.size), (one, other))).toarray()


def _jaccard(overlap: NDArray[np.float64], size: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shared cells over all cells of two clusters; `size` is that of the others."""
    return overlap / (overlap.sum(axis=1)[:, None] + size - overlap)


def _best_cut(tree: NDArray[np.int64], score: NDArray[np.float64], nearly: NDArray[np.float64]) -> list[int]:
    """Nodes of a tree that hold each leaf once: in the place of a node those below, if they sum to it but `nearly`."""
    n_leaves = len(tree) + 1
    best = score.copy()
    cut: list[list[int]] = [[leaf] for leaf in range(n_leaves)]
    for node, (left, right) in enumerate(tree, start=n_leaves):
        apart = best[left] + best[right]
        cut.append([node] if score[node] >= apart + nearly[node] else cut[left] + cut[right])
        best[node] = max(score[node], apart)
    return cut[-1]
