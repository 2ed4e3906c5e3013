"""A matrix of counts read in blocks, wherever it is: in memory, in an .h5ad file or in a .zarr store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recall_py.counts.blocks import read_rows, read_tile, tiles

NOT_INTEGERS = "values that are not integers"
_GLANCE = 20
"""Cells that tell at a glance whether a matrix holds counts."""


class Entries(NamedTuple):
    """Stored values of a block; those of a gene come in the order of the cells."""

    cells: NDArray[np.int32]
    genes: NDArray[np.int32]
    values: NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Survey:
    """What one pass over all values has found."""

    totals: NDArray[np.float64]
    """(n_cells,) sum over all genes."""
    stored: NDArray[np.int64]
    """(n_genes,) non-zero values."""
    sums: NDArray[np.float64]
    """(n_genes,)."""
    squares: NDArray[np.float64]
    """(n_genes,) sum of squares."""
    largest: NDArray[np.float64]
    """(n_genes,)."""
    problem: str | None = None
    """What makes the values no counts; the pass ends there."""


class CountMatrix:
    """A matrix that may hold counts, of all cells or of some.

    Parameters
    ----------
    matrix
        (n_obs, n_genes) array, sparse matrix, or one of these in an open file: an HDF5 dataset, a zarr array, or what
        :func:`anndata.io.sparse_dataset` returns.
    cells
        (n_obs,) mask of the cells that take part, all if None; of others nothing is looked at.
    genes
        (n_features,) mask of the features that are genes, all if None; others count nowhere.
    few
        Whether those are few cells, so that a matrix that lies by columns should be passed over once for them.
    """

    def __init__(
        self,
        matrix: Any,
        cells: NDArray[np.bool_] | None = None,
        genes: NDArray[np.bool_] | None = None,
        *,
        few: bool = False,
    ) -> None:
        self.matrix = matrix
        self.genes = genes
        self._cells = None if cells is None or cells.all() else cells
        n_cells = matrix.shape[0] if self._cells is None else int(np.count_nonzero(self._cells))
        n_genes = matrix.shape[1] if genes is None else int(np.count_nonzero(genes))
        self.shape: tuple[int, int] = (n_cells, n_genes)
        self._last: tuple[NDArray[np.intp], sparse.csc_array] | None = None
        self.most_variable: dict[int, tuple[NDArray[np.bool_], str]] = {}
        """By number of genes: those that were selected, so that a file is read for them once."""
        self._few = few
        self._held: list[tuple[int, int, Any]] | None = None

    def holds(self, matrix: Any, cells: NDArray[np.bool_] | None, genes: NDArray[np.bool_] | None) -> bool:
        """Whether it is made of the same matrix, cells and genes."""
        cells = None if cells is None or cells.all() else cells
        return self.matrix is matrix and _are_equal(self._cells, cells) and _are_equal(self.genes, genes)

    def of_cells(self, cells: NDArray[np.bool_]) -> CountMatrix:
        """The same counts of some of the cells, given as a mask of those that take part."""
        taking_part = np.ones(self.matrix.shape[0], dtype=np.bool_) if self._cells is None else self._cells.copy()
        taking_part[taking_part] = cells
        part = type(self)(self.matrix, taking_part, self.genes)
        part.totals = self.totals[cells]
        if self._last is not None:
            positions, counts = self._last
            part._last = positions, sparse.csc_array(counts[cells])
        return part

    @property
    def kind(self) -> str:
        """How the values are stored: ``"csr"``, ``"csc"`` or ``"dense"``."""
        return getattr(self.matrix, "format", "dense")

    @cached_property
    def totals(self) -> NDArray[np.float64]:
        """(n_cells,) sum over all genes."""
        return self.survey.totals

    @cached_property
    def survey(self) -> Survey:
        """Sums over cells and genes, and whether the values are counts, from one pass."""
        from recall_py._kernels.counts import add_up

        n_cells, n_genes = self.shape
        sums, squares, largest = np.zeros((3, n_genes))
        survey = Survey(np.zeros(n_cells), np.zeros(n_genes, np.int64), sums, squares, largest)
        for cells, genes, values in self.entries():
            problem = _problem(values)
            if problem is not None:
                return replace(survey, problem=problem)
            add_up(cells, genes, values, survey.totals, survey.stored, sums, squares, largest)
        return survey

    def columns(self, chosen: NDArray[Any]) -> sparse.csc_array:
        """(n_cells, n_chosen) counts of some genes, given as a mask or as positions, without explicit zeros.

        Values are float32 where that is exact. Nothing larger than the result is held in memory.
        """
        positions = as_positions(chosen)
        if self._last is None or not np.array_equal(self._last[0], positions):
            self._last = positions, self._read(positions)
        return self._last[1]

    def exact_type(self, positions: NDArray[np.intp]) -> type[np.floating[Any]]:
        """Single precision, where it holds the counts of these genes."""
        return np.float32 if self.survey.largest[positions].max(initial=0) < 2**24 else np.float64

    def _read(self, positions: NDArray[np.intp]) -> sparse.csc_array:
        from recall_py._kernels.counts import place

        n_cells, n_genes = self.shape
        ends = np.concatenate([[0], np.cumsum(self.survey.stored[positions])])
        data = np.empty(ends[-1], dtype=self.exact_type(positions))
        indices = np.empty(ends[-1], dtype=index_type(ends[-1]))
        column = np.full(n_genes, -1, dtype=np.int64)
        column[positions] = np.arange(positions.size)
        free = ends[:-1].copy()
        for cells, genes, values in self.entries():
            place(cells, genes, values, column, free, indices, data)
        self._held = None
        counts = sparse.csc_array((data, indices, ends.astype(indices.dtype)), shape=(n_cells, positions.size))
        counts.sort_indices()
        return counts

    def totals_over(self, chosen: NDArray[Any]) -> NDArray[np.float64]:
        """(n_cells,) sum of each cell over some genes."""
        counts = self.columns(chosen)
        return counts @ np.ones(counts.shape[1])

    def sums_below(self, ceiling: NDArray[np.float64]) -> NDArray[np.float64]:
        """(3, n_genes) sum, and sum of squares, of the values up to the `ceiling` of each gene; number of those above.

        All are whole numbers, so that they are exact in any order of the cells.
        """
        from recall_py._kernels.counts import add_up_below

        sums = np.zeros((3, ceiling.size))
        for _, genes, values in self.entries():
            add_up_below(genes, values, ceiling, sums)
        return sums

    def entries(self) -> Iterator[Entries]:
        """Stored values of the cells that take part, block by block; those of the same place are added up."""
        position = None if self.genes is None else np.cumsum(self.genes, dtype=np.int32) - np.int32(1)
        for first_cell, first_gene, block in self._read_blocks():
            if hasattr(block, "sum_duplicates"):
                block.sum_duplicates()
            entries = sparse.coo_array(block)
            cells, genes = (at.astype(np.int32, copy=False) for at in entries.coords)
            values = entries.data if entries.dtype == np.float32 else entries.data.astype(np.float64, copy=False)
            cells, genes = cells + np.int32(first_cell), genes + np.int32(first_gene)
            if self.genes is not None and position is not None:
                taken = self.genes[genes]
                cells, genes, values = cells[taken], position[genes[taken]], values[taken]
            yield Entries(cells, genes, values)

    def glance(self) -> str | None:
        """What makes the first values no counts, or None: those of a few cells, or of genes if they lie by gene.

        A single cell may be wrong, and may then not be among those that are read: all must be.
        """
        of_few = self if self.kind == "csc" else type(self)(self.matrix, self._first_cells(), self.genes)
        return next((_problem_of_all(block) for block in of_few.entries() if block.values.size), None)

    def _first_cells(self) -> NDArray[np.bool_]:
        cells = np.ones(self.matrix.shape[0], dtype=np.bool_) if self._cells is None else self._cells
        return cells & (np.cumsum(cells) <= _GLANCE)

    def _read_blocks(self) -> Iterable[tuple[int, int, Any]]:
        """Blocks of the cells that take part, and the first cell and gene of each."""
        if self._held is not None:
            return self._held
        if self._cells is None:
            return (
                (rows.start, columns.start, read_tile(self.matrix, rows, columns))
                for rows, columns in tiles(self.matrix)
            )
        blocks = read_rows(self.matrix, np.flatnonzero(self._cells))
        if self._few and self.kind == "csc":
            self._held = list(blocks)
            return self._held
        return blocks


def _are_equal(mask: NDArray[np.bool_] | None, other: NDArray[np.bool_] | None) -> bool:
    return mask is other if mask is None or other is None else np.array_equal(mask, other)


def as_positions(chosen: NDArray[Any]) -> NDArray[np.intp]:
    """Genes given as a mask or as positions, as positions."""
    return np.flatnonzero(chosen) if chosen.dtype == bool else np.asarray(chosen, dtype=np.intp)


def index_type(n_stored: int) -> type[np.signedinteger[Any]]:
    """Of the indices and pointers of a sparse matrix, of 32 bits as far as they reach: SciPy gives both the same."""
    return np.int32 if n_stored <= np.iinfo(np.int32).max else np.int64


def _problem_of_all(entries: Entries) -> str | None:
    """What makes values of every cell no counts, or None if the values of a cell are counts."""
    wrong = ~(np.isfinite(entries.values) & (entries.values >= 0) & (entries.values == np.rint(entries.values)))
    has_values, has_wrong = np.bincount(entries.cells) > 0, np.bincount(entries.cells, wrong) > 0
    return _problem(entries.values) if has_wrong[has_values].all() else None


def _problem(values: NDArray[np.floating[Any]]) -> str | None:
    """What makes the values no counts, or None."""
    if not np.isfinite(values).all():
        return "NaN" if np.isnan(values).any() else "infinite values"
    if (values < 0).any():
        return "negative values"
    fraction = values[values != np.rint(values)]
    if not fraction.size:
        return None
    shown = f"{fraction[0]:.4g}"
    return f"{NOT_INTEGERS}, such as {shown if float(shown) % 1 else repr(fraction[0].item())}"
