"""The search for a partition in which every pair of clusters has markers.

Cells are clustered on real and knockoff genes together. Every pair of clusters is tested: a pair fails if the knockoff
filter selects no gene. While a pair fails, the partition is too fine: it is made coarser (``strategy="resolution"``),
or the failing pair with the weakest evidence is merged (``strategy="merge"``).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from recall_py.method.clustering.partition import Clusterer, by_decreasing_size
from recall_py.method.params import SearchParams
from recall_py.method.results import Iteration, Markers, PairTable, Partition, Reason, Search

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
        return max(level - 1, 1)

    def finer(self, level: float) -> float:
        """More clusters."""
        return min(math.ceil(level / self._factor), self._most)


class Step(NamedTuple):
    """A partition and what its pairs were found to be."""

    level: float
    partition: Partition
    pairs: PairTable

    @property
    def fails(self) -> bool:
        """Whether any pair fails."""
        return bool(self.pairs.failing.any())


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

    def at(level: float) -> Step:
        partition = cluster(level)
        return Step(level, partition, test(partition.labels))

    trail = _Trail(on_iteration)
    step = at(params.start)
    first_passed = not step.fails
    reason: Reason | None = None
    if first_passed and params.raise_start:
        step = _raise(step, at, ladder, trail)
    elif params.strategy == "merge":
        step = _merge(step, test, trail)
    else:
        step, reason = _lower(step, at, ladder, trail, params, cluster.fewest)
    if reason is None:
        n_tested = step.partition.n_clusters - step.pairs.untested.size
        reason = "calibrated" if n_tested > 1 else "one cluster"
    return Search(step.partition, step.level, step.pairs, tuple(trail.iterations), reason, first_passed, trail.start)


def _raise(step: Step, at: Callable[[float], Step], ladder: Ladder, trail: _Trail) -> Step:
    """Go up until a pair fails; the last step that passed stands."""
    for _ in range(MAX_RAISES):
        trail.record(step)
        finer = at(ladder.finer(step.level))
        if finer.fails:
            trail.record(finer)
            return step
        step = finer
    trail.record(step)
    return step


def _merge(step: Step, test: PairTest, trail: _Trail) -> Step:
    """Merge the weakest failing pair until none fails."""
    while step.fails:
        weakest = weakest_failing_pair(step.pairs)
        trail.record(step, weakest)
        merged = merge_clusters(step.partition, *weakest)
        step = Step(step.level, merged, test(merged.labels))
    trail.record(step)
    return step


def _lower(
    step: Step, at: Callable[[float], Step], ladder: Ladder, trail: _Trail, params: SearchParams, fewest: int
) -> tuple[Step, Reason | None]:
    """Go down until no pair fails: level by level, or in strides that double and are then halved."""

    def down(level: float, most: int) -> tuple[float, int]:
        """The level so many steps below, or the lowest, and how many it is below."""
        for n_steps in range(most):
            lower = ladder.coarser(level)
            if lower == level:
                return level, n_steps
            level = lower
        return level, most

    stride, failed = 1, step.level
    while step.fails:
        trail.record(step)
        if step.partition.n_clusters <= fewest:
            return step, "disconnected"
        if len(trail.iterations) == params.max_iterations:
            return step, "max_iterations"
        stride = 2 * stride if params.bisect and len(trail.iterations) > 1 else 1
        failed = step.level
        level, stride = down(failed, stride)
        step = at(level)
    trail.record(step)
    n_between = stride - 1
    while n_between:
        half = (n_between + 1) // 2
        middle = at(down(failed, half)[0])
        trail.record(middle)
        if middle.fails:
            failed, n_between = middle.level, n_between - half
        else:
            step, n_between = middle, half - 1
    return step, None


class _Trail:
    """The steps that a search has taken."""

    def __init__(self, on_iteration: Callable[[Iteration], None]) -> None:
        self.iterations: list[Iteration] = []
        self._codes: list[NDArray[np.int32]] = []
        self._on_iteration = on_iteration

    @property
    def start(self) -> NDArray[np.int32]:
        """(n_cells,) codes of the first partition."""
        return self._codes[0]

    def record(self, step: Step, merged: tuple[int, int] | None = None) -> None:
        """Note a step, and tell of it."""
        partition, pairs = step.partition, step.pairs
        flow = cells_in_common(self._codes[-1] if self._codes else None, partition.labels)
        self._codes[1:] = [partition.labels]  # the first and the latest are kept
        self.iterations.append(
            Iteration(
                level=step.level,
                n_clusters=partition.n_clusters,
                n_pairs=len(pairs.pairs),
                n_failing=int(pairs.failing.sum()),
                min_selected=int(pairs.n_selected.min()) if len(pairs.pairs) else 0,
                merged=merged,
                flow=flow,
                failing=np.unique(pairs.pairs[pairs.failing]),
            )
        )
        self._on_iteration(self.iterations[-1])


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
