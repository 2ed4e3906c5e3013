"""Exact Wilcoxon rank-sum tests of one pair of clusters, for pairs where a cluster is small.

Below about ten cells the normal approximation of :func:`recall_py.method.pairs.rank_sum.rank_sum` fails in the tail.
Here the distribution of the rank sum over all labellings of the cells is counted out, given the ties.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recall_py.method.pairs.rank_sum import SortedGenes, sort_genes
from recall_py.method.threads import even_blocks, map_blocks, resolve_n_jobs

_BLOCK_GENES = 256
"""Genes that a thread tests at once, at most; each block builds its own tables."""
_MAX_TABLE_ENTRIES = 1 << 24
"""Counts in the table of a thread, 128 MiB."""
_MAX_CHOICES = 10**300
"""Labellings of the pair; float64 counts them, and their reciprocal is a normal number."""


def exact_log10_p(
    values: sparse.csc_array, is_first: NDArray[np.bool_], *, n_jobs: int | None = 1
) -> NDArray[np.float64]:
    """log10 of the exact two-sided rank-sum p-value of each gene between two clusters.

    With R the sum of mid-ranks of the smaller cluster, p is the share of all choices of as many cells for which R is
    at least as far from its mean as observed. It is conditional on the ties (Lehmann 1975, *Nonparametrics*,
    chapter 1), so over the labellings P(p <= alpha) is at most alpha. It is counted by the shift algorithm (Streitberg
    & Röhmel 1986, *Statistical Software Newsletter* 12, 10-17): a table of the number of choices by size and rank sum,
    one cell after the other. All zeros are one tie group and enter by binomial coefficients, so the table runs over the
    non-zeros only.

    Parameters
    ----------
    values
        (n_cells, n_genes), the cells of the two clusters only. Not negative, such as log-normalised counts; ties are
        exact equality. Not changed.
    is_first
        (n_cells,) whether a cell is of the first cluster. Swapping the clusters changes nothing.
    n_jobs
        Number of threads. The result is the same for any.

    Returns
    -------
    NDArray
        (n_genes,) never above 0; 0 where a gene is constant.

    Raises
    ------
    ValueError
        If a value is negative or NaN, if `is_first` is no mask of the cells with both clusters in it, or if the pair
        is too large. A gene with m non-zeros against a smaller cluster of s cells needs a table of about 2 m s^2
        counts and m^2 s^2 additions; 2^24 counts are the most, and 10^300 labellings. Ten cells against 10,000 are
        within both.
    """
    n_cells = values.shape[0]
    is_first = np.asarray(is_first)
    if is_first.shape != (n_cells,) or is_first.dtype != np.bool_:
        msg = f"is_first must be {n_cells} booleans, one per cell; got {is_first.dtype} of shape {is_first.shape}."
        raise ValueError(msg)
    in_smaller = is_first if 2 * is_first.sum() <= n_cells else ~is_first
    size = int(in_smaller.sum())
    if size == 0:
        msg = f"Both clusters need a cell; is_first holds {is_first.sum()} of {n_cells} cells."
        raise ValueError(msg)
    genes = sort_genes(values, n_jobs=n_jobs)
    if genes.n_below_zero.any():
        msg = (
            f"The exact test takes no negative values, and {np.count_nonzero(genes.n_below_zero)} genes hold some. "
            "Give it log-normalised counts, or use recall_py.method.pairs.rank_sum.rank_sum."
        )
        raise ValueError(msg)
    n_choices = math.comb(n_cells, size)
    _check_limits(genes, size, n_choices)
    return np.log10(_extreme_shares(genes, in_smaller, float(n_choices), n_jobs))


def _check_limits(genes: SortedGenes, size: int, n_choices: int) -> None:
    """Refuse a pair that the tables cannot hold."""
    most_non_zeros = int(np.diff(genes.indptr).max(initial=0))
    most = min(size, most_non_zeros)
    n_entries = (most + 1) * (most * max(2 * most_non_zeros - most - 1, 0) + 1)
    if n_entries > _MAX_TABLE_ENTRIES or n_choices > _MAX_CHOICES:
        msg = (
            f"Too large for the exact test: a cluster of {size} among {genes.n_cells} cells, genes of up to "
            f"{most_non_zeros} non-zeros. Use the normal approximation, recall_py.method.pairs.rank_sum.rank_sum."
        )
        raise ValueError(msg)


def _extreme_shares(
    genes: SortedGenes, in_smaller: NDArray[np.bool_], n_choices: float, n_jobs: int | None
) -> NDArray[np.float64]:
    """(n_genes,) share of the `n_choices` choices at least as far from the mean rank sum as the smaller cluster."""
    from recall_py._kernels.ranksum_exact import extreme_shares

    size = int(in_smaller.sum())
    n_non_zeros = np.diff(genes.indptr)
    # Genes with the same ties side by side, the costly ones first.
    order = np.lexsort((_tie_key(genes), n_non_zeros))[::-1]
    shares = np.empty(genes.n_genes)

    def test_block(block: tuple[int, int]) -> None:
        columns = order[slice(*block)]
        found = np.empty(columns.size)
        most = int(n_non_zeros[columns[0]])
        extreme_shares(columns, genes.indptr, genes.cells, genes.starts_group, in_smaller, size, n_choices, most, found)
        shares[columns] = found

    map_blocks(test_block, even_blocks(genes.n_genes, _BLOCK_GENES), resolve_n_jobs(n_jobs))
    return shares


def _tie_key(genes: SortedGenes) -> NDArray[np.int64]:
    """(n_genes,) a number that genes with the same ties share; others share it seldom."""
    n_values = genes.cells.size
    place = np.arange(n_values) - np.repeat(genes.indptr[:-1], np.diff(genes.indptr))
    summed = np.concatenate(([0], np.cumsum(np.where(genes.starts_group, 0, place**3 + 1))))
    return np.diff(summed[genes.indptr])
