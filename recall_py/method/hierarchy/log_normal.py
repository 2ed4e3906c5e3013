"""One population of cells: Poisson counts whose rates are log-normal and go together, fitted by moments."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from recall_py.method.hierarchy.components import leading_eigenvectors

_LEVEL = 0.05
"""Level of the test by which a gene varies more than a Poisson gene does."""


class LogNormal(NamedTuple):
    """The model of a population."""

    mean: NDArray[np.float64]
    """(n_genes,) of the counts; all that Poisson genes have."""
    varying: NDArray[np.int64]
    """Genes whose rates vary from cell to cell."""
    log_mean: NDArray[np.float64]
    """(n_varying,) of the logarithms of their rates."""
    loadings: NDArray[np.float64]
    """(n_varying, n_factors) what the logarithms share."""
    own: NDArray[np.float64]
    """(n_varying,) standard deviation of what each has for itself."""


def fit(counts: NDArray[np.float64], n_factors: int) -> LogNormal:
    """Estimate the model from cells x genes.

    With mean m and covariance S of the counts, the logarithms of the rates have the covariance log(1 + (S_jk - [j = k]
    m_j) / (m_j m_k)). Of this its leading factors are kept, at most as far as the variance of a gene goes, and the rest
    of the variance of each gene. Two genes that are never seen together count as if half a cell had one of each.
    """
    n_cells = len(counts)
    mean = counts.mean(axis=0)
    candidates = np.flatnonzero(_varies(counts))
    covariance = np.cov(counts[:, candidates], rowvar=False).reshape(2 * (candidates.size,))
    excess = (np.diag(covariance) - mean[candidates]) / mean[candidates] ** 2
    varying = candidates[excess > 0]
    products = np.outer(mean[varying], mean[varying])
    together = covariance[np.ix_(excess > 0, excess > 0)] + products
    latent = np.log(np.maximum(together, np.minimum(0.5 / n_cells, products)) / products)
    variance = np.log1p(excess[excess > 0])
    np.fill_diagonal(latent, variance)
    loadings = np.zeros((varying.size, 0))
    if varying.size > 1:
        values, vectors = leading_eigenvectors(latent, min(n_factors, varying.size - 1))
        loadings = vectors * np.sqrt(values)
    shared = (loadings**2).sum(axis=1)
    loadings *= np.sqrt(variance / np.maximum(shared, variance))[:, None]
    own = np.sqrt(np.maximum(variance - shared, 0.0))
    return LogNormal(mean, varying, np.log(mean[varying]) - variance / 2, loadings, own)


def draw(model: LogNormal, n_cells: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(n_cells, n_genes) counts of cells of the population."""
    factors = rng.standard_normal((n_cells, model.loadings.shape[1]))
    own = rng.standard_normal((n_cells, model.own.size))
    rates = np.tile(model.mean, (n_cells, 1))
    rates[:, model.varying] = np.exp(model.log_mean + factors @ model.loadings.T + own * model.own)
    return rng.poisson(rates).astype(np.float64)


def _varies(counts: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(n_genes,) whether the squared Pearson residuals are larger than those of Poisson counts."""
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0) / max(counts.sum(), 1.0))
    squares = np.divide((counts - expected) ** 2, expected, out=np.zeros(counts.shape), where=expected > 0)
    return np.sqrt(len(counts) / 2) * (squares.mean(axis=0) - 1) > ndtri(1 - _LEVEL)
