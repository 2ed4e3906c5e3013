"""One population of cells as a model: what a pair of clusters would look like if both were of one kind.

Counts are Poisson; the log rates have continuous factors that all cells share (co-expression, cell cycle, drift), and
what variance is left is gamma. Depths and batches are those of the cells. Draws from it keep each gene's mean, its
overdispersion and the strongest correlations, but have no groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import eigh
from scipy.optimize import minimize_scalar

MAX_FACTORS = 20
_LEAST_SHARE = 0.05
"""Of the variance that a cluster of its size has along a factor in which all cells vary alike."""
_SPARE = 8
"""Vectors beside those that are asked for, by which the iterations get nearer to them."""
_ITERATIONS = 6


@dataclass(frozen=True)
class Population:
    """A Poisson log-normal factor model with gamma overdispersion."""

    depth: NDArray[np.float32]
    """(n_cells,) counts of each cell."""
    stratum: NDArray[np.int32]
    """(n_cells,) codes of the batches."""
    share: NDArray[np.float32]
    """(n_strata, n_genes) of all counts of a batch."""
    loadings: NDArray[np.float32]
    """(n_genes, n_factors) of the log rate on standard normal factors."""
    rest: NDArray[np.float64]
    """(n_genes,) variance of the gamma factor that is left."""


def fit_population(
    counts: sparse.csc_array,
    stratum: NDArray[np.int32],
    pieces: NDArray[np.integer],
    is_first: NDArray[np.bool_],
    rng: np.random.Generator,
) -> Population:
    """Fit one population to (n_cells, n_genes) counts.

    Moments, in closed form: mean m_j s_i with s_i the relative depth; overdispersion phi_j = max(0, sum((x - mu)^2 - x)
    / sum(mu^2)), within batches of n cells with the squares times n / (n - 1). What varies continuously varies within
    the pieces too, a gap between kinds of cells does not: the directions of the factors are the components of the
    Pearson residuals within pieces whose eigenvalues pass those of independent genes with the same variances. One that
    hardly varies in one of the two clusters is left out: it is a gap within the other, which then holds two kinds
    itself. A factor is as strong as the variance of all cells along it, shrunk as a spiked covariance model has it
    (Paul, Stat. Sinica 2007; Donoho, Gavish & Johnstone, Ann. Stat. 2018, doi 10.1214/17-AOS1601).

    Parameters
    ----------
    counts
        Every gene with at least one count.
    stratum
        (n_cells,) codes 0..n-1 of the batches: the means are those within them.
    pieces
        (n_cells,) codes 0..n-1 of the clusters that were joined to make up the two that are compared.
    is_first
        (n_cells,) which of the two clusters a cell is in.
    rng
        Starts the iterations that find components.
    """
    from recall_py._kernels.null_cells import pearson_residuals

    n_cells, n_genes = counts.shape
    depth = np.asarray(counts.sum(axis=1), dtype=np.float32)
    in_batches = (counts.T @ np.eye(int(stratum.max()) + 1)[stratum]).T
    share = (in_batches / in_batches.sum(axis=1, keepdims=True)).astype(np.float32)
    inflation, certainty = _chance_of_means(stratum, in_batches)
    residuals = np.empty((n_genes, n_cells), dtype=np.float32)
    dispersion, attenuation = np.empty((2, n_genes))
    pearson_residuals(
        counts.indptr,
        counts.indices,
        counts.data,
        depth,
        stratum,
        share,
        inflation,
        certainty,
        residuals,
        dispersion,
        attenuation,
    )
    if inflation.size > 1:
        residuals *= np.sqrt(inflation)[stratum].astype(np.float32)
    loadings = _factors(residuals, pieces, is_first, rng) / np.maximum(np.sqrt(attenuation), 1e-6)[:, np.newaxis]
    explained = (loadings**2).sum(axis=1)
    loadings *= np.sqrt(np.minimum(1.0, np.log1p(dispersion) / np.maximum(explained, 1e-12)))[:, np.newaxis]
    rest = np.maximum(0.0, (1.0 + dispersion) / np.exp((loadings**2).sum(axis=1)) - 1.0)
    return Population(depth, stratum, share, loadings.astype(np.float32), rest)


def _chance_of_means(
    stratum: NDArray[np.int32], in_batches: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What means that are fitted to the cells of small batches do to variances; ones where there is one batch.

    (n_strata,) n / (n - 1), and (n_strata, n_genes) (x - 1) / x of the x counts of a gene in a batch, by which the
    square of their mean is that of the true mean on average. In batches of ten cells and counts of .5 an
    overdispersion of .8 would else be found as .4, and the factors would be as much too weak.
    """
    n_cells = np.bincount(stratum).astype(np.float64)
    if n_cells.size == 1:
        return np.ones(1), np.ones_like(in_batches)
    return n_cells / np.maximum(n_cells - 1.0, 1.0), np.maximum(1.0 - 1.0 / np.maximum(in_batches, 1.0), 0.0)


