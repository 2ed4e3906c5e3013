"""ln(1 + count / total * 10,000), the one normalisation of the package."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recall_py.method.threads import even_blocks, map_blocks

_Block = TypeVar("_Block", NDArray[np.floating], sparse.csr_array, sparse.csc_array)

TARGET_TOTAL = 1e4
_GENES = 128
"""Genes that a thread normalises at a time."""


def cell_totals(counts: sparse.csc_array) -> NDArray[np.float64]:
    """(n_cells,) sum of each cell."""
    from recall_py._kernels.columns import add_to_rows

    totals = np.zeros(counts.shape[0])
    add_to_rows(counts.indices, counts.data, totals)
    return totals


def log_normalise(
    counts: sparse.csc_array,
    dtype: type = np.float32,
    *,
    totals: NDArray[np.float64] | None = None,
    n_jobs: int = 1,
) -> sparse.csc_array:
    """ln(1 + count / total * 1e4). Equal ratios stay exactly equal.

    Parameters
    ----------
    counts
        (n_cells, n_genes).
    dtype
        Of the values, which are rounded to it once, at the end.
    totals
        (n_cells,) total of each cell, by default over all columns.
    n_jobs
        Number of threads.
    """
    totals = cell_totals(counts) if totals is None else totals
    if not totals.all():
        msg = f"{np.count_nonzero(totals == 0)} cells have no counts in real genes and knockoffs together."
        raise ValueError(msg)
    data = np.empty(counts.data.size, dtype=dtype)

    def normalise(block: tuple[int, int]) -> None:
        extent = slice(counts.indptr[block[0]], counts.indptr[block[1]])
        data[extent] = _logarithm(counts.data[extent], totals[counts.indices[extent]])

    map_blocks(normalise, even_blocks(counts.shape[1], _GENES), n_jobs)
    return sparse.csc_array((data, counts.indices, counts.indptr), shape=counts.shape)


def log_normalised_block(counts: _Block, totals: NDArray[np.float64], dtype: type = np.float32) -> _Block:
    """ln(1 + count / total * 1e4) of some cells or genes, dense or sparse; a cell without counts stays 0.

    Parameters
    ----------
    counts
        (n_cells, n_genes).
    totals
        (n_cells,) total of each cell.
    dtype
        Of the values, which are rounded to it once, at the end.
    """
    per_cell = np.where(totals > 0, totals, 1.0)
    if isinstance(counts, np.ndarray):
        return _logarithm(counts, per_cell[:, None]).astype(dtype, copy=False)
    row_wise = counts.format == "csr"
    of_value = np.repeat(per_cell, np.diff(counts.indptr)) if row_wise else per_cell[counts.indices]
    values: NDArray[np.floating] = _logarithm(counts.data, of_value).astype(dtype, copy=False)
    return type(counts)((values, counts.indices, counts.indptr), shape=counts.shape)


def _logarithm(counts: NDArray[np.floating], totals: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log1p(counts / totals * TARGET_TOTAL)
