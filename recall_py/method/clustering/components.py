"""From counts to principal components, without a dense cells x genes array.

The steps are Seurat's: library size over all columns, ln(1 + count / total * 1e4), centre, scale to unit variance (ddof
1), clip above at 10, singular value decomposition without centring again.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import eigh
from scipy.sparse.linalg import LinearOperator, svds

from recall_py.method.threads import even_blocks, one_blas_thread

MAX_SCALED = 10.0
MAX_COMPONENTS = 50
MANY_CELLS = 20_000
"""Above it, components come from the covariance of the genes, and scaled values have single precision."""
GROUP = 1 << 16
"""Cells whose products are added up by themselves, wherever that is done: it decides how sums are rounded."""
_BLOCK = 2048
_STRIP = 512
_Components = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
"""Scores, singular values, decreasing, and loadings."""


@dataclass(frozen=True)
class ScaledGenes:
    """Standardised values Z, cut above at 10, held as what they are computed from."""

    values: sparse.csc_array
    """(n_cells, n_genes) log-normalised, cells ascending within each gene."""
    mean: NDArray[np.float64]
    """(n_genes,) mean of the values."""
    inverse_sd: NDArray[np.float64]
    """(n_genes,) one over their standard deviation; 0 for a constant gene."""

    @property
    def offset(self) -> NDArray[np.float64]:
        """(n_genes,) mean over standard deviation: a value of 0 becomes minus this."""
        return self.mean * self.inverse_sd

    def uncentred(self) -> sparse.csc_array:
        """Z + 1 offset', which is sparse."""
        from recall_py._kernels.columns import scale_clipped

        scaled = np.empty(self.values.data.size)
        scale_clipped(self.values.indptr, self.values.data, self.mean, self.inverse_sd, MAX_SCALED, scaled)
        return sparse.csc_array((scaled, self.values.indices, self.values.indptr), shape=self.values.shape)

    def toarray(self) -> NDArray[np.float64]:
        """Z as a dense array; for small data."""
        return self.uncentred().toarray() - self.offset


@dataclass(frozen=True)
class Embedding:
    """Principal components."""

    scores: NDArray[np.float64]
    """(n_cells, n_components) singular vectors times singular values."""
    loadings: NDArray[np.float64]
    """(n_genes, n_components)."""
    standard_deviation: NDArray[np.float64]
    """(n_components,) of the scores, decreasing."""


def scale(values: sparse.csc_array) -> ScaledGenes:
    """Centre, scale to unit variance and cut above at 10, implicitly."""
    from recall_py._kernels.columns import column_moments

    if not values.has_sorted_indices:
        values = values.sorted_indices()
    n_cells, n_genes = values.shape
    mean, variance = np.empty(n_genes), np.empty(n_genes)
    column_moments(values.indptr, values.data, n_cells, mean, variance)
    constant = variance <= 1e-12 * mean**2
    return ScaledGenes(values, mean, np.where(constant, 0.0, 1.0 / np.sqrt(np.where(constant, 1.0, variance))))


def embed(genes: ScaledGenes, n_components: int, *, n_jobs: int = 1) -> Embedding:
    """Leading principal components of the implicit standardised matrix.

    By ARPACK (Lanczos), or from the covariance of the genes where there are more than `MANY_CELLS` cells. The sign of a
    component is fixed: its largest loading in absolute value is positive. BLAS is held to one thread, and how the work
    is cut into parts does not depend on `n_jobs`. So the scores have the same bits for any `n_jobs`.
    """
    solve = _from_covariance if genes.values.shape[0] > MANY_CELLS else _by_lanczos
    with one_blas_thread(), ThreadPoolExecutor(n_jobs) as pool:
        return embedding(*solve(genes, n_components, n_jobs, pool))


def embedding(scores: NDArray[np.float64], singular: NDArray[np.float64], loadings: NDArray[np.float64]) -> Embedding:
    """Components with their signs fixed."""
    sign = np.sign(loadings[np.abs(loadings).argmax(axis=0), np.arange(singular.size)])
    return Embedding(scores * sign, loadings * sign, singular / np.sqrt(max(1, len(scores) - 1)))


def n_components_above_noise(
    values: sparse.csc_array, standard_deviation: NDArray[np.float64], *, n_jobs: int = 1
) -> int:
    """Components that vary more than the first one of the same values with each gene shuffled over the cells.

    Parallel analysis (Horn, Psychometrika 1965, doi 10.1007/BF02289447) with one fixed shuffle; at least 2.

    Parameters
    ----------
    values
        (n_cells, n_genes) log-normalised values.
    standard_deviation
        (n_components,) of their components, decreasing.
    """
    rng = np.random.default_rng(0)
    shuffled = values.copy()
    for first, last in pairwise(values.indptr):
        shuffled.indices[first:last] = np.sort(rng.choice(values.shape[0], last - first, replace=False))
        shuffled.data[first:last] = rng.permutation(values.data[first:last])
    edge = embed(scale(shuffled), 1, n_jobs=n_jobs).standard_deviation[0]
    return max(2, int((standard_deviation > edge).sum()))