def _factors(
    residuals: NDArray[np.float32],
    pieces: NDArray[np.integer],
    is_first: NDArray[np.bool_],
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """(n_genes, n_factors) directions within pieces, each as long as the standard deviation of all cells along it.

    The (n_genes, n_cells) residuals become those within pieces.
    """
    n_genes, n_cells = residuals.shape
    n_pieces = int(pieces.max()) + 1
    freedom = n_cells - n_pieces
    if freedom < 2:
        return np.zeros((n_genes, 0), dtype=np.float32)
    member = np.eye(n_pieces, dtype=np.float32)[pieces]
    of_pieces = residuals @ (member / member.sum(axis=0))
    residuals -= of_pieces @ member.T
    values, vectors = leading_eigenvectors(residuals.T @ residuals, min(MAX_FACTORS, freedom - 1), rng)
    edge = _edge(residuals)
    kept = values > edge
    for side in (is_first, ~is_first):
        share_of_side = (side.sum() - np.unique(pieces[side]).size) / freedom
        kept &= (vectors[side] ** 2).sum(axis=0) >= _LEAST_SHARE * share_of_side
    values, vectors = values[kept], vectors[:, kept]
    directions = residuals @ (vectors / np.sqrt(values))
    along = vectors * np.sqrt(values) + member @ (of_pieces.T @ directions)
    variance = np.maximum(values / freedom, (along**2).mean(axis=0))
    aspect = n_genes / freedom
    noise = edge / freedom / (1.0 + np.sqrt(aspect)) ** 2
    scaled = variance / noise
    shifted = scaled + 1.0 - aspect
    spike = (shifted + np.sqrt(np.maximum(shifted**2 - 4.0 * scaled, 0.0))) / 2.0
    return np.asarray(directions * np.sqrt(np.maximum(spike - 1.0, 0.0) * noise), dtype=np.float32)


def _edge(residuals: NDArray[np.float32]) -> float:
    """Largest eigenvalue of the products of cells, were the genes independent and each cell like the others.

    The edge of the generalised Marchenko-Pastur law for genes of these variances s: the least value for 0 < t < 1 / max
    s of n / t + sum(s / (1 - t s)) (Silverstein & Choi, J. Multivar. Anal. 1995, doi 10.1006/jmva.1995.1058).
    """
    n_cells = residuals.shape[1]
    variance = np.einsum("gc,gc->g", residuals, residuals).astype(np.float64) / n_cells
    if not variance.any():
        return np.inf
    end = 1.0 / variance.max()
    found = minimize_scalar(
        lambda t: n_cells / t + (variance / (1.0 - t * variance)).sum(),
        bounds=(1e-6 * end, (1.0 - 1e-6) * end),
        method="bounded",
    )
    return float(found.fun)


def draw_population(population: Population, rng: np.random.Generator) -> sparse.csc_array:
    """(n_cells, n_genes) counts of cells with the same depths and batches, and new factors."""
    from recall_py._kernels.null_cells import draw_counts

    loadings, n_cells, n_genes = population.loadings, population.depth.size, population.rest.size
    factors = rng.standard_normal((n_cells, loadings.shape[1]), dtype=np.float32)
    factors -= factors.mean(axis=0)
    log_rate = loadings @ factors.T
    log_rate -= 0.5 * (loadings**2).sum(axis=1)[:, np.newaxis]
    indptr = np.zeros(n_genes + 1, dtype=np.int32)
    cells, counts = np.empty(n_genes * n_cells, dtype=np.int32), np.empty(n_genes * n_cells, dtype=np.float32)
    n_found = draw_counts(
        rng,
        log_rate,
        population.depth,
        population.stratum,
        population.share,
        population.rest,
        indptr,
        cells,
        counts,
    )
    return sparse.csc_array((counts[:n_found].copy(), cells[:n_found].copy(), indptr), shape=(n_cells, n_genes))


def leading_eigenvectors(
    symmetric: NDArray[np.floating], n_vectors: int, rng: np.random.Generator
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Largest eigenvalues of a matrix without negative ones, decreasing, and their vectors as columns.

    By subspace iterations (Halko, Martinsson & Tropp, SIAM Rev. 2011, algorithm 4.4): those well apart from the rest
    are right to the precision of the matrix, others are a little too small. The largest entry of a vector is positive:
    which sign comes out of the iterations belongs to the processor. NumPy's qr works in double precision: in single,
    what belongs to the processor was seen in the cuts.
    """
    n = len(symmetric)
    n_vectors = min(n_vectors, n)
    size = min(n_vectors + _SPARE, n)
    basis = rng.standard_normal((n, size)).astype(symmetric.dtype)
    for _ in range(_ITERATIONS):
        basis = np.linalg.qr(symmetric @ basis)[0]
    values, inside = eigh(basis.T @ symmetric @ basis, check_finite=False)
    vectors = basis @ inside[:, ::-1][:, :n_vectors]
    sign = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(n_vectors)])
    return values[::-1][:n_vectors], vectors * sign
