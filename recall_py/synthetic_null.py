"""One population of cells as a model: what a pair of clusters would look like if both were of one kind.

Counts are Poisson; the log rates have continuous factors that all cells share (co-expression, cell cycle, drift), and
what variance is left is gamma. Depths and batches are those of the cells. Draws from it keep each gene's mean, its
overdispersion and the strongest correlations, but have no groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

MAX_FACTORS = 20
_RANDOM_STARTS = 3
_CUT_STEPS = 5
Strata = list[NDArray[np.int64]]
"""Cells of each batch."""


@dataclass(frozen=True)
class Population:
    """A Poisson log-normal factor model with gamma overdispersion."""

    mean: NDArray[np.float64]
    """(n_cells, n_genes) expected counts, of the depth and the batch of each cell."""
    loadings: NDArray[np.float64]
    """(n_genes, n_factors) of the log rate on standard normal factors."""
    rest: NDArray[np.float64]
    """(n_genes,) variance of the gamma factor that is left."""


def fit_population(counts: NDArray[np.float64], strata: Strata, rng: np.random.Generator) -> Population:
    """Fit one population to (n_cells, n_genes) counts.

    Moments, in closed form: mean m_j s_i with s_i the relative depth; overdispersion phi_j = max(0, sum((x - mu)^2 - x)
    / sum(mu^2)); factors are the components of the Pearson residuals whose eigenvalues pass the largest of the same
    residuals with each gene shuffled. A factor's strength is shrunk from its eigenvalue as a spiked covariance model
    has it (Paul, Stat. Sinica 2007; Donoho, Gavish & Johnstone, Ann. Stat. 2018, doi 10.1214/17-AOS1601).

    Parameters
    ----------
    counts
        Every gene with at least one count.
    strata
        From :func:`strata_of`: the means are those within batches.
    rng
        Shuffles the residuals.
    """
    n_cells, n_genes = counts.shape
    mean = _expected(counts, strata)
    squared = mean**2
    dispersion = np.maximum(0.0, ((counts - mean) ** 2 - counts).sum(axis=0) / squared.sum(axis=0))
    spread = mean + dispersion * squared
    residuals = (counts - mean) / np.sqrt(np.where(spread > 0, spread, 1.0))
    residuals = np.clip(residuals, -np.sqrt(n_cells), np.sqrt(n_cells))
    most = min(MAX_FACTORS, n_cells - 1)
    values, vectors = leading_eigenvectors(residuals @ residuals.T, most)
    shuffled = rng.permuted(residuals, axis=0)
    edge = leading_eigenvectors(shuffled @ shuffled.T, 1)[0][0]
    n_factors = int((values > edge).sum())
    values, vectors = values[:n_factors], vectors[:, :n_factors]
    aspect = n_genes / n_cells
    noise = edge / n_cells / (1.0 + np.sqrt(aspect)) ** 2
    scaled = values / n_cells / noise
    shifted = scaled + 1.0 - aspect
    spike = (shifted + np.sqrt(np.maximum(shifted**2 - 4.0 * scaled, 0.0))) / 2.0
    strength = np.sqrt(np.maximum(spike - 1.0, 0.0) * noise)
    directions = residuals.T @ vectors / np.sqrt(values)
    weight = np.sqrt((squared / np.where(spread > 0, spread, 1.0)).mean(axis=0))
    loadings = directions * strength / np.maximum(weight, 1e-6)[:, np.newaxis]
    explained = (loadings**2).sum(axis=1)
    loadings *= np.sqrt(np.minimum(1.0, np.log1p(dispersion) / np.maximum(explained, 1e-12)))[:, np.newaxis]
    rest = np.maximum(0.0, (1.0 + dispersion) / np.exp((loadings**2).sum(axis=1)) - 1.0)
    return Population(mean, loadings, rest)


def draw_population(population: Population, rng: np.random.Generator) -> NDArray[np.float64]:
    """(n_cells, n_genes) counts of cells with the same depths and batches, and new factors."""
    n_cells, n_factors = len(population.mean), population.loadings.shape[1]
    rate = population.mean
    if n_factors:
        factors = rng.standard_normal((n_cells, n_factors))
        factors -= factors.mean(axis=0)
        log_rate = factors @ population.loadings.T - 0.5 * (population.loadings**2).sum(axis=1)
        rate = rate * np.exp(log_rate)
    spread = np.flatnonzero(population.rest > 1e-8)
    rest = population.rest[spread]
    rate = rate.copy()
    rate[:, spread] *= rng.gamma(1.0 / rest, rest, size=(n_cells, spread.size))
    return rng.poisson(rate).astype(np.float64)


def cut(
    scores: NDArray[np.float64],
    is_first: NDArray[np.bool_],
    direction: NDArray[np.float64],
    strata: Strata,
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Cut cells in two as a clustering would, with as many cells in the first part as `is_first` has; True for it.

    Steps of 2-means with the sizes held: the cells are ordered along the difference of the two means and cut again.
    From `direction` and from random directions; the cut with the largest sum of squares between the parts stands.

    Parameters
    ----------
    scores
        (n_cells, n_components).
    is_first
        (n_cells,) the real cut, for the sizes.
    direction
        (n_cells,) positions of the cells along which the first cut is made.
    strata
        Cells whose sizes are held each by themselves, one array for each batch.
    """
    best, best_between = is_first, -np.inf
    for attempt in range(1 + _RANDOM_STARTS):
        if attempt:
            direction = scores @ (rng.standard_normal(scores.shape[1]) * scores.std(axis=0))
        part = _top(direction, is_first, strata)
        for _ in range(_CUT_STEPS):
            again = _top(scores @ _difference(scores, part), is_first, strata)
            if np.array_equal(again, part):
                break
            part = again
        between = float((_difference(scores, part) ** 2).sum())
        if between > best_between:
            best, best_between = part, between
    return best


def strata_of(batches: NDArray[np.integer] | None, n_cells: int) -> Strata:
    """Cells of each batch that occurs; all cells in one where there are no batches."""
    return [np.arange(n_cells)] if batches is None else [np.flatnonzero(batches == code) for code in np.unique(batches)]


def leading_eigenvectors(
    symmetric: NDArray[np.float64], n_vectors: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Largest eigenvalues, decreasing, and their vectors as columns."""
    n = len(symmetric)
    values, vectors = eigh(symmetric, subset_by_index=[n - min(n_vectors, n), n - 1], check_finite=False)
    return values[::-1], vectors[:, ::-1]


def _difference(scores: NDArray[np.float64], part: NDArray[np.bool_]) -> NDArray[np.float64]:
    return scores[part].mean(axis=0) - scores[~part].mean(axis=0)


def _top(position: NDArray[np.float64], is_first: NDArray[np.bool_], strata: Strata) -> NDArray[np.bool_]:
    """The foremost cells, in each stratum as many as the real cut has there."""
    part = np.zeros(position.size, dtype=np.bool_)
    for cells in strata:
        part[cells[np.argsort(-position[cells], kind="stable")[: is_first[cells].sum()]]] = True
    return part


def _expected(counts: NDArray[np.float64], strata: Strata) -> NDArray[np.float64]:
    """Depth of the cell times the gene's share, within each batch."""
    depth = counts.sum(axis=1)
    mean = np.empty_like(counts)
    for cells in strata:
        mean[cells] = np.outer(depth[cells], counts[cells].sum(axis=0) / depth[cells].sum())
    return mean
