"""The cells of two clusters, pooled: what tells the two apart, and what would tell cells of one population apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recall_py.method.normalisation import TARGET_TOTAL
from recall_py.method.pairs.cut import ScaledGenes, cut_in_two
from recall_py.method.pairs.population import draw_population, fit_population
from recall_py.method.pairs.rank_sum import stratified_test, two_sample_test
from recall_py.method.pairs.rank_sum_exact import exact_log10_p


class PairOfCells(NamedTuple):
    """Cells of two clusters, the first cell of all among the first."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    key: tuple[int, ...]
    """What they and their pieces are told by; it seeds their null draws."""
    swapped: bool
    """Whether the second was given first."""

    @classmethod
    def of(cls, a: NDArray[np.int64], b: NDArray[np.int64], pieces: NDArray[np.integer]) -> PairOfCells:
        """Two sets of cells; `pieces` are the (n_cells,) codes of all cells within which factors are looked for."""
        swapped = bool(b[0] < a[0])
        first, second = (b, a) if swapped else (a, b)
        within = codes_by_appearance(pieces[np.concatenate((first, second))])
        return cls(first, second, (first.size, *(crc32(array.tobytes()) for array in (first, second, within))), swapped)


class GenesOfCut(NamedTuple):
    """Tests of each gene between the two parts of a cut."""

    log10_p: NDArray[np.float64]
    """(n_genes,)."""
    auc: NDArray[np.float64]
    """(n_genes,) probability that a cell of the first part has the larger value, ties counting 1/2."""


class NullCut(NamedTuple):
    """Null cells, cut in two."""

    counts: sparse.csc_array
    """(n_cells, n_genes)."""
    is_first: NDArray[np.bool_]
    """(n_cells,) the first part, of as many cells as the real one."""
    genes: GenesOfCut


