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
_SHUFFLES = 3
_LARGE_MEAN = 200.0
"""Above it, gamma and Poisson draws are faster than adding up terms, and exp(-mean) is far from underflow below it."""
_SMALL_DISPERSION = 1e-8
_CUT_STEPS = 5
_LEAST_SHARE = 0.05
"""Of the variance that a cluster of its size has along a factor in which all cells vary alike."""
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


def fit_population(
    counts: NDArray[np.float64],
    strata: Strata,
    pieces: NDArray[np.integer],
    is_first: NDArray[np.bool_],
    rng: np.random.Generator,
) -> Population:
    """Fit one population to (n_cells, n_genes) counts.

    Moments, in closed form: mean m_j s_i with s_i the relative depth; overdispersion phi_j = max(0, sum((x - mu)^2 - x)
    / sum(mu^2)). What varies continuously varies within the pieces too, a gap between kinds of cells does not: the
    directions of the factors are the components of the Pearson residuals within pieces whose eigenvalues pass those of
    the same residuals with each gene shuffled. One that hardly varies in one of the two clusters is left out: it is a
    gap within the other, which then holds two kinds itself. A factor is as strong as the variance of all cells along
    it, shrunk as a spiked covariance model has it (Paul, Stat. Sinica 2007; Donoho, Gavish & Johnstone, Ann. Stat.
    2018, doi 10.1214/17-AOS1601).

    Parameters
    ----------
    counts
        Every gene with at least one count.
    strata
        From :func:`strata_of`: the means are those within batches.
    pieces
        (n_cells,) codes 0..n-1 of the clusters that were joined to make up the two that are compared.
    is_first
        (n_cells,) which of the two clusters a cell is in.
    rng
        Shuffles the residuals.
    """
    mean = _expected(counts, strata)
    squared = mean**2
    dispersion = np.maximum(0.0, ((counts - mean) ** 2 - counts).sum(axis=0) / squared.sum(axis=0))
    spread = mean + dispersion * squared
    unit = np.where(spread > 0, spread, 1.0)
    bound = np.sqrt(len(counts))
    residuals = np.clip((counts - mean) / np.sqrt(unit), -bound, bound)
    loadings = (
        _factors(residuals, pieces, is_first, rng)
        / np.maximum(np.sqrt((squared / unit).mean(axis=0)), 1e-6)[:, np.newaxis]
    )
    explained = (loadings**2).sum(axis=1)
    loadings *= np.sqrt(np.minimum(1.0, np.log1p(dispersion) / np.maximum(explained, 1e-12)))[:, np.newaxis]
    rest = np.maximum(0.0, (1.0 + dispersion) / np.exp((loadings**2).sum(axis=1)) - 1.0)
    return Population(mean, loadings, rest)