def scores_above_noise(values: sparse.csc_array, *, n_jobs: int = 1) -> NDArray[np.float64]:
    """(n_cells, n_components) scores on the components that stand above the noise, of 50 at most."""
    embedded = embed(scale(values), min(MAX_COMPONENTS, min(values.shape) - 1), n_jobs=n_jobs)
    return embedded.scores[:, : n_components_above_noise(values, embedded.standard_deviation, n_jobs=n_jobs)]


class _RowBlocks:
    """Product of a CSR matrix with a vector, a block of rows for each thread."""

    def __init__(self, matrix: sparse.csr_array, n_jobs: int, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self.n_rows = matrix.shape[0]
        self._blocks = []
        for first, last in even_blocks(self.n_rows, -(-self.n_rows // n_jobs)):
            extent = slice(matrix.indptr[first], matrix.indptr[last])
            indptr = matrix.indptr[first : last + 1] - matrix.indptr[first]
            parts = (matrix.data[extent], matrix.indices[extent], indptr)
            self._blocks.append(sparse.csr_array(parts, shape=(last - first, matrix.shape[1])))

    def __matmul__(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.concatenate(list(self._pool.map(lambda block: block @ vector, self._blocks)))


def _by_lanczos(genes: ScaledGenes, n_components: int, n_jobs: int, pool: ThreadPoolExecutor) -> _Components:
    """Each thread has whole rows of the products with vectors."""
    offset, by_gene = genes.offset, genes.uncentred()
    cell_rows = _RowBlocks(by_gene.tocsr(), n_jobs, pool)
    gene_rows = _RowBlocks(by_gene.T, n_jobs, pool)
    shape = (cell_rows.n_rows, gene_rows.n_rows)
    operator = LinearOperator(
        shape,
        matvec=lambda x: cell_rows @ np.ravel(x) - offset @ np.ravel(x),
        rmatvec=lambda y: gene_rows @ np.ravel(y) - offset * np.sum(y),
        dtype=np.float64,
    )
    start = np.random.default_rng(0).standard_normal(min(shape))
    left, singular, right = svds(operator, k=n_components, v0=start)
    order = np.argsort(-singular)
    return left[:, order] * singular[order], singular[order], right[order].T


def _from_covariance(genes: ScaledGenes, n_components: int, n_jobs: int, pool: ThreadPoolExecutor) -> _Components:
    """Two passes over groups of cells: one adds up the covariance, one projects."""
    del n_jobs  # the pool has that many threads, and the parts are the same for any number
    groups = even_blocks(genes.values.shape[0], GROUP)
    n_genes = genes.values.shape[1]
    covariance = np.zeros((n_genes, n_genes))
    for group in groups:
        covariance += group_products(genes, group, pool)
    variance, loadings = leading_components(covariance, n_components)
    scores = np.concatenate([project(genes, group, loadings, pool) for group in groups])
    return scores, np.sqrt(variance), loadings


def group_products(genes: ScaledGenes, cells: tuple[int, int], pool: ThreadPoolExecutor) -> NDArray[np.float64]:
    """(n_genes, n_genes) Z'Z over some cells, its lower triangle; each thread has whole rows."""
    n_genes = genes.values.shape[1]
    products = np.zeros((n_genes, n_genes))
    strips = even_blocks(n_genes, _STRIP)
    for block in _dense_blocks(genes, cells, pool):

        def add(strip: tuple[int, int], block: NDArray[np.float32] = block) -> None:
            rows = slice(*strip)
            products[rows, : strip[1]] += block[rows] @ block[: strip[1]].T

        list(pool.map(add, strips))
    return products


def leading_components(
    covariance: NDArray[np.float64], n_components: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Decreasing eigenvalues, and eigenvectors as columns, of a lower triangle, which is overwritten."""
    n_genes = len(covariance)
    # The transpose is what LAPACK takes without a copy.
    largest = [n_genes - n_components, n_genes - 1]
    values, vectors = eigh(covariance.T, lower=False, subset_by_index=largest, overwrite_a=True, check_finite=False)
    return np.maximum(values[::-1], 0.0), vectors[:, ::-1]


def project(
    genes: ScaledGenes, cells: tuple[int, int], loadings: NDArray[np.float64], pool: ThreadPoolExecutor
) -> NDArray[np.float64]:
    """(n, n_components) scores of some cells."""
    single = np.ascontiguousarray(loadings, dtype=np.float32)
    scores = [block.T @ single for block in _dense_blocks(genes, cells, pool)]
    return np.concatenate(scores).astype(np.float64)


def _dense_blocks(
    genes: ScaledGenes, cells: tuple[int, int], pool: ThreadPoolExecutor
) -> Iterator[NDArray[np.float32]]:
    """(n_genes, n) Z' of the next cells, a few at a time."""
    from recall_py._kernels.columns import fill_standardised, first_entries

    values = genes.values
    n_genes = values.shape[1]
    at = np.empty(n_genes, dtype=np.int64)
    first_entries(values.indptr, values.indices, cells[0], at)
    matrix = (values.indptr, values.indices, values.data, genes.mean, genes.inverse_sd, MAX_SCALED)
    for first in range(*cells, _BLOCK):
        block = np.empty((n_genes, min(_BLOCK, cells[1] - first)), dtype=np.float32)

        def fill(strip: tuple[int, int], first: int = first, block: NDArray[np.float32] = block) -> None:
            fill_standardised(*strip, *matrix, first, at, block)

        list(pool.map(fill, even_blocks(n_genes, _STRIP)))
        yield block
