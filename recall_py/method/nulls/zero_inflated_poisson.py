"""Zero-inflated Poisson: a share pi of zeros on top of a Poisson(lambda) count."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, special

from recall_py.method.nulls.independent_genes import Draw, bernoulli_cells, sample_genes, truncated_poisson
from recall_py.method.nulls.moments import Moments
from recall_py.method.results import NullFit


class ZeroInflatedPoisson:
    """The default null of the original.

    Maximum likelihood in closed form, as the original computes it (DenAdel et al. 2025, doi
    10.1016/j.ajhg.2025.02.014): with mean m, share of zeros r0 and g = m / (1 - r0), the mean of the non-zeros, lambda
    / (1 - exp(-lambda)) = g is solved by the Lambert W function, lambda = g + W0(-g exp(-g)), and pi = 1 - m / lambda.
    """

    def fit(self, counts: sparse.csc_array, depth: NDArray[np.float64]) -> NullFit:
        """Estimate ``lambda`` and ``pi``; raw, so NaN for an all-zero gene and rounding noise where g <= 1."""
        counts = counts.astype(np.float64)
        n_cells = counts.shape[0]
        total = np.asarray(counts.sum(axis=0)).ravel()
        mean = total / n_cells
        n_nonzero = np.asarray(counts.count_nonzero(axis=0), dtype=np.float64).ravel()
        with np.errstate(invalid="ignore", divide="ignore"):
            mean_nonzero = total / n_nonzero  # exactly 1 where every non-zero is 1
            rate = mean_nonzero + special.lambertw(-mean_nonzero * np.exp(-mean_nonzero)).real
            inflation = 1.0 - mean / rate
        return NullFit("ZIP", {"lambda": rate, "pi": inflation, "mean": mean, "mean_nonzero": mean_nonzero})

    def sample(
        self, fit: NullFit, depth: NDArray[np.float64], seed: np.random.SeedSequence, *, n_jobs: int
    ) -> sparse.csc_array:
        """Draw knockoff counts.

        An all-zero gene stays zero; where every non-zero is 1 (g <= 1) the draw is Bernoulli(m); where pi < 0 (fewer
        zeros than a Poisson count would have) it is Poisson(m).
        """
        rate, probability = _drawn(fit)

        def draw_gene(gene: int, rng: np.random.Generator) -> Draw:
            cells = bernoulli_cells(depth.size, probability[gene], rng)
            return cells, truncated_poisson(rate[gene], cells.size, rng)

        return sample_genes(draw_gene, (depth.size, rate.size), seed, n_jobs)

    def moments(self, fit: NullFit, depth: NDArray[np.float64]) -> Moments:
        """Moments of the draws."""
        rate, probability = _drawn(fit)
        mean = _untruncated(rate, probability) * rate
        mean = np.where(rate > 0, mean, probability)
        return Moments(mean, mean * (1.0 + rate - mean), 1.0 - probability)

    def survival(self, fit: NullFit, count: NDArray[np.int64], gene: NDArray[np.int64]) -> NDArray[np.float64]:
        """Probability that a draw of `gene` is above `count`, element by element."""
        rate, probability = _drawn(fit)
        above = _untruncated(rate, probability)[gene] * special.gammainc(count + 1.0, rate[gene])
        return np.where(count == 0, probability[gene], above)


def _drawn(fit: NullFit) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What is drawn: the rate of the Poisson count given that it is not zero, and the probability of that.

    A rate of 0 stands for a count of 1.
    """
    rate, inflation = fit.parameters["lambda"], fit.parameters["pi"]
    mean, mean_nonzero = fit.parameters["mean"], fit.parameters["mean_nonzero"]
    zero, binary, deflated = mean == 0, mean_nonzero <= 1, inflation < 0
    conditions = [zero | binary, deflated]
    with np.errstate(invalid="ignore"):
        rate = np.select(conditions, [np.zeros_like(mean), mean], rate)
        probability = np.select(conditions, [mean, -np.expm1(-mean)], -np.expm1(-rate) * (1.0 - inflation))
    return rate, probability


def _untruncated(rate: NDArray[np.float64], probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weight of the Poisson count that has its zeros, 1 - pi; 0 for rate 0."""
    return np.divide(probability, -np.expm1(-rate), out=np.zeros_like(rate), where=rate > 0)
