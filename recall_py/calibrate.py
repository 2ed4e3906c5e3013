"""The search for a partition in which every pair of clusters has markers.

Cells are clustered on real and knockoff genes together. Every pair of clusters is tested: a pair fails if the knockoff
filter selects no gene. While a pair fails, the partition is too fine: it is made coarser (``strategy="resolution"``),
or the failing pair with the weakest evidence is merged (``strategy="merge"``).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recall_py.params import SearchParams
from recall_py.partition import Clusterer, by_decreasing_size
from recall_py.results import Iteration, Markers, PairTable, Partition, Reason, Search

MAX_RAISES = 5


class PairTest(Protocol):
    """Tests every pair of clusters."""

    def __call__(self, labels: NDArray[np.int32]) -> PairTable:
        """Test the pairs of the codes `labels`."""
        ...

    def markers(self, labels: NDArray[np.int32]) -> Markers:
        """The selected genes of every pair."""
        ...


class Ladder(Protocol):
    """The levels that a search may take."""

    def coarser(self, level: float) -> float:
        """The next level with fewer clusters."""
        ...

    def finer(self, level: float) -> float:
        """The next level with more clusters."""
        ...


class ResolutionLadder:
    """Resolutions in geometric steps, lowered by the share `reduction` at each."""

    def __init__(self, reduction: float) -> None:
        self._factor = 1.0 - reduction

    def coarser(self, level: float) -> float:
        """Lower resolution."""
        return level * self._factor

    def finer(self, level: float) -> float:
        """Higher resolution."""
        return level / self._factor


class CountLadder:
    """Numbers of clusters, one fewer at each step down; upwards in geometric steps to `most`, the number of cells."""

    def __init__(self, reduction: float, most: int) -> None:
        self._factor = 1.0 - reduction
        self._most = most

    def coarser(self, level: float) -> float:
        """One cluster fewer."""
        return level - 1

    def finer(self, level: float) -> float:
        """More clusters."""
        return min(math.ceil(level / self._factor), self._most)


def calibrate(
    cluster: Clusterer,
    test: PairTest,
    params: SearchParams,
    ladder: Ladder,
    on_iteration: Callable[[Iteration], None] = lambda _: None,
) -> Search:
    """Search for a partition in which no pair of clusters fails.

    Parameters
    ----------
    cluster
        Gives the partition at a level.
    test
        Gives the filter's outcome on each pair of clusters.
    params
        Start, strategy and limits.
    ladder
        The levels below and above a level.
    on_iteration
        Called with each step as it is done.
    """
    iterations: list[Iteration] = []
    codes: list[NDArray[np.int32]] = []

    def record(level: float, partition: Partition, pairs: PairTable, merged: tuple[int, int] | None = None) -> None:
        flow = cells_in_common(codes[-1] if codes else None, partition.labels)
        codes[1:] = [partition.labels]  # the first and the latest are kept
        iterations.append(
            Iteration(
                level=level,
                n_clusters=partition.n_clusters,
                n_pairs=len(pairs.pairs),
                n_failing=int(pairs.failing.sum()),
                min_selected=int(pairs.n_selected.min()) if len(pairs.pairs) else 0,
                merged=merged,
                flow=flow,
                failing=np.unique(pairs.pairs[pairs.failing]),
            )
        )
        on_iteration(iterations[-1])

    def end(level: float, partition: Partition, pairs: PairTable, reason: Reason | None = None) -> Search:
        if reason is None:
            reason = "calibrated" if partition.n_clusters - pairs.untested.size > 1 else "one cluster"
        return Search(partition, level, pairs, tuple(iterations), reason, first_passed, codes[0])

    level = params.start
    partition = cluster(level)
    pairs = test(partition.labels)
    first_passed = not pairs.failing.any()

    if first_passed and params.raise_start:
        for _ in range(MAX_RAISES):
            record(level, partition, pairs)
            higher = ladder.finer(level)
            finer = cluster(higher)
            finer_pairs = test(finer.labels)
            if finer_pairs.failing.any():
                record(higher, finer, finer_pairs)
                return end(level, partition, pairs)
            level, partition, pairs = higher, finer, finer_pairs

    while pairs.failing.any() and params.strategy == "merge":
        weakest = weakest_failing_pair(pairs)
        record(level, partition, pairs, weakest)
        partition = merge_clusters(partition, *weakest)
        pairs = test(partition.labels)

    while pairs.failing.any():
        record(level, partition, pairs)
        if partition.n_clusters <= cluster.fewest:
            return end(level, partition, pairs, "disconnected")
        if len(iterations) == params.max_iterations:
            return end(level, partition, pairs, "max_iterations")
        level = ladder.coarser(level)
        partition = cluster(level)
        pairs = test(partition.labels)

    record(level, partition, pairs)
    return end(level, partition, pairs)


def weakest_failing_pair(pairs: PairTable) -> tuple[int, int]:
    """The failing pair at the least distance, or else with the least evidence; ties by joint size, then by codes."""
    failing = np.flatnonzero(pairs.failing)
    first_by = pairs.evidence if pairs.distance is None else pairs.distance
    keys = (pairs.pairs[failing, 1], pairs.pairs[failing, 0], pairs.sizes[failing].sum(axis=1), first_by[failing])
    a, b = pairs.pairs[failing[np.lexsort(keys)[0]]]
    return int(a), int(b)


def merge_clusters(partition: Partition, a: int, b: int) -> Partition:
    """The partition with clusters a and b as one; its modularity is left for the graph to say."""
    return Partition(by_decreasing_size(np.where(partition.labels == b, a, partition.labels)), math.nan)


def cells_in_common(before: NDArray[np.int32] | None, after: NDArray[np.int32]) -> NDArray[np.int64]:
    """(n_flows, 3) code in `before` (-1 where there is none), code in `after`, and how many cells have both."""
    source = np.full(after.size, -1, dtype=np.int64) if before is None else before.astype(np.int64)
    n_after = int(after.max()) + 1
    joint, n_cells = np.unique((source + 1) * n_after + after, return_counts=True)
    return np.column_stack((joint // n_after - 1, joint % n_after, n_cells))
