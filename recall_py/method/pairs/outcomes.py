"""Pairs of clusters that are unions of clusters at the start: which cells are read, and what became of each pair."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recall_py.method.normalisation import log_normalised_block
from recall_py.method.pairs.batches import Shared, balanced, by_size, n_read, shared
from recall_py.method.pairs.lead import compare, threshold
from recall_py.method.pairs.neighbours import Centroids
from recall_py.method.pairs.pooled import PairOfCells, PooledPair
from recall_py.method.pairs.table import EXACT_PARTNER, MAX_CELLS, limited
from recall_py.method.params import MergeParams
from recall_py.method.results import Comparison, PairOutcome
from recall_py.method.stages import MergeObserver
from recall_py.method.threads import one_blas_thread

Rows = Callable[[NDArray[np.int64]], sparse.csr_array]
"""(n_cells, n_genes) raw counts of given cells, in their order."""
Members = tuple[int, ...]
"""Codes at the start of the clusters that one is made of, ascending."""


class CompareEach(Protocol):
    """Compares pairs on threads, or on other machines."""

    def __call__(
        self, compare: Callable[..., Comparison], pairs: Sequence[tuple[Any, ...]]
    ) -> Generator[Comparison, None, None]:
        """``compare(*pair)`` for each pair, in order, as they are done; closed where no more are needed."""
        ...


def members_of(joined: NDArray[np.int64], code: int) -> Members:
    """The clusters at the start that have the code now."""
    return tuple(np.flatnonzero(joined == code).tolist())


def sampled_cells(labels: NDArray[np.integer], batches: NDArray[np.int32] | None = None) -> NDArray[np.int64]:
    """Ascending positions of the cells whose counts are read: at most 300 of each of the clusters 0..k-1.

    With the (n_cells,) codes of `batches` as many of each batch, as far as it has them; where that gives fewer than 25
    of a batch, so many more that it does, up to 1,000 of a cluster.
    """
    return np.sort(np.concatenate([_to_read(cells, batches) for cells in _cells_of(labels)]))


def _to_read(cells: NDArray[np.int64], batches: NDArray[np.int32] | None) -> NDArray[np.int64]:
    """The cells of a cluster whose counts are read."""
    if batches is None:
        return limited(cells, MAX_CELLS)
    return balanced(cells, batches, by_size(batches), n_read(batches[cells], MAX_CELLS))


def _cells_of(labels: NDArray[np.integer]) -> list[NDArray[np.int64]]:
    """Ascending positions of the cells of each cluster."""
    return np.split(np.argsort(labels, kind="stable"), np.cumsum(np.bincount(labels))[:-1])


class StartClusters:
    """The clusters at the start, and counts of their :func:`sampled_cells`.

    Parameters
    ----------
    labels, rows, left_out, batches
        As in :func:`recall_py.method.merging.merge_clusters`.
    """

    def __init__(
        self,
        labels: NDArray[np.integer],
        rows: Rows,
        left_out: NDArray[np.int8] | None = None,
        batches: NDArray[np.int32] | None = None,
    ) -> None:
        self.sizes = np.bincount(labels) if labels.size and labels.min() >= 0 else np.zeros(1, dtype=np.int64)
        if not self.sizes.all():
            msg = (
                f"labels must be codes 0..k-1, each in use; they are {np.unique(labels)[:10].tolist()}. "
                "Pass numpy.unique(labels, return_inverse=True)[1]."
            )
            raise ValueError(msg)
        self.labels = labels
        self.left_out = left_out
        self.batches = batches
        self._cells = _cells_of(labels)
        self._read = [_read(rows, _to_read(cells, batches)) for cells in self._cells]
        _refuse_other_genes(left_out, self._read[0][1].shape[1])
        self._samples: dict[Members, tuple[NDArray[np.int64], sparse.csr_array]] = {}
        self.profiles = Centroids(np.array([self._profile((code,)) for code in range(self.sizes.size)]), self.sizes)
        self.n_read = np.array([self.sample((code,))[0].size for code in range(self.sizes.size)])
        """(n_start,) cells that are read, with a count in genes that count; what has too few cannot be tested."""

    def cells(self, members: Members) -> NDArray[np.int64]:
        """Cells of a cluster."""
        return np.sort(np.concatenate([self._cells[code] for code in members]))

    def sample(self, members: Members, most: int = MAX_CELLS) -> tuple[NDArray[np.int64], sparse.csr_array]:
        """At most so many cells of a cluster, the same ones each time, and their (n_cells, n_genes) counts.

        Those of a union are drawn from those that were read of its parts. Cells without a count in the genes that
        count tell nothing and are left out.
        """
        cells, counts = self._sample(members)
        if cells.size <= most:
            return cells, counts
        chosen = limited(np.arange(cells.size), most)
        return cells[chosen], counts[chosen]

    def sample_of_batches(
        self, members: Members, most: int, *choices: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], sparse.csr_array]:
        """The same, of some batches: as many cells of each as far as the cluster has them.

        Each of the `choices` has batches, the preferred first; later ones fill what room is left.
        """
        assert self.batches is not None
        cells, counts = self._sample(members)
        positions, of_batch = np.arange(cells.size), self.batches[cells]
        chosen = np.empty(0, dtype=np.int64)
        for batches in choices:
            chosen = np.union1d(chosen, balanced(positions, of_batch, batches, most - chosen.size))
        return cells[chosen], counts[chosen]

    def shared_batches(self, first: Members, second: Members) -> Shared | None:
        """Which batches tell two clusters apart, among the cells that are read; None without batches."""
        if self.batches is None:
            return None
        return shared(*(self.batches[self._sample(side)[0]] for side in (first, second)))

    def in_batches(self, members: Members) -> NDArray[np.int64] | None:
        """(n_batches,) cells of a cluster; None without batches."""
        if self.batches is None:
            return None
        return np.bincount(self.batches[self.cells(members)], minlength=int(self.batches.max()) + 1)

    def _sample(self, members: Members) -> tuple[NDArray[np.int64], sparse.csr_array]:
        """All cells of a cluster that can be compared."""
        if members not in self._samples:
            cells, counts = self._drawn(members)
            telling = counts if self.left_out is None else counts[:, self.left_out == 0]
            told = np.asarray(telling.sum(axis=1)).ravel() > 0
            self._samples[members] = cells[told], counts[told]
        return self._samples[members]

    def _drawn(self, members: Members) -> tuple[NDArray[np.int64], sparse.csr_array]:
        """As many cells of each part as a sample of the whole has; a sample of a sample is one of the whole."""
        whole = _to_read(self.cells(members), self.batches)
        parts = [(self._read[code], self._of_part(code, whole)) for code in members]
        cells = np.concatenate([read[chosen] for (read, _), chosen in parts])
        counts = sparse.vstack([read[chosen] for (_, read), chosen in parts], format="csr")
        order = np.argsort(cells)
        return cells[order], counts[order]

    def _of_part(self, code: int, whole: NDArray[np.int64]) -> NDArray[np.int64]:
        """Positions among the cells that were read of a part, as many as it has among the `whole`, in each batch."""
        read = self._read[code][0]
        of_part = whole[self.labels[whole] == code]
        if self.batches is None:
            return limited(np.arange(read.size), of_part.size)
        n_of_batch = np.bincount(self.batches[of_part])
        in_batches = [
            limited(np.flatnonzero(self.batches[read] == batch), n_of_batch[batch])
            for batch in np.flatnonzero(n_of_batch)
        ]
        return np.sort(np.concatenate([np.empty(0, dtype=np.int64), *in_batches]))

    def _profile(self, members: Members) -> NDArray[np.float64]:
        """(n_genes,) mean log-normalised counts of the cells that are read."""
        counts = self.sample(members)[1].astype(np.float64)
        if not counts.shape[0]:
            return np.zeros(counts.shape[1])
        return np.asarray(log_normalised_block(counts, np.asarray(counts.sum(axis=1)), np.float64).mean(axis=0))


def _read(rows: Rows, cells: NDArray[np.int64]) -> tuple[NDArray[np.int64], sparse.csr_array]:
    """Some cells and their counts."""
    counts = sparse.csr_array(rows(cells))
    if counts.shape[0] != cells.size:
        msg = (
            f"rows gave counts of {counts.shape[0]} cells for {cells.size}; it must give those it is asked "
            "for, in their order, of the cells that the labels belong to."
        )
        raise ValueError(msg)
    return cells, counts


def _refuse_other_genes(left_out: NDArray[np.int8] | None, n_genes: int) -> None:
    if left_out is None:
        return
    if left_out.shape != (n_genes,) or left_out.dtype != np.int8:
        msg = (
            f"left_out must be {n_genes} numbers of type int8, one for each gene that rows gives; got {left_out.dtype} "
            f"of shape {left_out.shape}."
        )
        raise ValueError(msg)
    if left_out.all():
        msg = f"left_out has all {n_genes} genes; at least one has to count."
        raise ValueError(msg)


class Outcomes:
    """Compares pairs of clusters; what was compared once is remembered.

    Parameters
    ----------
    clusters
        Those at the start.
    params, observer, compare_each
        As in :func:`recall_py.method.merging.merge_clusters`.
    """

    def __init__(
        self,
        clusters: StartClusters,
        params: MergeParams,
        observer: MergeObserver,
        compare_each: CompareEach,
    ) -> None:
        self._clusters = clusters
        self._params = params
        self._observer = observer
        self._compare_each = compare_each
        self._known: dict[tuple[Members, Members], PairOutcome] = {}

    def __call__(self, joined: NDArray[np.int64], pairs: NDArray[np.int64]) -> list[PairOutcome]:
        """Outcomes of the (n_pairs, 2) `pairs` of the clusters that are left."""
        asked = {self._sides(joined, pair): pair for pair in pairs.tolist()}
        unknown = [members for members in asked if members not in self._known]
        apart = [members for members in unknown if self._told_by(members) == ()]
        for members in apart:
            self._known[members] = self._outcome(joined, asked[members], members, "batch")
            unknown.remove(members)
        comparisons = self._compared([self._pair(members) for members in unknown])
        for members, comparison in zip(unknown, comparisons, strict=True):
            self._known[members] = self._outcome(joined, asked[members], members, "pair", comparison)
        return [self._known[members] for members in asked]

    def _compared(self, pairs: Sequence[tuple[sparse.csr_array, sparse.csr_array, _Pair]]) -> list[Comparison]:
        """What comparing the pairs finds, one counted after the other."""
        if not pairs:
            return []
        self._observer.comparing(len(pairs))
        found = []
        with one_blas_thread(), closing(self._compare_each(_compare, pairs)) as comparisons:
            for comparison in comparisons:
                found.append(comparison)
                self._observer.compared()
        return found

    def untested(self, joined: NDArray[np.int64], pair: tuple[int, int]) -> PairOutcome:
        """The outcome of a pair with a cluster that is too small."""
        return self._outcome(joined, pair, self._sides(joined, pair), "small")

    def _told_by(self, members: tuple[Members, Members]) -> tuple[int, ...] | None:
        """Ascending codes of the batches by which two clusters are compared; None without batches."""
        batches = self._clusters.shared_batches(*members)
        return None if batches is None else tuple(np.sort(batches.by_both).tolist())

    def _sides(self, joined: NDArray[np.int64], pair: Sequence[int]) -> tuple[Members, Members]:
        """What the larger cluster of a pair is made of, and the smaller."""
        one, other = sorted((members_of(joined, code) for code in pair), key=self._by_size)
        return one, other

    def _by_size(self, members: Members) -> tuple[int, int]:
        return -int(self._clusters.sizes[list(members)].sum()), members[0]

    def _outcome(
        self,
        joined: NDArray[np.int64],
        pair: Sequence[int],
        members: tuple[Members, Members],
        kind: Literal["pair", "small", "batch"],
        comparison: Comparison | None = None,
    ) -> PairOutcome:
        n_first, n_second = (int(self._clusters.sizes[list(side)].sum()) for side in members)
        least = threshold(self._params.alpha)
        return PairOutcome(
            first=members[0],
            second=members[1],
            sizes=(n_first, n_second),
            distance=self._clusters.profiles.ward(joined, *pair, most=MAX_CELLS),
            kind=kind,
            threshold=least,
            near=comparison is not None and abs(comparison.lead.times - least) <= self._params.near,
            comparison=comparison,
            told_in=self._told_by(members) if kind == "pair" else (),
            in_batches=(self._clusters.in_batches(members[0]), self._clusters.in_batches(members[1])),
        )

    def _pair(self, members: tuple[Members, Members]) -> tuple[sparse.csr_array, sparse.csr_array, _Pair]:
        """What two clusters are compared by."""
        clusters, params = self._clusters, self._params
        batches = clusters.shared_batches(*members)

        def sample(side: Members, most: int, *, fill: bool = False) -> tuple[NDArray[np.int64], sparse.csr_array]:
            if batches is None:
                return clusters.sample(side, most)
            return clusters.sample_of_batches(side, most, batches.by_both, *([batches.by_one] if fill else []))

        first, second = (sample(side, MAX_CELLS)[0] for side in members)
        pair = PairOfCells.of(first, second, clusters.labels)
        exact = min(pair.first.size, pair.second.size) < params.exact_below
        most = EXACT_PARTNER if exact else MAX_CELLS
        in_order = members[::-1] if pair.swapped else members
        (cells, counts), (others, other_counts) = (sample(side, most, fill=not exact) for side in in_order)
        chosen = np.concatenate((cells, others))
        of_cells = None if clusters.batches is None else clusters.batches[chosen]
        told_in = None if batches is None else batches.by_both
        pieces, left_out = clusters.labels[chosen], clusters.left_out
        return counts, other_counts, _Pair(pair.key, pieces, of_cells, told_in, exact, pair.swapped, params, left_out)


@dataclass(frozen=True)
class _Pair:
    """What is known of two clusters beside the counts of their cells."""

    key: tuple[int, ...]
    pieces: NDArray[np.integer]
    batches: NDArray[np.int32] | None
    told_in: NDArray[np.int64] | None
    exact: bool
    swapped: bool
    params: MergeParams
    left_out: NDArray[np.int8] | None


def _compare(first: sparse.csr_array, second: sparse.csr_array, pair: _Pair) -> Comparison:
    """Compare two clusters with null cells of their own."""
    params = pair.params
    counts = sparse.vstack((first, second))
    pooled, present = PooledPair.of(
        counts,
        first.shape[0],
        pair.pieces,
        pair.batches,
        told_in=pair.told_in,
        exact=pair.exact,
        recut=not params.external,
        left_out=pair.left_out,
    )
    rng = np.random.default_rng([params.seed, *pair.key])
    comparison = compare(pooled, rng, threshold=threshold(params.alpha), n_draws=params.n_draws, n_best=params.n_best)
    comparison = comparison._replace(genes=np.flatnonzero(present)[comparison.genes])
    return comparison.turned() if pair.swapped else comparison
