"""The knockoff test of every pair of clusters."""

from __future__ import annotations

from hashlib import blake2b
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recall_py.method.normalisation import log_normalise
from recall_py.method.pairs.filter import Selection, contrast, drop_weak, select
from recall_py.method.pairs.rank_sum import cluster_sizes, rank_sum, sort_genes
from recall_py.method.pairs.rank_sum_exact import exact_log10_p
from recall_py.method.pairs.table import EXACT_PARTNER, EveryGene, limited, log2_fold_changes, pair_table, pairs_to_test
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
        self,
        labels: NDArray[np.int32],
        pairs: NDArray[np.int64],
        pair: NDArray[np.int64],
        gene: NDArray[np.int64],
    ) -> Markers:
        """What is known of given genes: in each row one `gene` and the row of its `pair` among `pairs`."""
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
    counts
        (n_cells, (1 + n_draws) n_genes) counts of the genes and their knockoffs, which only `every_gene` asks for.
    """

    takes_knockoffs: ClassVar = True
    """The counts are those of real genes and their knockoffs, which are clustered together."""

    def __init__(self, genes: GeneTests, params: FilterParams, counts: sparse.csc_array | None = None) -> None:
        self._genes = genes
        self._params = params
        self._counts = counts
        self._known: dict[tuple[bytes, bytes], Selection] = {}

    @classmethod
    def of_counts(
        cls,
        counts: sparse.csc_array,
        params: FilterParams,
        *,
        batches: NDArray[np.int32] | None = None,
        seed: int = 0,
        n_jobs: int = 1,
    ) -> KnockoffTest:
        """The test on counts of real genes and their knockoffs."""
        return cls(SortedGeneTests(log_normalise(counts, n_jobs=n_jobs), params, n_jobs=n_jobs), params, counts)

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
        return self._genes.facts(labels, pairs, pair, gene)

    def every_gene(
        self,
        labels: NDArray[np.int32],
        codes: tuple[int, int],
        pieces: NDArray[np.int32] | None = None,
    ) -> EveryGene:
        """All genes in one pair of clusters, with the first draw of their knockoffs.

        Raises
        ------
        ValueError
            If the test was made without counts.
        """
        if self._counts is None:
            msg = "The counts of every gene are asked for, but the test has none: KnockoffTest(genes, params, counts)."
            raise ValueError(msg)
        pairs = np.array([codes], dtype=np.int64)
        (selection,) = self._selections(labels, pairs)
        genes = np.arange(selection.selected.size)
        facts = self._genes.facts(labels, pairs, np.zeros_like(genes), genes)
        return EveryGene(
            log10_p=facts.log10_p,
            log10_p_null=facts.log10_p_knockoff,
            w=facts.w,
            selection=selection,
            real=self._counts[:, : genes.size],
            null=self._counts[:, genes.size : 2 * genes.size],
            null_side=np.select([labels == code for code in codes], [0, 1], default=-1),
        )

    def _selections(self, labels: NDArray[np.int32], pairs: NDArray[np.int64]) -> list[Selection]:
        """The outcome of each pair."""
        clusters = _digests(labels)
        keys = [(clusters[a], clusters[b]) for a, b in pairs.tolist()]
        unknown = [row for row, key in enumerate(keys) if key not in self._known]
        w = self._genes.contrasts(labels, pairs[unknown])
        fdr, offset = self._params.fdr, self._params.offset
        selections = {keys[row]: select(w[:, at], fdr=fdr, offset=offset) for at, row in enumerate(unknown)}
        self._known = {key: selections[key] if key in selections else self._known[key] for key in keys}
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
        self,
        labels: NDArray[np.int32],
        pairs: NDArray[np.int64],
        pair: NDArray[np.int64],
        gene: NDArray[np.int64],
    ) -> Markers:
        """What markers are described by; see :class:`GeneTests`."""
        asked, row = np.unique(pair, return_inverse=True)
        described = Markers(pair, gene, *np.empty((5, gene.size)))

        def describe(block: NDArray[np.int64]) -> None:
            rows = np.flatnonzero(np.isin(gene, block))
            tested = self.test(labels, pairs[asked], block)
            at = (row[rows], np.searchsorted(block, gene[rows]))
            described.w[rows] = np.median(tested.w, axis=0)[at]
            described.log10_p[rows] = tested.log10_p[at]
            described.log10_p_knockoff[rows] = np.median(tested.log10_p_null, axis=0)[at]
            described.auc[rows] = tested.auc[at]
            values = self._values[:, block]
            described.log2_fold_change[rows] = log2_fold_changes(labels, values, pairs[pair[rows]], at[1])

        columns = np.unique(gene)
        map_blocks(describe, [columns[slice(*block)] for block in even_blocks(columns.size, _BLOCK)], self._n_jobs)
        return described

    def test(self, labels: NDArray[np.int32], pairs: NDArray[np.int64], genes: NDArray[np.int64]) -> PairTests:
        """All that is known of some genes in some pairs."""
        columns = np.concatenate([genes + draw * self.n_genes for draw in range(1 + self._params.n_draws)])
        sizes = cluster_sizes(labels)
        sums = rank_sum(self._sorted, labels, pairs, columns=columns)
        log10_p = sums.log10_p
        for row in np.flatnonzero(sizes[pairs].min(axis=1, initial=len(labels)) < self._params.exact_below):
            log10_p[row] = self._exact(labels, pairs[row], columns)
        shape = (len(pairs), 1 + self._params.n_draws, genes.size)
        log10_p = np.moveaxis(log10_p.reshape(shape), 1, 0)
        auc = np.moveaxis((sums.u / sizes[pairs].prod(axis=1)[:, np.newaxis]).reshape(shape), 1, 0)
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
