"""Counts of some genes by cell, in memory or in temporary files that are paged in as they are read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recall_py.counts.matrix import CountMatrix, Entries, as_positions, index_type


def by_cell(counts: CountMatrix, chosen: NDArray[Any]) -> sparse.csr_array:
    """(n_cells, n_chosen) counts of some genes, given as a mask or as positions.

    Counts that are in memory stay there. Those of a file or of a dask array are read block by block, twice, and go to
    temporary files: any cell is then at hand, and memory holds what the system keeps of them. The files have no name,
    lie where :func:`tempfile.gettempdir` says, and are gone with the matrix.
    """
    if isinstance(counts.matrix, np.ndarray) or sparse.issparse(counts.matrix):
        return sparse.csr_array(counts.columns(chosen))
    from recall_py._kernels.counts import place

    positions, n_cells = as_positions(chosen), counts.shape[0]
    column = np.full(counts.shape[1], -1, dtype=np.int32)
    column[positions] = np.arange(positions.size)
    stored = np.zeros(n_cells, dtype=np.int64)
    for cells, _, _ in _entries(counts, column):
        stored += np.bincount(cells, minlength=n_cells)
    ends = np.concatenate([[0], np.cumsum(stored)])
    index = index_type(ends[-1])
    data, columns = _mapped(ends[-1], counts.exact_type(positions)), _mapped(ends[-1], index)
    rows, free = np.arange(n_cells), ends[:-1].copy()
    for cells, genes, values in _entries(counts, column):
        place(genes, cells, values, rows, free, columns, data)
    return sparse.csr_array((data, columns, ends.astype(index)), shape=(n_cells, positions.size))


def _entries(counts: CountMatrix, column: NDArray[np.int32]) -> Iterator[Entries]:
    """The non-zero values of the genes that have a `column`, with it in place of the gene."""
    for cells, genes, values in counts.entries():
        taken = (column[genes] >= 0) & (values != 0)
        yield Entries(cells[taken], column[genes[taken]], values[taken])


def _mapped(size: int, dtype: type[Any]) -> NDArray[Any]:
    """An array in a temporary file."""
    with tempfile.TemporaryFile(prefix="recall-py.") as file:
        return np.asarray(np.memmap(file, dtype, "w+", shape=max(size, 1)))[:size]
