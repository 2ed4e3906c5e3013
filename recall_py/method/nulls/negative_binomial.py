"""Negative binomial with mean mu and variance mu + mu^2 / size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, special

from recall_py.method.nulls.independent_genes import Draw, clump_rate, negative_binomial_draw, sample_genes
from recall_py.method.nulls.moments import Moments, observed_moments
from recall_py.method.results import NullFit

_LOG_SIZE_RANGE = (np.log(1e-10), np.log(1e10))
_BISECTIONS = 55


class NegativeBinomial:
    """Maximum likelihood, all genes at once; ``size`` is infinite (Poisson) unless the variance exceeds the mean."""

    def fit(self, counts: sparse.csc_array, depth: NDArray[np.float64]) -> NullFit:
        """Estimate ``size`` and ``mu``, the mean.

        The likelihood has a finite maximum exactly where the population variance (ddof 0) exceeds the mean (Levin &
        Reeds, Ann. Stat. 1977, doi 10.1214/aos/1176343747).
        """
        counts = counts.astype(np.float64)
        mean, variance, _ = observed_moments(counts)
        size = np.full(mean.size, np.inf)
        overdispersed = np.flatnonzero(variance > mean * (1 + 1e-12))
        if overdispersed.size:
            size[overdispersed] = _maximum_likelihood_size(counts[:, overdispersed], mean[overdispersed])
        return NullFit("NB", {"size": size, "mu": mean})

    def sample(
        self, fit: NullFit, depth: NDArray[np.float64], seed: np.random.SeedSequence, *, n_jobs: int
    ) -> sparse.csc_array:
        """Draw knockoff counts."""
        size, mean = fit.parameters["size"], fit.parameters["mu"]

        def draw_gene(gene: int, rng: np.random.Generator) -> Draw:
            return negative_binomial_draw(size[gene], mean[gene : gene + 1], depth.size, rng)

        return sample_genes(draw_gene, (depth.size, mean.size), seed, n_jobs)

    def moments(self, fit: NullFit, depth: NDArray[np.float64]) -> Moments:
        """Moments of the draws."""
        size, mean = fit.parameters["size"], fit.parameters["mu"]
        return Moments(mean, mean + mean**2 / size, np.exp(-clump_rate(size, mean)))

    def survival(self, fit: NullFit, count: NDArray[np.int64], gene: NDArray[np.int64]) -> NDArray[np.float64]:
        """Probability that a draw of `gene` is above `count`, element by element."""
        size, mean = fit.parameters["size"][gene], fit.parameters["mu"][gene]
        poisson = np.isinf(size)
        finite = np.where(poisson, 1.0, size)
        overdispersed = special.betainc(count + 1.0, finite, mean / (finite + mean))
        return np.where(poisson, special.gammainc(count + 1.0, mean), overdispersed)


def _maximum_likelihood_size(counts: sparse.csc_array, mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Root of the profile score in log(size), by bisection; the score is positive below its one root.

    score(r) = mean of digamma(x + r) - digamma(r), plus log(r) - log(r + m), and zeros of x add nothing to the first
    term.
    """
    n_cells, n_genes = counts.shape
    genes, values, shares = [], [], []
    for j in range(n_genes):
        histogram = np.bincount(counts.data[counts.indptr[j] : counts.indptr[j + 1]].astype(np.int64))
        occurring = np.flatnonzero(histogram[1:]) + 1
        genes.append(np.full(occurring.size, j))
        values.append(occurring)
        shares.append(histogram[occurring] / n_cells)
    gene, value, share = np.concatenate(genes), np.concatenate(values), np.concatenate(shares)
    low, high = (np.full(n_genes, bound) for bound in _LOG_SIZE_RANGE)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        size = np.exp(middle)
        terms = share * (special.digamma(value + size[gene]) - special.digamma(size)[gene])
        score = np.bincount(gene, terms, n_genes) - np.log1p(mean / size)
        low = np.where(score > 0, middle, low)
        high = np.where(score > 0, high, middle)
    return np.exp(0.5 * (low + high))
