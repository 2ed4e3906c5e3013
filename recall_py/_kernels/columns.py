"""Sums, moments and standardised values of a CSC matrix."""

from __future__ import annotations

import numpy as np

from recall_py._kernels._jit import jit


@jit
def column_moments(indptr, data, n_rows, mean, variance):
    """Mean and sample variance (ddof 1) of each column, zeros included, in two passes."""
    for j in range(indptr.size - 1):
        total = 0.0
        for i in range(indptr[j], indptr[j + 1]):
            total += data[i]
        centre = total / n_rows
        squares = (n_rows - (indptr[j + 1] - indptr[j])) * centre * centre
        for i in range(indptr[j], indptr[j + 1]):
            squares += (data[i] - centre) ** 2
        mean[j] = centre
        variance[j] = squares / (n_rows - 1)


@jit
def scale_clipped(indptr, data, mean, inverse_sd, max_value, scaled):
    """Non-zeros divided by the standard deviation, cut where the centred value would pass `max_value`."""
    for j in range(indptr.size - 1):
        ceiling = mean[j] * inverse_sd[j] + max_value
        for i in range(indptr[j], indptr[j + 1]):
            scaled[i] = min(data[i] * inverse_sd[j], ceiling)


@jit
def add_to_rows(indices, data, totals):
    """Sum of each row, on top of what `totals` has."""
    for i in range(indices.size):
        totals[indices[i]] += data[i]


@jit
def first_entries(indptr, indices, row, at):
    """Position of the first value of each column that is not above `row`."""
    for j in range(at.size):
        at[j] = indptr[j] + np.searchsorted(indices[indptr[j] : indptr[j + 1]], row)


@jit
def fill_standardised(first, last, indptr, indices, data, mean, inverse_sd, max_value, row, at, block):
    """Standardised values of the columns `first` to `last`, in the rows from `row` on.

    Each column has a row of `block`. ``at[j]`` is the position of the next value of column j, and is moved on.
    """
    n_rows = block.shape[1]
    for j in range(first, last):
        offset = mean[j] * inverse_sd[j]
        ceiling = offset + max_value
        filled = block[j]
        filled[:] = -offset
        i = at[j]
        end = indptr[j + 1]
        while i < end and indices[i] < row + n_rows:
            filled[indices[i] - row] = min(data[i] * inverse_sd[j], ceiling) - offset
            i += 1
        at[j] = i
