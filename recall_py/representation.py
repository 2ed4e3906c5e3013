"""From counts to principal components, without a dense cells x genes array.

The steps are Seurat's: library size over all columns, ln(1 + count / total * 1e4), centre, scale to unit variance (ddof
1), clip above at 10, singular value decomposition without centring again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, svds
from threadpoolctl import threadpool_limits

TARGET_TOTAL = 1e4
MAX_SCALED = 10.0


@dataclass(frozen=True)
class ScaledGenes:
    """Standardised values Z = scaled - 1 offset', held as sparse `scaled` and one `offset` for each gene."""

    by_cell: sparse.csr_array
    by_gene: sparse.csc_array
    """The same values as `by_cell`."""
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
    totals = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
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
    scaled = np.empty(values.data.size)
    scale_clipped(values.indptr, values.data, mean, inverse_sd, MAX_SCALED, scaled)
    by_gene = sparse.csc_array((scaled, values.indices, values.indptr), shape=values.shape)
    return ScaledGenes(by_gene.tocsr(), by_gene, mean * inverse_sd)


def embed(genes: ScaledGenes, n_components: int) -> Embedding:
    """Leading principal components by ARPACK (Lanczos) on the implicit standardised matrix.

    The sign of a component is fixed: its largest loading in absolute value is positive. BLAS is held to one thread and
    the start vector is fixed, so the scores have the same bits in every run.
    """
    n_cells, n_genes = genes.by_cell.shape
    gene_rows = genes.by_gene.T  # a CSR view
    operator = LinearOperator(
        (n_cells, n_genes),
        matvec=lambda x: genes.by_cell @ np.ravel(x) - genes.offset @ np.ravel(x),
        rmatvec=lambda y: gene_rows @ np.ravel(y) - genes.offset * np.sum(y),
        dtype=np.float64,
    )
    with threadpool_limits(1):
        start = np.random.default_rng(0).standard_normal(min(n_cells, n_genes))
        left, singular, right = svds(operator, k=n_components, v0=start)
    order = np.argsort(-singular)
    left, singular, loadings = left[:, order], singular[order], right[order].T
    sign = np.sign(loadings[np.abs(loadings).argmax(axis=0), np.arange(n_components)])
    return Embedding(left * singular * sign, loadings * sign, singular / np.sqrt(max(1, n_cells - 1)))
