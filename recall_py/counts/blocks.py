"""A matrix cut into blocks along its storage, and one block read."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from recall_py.counts.structure import place_of, read, read_indptr, read_lines

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
        edges = np.searchsorted(indptr, np.arange(_BLOCK, indptr[-1], _BLOCK))
        for start, stop in pairwise(np.unique([0, *edges, len(indptr) - 1]).tolist()):
            here = slice(start, stop)
            yield (here, slice(0, n_columns)) if matrix.format == "csr" else (slice(0, n_rows), here)
        return
    # A chunk is unpacked whole, so that no block should end within one.
    chunk_rows, chunk_columns = getattr(matrix, "chunks", None) or (1, n_columns)
    width = min(chunk_columns * max(1, _BLOCK // (chunk_rows * chunk_columns)), n_columns)
    height = chunk_rows * max(1, _BLOCK // (chunk_rows * width)) if width == n_columns else chunk_rows
    for top in range(0, n_rows, height):
        for left in range(0, n_columns, width):
            yield slice(top, min(top + height, n_rows)), slice(left, min(left + width, n_columns))


def read_tile(matrix: Any, rows: slice, columns: slice) -> Any:
    """One of the :func:`tiles` as an array or a sparse matrix.

    Raises
    ------
    DamagedError
        If an index leads outside the matrix, or the file that holds it cannot be read there.
    """
    if hasattr(matrix, "format"):
        return read_lines(matrix, rows if matrix.format == "csr" else columns)
    return read(matrix, (rows, columns), place_of(matrix))
