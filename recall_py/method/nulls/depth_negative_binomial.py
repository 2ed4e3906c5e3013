"""Negative binomial whose mean follows the sequencing depth of the cell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recall_py.method.nulls.independent_genes import Draw, clump_rate, negative_binomial_draw, sample_genes
from recall_py.method.nulls.moments import Moments
from recall_py.method.results import NullFit

_LEAST_OVERDISPERSION = 1e-10
"""Below it a gene is drawn as Poisson: 1 / overdispersion would swamp the mean in floating point."""


class DepthNegativeBinomial:
    """Mean ``mean_j * depth_i`` and variance mean + overdispersion * mean^2.

    A method of moments, not maximum likelihood. With s the depths and x the counts of gene j, m = sum x / sum s, and
    the overdispersion is max(0, sum((x - m s)^2 - m s) / sum((m s)^2)) over the cells.
    """

    def fit(self, counts: sparse.csc_array, depth: NDArray[np.float64]) -> NullFit:
        """Estimate ``mean``, of a cell of depth 1, and ``overdispersion``, 0 for Poisson.

        The squares are summed over the non-zeros of each gene, and in closed form over its zeros.
        """
        n_genes = counts.shape[1]
        depth_squares = depth @ depth
        mean = np.ones(depth.size) @ counts / (depth.sum() or 1.0)
        squares = np.empty(n_genes)
        for gene in range(n_genes):
            stored = slice(counts.indptr[gene], counts.indptr[gene + 1])
            at = depth[counts.indices[stored]]
            residual = counts.data[stored] - mean[gene] * at
            of_zeros = max(depth_squares - at @ at, 0.0)
            squares[gene] = residual @ residual + mean[gene] ** 2 * of_zeros
        scale = mean**2 * depth_squares
        excess = squares - mean * depth.sum()
        overdispersion = np.divide(excess, scale, out=np.zeros(n_genes), where=scale > 0)
        return NullFit("NB-depth", {"mean": mean, "overdispersion": np.maximum(overdispersion, 0.0)})

    def sample(
        self, fit: NullFit, depth: NDArray[np.float64], seed: np.random.SeedSequence, *, n_jobs: int
    ) -> sparse.csc_array:
        """Draw knockoff counts of cells with the given depths."""
        mean, size = fit.parameters["mean"], size_of(fit)

        def draw_gene(gene: int, rng: np.random.Generator) -> Draw:
            return negative_binomial_draw(size[gene], mean[gene] * depth, depth.size, rng)

        return sample_genes(draw_gene, (depth.size, mean.size), seed, n_jobs)

    def moments(self, fit: NullFit, depth: NDArray[np.float64]) -> Moments:
        """Moments of the draws over cells with the given depths.

        The variance is the mean of the variances given depth plus the variance of the means given depth.
        """
        mean, size = fit.parameters["mean"], size_of(fit)
        first, second = depth.mean(), (depth**2).mean()
        within = mean * first + mean**2 * second / size
        zeros = [np.exp(-clump_rate(size[gene], mean[gene] * depth)).mean() for gene in range(mean.size)]
        return Moments(mean * first, within + mean**2 * depth.var(), np.array(zeros))


def size_of(fit: NullFit) -> NDArray[np.float64]:
    """1 / overdispersion as drawn, infinite for Poisson."""
    overdispersion = fit.parameters["overdispersion"]
    size = np.full(overdispersion.size, np.inf)
    return np.divide(1.0, overdispersion, out=size, where=overdispersion > _LEAST_OVERDISPERSION)
