"""The knockoff test of every pair of clusters."""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recall_py.method.pairs.filter import Selection, contrast, drop_weak, select
from recall_py.method.pairs.rank_sum import cluster_sizes, rank_sum, sort_genes
from recall_py.method.pairs.rank_sum_exact import exact_log10_p
from recall_py.method.pairs.table import EXACT_PARTNER, limited, log2_fold_changes, pair_table, pairs_to_test
from recall_py.method.params import FilterParams
from recall_py.method.results import Markers, PairTable
from recall_py.method.threads import even_blocks, map_blocks

_BLOCK = 64
"""Genes tested at once, each together with its knockoffs: the memory is block x k^2."""


class PairTests(NamedTuple):
    """Tests of some genes in some pairs of clusters."""

    w: NDArray[np.float64]
    """(n_draws, n_pairs, n_genes)."""
    log10_p: NDArray[np.float64]
    """(n_pairs, n_genes)."""
    log10_p_null: NDArray[np.float64]
    """(n_draws, n_pairs, n_genes)."""
    auc: NDArray[np.float64]
    """(n_pairs, n_genes)."""


class GeneTests(Protocol):
    """Compares genes with their knockoffs, over all cells."""

    def contrasts(self, labels: NDArray[np.int32], pairs: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n_draws, n_pairs, n_genes) W of the (n_pairs, 2) `pairs` of clusters."""
        ...

    def facts(
        self, labels: NDArray[np.int32], pairs: NDArray[np.int64], genes: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """(n_rows, 5) W, log10 p, that of the knockoff, AUC and log2 fold change of one pair and gene in each row."""
        ...


class KnockoffTest:
    """The knockoff filter on every pair of clusters.

    What is found for a pair depends on the cells of its two clusters alone. So pairs that were there in the call before
    are not tested again: after a merge, those of the new cluster alone are.

    Parameters
    ----------
    genes
        Rank-sum tests of the genes and their knockoffs.
    params
        The filter.
    """

    def __init__(self, genes: GeneTests, params: FilterParams) -> None:
        self._genes = genes
        self._params = params
        self._known: dict[tuple[bytes, bytes], Selection] = {}

    def __call__(self, labels: NDArray[np.int32]) -> PairTable:
        """Test every pair of the codes `labels`."""
        pairs = pairs_to_test(labels, self._params)
        return pair_table(labels, pairs, self._selections(labels, pairs), self._params)

    def markers(self, labels: NDArray[np.int32]) -> Markers:
        """The selected genes of every pair."""
        pairs = pairs_to_test(labels, self._params)
        selected = [np.flatnonzero(selection.selected) for selection in self._selections(labels, pairs)]
        pair = np.repeat(np.arange(len(pairs)), [genes.size for genes in selected])
        gene = np.concatenate([np.empty(0, dtype=np.int64), *selected])
        return Markers(pair, gene, *self._genes.facts(labels, pairs[pair], gene).T)

    def _selections(self, labels: NDArray[np.int32], pairs: NDArray[np.int64]) -> list[Selection]:
        """The outcome of each pair."""
        clusters = _digests(labels)
        keys = [(clusters[a], clusters[b]) for a, b in pairs.tolist()]
        unknown = [row for row, key in enumerate(keys) if key not in self._known]
        w = self._genes.contrasts(labels, pairs[unknown])
        fdr, offset = self._params.fdr, self._params.offset
        found = {keys[row]: select(w[:, at], fdr=fdr, offset=offset) for at, row in enumerate(unknown)}
        self._known = {key: found[key] if key in found else self._known[key] for key in keys}
        return [self._known[key] for key in keys]


class SortedGeneTests:
    """Rank-sum tests of real genes and their knockoffs, on values that are sorted once.

    Parameters
    ----------
    values
        (n_cells, (1 + n_draws) n_genes); the knockoffs of gene j are columns n_genes + j, 2 n_genes + j, ...
    params
        The filter.
    n_jobs
        Number of threads.
    """

    def __init__(self, values: sparse.csc_array, params: FilterParams, *, n_jobs: int = 1) -> None:
        self._sorted = sort_genes(values, n_jobs=n_jobs)
        self._values = values
        self.n_genes = values.shape[1] // (1 + params.n_draws)
        self._params = params
        self._n_jobs = n_jobs

    def contrasts(self, labels: NDArray[np.int32], pairs: NDArray[np.int64]) -> NDArray[np.float64]:
        """W of every gene; see :class:`GeneTests`."""
        w = np.empty((self._params.n_draws, len(pairs), self.n_genes))

        def test_block(block: tuple[int, int]) -> None:
            w[:, :, slice(*block)] = self.test(labels, pairs, np.arange(*block)).w

        if len(pairs):
            map_blocks(test_block, even_blocks(self.n_genes, _BLOCK), self._n_jobs)
        return w

    def facts(
        self, labels: NDArray[np.int32], pairs: NDArray[np.int64], genes: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """What markers are described by; see :class:`GeneTests`."""
        asked, row = np.unique(pairs, axis=0, return_inverse=True)
        facts = np.empty((genes.size, 5))

        def describe(block: NDArray[np.int64]) -> None:
            rows = np.flatnonzero(np.isin(genes, block))
            found = self.test(labels, asked, block)
            at = (row.reshape(-1)[rows], np.searchsorted(block, genes[rows]))
            facts[rows] = np.column_stack(
                [
                    np.median(found.w, axis=0)[at],
                    found.log10_p[at],
                    np.median(found.log10_p_null, axis=0)[at],
                    found.auc[at],
                    log2_fold_changes(labels, self._values[:, block], pairs[rows], at[1]),
                ]
            )

        columns = np.unique(genes)
        map_blocks(describe, [columns[slice(*block)] for block in even_blocks(columns.size, _BLOCK)], self._n_jobs)
        return facts

    def test(self, labels: NDArray[np.int32], pairs: NDArray[np.int64], genes: NDArray[np.int64]) -> PairTests:
        """All that is known of some genes in some pairs."""
        columns = np.concatenate([genes + draw * self.n_genes for draw in range(1 + self._params.n_draws)])
        sizes = cluster_sizes(labels)
        found = rank_sum(self._sorted, labels, pairs, columns=columns)
        log10_p = found.log10_p
        for row in np.flatnonzero(sizes[pairs].min(axis=1, initial=len(labels)) < self._params.exact_below):
            log10_p[row] = self._exact(labels, pairs[row], columns)
        shape = (len(pairs), 1 + self._params.n_draws, genes.size)
        log10_p = np.moveaxis(log10_p.reshape(shape), 1, 0)
        auc = np.moveaxis((found.u / sizes[pairs].prod(axis=1)[:, np.newaxis]).reshape(shape), 1, 0)
        w = drop_weak(contrast(log10_p[0], log10_p[1:]), auc[0], auc[1:], self._params.min_auc)
        return PairTests(w, log10_p[0], log10_p[1:], auc[0])

    def _exact(
        self, labels: NDArray[np.int32], pair: NDArray[np.int64], columns: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """(columns,) exact log10 p of one pair; the sample of a large cluster depends on the pair alone."""
        cells = [limited(np.flatnonzero(labels == code), EXACT_PARTNER) for code in pair]
        values = self._values[np.concatenate(cells)][:, columns]
        return exact_log10_p(sparse.csc_array(values), np.arange(values.shape[0]) < cells[0].size)


def _digests(labels: NDArray[np.int32]) -> list[bytes]:
    """What the cells of each cluster are told by."""
    by_cluster = np.split(np.argsort(labels, kind="stable"), np.cumsum(cluster_sizes(labels))[:-1])
    return [blake2b(cells.tobytes(), digest_size=16).digest() for cells in by_cluster]
