"""The synthetic-null test: would one population, cut in two, have markers as good as those of two clusters.

For labels that were formed on the same expression data. The cells of a pair are pooled and one population is fitted to
them; null cells are drawn from it and cut in two by the same sizes, as a clustering cuts whatever it gets. The null
genes are tested as the real ones are, and the knockoff filter compares gene by gene.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

from recall_py.method.clustering.components import MAX_SCALED
from recall_py.method.normalisation import TARGET_TOTAL
from recall_py.method.pairs.filter import Selection, contrast, drop_weak, is_settled, select
from recall_py.method.pairs.population import (
    Strata,
    cut,
    draw_population,
    fit_population,
    leading_eigenvectors,
    strata_of,
)
from recall_py.method.pairs.rank_sum import cluster_sizes, rank_sum, sort_genes
from recall_py.method.pairs.rank_sum_exact import exact_log10_p
from recall_py.method.pairs.table import EXACT_PARTNER, limited, log2_fold_changes, pair_table
from recall_py.method.params import FilterParams
from recall_py.method.results import Markers, PairTable
from recall_py.method.threads import map_blocks

MAX_CELLS = 300
"""Cells of a cluster that take part, a sample if it has more."""
N_NEIGHBOURS = 3
"""Clusters that each cluster is tested against, the nearest by centroid."""
_COMPONENTS = 20


class _Test(NamedTuple):
    """Outcome for one pair of sets of cells."""

    selection: Selection
    w: NDArray[np.float64]
    """(n_genes,) median over the draws."""
    log10_p: NDArray[np.float64]
    log10_p_null: NDArray[np.float64]
    """(n_genes,) median over the draws."""
    auc: NDArray[np.float64]


class SyntheticTest:
    """Tests each cluster against its nearest ones; what was tested once is remembered.

    Parameters
    ----------
    counts
        (n_cells, n_genes) raw counts.
    values
        (n_cells, n_genes) log-normalised counts, for the fold changes of markers.
    scores
        (n_cells, n_components) where the clusters were formed, for the distances between clusters.
    params
        The filter and the number of draws.
    batches
        (n_cells,) codes: the population keeps the means of each batch, so that batches alone support no split.
    seed
        Of the null draws; each pair of sets of cells draws from its own generator.
    n_jobs
        Number of threads.
    """

    def __init__(
        self,
        counts: sparse.csc_array,
        values: sparse.csc_array,
        scores: NDArray[np.float64],
        params: FilterParams,
        *,
        batches: NDArray[np.int32] | None = None,
        seed: int = 0,
        n_jobs: int = 1,
    ) -> None:
        self._counts = sparse.csr_array(counts)
        self._values = values
        self._scores = scores
        self._pieces = np.zeros(len(scores), dtype=np.int32)
        self._params = params
        self._batches = batches
        self._seed = seed
        self._n_jobs = n_jobs
        self._known: dict[tuple[int, ...], _Test] = {}

    def __call__(self, labels: NDArray[np.int32]) -> PairTable:
        """Test the pairs of neighbours among the codes `labels`.

        Where `labels` only join clusters that were tested before, those stay the pieces within which factors are looked
        for.
        """
        if not _joins(labels, self._pieces):
            self._pieces = labels
        pairs, distance = self._neighbours(labels)
        selections = [test.selection for test in self._tests(labels, pairs)]
        return pair_table(labels, pairs, selections, self._params, distance)

    def markers(self, labels: NDArray[np.int32]) -> Markers:
        """The selected genes of every tested pair."""
        pairs, _ = self._neighbours(labels)
        tests = self._tests(labels, pairs)
        shape = (len(pairs), self._counts.shape[1])
        selected = np.array([test.selection.selected for test in tests], dtype=np.bool_).reshape(shape)
        pair, gene = np.nonzero(selected)

        def column(name: str) -> NDArray[np.float64]:
            return np.array([getattr(test, name) for test in tests]).reshape(shape)[pair, gene]

        return Markers(
            pair,
            gene,
            column("w"),
            column("log10_p"),
            column("log10_p_null"),
            column("auc"),
            log2_fold_changes(labels, self._values, pairs[pair], gene),
        )

    def _neighbours(self, labels: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """(n_pairs, 2) pairs of near clusters, and the sum of squares that joining them would add (Ward)."""
        sizes = cluster_sizes(labels)
        codes = np.flatnonzero(sizes >= self._params.min_cells)
        if codes.size < 2:
            return np.empty((0, 2), dtype=np.int64), np.empty(0)
        centroids = np.array([self._scores[labels == code].mean(axis=0) for code in codes])
        squared = ((centroids[:, np.newaxis] - centroids) ** 2).sum(axis=2)
        np.fill_diagonal(squared, np.inf)
        nearest = np.argsort(squared, axis=1, kind="stable")[:, : min(N_NEIGHBOURS, codes.size - 1)]
        first, second = np.repeat(np.arange(codes.size), nearest.shape[1]), nearest.ravel()
        at = np.unique(np.sort(np.column_stack((first, second)), axis=1), axis=0)
        n_a, n_b = sizes[codes[at]].T
        return codes[at], squared[at[:, 0], at[:, 1]] * n_a * n_b / (n_a + n_b)

    def _tests(self, labels: NDArray[np.int32], pairs: NDArray[np.int64]) -> list[_Test]:
        """The tests of `pairs`, those not yet known side by side."""
        cells = {code: np.flatnonzero(labels == code) for code in np.unique(pairs).tolist()}
        asked: dict[tuple[int, ...], tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
        order = []
        for a, b in pairs.tolist():
            swapped = cells[b][0] < cells[a][0]
            first, second = (cells[b], cells[a]) if swapped else (cells[a], cells[b])
            pieces = self._pieces_of(np.concatenate((first, second)))
            key = (first.size, *(crc32(array.tobytes()) for array in (first, second, pieces)))
            order.append((key, swapped))
            if key not in self._known:
                asked[key] = (first, second)
        with threadpool_limits(1):
            found = map_blocks(lambda key: self._test(*asked[key], key), list(asked), self._n_jobs)
        self._known |= dict(zip(asked, found, strict=True))
        tests = [(self._known[key], swapped) for key, swapped in order]
        return [test._replace(auc=1.0 - test.auc) if swapped else test for test, swapped in tests]

    def _pieces_of(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """Codes 0..n-1 of the pieces of some cells, by first appearance."""
        _, first, inverse = np.unique(self._pieces[cells], return_index=True, return_inverse=True)
        return np.argsort(np.argsort(first))[inverse]

    def _test(self, first: NDArray[np.int64], second: NDArray[np.int64], key: tuple[int, ...]) -> _Test:
        """Compare real and null genes between two sets of cells."""
        exact = min(first.size, second.size) < self._params.exact_below
        first, second = (limited(cells, EXACT_PARTNER if exact else MAX_CELLS) for cells in (first, second))
        chosen = np.concatenate((first, second))
        counts = self._counts[chosen].toarray().astype(np.float64)
        present = counts.any(axis=0)
        counts = counts[:, present]
        is_first = np.arange(chosen.size) < first.size
        rng = np.random.default_rng([self._seed, *key])
        values = _normalised(counts)
        log10_p, auc = _rank_sum(values, is_first, exact=exact)
        strata = strata_of(None if self._batches is None else self._batches[chosen], chosen.size)
        population = fit_population(counts, strata, self._pieces_of(chosen), is_first, rng)
        scaled = _scaled(values)
        direction = scaled[is_first].mean(axis=0) - scaled[~is_first].mean(axis=0)
        w, log10_p_null = np.empty((2, self._params.n_draws, log10_p.size))
        fdr, offset = self._params.fdr, self._params.offset
        for draw in range(self._params.n_draws):
            null_values = _normalised(draw_population(population, rng))
            part = _cut_null(null_values, is_first, direction, strata, rng)
            log10_p_null[draw], auc_null = _rank_sum(null_values, part, exact=exact)
            w[draw] = drop_weak(contrast(log10_p, log10_p_null[draw]), auc, auc_null, self._params.min_auc)
            if is_settled(w[: draw + 1], -log10_p, self._params.n_draws, fdr=fdr, offset=offset):
                break
        w, log10_p_null = w[: draw + 1], log10_p_null[: draw + 1]
        selection = select(w, fdr=fdr, offset=offset)
        return _Test(
            selection._replace(selected=_spread(selection.selected, present, False)),
            _spread(np.median(w, axis=0), present, 0.0),
            _spread(log10_p, present, 0.0),
            _spread(np.median(log10_p_null, axis=0), present, 0.0),
            _spread(auc, present, 0.5),
        )


class _WithinPieces(SyntheticTest):
    """The synthetic-null test of one pair, within pieces that are known from the search."""

    def every_gene(
        self, labels: NDArray[np.int32], pieces: NDArray[np.int32], codes: tuple[int, int]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], Selection]:
        """log10 p, that of the null, W and what the filter selects."""
        self._pieces = pieces
        test = self._tests(labels, np.array([codes]))[0]
        return test.log10_p, test.log10_p_null, test.w, test.selection

    def null_counts(
        self, labels: NDArray[np.int32], codes: tuple[int, int]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Counts of the cells that took part, and of as many null cells."""
        members = [np.flatnonzero(labels == code) for code in codes]
        exact = min(cells.size for cells in members) < self._params.exact_below
        cells = np.concatenate([limited(found, EXACT_PARTNER if exact else MAX_CELLS) for found in members])
        counts = self._counts[cells].toarray().astype(np.float64)
        rng = np.random.default_rng(self._seed)
        strata = strata_of(None if self._batches is None else self._batches[cells], cells.size)
        null = np.zeros(counts.shape)
        present = counts.any(axis=0)
        is_first = labels[cells] == codes[0]
        population = fit_population(counts[:, present], strata, self._pieces_of(cells), is_first, rng)
        null[:, present] = draw_population(population, rng)
        return counts, null


