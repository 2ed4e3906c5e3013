"""A matrix cut into blocks along its storage, and one block read."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import sparse

_BLOCK = 1 << 22
"""Stored values that are in memory at a time."""


def tiles(matrix: Any) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of blocks that together are the matrix: along its sparse axis, or along its chunks.

    Rows of a column come in ascending order.
    """
    n_rows, n_columns = matrix.shape
    if not n_rows or not n_columns:
        return
    if hasattr(matrix, "format"):
        indptr = matrix.indptr if sparse.issparse(matrix) else matrix.group["indptr"][...]
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
    """One block as an array or a sparse matrix.

    Raises
    ------
    ValueError
        If the file that holds it cannot be read there.
    """
    try:
        return matrix[rows, columns]
    except (OSError, RuntimeError) as error:
        msg = (
            f"The file cannot be read further ({type(error).__name__}: {error}). It may be damaged: copy or download "
            "it again."
        )
        raise ValueError(msg) from error
