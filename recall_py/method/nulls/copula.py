"""Gaussian copulas: a marginal distribution for each gene, and the gene-gene correlation between them."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recall_py.method.nulls.marginals import Marginal
from recall_py.method.nulls.moments import Moments, observed_moments
from recall_py.method.results import NullFit
from recall_py.method.threads import even_blocks, map_blocks, one_blas_thread

_CHUNK = 1024
"""Cells that share a generator. Changing it changes the draws."""
_TRANSFORM_SEED = 41587
"""The fit is deterministic: its randomised transforms always come from this seed."""
_FIRST_RIDGE = 1e-6


class Copula:
    """Knockoffs that keep the marginal distributions and the gene-gene correlation.

    As scDesign3 does (Song et al., Nature Biotechnology 2024, doi 10.1038/s41587-023-01772-1): counts become normal
    scores by the randomised probability transform of their marginal, the scores have a correlation matrix R, and draws
    of N(0, R) become counts by the quantile functions. The random part of the transform weakens the correlation of
    sparse genes: most of their score is noise within the mass at zero. The Gaussian marginal has no random part, so its
    R is the Pearson correlation of the counts.

    Knockoffs of different genes are correlated, but no row belongs to the cell of the same row.
    """

    def __init__(self, name: str, marginal: Marginal) -> None:
        self.name = name
        self.marginal = marginal

    def fit(self, counts: sparse.csc_array, depth: NDArray[np.float64]) -> NullFit:
        """Estimate the marginals and R.

        R is accumulated over chunks of cells. A gene that is constant is correlated with none. If R is not positive
        definite, as with more genes than cells, the smallest ridge of 1e-6, 1e-5, ... that makes it so is added to its
        diagonal, and R is scaled to unit diagonal again: all correlations shrink by that share.
        """
        fitted = self.marginal.fit(counts, depth)
        correlation = _correlation(self.marginal, fitted, counts)
        return dataclasses.replace(fitted, family=self.name, correlation=correlation)

    def sample(
        self, fit: NullFit, depth: NDArray[np.float64], seed: np.random.SeedSequence, *, n_jobs: int
    ) -> sparse.csc_array:
        """Draw knockoff counts, each chunk of cells from its own child of the seed."""
        if fit.correlation is None:
            msg = f"This fit holds no correlation. Fit again: null_model({self.name!r}).fit(counts, depth)"
            raise ValueError(msg)
        chunks = even_blocks(depth.size, _CHUNK)
        tasks = list(zip(chunks, seed.spawn(len(chunks)), strict=True))
        with one_blas_thread():
            factor = np.linalg.cholesky(fit.correlation).T

            def draw_chunk(task: tuple[tuple[int, int], np.random.SeedSequence]) -> sparse.csr_array:
                (first, last), chunk_seed = task
                normal = np.random.default_rng(chunk_seed).standard_normal((last - first, len(factor)))
                return self.marginal.counts(fit, normal @ factor)

            drawn = map_blocks(draw_chunk, tasks, n_jobs)
        return sparse.csc_array(sparse.vstack(drawn, format="csc"))

    def moments(self, fit: NullFit, depth: NDArray[np.float64]) -> Moments:
        """Moments of the draws: those of the marginals."""
        return self.marginal.moments(fit, depth)


def _correlation(marginal: Marginal, fit: NullFit, counts: sparse.csc_array) -> NDArray[np.float64]:
    """Correlation of the normal scores, (n_genes, n_genes), positive definite."""
    n_cells, n_genes = counts.shape
    by_cell = counts.tocsr()
    chunks = even_blocks(n_cells, _CHUNK)
    seeds = np.random.SeedSequence(_TRANSFORM_SEED).spawn(len(chunks))
    total, products = np.zeros(n_genes), np.zeros((n_genes, n_genes))
    with one_blas_thread():
        for (first, last), seed in zip(chunks, seeds, strict=True):
            scores = marginal.scores(fit, by_cell[first:last], np.random.default_rng(seed))
            total += scores.sum(axis=0)
            products += scores.T @ scores
        mean = total / n_cells
        products /= n_cells
        products -= np.outer(mean, mean)
        constant = observed_moments(counts).variance == 0
        sd = np.where(constant, 1.0, np.sqrt(np.diagonal(products)))
        products /= np.outer(sd, sd)
        products[constant, :] = 0.0
        products[:, constant] = 0.0
        np.fill_diagonal(products, 1.0)
        return _positive_definite(products)


def _positive_definite(correlation: NDArray[np.float64]) -> NDArray[np.float64]:
    """The matrix, with its correlations shrunk by the least ridge that lets it be factored."""
    mended, ridge = correlation, _FIRST_RIDGE
    while not _has_factor(mended):
        mended = correlation / (1.0 + ridge)
        np.fill_diagonal(mended, 1.0)
        ridge *= 10.0
    return mended


def _has_factor(matrix: NDArray[np.float64]) -> bool:
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    return True