def _joins(labels: NDArray[np.int32], pieces: NDArray[np.integer]) -> bool:
    """Whether every piece lies in one of the clusters `labels`."""
    of_piece = np.empty(int(pieces.max()) + 1, dtype=labels.dtype)
    of_piece[pieces] = labels
    return np.array_equal(of_piece[pieces], labels)


def _normalised(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log1p(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0) * TARGET_TOTAL)


def _scaled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    deviation = values.std(axis=0, ddof=1)
    return np.minimum((values - values.mean(axis=0)) / np.where(deviation > 0, deviation, np.inf), MAX_SCALED)


def _cut_null(
    values: NDArray[np.float64],
    is_first: NDArray[np.bool_],
    direction: NDArray[np.float64],
    strata: Strata,
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Cut null cells on their own components, from where the real cells are cut and from random starts.

    Batches are centred and keep their share of each part, so that the null is not cut along them.
    """
    scaled = _scaled(values)
    if len(strata) > 1:
        for cells in strata:
            scaled[cells] -= scaled[cells].mean(axis=0)
    single = scaled.astype(np.float32)
    variance, vectors = leading_eigenvectors(single @ single.T, min(_COMPONENTS, len(values) - 1))
    scores = vectors * np.sqrt(np.maximum(variance, 0.0))
    return cut(scores, single, is_first, scaled @ direction, strata, rng)


def _rank_sum(
    values: NDArray[np.float64], is_first: NDArray[np.bool_], *, exact: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """log10 p and AUC of each gene between the two parts."""
    csc = sparse.csc_array(values)
    found = rank_sum(sort_genes(csc), (~is_first).astype(np.int32))
    auc = found.u[0] / (is_first.sum() * (~is_first).sum())
    return exact_log10_p(csc, is_first) if exact else found.log10_p[0], auc


def _spread(values: NDArray[Any], present: NDArray[np.bool_], elsewhere: float) -> NDArray[Any]:
    """Values of the genes that are `present` in the pair among those of all genes."""
    spread = np.full(present.size, elsewhere, dtype=values.dtype)
    spread[present] = values
    return spread
