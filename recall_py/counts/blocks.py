"""A matrix cut into blocks along its storage, and one block read."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recall_py.counts.structure import place_of, read, read_edges, read_indptr, read_lines, read_stretches

_BLOCK = 1 << 22
"""Stored values that are in memory at a time."""


def tiles(matrix: Any) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of blocks that together are the matrix: along its sparse axis, or along its chunks.

    Rows of a column come in ascending order.

    Raises
    ------
    DamagedError
        If the pointers of a sparse matrix lead outside it.
    """
    n_rows, n_columns = matrix.shape
    if not n_rows or not n_columns:
        return
    if hasattr(matrix, "format"):
        indptr = read_indptr(matrix)
        edges = np.searchsorted(indptr, np.arange(_BLOCK, int(indptr[-1]), _BLOCK))
        for start, stop in pairwise(np.unique([0, *edges, len(indptr) - 1]).tolist()):
            here = slice(start, stop)
            yield (here, slice(0, n_columns)) if matrix.format == "csr" else (slice(0, n_rows), here)
        return
    chunk_rows, width = _chunk_rows_and_width(matrix)
    height = chunk_rows * max(1, _BLOCK // (chunk_rows * width)) if width == n_columns else chunk_rows
    for top in range(0, n_rows, height):
        for left in range(0, n_columns, width):
            yield slice(top, min(top + height, n_rows)), slice(left, min(left + width, n_columns))


def _chunk_rows_and_width(matrix: Any) -> tuple[int, int]:
    """Rows of a chunk and columns of a block: a chunk is unpacked whole, so that no block should end within one."""
    chunk_rows, chunk_columns = getattr(matrix, "chunks", None) or (1, matrix.shape[1])
    return chunk_rows, min(chunk_columns * max(1, _BLOCK // (chunk_rows * chunk_columns)), matrix.shape[1])


def read_tile(matrix: Any, rows: slice, columns: slice) -> Any:
    """One of the :func:`tiles` as an array or a sparse matrix.

    Raises
    ------
    DamagedError
        If an index leads outside the matrix, or the file that holds it cannot be read there.
    """
    if hasattr(matrix, "format"):
        edges = read_edges(matrix, rows if matrix.format == "csr" else columns)
        return read_lines(matrix, edges[:-1], edges[1:])
    return read(matrix, (rows, columns), place_of(matrix))


def read_rows(matrix: Any, rows: NDArray[np.int64]) -> Iterator[tuple[int, int, Any]]:
    """Blocks of some rows, by their ascending numbers, with where each begins among those rows and among the columns.

    Nothing else is read where rows lie together; a CSC matrix is passed over in blocks of columns.

    Raises
    ------
    DamagedError
        As :func:`tiles` and :func:`read_tile` do.
    """
    if getattr(matrix, "format", None) == "csc":
        for every, columns in tiles(matrix):
            yield 0, columns.start, read_tile(matrix, every, columns)[rows]
    elif hasattr(matrix, "format"):
        indptr = read_indptr(matrix)
        starts, stops = indptr[rows], indptr[rows + 1]
        ends = np.cumsum(stops - starts, dtype=np.int64)
        edges = np.searchsorted(ends, np.arange(_BLOCK, ends[-1] if rows.size else 0, _BLOCK))
        for start, stop in pairwise(np.unique([0, *edges, rows.size]).tolist()):
            yield start, 0, read_lines(matrix, starts[start:stop], stops[start:stop])
    elif rows.size and matrix.shape[1]:
        chunk_rows, width = _chunk_rows_and_width(matrix)
        height = max(chunk_rows, _BLOCK // width)
        for start in range(0, rows.size, height):
            these = rows[start : start + height]
            for left in range(0, matrix.shape[1], width):
                columns = slice(left, min(left + width, matrix.shape[1]))
                yield start, left, read_stretches(matrix, these, these + 1, place_of(matrix), columns)
