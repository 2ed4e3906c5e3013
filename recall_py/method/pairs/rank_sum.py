"""Wilcoxon rank-sum tests of every pair of clusters, gene by gene.

Within one run the values never change, only the labels do. So each gene's non-zeros are sorted once
(:func:`sort_genes`), and one pass over them gives the Mann-Whitney counts of all pairs (:func:`rank_sum`).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, special

from recall_py.method.threads import even_blocks, map_blocks, resolve_n_jobs

_LN10 = np.log(10.0)
_FEW = 64
"""Values of a gene below which a call for each gene takes longer than the sorting."""
_BLOCK_ENTRIES = 1 << 19
"""Counts held at once by a thread, genes x clusters x hubs."""


@dataclass(frozen=True)
class SortedGenes:
    """The non-zeros of a cells x genes matrix, ascending within each gene."""

    n_cells: int
    indptr: NDArray[np.int64]
    """(n_genes + 1,) extents of the genes."""
    cells: NDArray[np.int32]
    """(n_nonzero,) cell of each value."""
    starts_group: NDArray[np.bool_]
    """(n_nonzero,) whether the value differs from the one before it in the same gene."""
    n_below_zero: NDArray[np.int64]
    """(n_genes,) negative values of each gene."""

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return self.indptr.size - 1


@dataclass(frozen=True)
class RankSums:
    """Test of each gene in each pair of clusters."""

    u: NDArray[np.float64]
    """(n_pairs, n_genes) Mann-Whitney count of the first cluster over the second; equal values count 1/2."""
    z: NDArray[np.float64]
    """(n_pairs, n_genes) normal score with tie and continuity correction, positive where the first cluster is
    larger."""

    @property
    def log10_p(self) -> NDArray[np.float64]:
        """(n_pairs, n_genes) log10 of the two-sided p-value."""
        return log10_two_sided(self.z)


def sort_genes(values: sparse.sparray | sparse.spmatrix, *, n_jobs: int | None = 1) -> SortedGenes:
    """Sort the non-zeros of each gene, once for all later calls of :func:`rank_sum`.

    Parameters
    ----------
    values
        (n_cells, n_genes), CSR or CSC, any real dtype; ties are exact equality in that dtype. Not changed.
    n_jobs
        Number of threads.

    Raises
    ------
    ValueError
        If a value is NaN.
    """
    csc = sparse.csc_array(values)
    if not csc.has_canonical_format or not np.all(csc.data):
        csc = csc.copy()
        csc.sum_duplicates()
        csc.eliminate_zeros()
    if np.isnan(csc.data).any():
        msg = "Cannot rank NaN: the values hold at least one NaN."
        raise ValueError(msg)
    indptr = csc.indptr.astype(np.int64)
    cells = np.empty(csc.data.size, dtype=np.int32)
    starts_group = np.ones(csc.data.size, dtype=np.bool_)
    n_below_zero = np.zeros(csc.shape[1], dtype=np.int64)

    sort_within = _sort_packed if csc.data.dtype == np.float32 else _sort_by_order

    def sort_block(block: tuple[int, int]) -> None:
        extent = slice(indptr[block[0]], indptr[block[1]])
        bounds = indptr[block[0] : block[1] + 1] - indptr[block[0]]
        data = csc.data[extent]
        ascending, cells[extent] = sort_within(data, csc.indices[extent], bounds)
        starts = starts_group[extent]
        np.not_equal(ascending[1:], ascending[:-1], out=starts[1:])
        starts[bounds[:-1][np.diff(bounds) > 0]] = True
        n_below = np.concatenate(([0], np.cumsum(data < 0)))
        n_below_zero[slice(*block)] = np.diff(n_below[bounds])

    map_blocks(sort_block, even_blocks(csc.shape[1], 128), resolve_n_jobs(n_jobs))
    return SortedGenes(csc.shape[0], indptr, cells, starts_group, n_below_zero)


_Sorted = tuple[NDArray[Any], NDArray[np.integer]]
"""Keys with the order and the ties of the values, and the cells, ascending within each gene."""


def _sort_by_order(data: NDArray[Any], cells: NDArray[np.integer], bounds: NDArray[np.int64]) -> _Sorted:
    order = np.concatenate([first + np.argsort(data[first:last]) for first, last in pairwise(bounds)])
    return data[order], cells[order]


def _sort_packed(data: NDArray[np.float32], cells: NDArray[np.integer], bounds: NDArray[np.int64]) -> _Sorted:
    """Value and cell packed into one integer, which sorts twice as fast as an order of the values is found.

    The bits of a float32 have the order of its value once those of a negative are turned over and the sign bit of the
    others is set.
    """
    bits = data.view(np.uint32)
    packed = np.where(data < 0, ~bits, bits | np.uint32(1 << 31)).astype(np.uint64)
    packed <<= np.uint64(32)
    packed |= cells.astype(np.uint64)
    if packed.size < _FEW * bounds.size:
        order = np.lexsort((packed, np.repeat(np.arange(bounds.size - 1), np.diff(bounds))))
        return data[order], cells[order]
    for first, last in pairwise(bounds):
        packed[first:last].sort()
    return packed >> np.uint64(32), packed & np.uint64(0xFFFFFFFF)


def cluster_sizes(labels: NDArray[np.int32]) -> NDArray[np.int64]:
    """(n_clusters,) cells of each code."""
    return np.bincount(labels)


def cluster_pairs(n_clusters: int) -> NDArray[np.int64]:
    """(n_pairs, 2) pairs a < b in lexicographic order."""
    return np.column_stack(np.triu_indices(n_clusters, k=1))


def rank_sum(
    genes: SortedGenes,
    labels: NDArray[np.int32],
    pairs: NDArray[np.int64] | None = None,
    *,
    columns: NDArray[np.int64] | None = None,
    n_jobs: int | None = 1,
) -> RankSums:
    """Mann-Whitney counts and normal scores of the given pairs of clusters.

    Two-sided, normal approximation with tie and continuity correction (Mann & Whitney 1947; the corrections of
    Hollander & Wolfe, section 4.1), as in ``scipy.stats.mannwhitneyu(method="asymptotic")``. A gene that is constant
    over the cells of a pair has p = 1.

    Parameters
    ----------
    genes
        From :func:`sort_genes`.
    labels
        (n_cells,) codes 0..k-1, each in use.
    pairs
        (n_pairs, 2) clusters; every pair when not given. Few pairs that share a cluster cost less than all.
    columns
        Genes to test; all when not given.
    n_jobs
        Number of threads.
    """
    sizes = cluster_sizes(labels).astype(np.float64)
    if labels.shape != (genes.n_cells,) or sizes.min(initial=1.0) == 0.0:
        msg = f"labels must be {genes.n_cells} codes 0..k-1, each in use; got shape {labels.shape}, sizes {sizes}."
        raise ValueError(msg)
    from recall_py._kernels.ranksum import LANES, count_pairs, standardise_pairs

    pairs = cluster_pairs(sizes.size) if pairs is None else pairs
    order, n_hubs = _hubs_first(pairs, sizes)
    code = np.argsort(order).astype(np.min_scalar_type(sizes.size))
    labels, sizes = code[labels], sizes[order]
    first, second = np.ascontiguousarray(code[pairs.T].astype(np.int64))
    columns = np.arange(genes.n_genes) if columns is None else columns
    u, z = np.empty((2, len(pairs), columns.size))

    def test_block(block: tuple[int, int]) -> None:
        n_columns = block[1] - block[0]
        counts = np.empty((n_columns, sizes.size, -(-n_hubs // LANES) * LANES))
        ties = np.empty((n_columns, sizes.size, n_hubs + 1))
        count_pairs(
            columns[slice(*block)],
            genes.indptr,
            genes.cells,
            genes.starts_group,
            genes.n_below_zero,
            labels,
            sizes,
            counts,
            ties,
        )
        found, scores = np.empty((2, len(pairs), n_columns))
        standardise_pairs(counts, ties, sizes, first, second, found, scores)
        u[:, slice(*block)] = found
        z[:, slice(*block)] = scores

    at_once = max(1, _BLOCK_ENTRIES // (sizes.size * max(1, n_hubs)))
    map_blocks(test_block, even_blocks(columns.size, at_once), resolve_n_jobs(n_jobs))
    return RankSums(u, z)


def two_sample_test(
    values: sparse.csc_array, is_first: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Test of each gene between two parts of the cells, as in :func:`rank_sum`, for values that are sorted only once.

    Parameters
    ----------
    values
        (n_cells, n_genes) float32, all stored values above 0: their bits are sorted.
    is_first
        (n_cells,) the first part.

    Returns
    -------
    (n_genes,) Mann-Whitney count of the first part over the second, and (n_genes,) log10 of the two-sided p-value.
    """
    from recall_py._kernels.ranksum import standardise_pairs

    n_cells, n_genes = values.shape
    n_first = int(is_first.sum())
    counts, ties = _count_two(values, is_first, np.zeros(n_cells, dtype=np.int32), 1)
    u, z = np.empty((2, 1, n_genes))
    sizes, second, first = np.array([n_cells - n_first, n_first], dtype=np.float64), np.array([0]), np.array([1])
    standardise_pairs(counts, ties, sizes, first, second, u, z)
    return u[0], log10_two_sided(z[0])


