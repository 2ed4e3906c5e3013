"""Negative binomial with mean mu and variance mu + mu^2 / size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, special

from recall_py.nulls.independent_genes import Draw, bernoulli_cells, sample_genes, truncated_poisson
from recall_py.results import NullFit

_LOG_SIZE_RANGE = (np.log(1e-10), np.log(1e10))
_BISECTIONS = 55


class NegativeBinomial:
    """Maximum likelihood, all genes at once; ``size`` is infinite (Poisson) unless the variance exceeds the mean."""

    def fit(self, counts: sparse.csc_array) -> NullFit:
        """Estimate ``size`` and ``mu``, the mean.

        The likelihood has a finite maximum exactly where the population variance (ddof 0) exceeds the mean (Levin &
        Reeds, Ann. Stat. 1977, doi 10.1214/aos/1176343747).
        """
        counts = counts.astype(np.float64)
        n_cells = counts.shape[0]
        mean = np.asarray(counts.sum(axis=0)).ravel() / n_cells
        variance = np.asarray(counts.multiply(counts).sum(axis=0), dtype=np.float64).ravel() / n_cells - mean**2
        size = np.full(mean.size, np.inf)
        overdispersed = np.flatnonzero(variance > mean * (1 + 1e-12))
        if overdispersed.size:
            size[overdispersed] = _maximum_likelihood_size(counts[:, overdispersed], mean[overdispersed])
        return NullFit("NB", {"size": size, "mu": mean})

    def sample(self, fit: NullFit, n_cells: int, seed: np.random.SeedSequence, *, n_jobs: int) -> sparse.csc_array:
        """Draw knockoff counts."""
        size, mu = fit.parameters["size"], fit.parameters["mu"]
        with np.errstate(invalid="ignore"):
            # A negative binomial is a Poisson number of logarithmic counts: P(0) = exp(-clumps).
            clumps = np.where(np.isinf(size), mu, size * np.log1p(mu / size))

        def draw_gene(gene: int, rng: np.random.Generator) -> Draw:
            if clumps[gene] > 3.0 and np.isfinite(size[gene]):
                counts = rng.negative_binomial(size[gene], size[gene] / (size[gene] + mu[gene]), n_cells)
                cells = np.flatnonzero(counts).astype(np.int32)
                return cells, counts[cells]
            cells = bernoulli_cells(n_cells, -np.expm1(-clumps[gene]), rng)
            counts = truncated_poisson(clumps[gene], cells.size, rng)
            if np.isfinite(size[gene]) and cells.size:
                members = rng.logseries(mu[gene] / (size[gene] + mu[gene]), int(counts.sum()))
                counts = np.add.reduceat(members, np.concatenate(([0], np.cumsum(counts)[:-1])))
            return cells, counts

        return sample_genes(draw_gene, (n_cells, mu.size), seed, n_jobs)


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
