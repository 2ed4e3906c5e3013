"""From counts to principal components, without a dense cells x genes array.

The steps are Seurat's: library size over all columns, ln(1 + count / total * 1e4), centre, scale to unit variance (ddof
1), clip above at 10, singular value decomposition without centring again.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import eigh
from scipy.sparse.linalg import LinearOperator, svds
from threadpoolctl import threadpool_limits

from recall_py.threads import even_blocks

TARGET_TOTAL = 1e4
MAX_SCALED = 10.0
MANY_CELLS = 20_000
"""Above it, components come from the covariance of the genes, and scaled values have single precision."""
_BLOCK = 2048
_STRIP = 512
_Components = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
"""Scores, singular values, decreasing, and loadings."""


@dataclass(frozen=True)
class ScaledGenes:
    """Standardised values Z = scaled - 1 offset', held as sparse `scaled` and one `offset` for each gene."""

    by_gene: sparse.csc_array
    """(n_cells, n_genes) `scaled`."""
    offset: NDArray[np.float64]
    """(n_genes,) mean over standard deviation; 0 for a constant gene."""

    def toarray(self) -> NDArray[np.float64]:
        """Z as a dense array; for small data."""
        return self.by_gene.toarray() - self.offset


@dataclass(frozen=True)
class Embedding:
    """Principal components."""

    scores: NDArray[np.float64]
    """(n_cells, n_components) singular vectors times singular values."""
    loadings: NDArray[np.float64]
    """(n_genes, n_components)."""
    standard_deviation: NDArray[np.float64]
    """(n_components,) of the scores, decreasing."""


def log_normalise(counts: sparse.csc_array, dtype: type = np.float32) -> sparse.csc_array:
    """ln(1 + count / total * 1e4) with the cell's total over all columns. Equal ratios stay exactly equal."""
    totals = np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel()
    if not totals.all():
        msg = f"{np.count_nonzero(totals == 0)} cells have no counts in real genes and knockoffs together."
        raise ValueError(msg)
    # A value is rounded to `dtype` once, at the end.
    data: NDArray[np.floating] = np.log1p(counts.data / totals[counts.indices] * TARGET_TOTAL).astype(dtype)
    return sparse.csc_array((data, counts.indices, counts.indptr), shape=counts.shape)


def scale(values: sparse.csc_array) -> ScaledGenes:
    """Centre, scale to unit variance and clip above at 10, implicitly."""
    from recall_py._kernels.columns import column_moments, scale_clipped

    n_cells, n_genes = values.shape
    mean, variance = np.empty(n_genes), np.empty(n_genes)
    column_moments(values.indptr, values.data, n_cells, mean, variance)
    constant = variance <= 1e-12 * mean**2
    inverse_sd = np.where(constant, 0.0, 1.0 / np.sqrt(np.where(constant, 1.0, variance)))
    scaled = np.empty(values.data.size, dtype=np.float32 if n_cells > MANY_CELLS else np.float64)
    scale_clipped(values.indptr, values.data, mean, inverse_sd, MAX_SCALED, scaled)
    by_gene = sparse.csc_array((scaled, values.indices, values.indptr), shape=values.shape)
    return ScaledGenes(by_gene, mean * inverse_sd)


def embed(genes: ScaledGenes, n_components: int, *, n_jobs: int = 1) -> Embedding:
    """Leading principal components of the implicit standardised matrix.

    By ARPACK (Lanczos), or from the covariance of the genes where there are more than `MANY_CELLS` cells. The sign of a
    component is fixed: its largest loading in absolute value is positive. BLAS is held to one thread, and how the work
    is cut into parts does not depend on `n_jobs`. So the scores have the same bits for any `n_jobs`.
    """
    n_cells = genes.by_gene.shape[0]
    solve = _from_covariance if n_cells > MANY_CELLS else _by_lanczos
    with threadpool_limits(1), ThreadPoolExecutor(n_jobs) as pool:
        scores, singular, loadings = solve(genes, n_components, n_jobs, pool)
    sign = np.sign(loadings[np.abs(loadings).argmax(axis=0), np.arange(n_components)])
    return Embedding(scores * sign, loadings * sign, singular / np.sqrt(max(1, n_cells - 1)))


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
    offset = genes.offset
    cell_rows = _RowBlocks(genes.by_gene.tocsr(), n_jobs, pool)
    gene_rows = _RowBlocks(genes.by_gene.T, n_jobs, pool)
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
    """One pass over blocks of cells; each thread has whole rows of the covariance."""
    del n_jobs  # the pool has that many threads, and the parts are the same for any number
    by_cell = genes.by_gene.tocsr()
    n_cells, n_genes = by_cell.shape
    covariance = np.zeros((n_genes, n_genes))
    strips = even_blocks(n_genes, _STRIP)
    for first, last in even_blocks(n_cells, _BLOCK):
        block = by_cell[first:last].toarray() - genes.offset.astype(np.float32)

        def add(strip: tuple[int, int], block: NDArray[np.float32] = block) -> None:
            rows = slice(*strip)
            covariance[rows, : strip[1]] += block[:, rows].T @ block[:, : strip[1]]

        list(pool.map(add, strips))
    values, vectors = eigh(
        covariance, subset_by_index=[n_genes - n_components, n_genes - 1], overwrite_a=True, check_finite=False
    )
    loadings = vectors[:, ::-1]
    return by_cell @ loadings - genes.offset @ loadings, np.sqrt(np.maximum(values[::-1], 0.0)), loadings
