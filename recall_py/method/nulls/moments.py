"""Mean, variance and share of zeros of each gene, observed or of a null distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


class Moments(NamedTuple):
    """What a null gene should share with its real gene."""

    mean: NDArray[np.float64]
    """(n_genes,)."""
    variance: NDArray[np.float64]
    """(n_genes,) population variance (ddof 0)."""
    zeros: NDArray[np.float64]
    """(n_genes,) share of zeros."""


def observed_moments(counts: sparse.csc_array) -> Moments:
    """Moments of (n_cells, n_genes) counts; the variance of a constant gene is exactly 0."""
    n_cells, n_genes = counts.shape
    n_nonzero = np.asarray(counts.count_nonzero(axis=0), dtype=np.float64).ravel()
    mean = np.ones(n_cells) @ counts / n_cells  # a sum of float32 would be accumulated in float32
    squares = np.empty(n_genes)
    for gene in range(n_genes):
        stored = counts.data[counts.indptr[gene] : counts.indptr[gene + 1]]
        deviation = stored - mean[gene]
        squares[gene] = deviation @ deviation + (n_cells - stored.size) * mean[gene] ** 2
    return Moments(mean, squares / n_cells, 1.0 - n_nonzero / n_cells)


def mix_moments(parts: Sequence[Moments], shares: NDArray[np.float64]) -> Moments:
    """Moments over all cells from those of each batch.

    The variance is the mean of the variances within batches plus the variance of the means between them.

    Parameters
    ----------
    parts
        Moments of each batch.
    shares
        (n_batches,) share of the cells that is in each batch.
    """
    means, variances, zeros = (np.stack(values) for values in zip(*parts, strict=True))
    mean = shares @ means
    return Moments(mean, shares @ (variances + (means - mean) ** 2), shares @ zeros)
