"""The knockoff test of every pair of clusters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recall_py.knockoff import Selection, contrast, select
from recall_py.params import FilterParams
from recall_py.ranksum import SortedGenes, cluster_pairs, cluster_sizes, rank_sum
from recall_py.results import Markers, PairTable
from recall_py.threads import even_blocks, map_blocks

MAX_CLUSTERS = 400
"""W of all pairs of so many clusters and 2,000 genes takes 1.3 GB."""
_BLOCK = 64
"""Genes tested at once, each together with its knockoff: the memory is block x k^2."""


class KnockoffTest:
    """Rank-sum tests of real genes against their knockoffs, on values that are sorted once.

    Parameters
    ----------
    genes
        (n_cells, 2 n_genes) sorted values; the knockoff of gene j is column n_genes + j.
    params
        The filter.
    n_jobs
        Number of threads.
    """

    def __init__(self, genes: SortedGenes, params: FilterParams, *, n_jobs: int = 1) -> None:
        self._genes = genes
        self._n_genes = genes.n_genes // 2
        self._params = params
        self._n_jobs = n_jobs

    def __call__(self, labels: NDArray[np.int32]) -> PairTable:
        """Test every pair of the codes `labels`."""
        return self._table(labels, self._select(self.contrasts(labels)))

    def contrasts(self, labels: NDArray[np.int32]) -> NDArray[np.float64]:
        """(n_pairs, n_genes) W of every pair."""
        n_clusters = len(cluster_sizes(labels))
        if n_clusters > MAX_CLUSTERS:
            msg = (
                f"{n_clusters} clusters make {n_clusters * (n_clusters - 1) // 2} pairs; at most {MAX_CLUSTERS} "
                "clusters can be tested. Start with fewer: a lower resolution."
            )
            raise ValueError(msg)
        w = np.empty((n_clusters * (n_clusters - 1) // 2, self._n_genes))

        def test_block(block: tuple[int, int]) -> None:
            log10_p, log10_p_knockoff, _ = self._test(labels, np.arange(*block))
            w[:, slice(*block)] = contrast(log10_p, log10_p_knockoff)

        if len(w):
            map_blocks(test_block, even_blocks(self._n_genes, _BLOCK), self._n_jobs)
        return w

    def _test(
        self, labels: NDArray[np.int32], genes: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """log10 p of `genes`, log10 p of their knockoffs, Mann-Whitney counts of `genes`; (n_pairs, genes) each."""
        found = rank_sum(self._genes, labels, columns=np.concatenate((genes, self._n_genes + genes)))
        log10_p = found.log10_p
        return log10_p[:, : genes.size], log10_p[:, genes.size :], found.u[:, : genes.size]

    def _select(self, w: NDArray[np.float64]) -> list[Selection]:
        return [select(row, fdr=self._params.fdr, offset=self._params.offset) for row in w]

    def _table(self, labels: NDArray[np.int32], selections: list[Selection]) -> PairTable:
        sizes = cluster_sizes(labels)
        pairs = cluster_pairs(sizes.size)
        return PairTable(
            pairs,
            sizes[pairs],
            np.array([selection.threshold for selection in selections], dtype=np.float64),
            np.array([selection.selected.sum() for selection in selections], dtype=np.int64),
            np.array([selection.evidence for selection in selections], dtype=np.float64),
        )

    def markers(self, labels: NDArray[np.int32], values: sparse.csc_array) -> Markers:
        """The selected genes of every pair.

        Parameters
        ----------
        labels
            (n_cells,) codes.
        values
            (n_cells, >= n_genes) log-normalised values, for the fold changes.
        """
        w = self.contrasts(labels)
        selected = np.array([selection.selected for selection in self._select(w)], dtype=np.bool_).reshape(w.shape)
        pair, gene = np.nonzero(selected)
        columns = np.flatnonzero(selected.any(axis=0))
        log10_p, log10_p_knockoff, u = self._test(labels, columns)
        at = (pair, np.searchsorted(columns, gene))
        sizes = cluster_sizes(labels)
        pairs = cluster_pairs(sizes.size)
        log2_mean = np.log2(1.0 + _cluster_means(labels, sizes, values[:, : self._n_genes]))
        first, second = pairs[pair].T
        return Markers(
            pair,
            gene,
            w[at[0], gene],
            log10_p[at],
            log10_p_knockoff[at],
            u[at] / sizes[pairs[pair]].prod(axis=1),
            log2_mean[first, gene] - log2_mean[second, gene],
        )


def _cluster_means(
    labels: NDArray[np.int32], sizes: NDArray[np.int64], values: sparse.csc_array
) -> NDArray[np.float64]:
    """(n_clusters, n_genes) mean normalised counts, from log-normalised values."""
    members = sparse.csr_array((1.0 / sizes[labels], (labels, np.arange(labels.size))))
    return np.asarray((members @ values.astype(np.float64).expm1()).todense())
