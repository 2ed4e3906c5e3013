"""Negative binomial counts by inversion of uniform numbers."""

from __future__ import annotations

import math

from recall_py._kernels._jit import jit


@jit
def invert_negative_binomial(uniform, mean, dispersion, counts):
    """Smallest counts with a distribution function of at least `uniform`, in place.

    `mean` (n_cells, n_genes); `dispersion` (n_genes,), variance = mean + dispersion mean^2, 0 for Poisson. The terms of
    the distribution are added up one by one: for means of up to a few hundred.
    """
    n_cells, n_genes = mean.shape
    for i in range(n_cells):
        for j in range(n_genes):
            m, r = mean[i, j], dispersion[j]
            if uniform[i, j] <= 1.0 - m:  # the probability of 0 is at least 1 - m
                counts[i, j] = 0
                continue
            if r > 0.0:
                ratio = m * r / (1.0 + m * r)
                term = math.exp(-math.log1p(m * r) / r)
                first = ratio / r
            else:
                ratio = 0.0
                term = math.exp(-m)
                first = m
            left = uniform[i, j] - term
            count = 0
            while left > 0.0 and term > 0.0:
                term *= (first + ratio * count) / (count + 1)
                left -= term
                count += 1
            counts[i, j] = count
