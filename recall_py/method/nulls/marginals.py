"""Marginal distributions of the copulas: counts to normal scores, and normal scores to counts."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, special

from recall_py.method.nulls.moments import Moments, observed_moments
from recall_py.method.results import NullFit

_CLIP = 1e-6
"""Least distance of a transform from 0 and 1: one misfitted count must not rule a correlation. The size is the default
``epsilon`` of scDesign3's ``fit_copula`` (R), which moves transforms that are closer by it; here they are clipped."""
_WIDE = 20.0
"""Standard deviation from which rounding a Gaussian is described by the first term of the Euler-Maclaurin series."""


class Marginal(Protocol):
    """One distribution for each gene, and its relation to a standard normal score."""

    def fit(self, counts: sparse.csc_array, depth: NDArray[np.float64]) -> NullFit:
        """Estimate the parameters of every gene."""
        ...

    def moments(self, fit: NullFit, depth: NDArray[np.float64]) -> Moments:
        """Moments of the draws."""
        ...

    def scores(self, fit: NullFit, counts: sparse.csr_array, rng: np.random.Generator) -> NDArray[np.float64]:
        """Normal scores (n_cells, n_genes) of a few cells."""
        ...

    def counts(self, fit: NullFit, scores: NDArray[np.float64]) -> sparse.csr_array:
        """Counts (n_cells, n_genes) that have the given scores."""
        ...


class CountFamily(Protocol):
    """A discrete distribution for each gene."""

    def fit(self, counts: sparse.csc_array, depth: NDArray[np.float64]) -> NullFit:
        """Estimate the parameters of every gene."""
        ...

    def moments(self, fit: NullFit, depth: NDArray[np.float64]) -> Moments:
        """Moments of the draws."""
        ...

    def survival(self, fit: NullFit, count: NDArray[np.int64], gene: NDArray[np.int64]) -> NDArray[np.float64]:
        """Probability that a draw of `gene` is above `count`, element by element."""
        ...


class Poisson:
    """Poisson with the observed mean."""

    def fit(self, counts: sparse.csc_array, depth: NDArray[np.float64]) -> NullFit:
        """Estimate ``mean``."""
        return NullFit("Poisson", {"mean": observed_moments(counts).mean})

    def moments(self, fit: NullFit, depth: NDArray[np.float64]) -> Moments:
        """Moments of the draws."""
        mean = fit.parameters["mean"]
        return Moments(mean, mean, np.exp(-mean))

    def survival(self, fit: NullFit, count: NDArray[np.int64], gene: NDArray[np.int64]) -> NDArray[np.float64]:
        """Probability that a draw of `gene` is above `count`, element by element."""
        return special.gammainc(count + 1.0, fit.parameters["mean"][gene])


