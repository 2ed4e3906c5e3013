"""The synthetic-null test: would one population, cut in two, have markers as good as those of two clusters.

For labels that were formed on the same expression data. The cells of a pair are pooled and one population is fitted to
them; null cells are drawn from it and cut in two by the same sizes, as a clustering cuts whatever it gets. The null
genes are tested as the real ones are, and the knockoff filter compares gene by gene.
"""

from __future__ import annotations

from functools import cached_property
from itertools import islice
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recall_py.method.clustering.components import scores_above_noise
from recall_py.method.normalisation import log_normalise
from recall_py.method.pairs.filter import Selection, contrast, drop_weak, is_settled, select
from recall_py.method.pairs.neighbours import N_NEAREST
from recall_py.method.pairs.pooled import PairOfCells, PooledPair
from recall_py.method.pairs.rank_sum import cluster_sizes
from recall_py.method.pairs.table import EXACT_PARTNER, MAX_CELLS, EveryGene, limited, log2_fold_changes, pair_table
from recall_py.method.params import FilterParams
from recall_py.method.results import Markers, PairTable
from recall_py.method.threads import map_blocks, one_blas_thread


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
    params
        The filter and the number of draws.
    values
        (n_cells, n_genes) log-normalised counts, for the fold changes of markers; made when needed if not given.
    scores
        (n_cells, n_components) where the clusters were formed, for the distances between clusters; by default the
        components above the noise.
    batches
        (n_cells,) codes: the population keeps the means of each batch, so that batches alone support no split.
    seed
        Of the null draws; each pair of sets of cells draws from its own generator.
    n_jobs
        Number of threads.
    """

    takes_knockoffs: ClassVar = False
    """Null cells belong to a pair: the counts are those of real genes alone."""

    def __init__(
        self,
        counts: sparse.csc_array,
        params: FilterParams,
        *,
        values: sparse.csc_array | None = None,
        scores: NDArray[np.float64] | None = None,
        batches: NDArray[np.int32] | None = None,
        seed: int = 0,
        n_jobs: int = 1,
    ) -> None:
        self._counts = sparse.csr_array(counts)
        self._given_values = values
        self._given_scores = scores
        self._pieces = np.zeros(counts.shape[0], dtype=np.int32)
        self._params = params
        self._batches = batches
        self._seed = seed
        self._n_jobs = n_jobs
        self._known: dict[tuple[int, ...], _Test] = {}

    @classmethod
    def of_counts(
        cls,
        counts: sparse.csc_array,
        params: FilterParams,
        *,
        batches: NDArray[np.int32] | None = None,
        seed: int = 0,
        n_jobs: int = 1,
    ) -> SyntheticTest:
        """The test on counts of real genes alone."""
        return cls(counts, params, batches=batches, seed=seed, n_jobs=n_jobs)

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

    def every_gene(
        self, labels: NDArray[np.int32], codes: tuple[int, int], pieces: NDArray[np.int32] | None = None
    ) -> EveryGene:
        """All genes in one pair of clusters, with the first draw of its null cells.

        Parameters
        ----------
        labels
            (n_cells,) codes.
        codes
            The pair.
        pieces
            (n_cells,) codes of the clusters that were joined to make up `labels`, by default `labels`.
        """
        self._pieces = labels if pieces is None else pieces
        (cells,) = self._asked(labels, np.array([codes]))
        test = self._tests(labels, np.array([codes]))[0]
        pair, present = self._pooled(cells)
        with one_blas_thread():
            null = next(pair.null_cuts(self._generator(cells)))
        return EveryGene(
            log10_p=test.log10_p,
            log10_p_null=test.log10_p_null,
            w=test.w,
            selection=test.selection,
            real=_among_all(pair.counts, present),
            null=_among_all(null.counts, present),
            null_side=np.where(null.is_first, 1, 0) if cells.swapped else np.where(null.is_first, 0, 1),
        )

    @cached_property
    def _values(self) -> sparse.csc_array:
        if self._given_values is not None:
            return self._given_values
        return log_normalise(sparse.csc_array(self._counts), n_jobs=self._n_jobs)

    @cached_property
    def _scores(self) -> NDArray[np.float64]:
        if self._given_scores is not None:
            return self._given_scores
        return scores_above_noise(self._values, n_jobs=self._n_jobs)

    def _neighbours(self, labels: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """(n_pairs, 2) pairs of near clusters, and the sum of squares that joining them would add (Ward)."""
        sizes = cluster_sizes(labels)
        codes = np.flatnonzero(sizes >= self._params.min_cells)
        if codes.size < 2:
            return np.empty((0, 2), dtype=np.int64), np.empty(0)
        centroids = np.array([self._scores[labels == code].mean(axis=0) for code in codes])
        squared = ((centroids[:, np.newaxis] - centroids) ** 2).sum(axis=2)
        np.fill_diagonal(squared, np.inf)
        nearest = np.argsort(squared, axis=1, kind="stable")[:, : min(N_NEAREST, codes.size - 1)]
        first, second = np.repeat(np.arange(codes.size), nearest.shape[1]), nearest.ravel()
        at = np.unique(np.sort(np.column_stack((first, second)), axis=1), axis=0)
        n_a, n_b = sizes[codes[at]].T
        return codes[at], squared[at[:, 0], at[:, 1]] * n_a * n_b / (n_a + n_b)

    def _tests(self, labels: NDArray[np.int32], pairs: NDArray[np.int64]) -> list[_Test]:
        """The tests of `pairs`, those not yet known side by side."""
        asked = self._asked(labels, pairs)
        unknown = {cells.key: cells for cells in asked if cells.key not in self._known}
        with one_blas_thread():
            tested = map_blocks(self._test, unknown.values(), self._n_jobs)
        self._known |= dict(zip(unknown, tested, strict=True))
        tests = [(self._known[cells.key], cells.swapped) for cells in asked]
        return [test._replace(auc=1.0 - test.auc) if swapped else test for test, swapped in tests]

    def _asked(self, labels: NDArray[np.int32], pairs: NDArray[np.int64]) -> list[PairOfCells]:
        """The cells of each pair."""
        members = {code: np.flatnonzero(labels == code) for code in np.unique(pairs).tolist()}
        return [PairOfCells.of(members[a], members[b], self._pieces) for a, b in pairs.tolist()]

    def _pooled(self, cells: PairOfCells) -> tuple[PooledPair, NDArray[np.bool_]]:
        """The cells that take part, and which genes have a count in them."""
        exact = min(cells.first.size, cells.second.size) < self._params.exact_below
        first, second = (limited(side, EXACT_PARTNER if exact else MAX_CELLS) for side in (cells.first, cells.second))
        chosen = np.concatenate((first, second))
        batches = None if self._batches is None else self._batches[chosen]
        return PooledPair.of(self._counts[chosen], first.size, self._pieces[chosen], batches, exact=exact)

    def _generator(self, cells: PairOfCells) -> np.random.Generator:
        return np.random.default_rng([self._seed, *cells.key])

    def _test(self, cells: PairOfCells) -> _Test:
        """Compare real and null genes between two sets of cells."""
        pair, present = self._pooled(cells)
        log10_p, auc = pair.real_cut()
        n_draws, fdr, offset = self._params.n_draws, self._params.fdr, self._params.offset
        w, log10_p_null = np.empty((2, n_draws, log10_p.size))
        for draw, null in enumerate(islice(pair.null_cuts(self._generator(cells)), n_draws)):
            log10_p_null[draw] = null.genes.log10_p
            w[draw] = drop_weak(contrast(log10_p, log10_p_null[draw]), auc, null.genes.auc, self._params.min_auc)
            if is_settled(w[: draw + 1], -log10_p, n_draws, fdr=fdr, offset=offset):
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


def _joins(labels: NDArray[np.int32], pieces: NDArray[np.integer]) -> bool:
    """Whether every piece lies in one of the clusters `labels`."""
    of_piece = np.empty(int(pieces.max()) + 1, dtype=labels.dtype)
    of_piece[pieces] = labels
    return np.array_equal(of_piece[pieces], labels)


def _spread(values: NDArray[Any], present: NDArray[np.bool_], elsewhere: float) -> NDArray[Any]:
    """Values of the genes that are `present` in the pair among those of all genes, along the last axis."""
    spread = np.full((*values.shape[:-1], present.size), elsewhere, dtype=values.dtype)
    spread[..., present] = values
    return spread


def _among_all(counts: sparse.csc_array, present: NDArray[np.bool_]) -> sparse.csc_array:
    """Counts of the genes that are `present` in the pair among those of all genes."""
    stored = _spread(np.diff(counts.indptr), present, 0)
    indptr = np.concatenate(([0], np.cumsum(stored)))
    return sparse.csc_array((counts.data.astype(np.float64), counts.indices, indptr), (counts.shape[0], present.size))
