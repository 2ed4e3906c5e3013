"""The counts of a matrix, by where its values lie."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recall_py.counts.matrix import CountMatrix

_KEPT: ContextVar[list[CountMatrix] | None] = ContextVar("kept", default=None)


@contextmanager
def reading_once() -> Iterator[None]:
    """Within this, counts of the same cells and genes are read once, however often they are asked for."""
    token = _KEPT.set([])
    try:
        yield
    finally:
        _KEPT.reset(token)


def count_matrix(
    matrix: Any,
    cells: NDArray[np.bool_] | None = None,
    genes: NDArray[np.bool_] | None = None,
    *,
    few: bool = False,
) -> CountMatrix:
    """The matrix, ready to be read in blocks; `cells` that are `few` are read once where the others are passed over."""
    kept = _KEPT.get()
    for known in kept or ():
        if known.holds(matrix, cells, genes):
            return known
    counts = _kind_of(matrix)(matrix, cells, genes, few=few)
    if kept is not None:
        kept.append(counts)
    return counts


def _kind_of(matrix: Any) -> type[CountMatrix]:
    if not hasattr(matrix, "dask"):
        return CountMatrix
    from recall_py.counts.dask_array import DaskCounts

    return DaskCounts