class CountMarginal:
    """Randomised probability transform of counts.

    The score of a count x is Phi^-1(u) with u = F(x - 1) + v (F(x) - F(x - 1)) and v uniform. Everything is computed on
    the survival side, 1 - u, where the upper tail is exact.
    """

    def __init__(self, family: CountFamily) -> None:
        self.family = family
        self.fit = family.fit
        self.moments = family.moments

    def scores(self, fit: NullFit, counts: sparse.csr_array, rng: np.random.Generator) -> NDArray[np.float64]:
        """Normal scores; a fresh v for every cell and gene."""
        uniform = rng.random(counts.shape)
        nonzero = self._nonzero_probability(fit, counts.shape[1])
        survival = nonzero + uniform * (1.0 - nonzero)
        cell, gene = counts.nonzero()
        count = counts.data[counts.data != 0].astype(np.int64)
        above, at_least = (self.family.survival(fit, bound, gene) for bound in (count, count - 1))
        survival[cell, gene] = above + uniform[cell, gene] * (at_least - above)
        return -special.ndtri(np.clip(survival, _CLIP, 1.0 - _CLIP))

    def counts(self, fit: NullFit, scores: NDArray[np.float64]) -> sparse.csr_array:
        """Quantiles; only the scores above the gene's mass at zero are looked up."""
        nonzero = self._nonzero_probability(fit, scores.shape[1])
        cell, gene = np.nonzero(scores > -special.ndtri(nonzero))
        count = self._upper_quantile(fit, special.ndtr(-scores[cell, gene]), gene)
        return sparse.csr_array((count, (cell, gene)), shape=scores.shape)

    def _nonzero_probability(self, fit: NullFit, n_genes: int) -> NDArray[np.float64]:
        return self.family.survival(fit, np.zeros(n_genes, dtype=np.int64), np.arange(n_genes))

    def _upper_quantile(
        self, fit: NullFit, survival: NDArray[np.float64], gene: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Smallest count >= 1 that a draw exceeds with at most the given probability: doubling, then bisection."""
        low, high = np.zeros(gene.size, dtype=np.int64), np.ones(gene.size, dtype=np.int64)
        left = np.arange(gene.size)
        while left.size:
            left = left[self.family.survival(fit, high[left], gene[left]) > survival[left]]
            low[left] = high[left]
            high[left] *= 2
        while (left := np.flatnonzero(high - low > 1)).size:
            middle = (low[left] + high[left]) // 2
            above = self.family.survival(fit, middle, gene[left]) > survival[left]
            low[left] = np.where(above, middle, low[left])
            high[left] = np.where(above, high[left], middle)
        return high


class GaussianMarginal:
    """Gaussian with the mean and standard deviation (ddof 0) of the raw counts.

    Draws are rounded and clipped at 0, so their moments are not the fitted ones: clipping raises the mean of most
    genes, rounding lowers it where nearly all counts are 0. ``moments`` describes what is drawn.
    """

    def fit(self, counts: sparse.csc_array, depth: NDArray[np.float64]) -> NullFit:
        """Estimate ``mean`` and ``sd``."""
        mean, variance, _ = observed_moments(counts)
        return NullFit("Gaussian", {"mean": mean, "sd": np.sqrt(variance)})

    def scores(self, fit: NullFit, counts: sparse.csr_array, rng: np.random.Generator) -> NDArray[np.float64]:
        """Standardised counts, 0 for a constant gene."""
        mean, sd = fit.parameters["mean"], fit.parameters["sd"]
        return (counts.toarray() - mean) / np.where(sd > 0, sd, 1.0)

    def counts(self, fit: NullFit, scores: NDArray[np.float64]) -> sparse.csr_array:
        """Rounded and clipped at 0."""
        mean, sd = fit.parameters["mean"], fit.parameters["sd"]
        return sparse.csr_array(np.maximum(np.rint(mean + sd * scores), 0.0).astype(np.int64))

    def moments(self, fit: NullFit, depth: NDArray[np.float64]) -> Moments:
        """Moments of the rounded and clipped draws.

        Sums of probabilities where the standard deviation is small. Else integrals over the clipped Gaussian, with the
        correction for rounding of the Euler-Maclaurin series.
        """
        mean, sd = fit.parameters["mean"], fit.parameters["sd"]
        narrow, wide = np.flatnonzero(sd < _WIDE), np.flatnonzero(sd >= _WIDE)
        first, variance = np.empty_like(mean), np.empty_like(mean)
        first[narrow], variance[narrow] = _summed(mean[narrow], sd[narrow])
        first[wide], variance[wide] = _integrated(mean[wide], sd[wide])
        return Moments(first, variance, special.ndtr((0.5 - mean) / np.where(sd > 0, sd, 1e-300)))


def _summed(mean: NDArray[np.float64], sd: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and variance of the draws, summed over the integers within 9 standard deviations."""
    base = np.floor(np.maximum(mean - 9.0 * sd, 0.0))
    step = np.arange(1.0, np.ceil(18.0 * sd.max(initial=0.0)) + 3.0)
    distance = mean[:, None] - (base[:, None] + step - 0.5)
    # A standard deviation of 0 makes every probability 0 or 1: counts are integers, so no distance is 0.
    at_least = special.ndtr(distance / np.where(sd > 0, sd, 1e-300)[:, None])
    first, second = at_least.sum(axis=1), at_least @ (2.0 * step - 1.0)
    return base + first, second - first**2


def _integrated(mean: NDArray[np.float64], sd: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and variance of the draws, from those of a clipped Gaussian."""
    positive, density = special.ndtr(mean / sd), np.exp(-0.5 * (mean / sd) ** 2) / np.sqrt(2.0 * np.pi)
    first = mean * positive + sd * density - density / sd / 24.0
    second = (mean**2 + sd**2) * positive + mean * sd * density + positive / 12.0
    return first, second - first**2
