"""The knockoff test of every pair of clusters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recall_py.knockoff import Selection, contrast, drop_weak, select
from recall_py.params import FilterParams
from recall_py.ranksum import SortedGenes, cluster_pairs, cluster_sizes, rank_sum
from recall_py.ranksum_exact import exact_log10_p
from recall_py.results import Markers, PairTable
from recall_py.threads import even_blocks, map_blocks

MAX_CLUSTERS = 400
"""W of all pairs of so many clusters and 2,000 genes takes 1.3 GB."""
EXACT_PARTNER = 50
"""Cells of the other cluster in an exact test, a sample if it has more."""
_BLOCK = 64
"""Genes tested at once, each together with its knockoffs: the memory is block x k^2."""


class _Tests(NamedTuple):
    """log10 p and AUC of some genes and of their knockoffs."""

    log10_p: NDArray[np.float64]
    """(n_pairs, n_genes)."""
    auc: NDArray[np.float64]
    log10_p_null: NDArray[np.float64]
    """(n_draws, n_pairs, n_genes)."""
    auc_null: NDArray[np.float64]


class KnockoffTest:
    """Rank-sum tests of real genes against their knockoffs, on values that are sorted once.

    Parameters
    ----------
    genes
        (n_cells, (1 + n_draws) n_genes) sorted values; the knockoffs of gene j are columns n_genes + j, 2 n_genes + j
    values
        The values themselves.
    params
        The filter.
    n_jobs
        Number of threads.
    """

    def __init__(self, genes: SortedGenes, values: sparse.csc_array, params: FilterParams, *, n_jobs: int = 1) -> None:
        self._genes = genes
        self._values = values
        self._n_genes = genes.n_genes // (1 + params.n_draws)
        self._params = params
        self._n_jobs = n_jobs

    def __call__(self, labels: NDArray[np.int32]) -> PairTable:
        """Test every pair of the codes `labels`."""
        return pair_table(labels, self._pairs(labels), self._select(self.contrasts(labels)), self._params)

    def contrasts(self, labels: NDArray[np.int32]) -> NDArray[np.float64]:
        """(n_draws, n_pairs, n_genes) W of every pair."""
        n_clusters = len(cluster_sizes(labels))
        if n_clusters > MAX_CLUSTERS:
            msg = (
                f"{n_clusters} clusters make {n_clusters * (n_clusters - 1) // 2} pairs; at most {MAX_CLUSTERS} "
                "clusters can be tested. Start with fewer: a lower resolution."
            )
            raise ValueError(msg)
        w = np.empty((self._params.n_draws, len(self._pairs(labels)), self._n_genes))

        def test_block(block: tuple[int, int]) -> None:
            found = self._test(labels, np.arange(*block))
            w[:, :, slice(*block)] = drop_weak(
                contrast(found.log10_p, found.log10_p_null), found.auc, found.auc_null, self._params.min_auc
            )

        if w.shape[1]:
            map_blocks(test_block, even_blocks(self._n_genes, _BLOCK), self._n_jobs)
        return w

    def _pairs(self, labels: NDArray[np.int32]) -> NDArray[np.int64]:
        """(n_pairs, 2) pairs of the clusters that are large enough."""
        sizes = cluster_sizes(labels)
        pairs = cluster_pairs(sizes.size)
        return pairs[(sizes[pairs] >= self._params.min_cells).all(axis=1)]

    def _test(self, labels: NDArray[np.int32], genes: NDArray[np.int64]) -> _Tests:
        columns = np.concatenate([genes + draw * self._n_genes for draw in range(1 + self._params.n_draws)])
        pairs, sizes = self._pairs(labels), cluster_sizes(labels)
        found = rank_sum(self._genes, labels, pairs, columns=columns)
        log10_p = found.log10_p
        for row in np.flatnonzero(sizes[pairs].min(axis=1, initial=len(labels)) < self._params.exact_below):
            log10_p[row] = self._exact(labels, pairs[row], columns)
        shape = (len(pairs), 1 + self._params.n_draws, genes.size)
        log10_p = np.moveaxis(log10_p.reshape(shape), 1, 0)
        auc = np.moveaxis((found.u / sizes[pairs].prod(axis=1)[:, np.newaxis]).reshape(shape), 1, 0)
        return _Tests(log10_p[0], auc[0], log10_p[1:], auc[1:])

    def _exact(
        self, labels: NDArray[np.int32], pair: NDArray[np.int64], columns: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """(columns,) exact log10 p of one pair; the sample of a large cluster depends on the pair alone."""
        cells = [limited(np.flatnonzero(labels == code), EXACT_PARTNER) for code in pair]
        values = self._values[np.concatenate(cells)][:, columns]
        return exact_log10_p(sparse.csc_array(values), np.arange(values.shape[0]) < cells[0].size)

    def _select(self, w: NDArray[np.float64]) -> list[Selection]:
        return [select(w[:, pair], fdr=self._params.fdr, offset=self._params.offset) for pair in range(w.shape[1])]

    def markers(self, labels: NDArray[np.int32]) -> Markers:
        """The selected genes of every pair."""
        w = self.contrasts(labels)
        selected = np.array([selection.selected for selection in self._select(w)], dtype=np.bool_).reshape(w.shape[1:])
        pair, gene = np.nonzero(selected)
        columns = np.flatnonzero(selected.any(axis=0))
        found = self._test(labels, columns)
        at = (pair, np.searchsorted(columns, gene))
        return Markers(
            pair,
            gene,
            np.median(w, axis=0)[pair, gene],
            found.log10_p[at],
            np.median(found.log10_p_null, axis=0)[at],
            found.auc[at],
            log2_fold_changes(labels, self._values[:, : self._n_genes], self._pairs(labels)[pair], gene),
        )


def pair_table(
    labels: NDArray[np.int32],
    pairs: NDArray[np.int64],
    selections: Sequence[Selection],
    params: FilterParams,
    distance: NDArray[np.float64] | None = None,
) -> PairTable:
    """The outcomes of the (n_pairs, 2) `pairs` of clusters that were tested."""
    sizes = cluster_sizes(labels)
    return PairTable(
        pairs,
        sizes[pairs],
        np.array([selection.threshold for selection in selections], dtype=np.float64),
        np.array([selection.selected.sum() for selection in selections], dtype=np.int64),
        np.array([selection.evidence for selection in selections], dtype=np.float64),
        distance,
        np.flatnonzero(sizes < params.min_cells),
        np.array([selection.false_share for selection in selections], dtype=np.float64),
    )


def limited(cells: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most `most` of the cells; the same sample for the same cells."""
    if cells.size <= most:
        return cells
    rng = np.random.default_rng([cells.size, int(cells.sum())])
    return np.sort(rng.choice(cells, most, replace=False))


def log2_fold_changes(
    labels: NDArray[np.int32], values: sparse.csc_array, pairs: NDArray[np.int64], genes: NDArray[np.int64]
) -> NDArray[np.float64]:
    """log2 of the ratio of mean normalised counts, each plus 1, first cluster over second.

    For (n_rows, 2) `pairs` of clusters and (n_rows,) `genes`; `values` are log-normalised.
    """
    sizes = cluster_sizes(labels)
    members = sparse.csr_array((1.0 / sizes[labels], (labels, np.arange(labels.size))))
    log2_mean = np.log2(1.0 + np.asarray((members @ values.astype(np.float64).expm1()).todense()))
    first, second = pairs.T
    return log2_mean[first, genes] - log2_mean[second, genes]
