"""Clusters in, clusters out: neighbours that one population would explain as well are merged.

The labels may come from anywhere. A pair of neighbouring clusters is compared with null cells of its own, which are
drawn from one population fitted to the cells of both and cut in two as a clustering would cut them. The pair stands if
its genes lead their own nulls far enough; else it is merged. So every cluster that comes out
is a union of clusters that came in, and what it costs depends on the number of clusters, not of cells.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recall_py.method.clustering.partition import by_decreasing_size
from recall_py.method.pairs.neighbours import Neighbours
from recall_py.method.pairs.outcomes import CompareEach, Outcomes, Rows, StartClusters, members_of
from recall_py.method.params import MergeParams
from recall_py.method.results import Merging, PairOutcome, Tested
from recall_py.method.stages import MergeObserver, Silent
from recall_py.method.threads import each_done, resolve_n_jobs


def merge_clusters(
    labels: NDArray[np.integer],
    rows: Rows,
    neighbours: Neighbours | None = None,
    params: MergeParams | None = None,
    *,
    batches: NDArray[np.int32] | None = None,
    left_out: NDArray[np.int8] | None = None,
    observer: MergeObserver | None = None,
    n_jobs: int | None = None,
    compare_each: CompareEach | None = None,
) -> Merging:
    """Merge clusters until every pair of neighbours stands.

    Clusters that are too small to be tested join the nearest one. Then neighbours are compared with null cells of their
    own, and the failing pair at the least distance is merged, until none fails. The outcome of a pair depends on its
    cells alone, so only the neighbours of the new cluster are compared anew.

    Parameters
    ----------
    labels
        (n_cells,) codes 0..k-1 of the clusters, each in use.
    rows
        Reads the raw counts of given cells; it is asked for at most 300 cells of a cluster.
    neighbours
        Made for the same `labels`: :class:`~recall_py.method.pairs.neighbours.EdgeWeights` of a graph or
        :class:`~recall_py.method.pairs.neighbours.Centroids` in an embedding. By default those whose mean
        log-normalised profiles, of the cells that are read, are nearest.
    params
        What decides; the defaults if not given.
    batches
        (n_cells,) codes: two clusters are compared within the batches in which both have 5 cells, by as many of each
        batch as far as it has them, and null cells keep the means of each batch; so batches alone hold no pair apart.
        Two with too few cells in such batches cannot be compared, and stay.
    left_out
        (n_genes,) 0 for genes that count; others in groups, by their number from 1 on: no pair stands by them. The
        outcome of a pair that fails says which groups alone tell the two apart.
    observer
        Told of each merge when it is made, and of the pairs that stand.
    n_jobs
        Threads, which take pairs; the result is the same for any number.
    compare_each
        What takes pairs in the place of threads.

    Raises
    ------
    ValueError
        If the labels are no codes, or `left_out` has no number for each gene, or leaves none.
    """
    params, observer = params or MergeParams(), observer or Silent()
    clusters = StartClusters(labels, rows, left_out, batches)
    neighbours = neighbours or clusters.profiles
    outcomes_of = Outcomes(clusters, params, observer, compare_each or _on_threads(n_jobs))
    joined = np.arange(clusters.sizes.size)
    merges: list[PairOutcome] = []
    if params.merge_small:
        while (small := _smallest_and_nearest(joined, clusters, neighbours, params.min_cells)) is not None:
            merges.append(outcomes_of.untested(joined, small))
            observer.outcome(merges[-1])
            joined = _join(joined, merges[-1])
    while True:
        large = np.bincount(joined, clusters.n_read) >= params.min_cells
        outcomes = outcomes_of(joined, _pairs(joined, clusters, neighbours, large))
        failing = [outcome for outcome in outcomes if not outcome.stands]
        if not failing:
            break
        merges.append(min(failing, key=_by_distance))
        observer.outcome(merges[-1])
        joined = _join(joined, merges[-1])
    for outcome in outcomes:
        observer.outcome(outcome)
    codes = by_decreasing_size(joined[labels])
    of_start = np.empty_like(joined)
    of_start[labels] = codes
    return Merging(
        labels=codes,
        members=tuple(members_of(of_start, code) for code in range(joined.max() + 1)),
        merges=tuple(merges),
        standing=tuple(outcomes),
        untested=_too_small(np.bincount(of_start, clusters.n_read), params),
    )


def test_clusters(
    labels: NDArray[np.integer],
    rows: Rows,
    neighbours: Neighbours | None = None,
    params: MergeParams | None = None,
    *,
    batches: NDArray[np.int32] | None = None,
    left_out: NDArray[np.int8] | None = None,
    observer: MergeObserver | None = None,
    n_jobs: int | None = None,
    compare_each: CompareEach | None = None,
) -> Tested:
    """Compare neighbours with null cells of their own, and merge nothing.

    Parameters and errors are those of :func:`merge_clusters`; with
    :class:`~recall_py.method.pairs.neighbours.AllPairs` every pair is compared.
    """
    params, observer = params or MergeParams(), observer or Silent()
    clusters = StartClusters(labels, rows, left_out, batches)
    neighbours = neighbours or clusters.profiles
    outcomes_of = Outcomes(clusters, params, observer, compare_each or _on_threads(n_jobs))
    joined, large = np.arange(clusters.sizes.size), clusters.n_read >= params.min_cells
    outcomes = outcomes_of(joined, _pairs(joined, clusters, neighbours, large))
    for outcome in outcomes:
        observer.outcome(outcome)
    return Tested(outcomes=tuple(outcomes), untested=_too_small(clusters.n_read, params))


test_clusters.__test__ = False  # type: ignore[attr-defined]  # not a test, though pytest takes it for one


def _on_threads(n_jobs: int | None) -> CompareEach:
    n_threads = resolve_n_jobs(n_jobs)
    return lambda compare, pairs: each_done(lambda pair: compare(*pair), pairs, n_threads)


def _by_distance(outcome: PairOutcome) -> tuple[float, tuple[int, ...], tuple[int, ...]]:
    """The order in which failing pairs are merged."""
    return outcome.distance, outcome.first, outcome.second


def _too_small(n_read: NDArray[Any], params: MergeParams) -> tuple[int, ...]:
    return tuple(np.flatnonzero(n_read < params.min_cells).tolist())


def _pairs(
    joined: NDArray[np.int64], clusters: StartClusters, neighbours: Neighbours, large: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Pairs of neighbours; a cluster that has none, as on a graph in parts, has those with the nearest profiles."""
    pairs = neighbours.pairs(joined, large)
    alone = large & ~np.isin(np.arange(large.size), pairs)
    if not alone.any():
        return pairs
    nearest = clusters.profiles.pairs(joined, large)
    return np.unique(np.vstack((pairs, nearest[alone[nearest].any(axis=1)])), axis=0)


def _smallest_and_nearest(
    joined: NDArray[np.int64], clusters: StartClusters, neighbours: Neighbours, min_cells: int
) -> tuple[int, int] | None:
    """The smallest cluster, if it is too small to be tested, and the one that it joins."""
    n_read = np.bincount(joined, clusters.n_read)
    smallest = int(n_read.argmin())
    if n_read[smallest] >= min_cells or n_read.size == 1:
        return None
    nearest = neighbours.nearest(joined, smallest)
    if nearest is None:
        nearest = clusters.profiles.nearest(joined, smallest)
    assert nearest is not None  # there is another cluster
    return smallest, nearest


def _join(joined: NDArray[np.int64], pair: PairOutcome) -> NDArray[np.int64]:
    """The code of each cluster at the start, once the two are one."""
    together = joined.copy()
    together[list(pair.second)] = joined[pair.first[0]]
    return np.unique(together, return_inverse=True)[1]