def stratified_test(
    values: sparse.csc_array,
    is_first: NDArray[np.bool_],
    stratum: NDArray[np.int32],
    tells: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Test of each gene between two parts of the cells, compared within batches alone (van Elteren 1960).

    The Mann-Whitney counts of the batches are added up with the weights 1 / (cells of the batch + 1), and their
    variances, corrected for ties, with the squares; half the smallest weight is the continuity correction. In one batch
    this is :func:`two_sample_test`. What differs between batches alone tells nothing, whatever share of each part they
    have (Lehmann 1975, *Nonparametrics*, section 3.3).

    Parameters
    ----------
    values, is_first
        As in :func:`two_sample_test`.
    stratum
        (n_cells,) codes 0..k-1 of the batches, each in use.
    tells
        (k,) the batches that count; all if None.

    Returns
    -------
    (n_genes,) probability that a cell of the first part has the larger value of two of one batch, ties counting 1/2,
    with batches weighted as in the test, and (n_genes,) log10 of the two-sided p-value. Without a batch that has cells
    of both they are 1/2 and 0.
    """
    n_strata = int(stratum.max()) + 1
    n_first, n_cells = np.bincount(stratum[is_first], minlength=n_strata), np.bincount(stratum).astype(np.float64)
    counts, ties = _count_two(values, is_first, stratum, n_strata)
    in_both = np.flatnonzero((n_first > 0) & (n_first < n_cells) & (True if tells is None else tells))
    if not in_both.size:
        return np.full(values.shape[1], 0.5), np.zeros(values.shape[1])
    n, n_pairs = n_cells[in_both], (n_first * (n_cells - n_first))[in_both]
    weight = 1.0 / (n + 1.0)
    u = counts[:, 1, 0].reshape(-1, n_strata)[:, in_both]
    tied = ties[:, 1, 1].reshape(-1, n_strata)[:, in_both] / (n**3 - n)
    # The least tied gene that is not constant has 1 - tied = 3 / n; anything smaller is rounding.
    untied = np.where(1.0 - tied < 1e-12, 0.0, 1.0 - tied)
    variance = (untied * (n_pairs / 12.0 * (n + 1.0))) @ weight**2
    deviation = (u - n_pairs / 2.0) @ weight
    corrected = np.maximum(np.abs(deviation) - 0.5 * weight.min(), 0.0)
    z = np.divide(corrected, np.sqrt(variance), out=np.zeros_like(variance), where=variance > 0)
    return u @ weight / (n_pairs @ weight), log10_two_sided(np.copysign(z, deviation))


def _count_two(
    values: sparse.csc_array, is_first: NDArray[np.bool_], stratum: NDArray[np.int32], n_strata: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What :func:`recall_py._kernels.ranksum.count_two` finds, of the batches of each gene one after the other."""
    from recall_py._kernels.ranksum import count_two, sort_in_rows

    n_rows = values.shape[1] * n_strata
    row = np.repeat(np.arange(values.shape[1], dtype=np.int32) * np.int32(n_strata), np.diff(values.indptr))
    if n_strata > 1:
        row += stratum[values.indices]
    indptr = np.concatenate(([0], np.cumsum(np.bincount(row, minlength=n_rows))))
    keys = values.data.view(np.uint32) << np.uint32(1)  # the sign is not needed
    keys |= is_first[values.indices]
    keys = sort_in_rows(keys, row, indptr)
    n_first, n_cells = (np.bincount(stratum[part], minlength=n_strata) for part in (is_first, slice(None)))
    counts, ties = np.empty((n_rows, 2, 1)), np.zeros((n_rows, 2, 2))
    count_two(indptr, keys, n_first, n_cells, counts, ties)
    return counts, ties


def _hubs_first(pairs: NDArray[np.int64], sizes: NDArray[np.float64]) -> tuple[NDArray[np.int64], int]:
    """Clusters by decreasing number of their pairs, then by size; and how many it takes so that each pair has one."""
    order = np.lexsort((-sizes, -np.bincount(pairs.ravel(), minlength=sizes.size)))
    rank = np.argsort(order)
    return order, int(rank[pairs].min(axis=1).max(initial=-1)) + 1


def log10_two_sided(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """log10 of the two-sided normal p-value of `z`, finite far beyond where p underflows and exact near p = 1."""
    distance = np.abs(z)
    near = distance < 1.0
    log_p = np.log(2.0) + special.log_ndtr(-distance)
    log_p[near] = np.log1p(-special.erf(distance[near] / np.sqrt(2.0)))
    return log_p / _LN10
