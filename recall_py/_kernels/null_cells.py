"""Counts of one population of cells: residuals that it is fitted to, draws, and which draws go together."""

from __future__ import annotations

import math

import numpy as np

from recall_py._kernels._jit import jit

_LARGE_MEAN = 200.0
"""Above it, gamma and Poisson draws are faster than adding up terms, and exp(-mean) is far from underflow below it."""
_SMALL_DISPERSION = 1e-8
_ONE = np.float32(1.0)
_BOUNDED = np.float32(1.79)
_INVERSE = 1.0 / np.arange(1, 1025)
"""Of whole numbers from 1 on: a division takes longer than all else in a step."""
_LEAST_TERM = 1e-18
_HALF = float(1 << 26)


@jit
def pearson_residuals(
    indptr, cells, counts, depth, stratum, share, inflation, certainty, residuals, dispersion, attenuation
):
    """Residuals ``residuals[gene, cell]`` of counts with mean depth times share and variance mean + dispersion mean^2.

    The counts are compressed by gene; `share` is that of a gene within each stratum of cells. Fills `dispersion` by
    moments, and `attenuation` with the mean of mean^2 / variance, by which variance of the log rate shows in residuals.
    `inflation` is by how much more cells vary about the mean of their stratum than about a mean fitted to themselves,
    `certainty` the share of the square of a fitted mean that is not chance, for each stratum and gene.
    """
    n_cells = depth.size
    bound = np.float32(math.sqrt(n_cells))
    mean = np.empty(n_cells, dtype=np.float32)
    for gene in range(dispersion.size):
        squares = 0.0
        excess = 0.0
        for i in range(n_cells):
            mean[i] = depth[i] * share[stratum[i], gene]
            square = np.float64(mean[i]) * mean[i]
            squares += certainty[stratum[i], gene] * square
            excess += inflation[stratum[i]] * square
        for at in range(indptr[gene], indptr[gene + 1]):
            count = counts[at]
            excess += inflation[stratum[cells[at]]] * (count * count - 2.0 * count * mean[cells[at]]) - count
        spread = np.float32(max(0.0, excess / squares)) if squares > 0.0 else np.float32(0.0)
        dispersion[gene] = spread
        row = residuals[gene]
        explained = np.float32(0.0)
        for i in range(n_cells):
            relative = mean[i] / (np.float32(1.0) + spread * mean[i])
            explained += relative
            row[i] = -math.sqrt(relative)
        attenuation[gene] = explained / n_cells
        for at in range(indptr[gene], indptr[gene + 1]):
            m = mean[cells[at]]
            row[cells[at]] = (np.float32(counts[at]) - m) / math.sqrt(m * (np.float32(1.0) + spread * m))
        for i in range(n_cells):
            row[i] = min(max(row[i], -bound), bound)


@jit
def draw_counts(rng, log_rate, depth, stratum, share, rest, indptr, cells, counts):
    """Draw counts gene by gene by inversion; returns how many are not zero.

    The mean is depth times share times the exponential of ``log_rate[gene, cell]``; the variance mean + rest mean^2.
    Compressed by gene, `cells` and `counts` have room for every pair of a gene and a cell. Each draw of the generator
    gives two uniform numbers, of 26 and 27 bits, neither 0. The probability of a count is at most the mean, and exp(x)
    below 1 + x + x^2 for x up to 1.79: most zeros are told without an exponential.
    """
    n_found = 0
    n_cells = depth.size
    mean = np.empty(n_cells, dtype=np.float32)
    above = np.empty(n_cells + 1, dtype=np.float32)
    perhaps = np.empty(n_cells, dtype=np.bool_)
    for gene in range(rest.size):
        for i in range(0, n_cells, 2):
            both = rng.random() * _HALF
            whole = math.floor(both)
            above[i] = (whole + 0.5) / _HALF
            above[i + 1] = both - whole + 0.25 / _HALF
        for i in range(n_cells):
            mean[i] = depth[i] * share[stratum[i], gene]
        for i in range(n_cells):
            x = log_rate[gene, i]
            perhaps[i] = (above[i] < mean[i] * (_ONE + x + x * x)) | (x > _BOUNDED)
        for i in range(n_cells):
            if perhaps[i]:
                m = np.float64(mean[i]) * math.exp(np.float64(log_rate[gene, i]))
                count = 0
                if m > _LARGE_MEAN:
                    count = _large(rng, m, rest[gene])
                elif above[i] < m:
                    count = _quantile(1.0 - np.float64(above[i]), m, rest[gene])
                if count > 0:
                    cells[n_found] = i
                    counts[n_found] = count
                    n_found += 1
        indptr[gene + 1] = n_found
    return n_found


@jit
def _quantile(uniform, mean, dispersion):
    """Smallest count with a distribution function of at least `uniform`: the terms are added up one by one.

    What is left of a number near 1 may be rounding alone: past the mode, terms below it add nothing and end the sum.
    """
    if dispersion > 0.0:
        ratio = mean * dispersion / (1.0 + mean * dispersion)
        term = math.exp(-math.log1p(mean * dispersion) / dispersion)
        first = ratio / dispersion
    else:
        ratio = 0.0
        term = math.exp(-mean)
        first = mean
    left = uniform - term
    count = 0
    while left > 0.0 and (term > _LEAST_TERM or count < mean):
        term *= (first + ratio * count) * (_INVERSE[count] if count < _INVERSE.size else 1.0 / (count + 1))
        left -= term
        count += 1
    return count


@jit
def _large(rng, mean, dispersion):
    dispersion = max(dispersion, _SMALL_DISPERSION)
    return rng.poisson(mean * rng.gamma(1.0 / dispersion, dispersion))


@jit
def add_products(indptr, cells, values, products):
    """Add the products of the values that a gene has in two cells, to the symmetric ``products[cell, cell]``.

    Cells ascend within each gene.
    """
    for gene in range(indptr.size - 1):
        for one in range(indptr[gene], indptr[gene + 1]):
            row = products[cells[one]]
            value = values[one]
            for other in range(indptr[gene], one + 1):
                row[cells[other]] += value * values[other]
    for one in range(products.shape[0]):
        for other in range(one):
            products[other, one] = products[one, other]
