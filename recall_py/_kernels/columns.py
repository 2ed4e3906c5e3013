"""Moments and standardised values of the columns of a CSC matrix."""

from __future__ import annotations

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