@dataclass(frozen=True, kw_only=True)
class PooledPair:
    """Cells of two clusters."""

    counts: sparse.csc_array
    """(n_cells, n_genes) of float32, every gene with at least one count."""
    is_first: NDArray[np.bool_]
    """(n_cells,) which of the two clusters a cell is in."""
    pieces: NDArray[np.int64]
    """(n_cells,) codes 0..n-1 of the clusters that were joined to make up the two."""
    left_out: NDArray[np.int8]
    """(n_genes,) 0 for genes that count; numbers, from 1 on, of groups of genes by which no pair stands. Null cells
    have all of them, and are cut along them where that is best."""
    batches: NDArray[np.int32] | None = None
    """(n_cells,) codes: cells are compared within batches; null cells keep the means of each, and are not cut along
    them."""
    told_in: NDArray[np.int64] | None = None
    """Batches within which cells are compared, all if None; those of others only show how cells vary."""
    exact: bool = False
    """Whether p-values are exact, for small clusters in one batch, or the normal approximation."""
    recut: bool = True
    """Whether null cells are cut where they look best; else the two parts are those of the real cells."""

    @classmethod
    def of(
        cls,
        counts: sparse.csr_array,
        n_first: int,
        pieces: NDArray[np.integer],
        batches: NDArray[np.int32] | None,
        *,
        told_in: NDArray[np.int64] | None = None,
        exact: bool,
        recut: bool = True,
        left_out: NDArray[np.int8] | None = None,
    ) -> tuple[PooledPair, NDArray[np.bool_]]:
        """The pair whose first cluster has the first `n_first` cells, and which genes take part: those with a count."""
        by_gene = sparse.csc_array(counts, dtype=np.float32)
        by_gene.eliminate_zeros()
        present = np.diff(by_gene.indptr) > 0
        pair = cls(
            counts=by_gene[:, present],
            is_first=np.arange(counts.shape[0]) < n_first,
            pieces=codes_by_appearance(pieces),
            batches=batches,
            told_in=told_in,
            exact=exact,
            recut=recut,
            left_out=np.zeros(counts.shape[1], dtype=np.int8)[present] if left_out is None else left_out[present],
        )
        return pair, present

    @cached_property
    def values(self) -> sparse.csc_array:
        """(n_cells, n_genes) log-normalised counts."""
        return _normalised(self.counts)

    def real_cut(self) -> GenesOfCut:
        """Compare the two clusters."""
        return self._test(self.values, self.is_first)

    def log2_fold_changes(self, genes: NDArray[np.int64]) -> NDArray[np.float64]:
        """log2 of the ratio of mean normalised counts of some genes, each plus 1, first cluster over second."""
        values = np.expm1(self.values[:, genes].toarray().astype(np.float64))
        first, second = (self._mean(values, part) for part in (self.is_first, ~self.is_first))
        return np.asarray(np.log2((1.0 + first) / (1.0 + second)))

    @cached_property
    def _stratum(self) -> NDArray[np.int32]:
        """(n_cells,) codes 0..k-1 of the batches."""
        if self.batches is None:
            return np.zeros(self.is_first.size, dtype=np.int32)
        return np.unique(self.batches, return_inverse=True)[1].astype(np.int32)

    @cached_property
    def _tells(self) -> NDArray[np.bool_]:
        """(n_batches,) whether cells are compared within the batch."""
        if self.batches is None or self.told_in is None:
            return np.ones(int(self._stratum.max(initial=0)) + 1, dtype=np.bool_)
        return np.isin(np.unique(self.batches), self.told_in)

    @property
    def n_compared(self) -> int:
        """Cells of the smaller cluster that are compared."""
        compared = self._tells[self._stratum]
        return min(int((compared & self.is_first).sum()), int((compared & ~self.is_first).sum()))

    def _mean(self, values: NDArray[np.float64], part: NDArray[np.bool_]) -> NDArray[np.float64]:
        """(n_genes,) means over a part of the cells, batches weighted as in the test."""
        n_cells = np.bincount(self._stratum)
        n_part = np.bincount(self._stratum[part], minlength=n_cells.size)
        weight = n_part * (n_cells - n_part) / (n_cells + 1) * self._tells
        if n_cells.size == 1 or not weight.any():
            return np.asarray(values[part].mean(axis=0))
        of_cell = (weight / np.maximum(n_part, 1))[self._stratum[part]]
        return np.asarray(of_cell @ values[part] / of_cell.sum())

    def _test(self, values: sparse.csc_array, is_first: NDArray[np.bool_]) -> GenesOfCut:
        if self._stratum.any():
            auc, log10_p = stratified_test(values, is_first, self._stratum, self._tells)
            return GenesOfCut(log10_p, auc)
        u, log10_p = two_sample_test(values, is_first)
        auc = u / (is_first.sum() * (~is_first).sum())
        return GenesOfCut(exact_log10_p(values, is_first) if self.exact else log10_p, auc)

    def null_cuts(self, rng: np.random.Generator) -> Iterator[NullCut]:
        """Fit one population to all cells; each draw from it is cut where the real cells are, or where it is best."""
        population = fit_population(self.counts, self._stratum, self.pieces, self.is_first, rng)
        direction = ScaledGenes.of(self.values, self._stratum).difference(self.is_first)
        while True:
            counts = draw_population(population, rng)
            values = _normalised(counts)
            is_first = self.is_first
            if self.recut:
                is_first = cut_in_two(ScaledGenes.of(values, self._stratum), self.is_first, direction, rng)
            yield NullCut(counts, is_first, self._test(values, is_first))


def codes_by_appearance(codes: NDArray[np.integer]) -> NDArray[np.int64]:
    """Codes 0..n-1 in the order of their first appearance."""
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def _normalised(counts: sparse.csc_array) -> sparse.csc_array:
    """Log-normalised counts, in single precision."""
    total = np.asarray(counts.sum(axis=1), dtype=np.float32)
    values = np.log1p(counts.data * np.float32(TARGET_TOTAL) / total[counts.indices])
    return sparse.csc_array((values, counts.indices, counts.indptr), shape=counts.shape)