def _factors(
    residuals: NDArray[np.float64],
    pieces: NDArray[np.integer],
    is_first: NDArray[np.bool_],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """(n_genes, n_factors) directions within pieces, each as long as the standard deviation of all cells along it."""
    n_cells, n_genes = residuals.shape
    n_pieces = int(pieces.max()) + 1
    within = residuals - np.array([residuals[pieces == piece].mean(axis=0) for piece in range(n_pieces)])[pieces]
    freedom = n_cells - n_pieces
    if freedom < 2:
        return np.zeros((n_genes, 0))
    values, vectors = leading_eigenvectors(within @ within.T, min(MAX_FACTORS, freedom - 1))
    edge = float(np.mean([_largest_by_chance(within, rng) for _ in range(_SHUFFLES)]))
    kept = values > edge
    for side in (is_first, ~is_first):
        share_of_side = (side.sum() - np.unique(pieces[side]).size) / freedom
        kept &= (vectors[side] ** 2).sum(axis=0) >= _LEAST_SHARE * share_of_side
    values, vectors = values[kept], vectors[:, kept]
    directions = within.T @ vectors / np.sqrt(values)
    variance = np.maximum(values / freedom, ((residuals @ directions) ** 2).mean(axis=0))
    aspect = n_genes / freedom
    noise = edge / freedom / (1.0 + np.sqrt(aspect)) ** 2
    scaled = variance / noise
    shifted = scaled + 1.0 - aspect
    spike = (shifted + np.sqrt(np.maximum(shifted**2 - 4.0 * scaled, 0.0))) / 2.0
    return directions * np.sqrt(np.maximum(spike - 1.0, 0.0) * noise)


def _largest_by_chance(residuals: NDArray[np.float64], rng: np.random.Generator) -> float:
    """Largest eigenvalue when each gene is shuffled over the cells."""
    shuffled = rng.permuted(residuals, axis=0).astype(np.float32)
    last = len(shuffled) - 1
    return float(eigh(shuffled @ shuffled.T, subset_by_index=[last, last], eigvals_only=True, check_finite=False)[0])


def draw_population(population: Population, rng: np.random.Generator) -> NDArray[np.float64]:
    """(n_cells, n_genes) counts of cells with the same depths and batches, and new factors."""
    from recall_py._kernels.negative_binomial import invert_negative_binomial

    rate, loadings = population.mean, population.loadings
    if loadings.shape[1]:
        factors = rng.standard_normal((len(rate), loadings.shape[1]))
        factors -= factors.mean(axis=0)
        rate = rate * np.exp(factors @ loadings.T - 0.5 * (loadings**2).sum(axis=1))
    counts = np.empty(rate.shape)
    invert_negative_binomial(rng.random(rate.shape), np.minimum(rate, _LARGE_MEAN), population.rest, counts)
    cell, gene = np.nonzero(rate > _LARGE_MEAN)
    rest = np.maximum(population.rest[gene], _SMALL_DISPERSION)
    counts[cell, gene] = rng.poisson(rate[cell, gene] * rng.gamma(1.0 / rest, rest))
    return counts


def cut(
    scores: NDArray[np.floating],
    values: NDArray[np.floating],
    is_first: NDArray[np.bool_],
    direction: NDArray[np.floating],
    strata: Strata,
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Cut cells in two as a clustering would, with as many cells in the first part as `is_first` has; True for it.

    Steps of 2-means with the sizes held: the cells are ordered along the difference of the two means and cut again.
    From `direction` and from random directions; the cut stands that is seen best in single genes, by the sum of the
    fourth powers of the differences of means: a clustering has many cuts to choose from, and one along a single module
    of genes has the better markers than one across several.

    Parameters
    ----------
    scores
        (n_cells, n_components).
    values
        (n_cells, n_genes) scaled values.
    is_first
        (n_cells,) the real cut, for the sizes.
    direction
        (n_cells,) positions of the cells along which the first cut is made.
    strata
        Cells whose sizes are held each by themselves, one array for each batch.
    """
    best, most = is_first, -np.inf
    for attempt in range(1 + _RANDOM_STARTS):
        if attempt:
            direction = scores @ (rng.standard_normal(scores.shape[1]) * scores.std(axis=0))
        part = _top(direction, is_first, strata)
        for _ in range(_CUT_STEPS):
            again = _top(scores @ _difference(scores, part), is_first, strata)
            if np.array_equal(again, part):
                break
            part = again
        seen = float((_difference(values, part) ** 4).sum())
        if seen > most:
            best, most = part, seen
    return best


def strata_of(batches: NDArray[np.integer] | None, n_cells: int) -> Strata:
    """Cells of each batch that occurs; all cells in one where there are no batches."""
    return [np.arange(n_cells)] if batches is None else [np.flatnonzero(batches == code) for code in np.unique(batches)]


def leading_eigenvectors(
    symmetric: NDArray[np.floating], n_vectors: int
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Largest eigenvalues, decreasing, and their vectors as columns, in the precision of the matrix."""
    n = len(symmetric)
    values, vectors = eigh(symmetric, subset_by_index=[n - min(n_vectors, n), n - 1], check_finite=False)
    return values[::-1], vectors[:, ::-1]


def _difference(values: NDArray[np.floating], part: NDArray[np.bool_]) -> NDArray[np.floating]:
    """Mean of the cells of the part less that of the others."""
    weight = np.where(part, 1.0 / part.sum(), -1.0 / (~part).sum())
    return weight.astype(values.dtype) @ values


def _top(position: NDArray[np.floating], is_first: NDArray[np.bool_], strata: Strata) -> NDArray[np.bool_]:
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
