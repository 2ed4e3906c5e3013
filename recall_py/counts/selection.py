"""Genes that vary most, as scanpy's ``seurat_v3`` selects them, from sums that a file can be read for in blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from recall_py.counts.matrix import CountMatrix

_LOESS_SPANS = (0.3, 0.5, 0.75, 1.0)
"""scanpy's span, and wider ones for where its fit fails."""


def most_variable(counts: CountMatrix, n_top_genes: int) -> tuple[NDArray[np.bool_], str]:
    """(n_genes,) mask of the `n_top_genes` that vary most for their mean, and the rule in words.

    The variance of each gene is that of its counts, cut at sqrt(n_cells) standard deviations above the mean, over the
    variance that a loess curve expects at its mean (Stuart et al. 2019, doi 10.1016/j.cell.2019.05.031, Methods).
    The loess fit can be singular in few cells; a wider span mends that.

    Raises
    ------
    ValueError
        If no span does.
    """
    if n_top_genes not in counts.most_variable:
        counts.most_variable[n_top_genes] = _selected(counts, n_top_genes)
    return counts.most_variable[n_top_genes]


def _selected(counts: CountMatrix, n_top_genes: int) -> tuple[NDArray[np.bool_], str]:
    n_cells = counts.shape[0]
    mean = counts.survey.sums / n_cells
    variance = (counts.survey.squares / n_cells - mean**2) * (n_cells / (n_cells - 1))
    for span in _LOESS_SPANS:
        try:
            expected = _expected_deviation(mean, variance, span)
        except ValueError:
            continue
        rank = np.argsort(np.argsort(-_clipped_variance(counts, mean, expected)))
        return rank < n_top_genes, f"seurat_v3, {n_top_genes} genes, loess span {span}"
    msg = (
        f"The loess fit of the seurat_v3 gene selection is singular on these {n_cells} cells. Mark the genes "
        "to use yourself: adata.var['highly_variable'] = ..., or drop rare ones: sc.pp.filter_genes(adata, min_cells=3)"
    )
    raise ValueError(msg)


def _expected_deviation(mean: NDArray[np.float64], variance: NDArray[np.float64], span: float) -> NDArray[np.float64]:
    """(n_genes,) standard deviation expected at each mean; 1 for constant genes."""
    from skmisc.loess import loess

    varies = variance > 0
    curve = loess(np.log10(mean[varies]), np.log10(variance[varies]), span=span, degree=2)
    curve.fit()
    log_variance = np.zeros(mean.size)
    log_variance[varies] = curve.outputs.fitted_values
    return np.sqrt(10**log_variance)


def _clipped_variance(
    counts: CountMatrix, mean: NDArray[np.float64], deviation: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(n_genes,) variance of the standardised and cut counts."""
    n_cells = counts.shape[0]
    ceiling = deviation * np.sqrt(n_cells) + mean
    below, squares_below, n_above = counts.sums_below(ceiling)
    sums, squares = below + n_above * ceiling, squares_below + n_above * ceiling**2
    # In the order of scanpy's operations: rounding decides between genes that vary alike.
    return (1 / ((n_cells - 1) * np.square(deviation))) * ((n_cells * np.square(mean)) + squares - 2 * sums * mean)


def most_deviant(counts: CountMatrix, n_top_genes: int) -> NDArray[np.bool_]:
    """(n_genes,) mask of the `n_top_genes` whose counts are least like one share of the total of every cell.

    By the binomial deviance from that (Townes et al. 2019, doi 10.1186/s13059-019-1861-6).
    """
    totals, sums = counts.survey.totals, counts.survey.sums
    share = sums / (totals.sum() or 1.0)
    half_deviance = -totals.sum() * np.log1p(-np.minimum(share, 1 - 1e-16))
    for cells, genes, values in counts.entries():
        count, total, expected = values.astype(np.float64), totals[cells], share[genes]
        present = count > 0
        count, total, expected, genes = count[present], total[present], expected[present], genes[present]
        others = total - count
        of_gene = count * np.log(count / (total * expected))
        ratio = np.divide(others, total, out=np.ones(others.size), where=others > 0)
        of_others = others * np.log(ratio) + count * np.log1p(-np.minimum(expected, 1 - 1e-16))
        half_deviance += np.bincount(genes, of_gene + of_others, minlength=share.size)
    return np.argsort(np.argsort(-half_deviance, kind="stable")) < n_top_genes
