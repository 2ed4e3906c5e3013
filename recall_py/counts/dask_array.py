"""Counts in a dask array, read where its blocks are computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

import dask
import numpy as np
from dask.delayed import Delayed
from numpy.typing import NDArray
from scipy import sparse

from recall_py.counts.matrix import CountMatrix, Entries, Survey, as_positions

_Result = TypeVar("_Result")
_BLOCK_BYTES = 1 << 29
"""Memory that a block of genes should take on a worker, with its knockoffs."""
_BYTES_PER_COUNT = 32
"""A count and its knockoff as values and as their order, and what is held meanwhile."""
_MOST_GENES = 64


class _Block(NamedTuple):
    """One block of the array."""

    values: Delayed
    taking_part: NDArray[np.bool_] | None
    """Mask of the rows of the block, all if None."""
    cells: slice
    """Where those rows are among all cells that take part."""
    genes: slice


class DaskCounts(CountMatrix):
    """A dask array that may hold counts; see :class:`CountMatrix`. Sums are made on the scheduler that is active."""

    def __init__(
        self,
        matrix: Any,
        cells: NDArray[np.bool_] | None = None,
        genes: NDArray[np.bool_] | None = None,
        *,
        few: bool = False,
    ) -> None:
        if np.isnan(matrix.shape).any() or np.isnan(np.concatenate(matrix.chunks)).any():
            msg = (
                "The dask array does not know the sizes of its chunks. Let dask find them out: "
                "adata.X = adata.X.compute_chunk_sizes()"
            )
            raise ValueError(msg)
        super().__init__(matrix, cells, genes, few=few)
        self._of_genes = matrix if genes is None else matrix[:, np.flatnonzero(genes)]

    @property
    def kind(self) -> str:
        """How the values are stored."""
        return "dask"

    @cached_property
    def survey(self) -> Survey:
        """Sums over cells and genes, and whether the values are counts."""
        n_cells, n_genes = self.shape
        sums, squares, largest = np.zeros((3, n_genes))
        survey = Survey(np.zeros(n_cells), np.zeros(n_genes, np.int64), sums, squares, largest)
        parts = self._on_blocks(lambda counts: counts.survey)
        for block, part in zip(self._blocks, parts, strict=True):
            if part.problem is not None:
                return replace(survey, problem=part.problem)
            survey.totals[block.cells] += part.totals
            for name in ("stored", "sums", "squares"):
                getattr(survey, name)[block.genes] += getattr(part, name)
            largest[block.genes] = np.maximum(largest[block.genes], part.largest)
        return survey

    def totals_over(self, chosen: NDArray[Any]) -> NDArray[np.float64]:
        """(n_cells,) sum of each cell over some genes."""
        taken = np.isin(np.arange(self.shape[1]), as_positions(chosen))
        parts = self._on_blocks(lambda counts, genes: counts.totals_over(genes), taken)
        totals = np.zeros(self.shape[0])
        for block, part in zip(self._blocks, parts, strict=True):
            totals[block.cells] += part
        return totals

    def glance(self) -> str | None:
        """What makes the first values no counts, or None; see :meth:`CountMatrix.glance`."""
        first = type(self)(self.matrix, self._first_cells(), self.genes, few=True)
        return next(
            (CountMatrix(rows).glance() for rows in dask.compute(*(block.values for block in first._blocks))), None
        )

    def sums_below(self, ceiling: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sums of the values up to a ceiling; see :meth:`CountMatrix.sums_below`."""
        parts = self._on_blocks(lambda counts, of_genes: counts.sums_below(of_genes), ceiling)
        sums = np.zeros((3, ceiling.size))
        for block, part in zip(self._blocks, parts, strict=True):
            sums[:, block.genes] += part
        return sums

    def _read(self, positions: NDArray[np.intp]) -> sparse.csc_array:
        """Gather the counts into the memory of this process."""
        return self._assembled([positions])[0].compute()

    def entries(self) -> Iterator[Entries]:
        """Stored values of the cells that take part; the blocks are computed one after the other."""
        for block in self._blocks:
            for cells, genes, values in CountMatrix(block.values.compute(), block.taking_part).entries():
                yield Entries(cells + np.int32(block.cells.start), genes + np.int32(block.genes.start), values)

    def gene_blocks(self, chosen: NDArray[Any]) -> tuple[list[Delayed], list[int]]:
        """Blocks of a few of the chosen genes with all cells, where the workers make them, and the genes of each."""
        positions = as_positions(chosen)
        per_gene = max(1.0, _BYTES_PER_COUNT * float(self.survey.stored[positions].mean()))
        width = int(np.clip(_BLOCK_BYTES // per_gene, 1, _MOST_GENES))
        parts = [positions[first : first + width] for first in range(0, positions.size, width)]
        return self._assembled(parts), [part.size for part in parts]

    @cached_property
    def _blocks(self) -> list[_Block]:
        """All blocks, row by row. Of blocks with few cells that take part these alone are kept, where they are."""
        tops, lefts = (np.concatenate([[0], np.cumsum(sizes)]).tolist() for sizes in self._of_genes.chunks)
        blocks = []
        taken = 0
        for i, row in enumerate(self._of_genes.to_delayed()):
            mask = None if self._cells is None else self._cells[tops[i] : tops[i + 1]]
            n_taken = tops[i + 1] - tops[i] if mask is None else int(mask.sum())
            cells = slice(taken, taken + n_taken)
            if self._few and not n_taken:
                continue
            blocks += [_Block(values, mask, cells, slice(*lefts[j : j + 2])) for j, values in enumerate(row)]
            taken += n_taken
        if self._few and self._cells is not None:
            kept = dask.persist(*(dask.delayed(_few_rows)(block.values, block.taking_part) for block in blocks))
            blocks = [block._replace(values=rows, taking_part=None) for block, rows in zip(blocks, kept, strict=True)]
        return blocks

    def _on_blocks(self, work: Callable[..., _Result], *of_genes: NDArray[Any]) -> tuple[_Result, ...]:
        """What `work` makes of each block, given the part of (n_genes,) arrays that belongs to it."""

        def on_block(values: Any, taking_part: NDArray[np.bool_] | None, *parts: NDArray[Any]) -> _Result:
            return work(CountMatrix(values, taking_part), *parts)

        task = dask.delayed(on_block)
        return dask.compute(
            *(
                task(block.values, block.taking_part, *(array[block.genes] for array in of_genes))
                for block in self._blocks
            )
        )

    def _assembled(self, parts: Sequence[NDArray[np.intp]]) -> list[Delayed]:
        """(n_cells, n) counts of each of several sets of genes."""
        dtype = self.exact_type(np.concatenate(parts))
        cut, join = dask.delayed(_cut, nout=len(parts)), dask.delayed(_join)
        pieces: dict[tuple[int, int], list[Any]] = {}
        for block in self._blocks:
            first, last = block.genes.start, block.genes.stop
            within = [part[(part >= first) & (part < last)] - first for part in parts]
            for number, piece in enumerate(cut(block.values, block.taking_part, within, dtype)):
                if within[number].size:
                    pieces.setdefault((number, first), []).append(piece)
        lefts = sorted({block.genes.start for block in self._blocks})
        edges = np.array([*lefts, self.shape[1]])
        assembled = []
        for number, part in enumerate(parts):
            stacks = [pieces[number, left] for left in lefts if (number, left) in pieces]
            # Pieces come by columns of blocks; within one in the order asked for.
            order = np.argsort(np.searchsorted(edges, part, side="right"), kind="stable")
            assembled.append(join(stacks, np.argsort(order)))
        return assembled


def _few_rows(values: Any, taking_part: NDArray[np.bool_]) -> sparse.csr_array:
    """Few rows of a block, in memory."""
    cells, genes, found = map(np.concatenate, zip(*CountMatrix(values, taking_part).entries(), strict=True))
    return sparse.csr_array((found, (cells, genes)), shape=(int(taking_part.sum()), values.shape[1]))


def _cut(
    values: Any,
    taking_part: NDArray[np.bool_] | None,
    sets: Sequence[NDArray[np.intp]],
    dtype: type[np.floating[Any]],
) -> list[sparse.csc_array]:
    """The counts of several sets of genes in one block."""
    taken = CountMatrix(values, taking_part).columns(np.concatenate(sets)).astype(dtype)
    ends = np.cumsum([0, *(genes.size for genes in sets)])
    return [taken[:, first:last] for first, last in pairwise(ends)]


def _join(stacks: Sequence[Sequence[sparse.csc_array]], order: NDArray[np.intp]) -> sparse.csc_array:
    """Pieces above each other and side by side, their columns in `order`."""
    whole = sparse.hstack([sparse.vstack(stack, format="csc") for stack in stacks], format="csc")
    return sparse.csc_array(whole if np.array_equal(order, np.arange(order.size)) else whole[:, order])
