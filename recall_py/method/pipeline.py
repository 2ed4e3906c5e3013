"""Counts in, calibrated clusters out: the stages of a run in their order, on plain arrays."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recall_py.arguments import ArgumentError
from recall_py.method.calibrate import CountLadder, Ladder, PairTest, ResolutionLadder, calibrate
from recall_py.method.clustering.components import MAX_COMPONENTS, embed, scale, scores_above_noise
from recall_py.method.clustering.graph import MakeGraph, build_graph
from recall_py.method.clustering.partition import Clusterer, GraphClusterer, SpaceClusterer
from recall_py.method.normalisation import log_normalise
from recall_py.method.nulls import augment
from recall_py.method.pairs import pair_test_named
from recall_py.method.pairs.against_knockoffs import KnockoffTest, SortedGeneTests
from recall_py.method.pairs.against_null_cells import SyntheticTest
from recall_py.method.params import FilterParams, RunParams
from recall_py.method.results import Augmented, Cells, Markers, NullFit, PairTable, RecallResult, Search
from recall_py.method.stages import Observer, Silent, Stages
from recall_py.method.threads import resolve_n_jobs


def cluster_counts(
    cells: Cells,
    params: RunParams,
    observer: Observer | None = None,
    make_graph: MakeGraph | None = None,
) -> RecallResult:
    """Calibrated clusters of raw counts.

    Parameters
    ----------
    cells
        With raw counts of the selected genes. Not changed.
    params
        What to do.
    observer
        Told of each stage and iteration.
    make_graph
        Makes the graph, where it is to be another than shared nearest neighbours.

    Raises
    ------
    ValueError
        If there are too few cells or genes for what is asked.
    """
    refuse_too_small(cells.counts.shape, params)
    stages = Stages(observer or Silent())
    if not pair_test_named(params.pair_test).takes_knockoffs:
        return _cluster_by_synthetic_nulls(cells, params, stages, make_graph)
    with stages("knockoffs"):
        n_draws = params.filter.n_draws
        augmented = draw_knockoffs(cells, params.null_method, params.seed, params.n_jobs, n_draws=n_draws)
    with stages("normalise"):
        values = log_normalise(augmented.counts, n_jobs=params.n_jobs)
        fits = augmented.fits
        del augmented  # large, and not needed any more
    return _cluster_augmented(values, fits, params, stages, make_graph)


def components_of_real_genes(counts: sparse.csc_array, params: RunParams) -> NDArray[np.float64]:
    """(n_cells, n_components) scores without knockoffs, on `dims` components or `MAX_COMPONENTS`."""
    n_components = min(params.dims or MAX_COMPONENTS, min(counts.shape) - 1)
    return embed(scale(log_normalise(counts, n_jobs=params.n_jobs)), n_components, n_jobs=params.n_jobs).scores


def cluster_augmented(
    augmented: Augmented, params: RunParams, observer: Observer | None = None, make_graph: MakeGraph | None = None
) -> RecallResult:
    """Calibrated clusters from real genes and given knockoffs; see :func:`cluster_counts`."""
    stages = Stages(observer or Silent())
    with stages("normalise"):
        values = log_normalise(augmented.counts, n_jobs=params.n_jobs)
    return _cluster_augmented(values, augmented.fits, params, stages, make_graph)


def _cluster_augmented(
    values: sparse.csc_array,
    fits: tuple[NullFit, ...],
    params: RunParams,
    stages: Stages,
    make_graph: MakeGraph | None,
) -> RecallResult:
    """Real genes and all draws of knockoffs are embedded and clustered together, once."""
    with stages("sort"):
        test = KnockoffTest(SortedGeneTests(values, params.filter, n_jobs=params.n_jobs), params.filter)
    with stages("components"):
        scores = _components(values, params.dims, params.n_jobs)
    return search_and_mark(scores, test, params, stages, fits, make_graph)


def _cluster_by_synthetic_nulls(
    cells: Cells,
    params: RunParams,
    stages: Stages,
    make_graph: MakeGraph | None,
) -> RecallResult:
    """Real genes alone are clustered; each pair of neighbouring clusters is tested against null cells of its own."""
    with stages("normalise"):
        values = log_normalise(cells.counts, n_jobs=params.n_jobs)
    with stages("components"):
        scores = _components(values, params.dims, params.n_jobs)
        test = SyntheticTest(
            cells.counts,
            params.filter,
            values=values,
            scores=scores,
            batches=cells.batches,
            seed=params.seed,
            n_jobs=params.n_jobs,
        )
    return search_and_mark(scores, test, params, stages, (), make_graph)


def search_and_mark(
    scores: NDArray[np.float64],
    test: PairTest,
    params: RunParams,
    stages: Stages,
    fits: tuple[NullFit, ...],
    make_graph: MakeGraph | None = None,
) -> RecallResult:
    """The stages after the components."""
    with stages("graph"):
        cluster = _make_clusterer(scores, params, make_graph)
    with stages("search"):
        search = calibrate(cluster, test, params.search, _ladder(params, len(scores)), stages.observer.iteration)
        search = _with_modularity(search, cluster)
    with stages("markers"):
        markers = test.markers(search.partition.labels)
    return RecallResult(search, markers, fits, scores.shape[1], stages.seconds)


def _components(values: sparse.csc_array, dims: int | None, n_jobs: int) -> NDArray[np.float64]:
    """(n_cells, dims) scores, on as many components as stand above the noise where `dims` does not say."""
    if dims is not None:
        return embed(scale(values), dims, n_jobs=n_jobs).scores
    return scores_above_noise(values, n_jobs=n_jobs)


def check_labels(
    cells: Cells,
    labels: NDArray[np.int32],
    pair_test: str,
    null_method: str,
    params: FilterParams,
    *,
    seed: int = 0,
    n_jobs: int | None = None,
) -> tuple[PairTable, Markers]:
    """Test pairs of given labels, against knockoffs or against null cells of each pair; see ``tl.test_clusters``."""
    test = make_pair_test(cells, pair_test, null_method, params, seed=seed, n_jobs=n_jobs)
    return test(labels), test.markers(labels)


def make_pair_test(
    cells: Cells,
    pair_test: str,
    null_method: str,
    params: FilterParams,
    *,
    seed: int = 0,
    n_jobs: int | None = None,
) -> KnockoffTest | SyntheticTest:
    """The test called `pair_test` on given cells; the knockoffs that it may take are drawn first."""
    threads = resolve_n_jobs(n_jobs)
    test = pair_test_named(pair_test)
    counts = cells.counts
    if test.takes_knockoffs:
        counts = draw_knockoffs(cells, null_method, seed, threads, n_draws=params.n_draws).counts
    return test.of_counts(counts, params, batches=cells.batches, seed=seed, n_jobs=threads)


def draw_knockoffs(
    cells: Cells, null_method: str, seed: int, n_jobs: int = 1, *, n_draws: int = 1, first_gene: int = 0
) -> Augmented:
    """Counts with their knockoffs beside them; the draws have the first children of the seed."""
    seeds = np.random.SeedSequence(seed).spawn(n_draws)
    return augment(cells, null_method, *seeds, first_gene=first_gene, n_jobs=n_jobs)


def refuse_too_small(shape: tuple[int, ...], params: RunParams) -> None:
    """Refuse data that the run cannot work on, before anything is computed."""
    n_cells, n_genes = shape
    refuse_below_floor(n_genes, params.filter)
    if params.partition.by_resolution and n_cells <= params.graph.n_neighbors:
        fewer = f", or fewer neighbours: sc.pp.neighbors(adata, n_neighbors={max(2, n_cells // 2)})"
        msg = (
            f"{n_cells} cells are too few for {params.graph.n_neighbors} neighbours. More cells are needed"
            f"{fewer if params.graph.kind == 'umap' else ''}."
        )
        raise ValueError(msg)
    if params.dims is not None and params.dims >= min(n_genes, n_cells):
        text = (
            "{n_genes} genes and {n_cells} cells are too few for {found} principal components. "
            "Pass fewer: {dims:{most}}."
        )
        most = max(2, min(n_genes, n_cells) // 2)
        raise ArgumentError(text, n_genes=n_genes, n_cells=n_cells, found=params.dims, most=most)
    if not params.partition.by_resolution and params.search.start > n_cells:
        msg = f"The search starts at {params.search.start:g} clusters, but there are only {n_cells} cells."
        raise ValueError(msg)


def refuse_below_floor(n_genes: int, params: FilterParams) -> None:
    """Refuse fewer genes than the filter needs to select any."""
    if n_genes < params.min_selected:
        text = (
            "{n_genes} genes are too few: with {fdr:{asked.fdr:g}} and {offset:{asked.offset}} a pair of clusters "
            "needs at least {asked.min_selected} selected genes to pass. Select more genes, or pass a "
            "larger {fdr} or {offset:0}."
        )
        raise ArgumentError(text, n_genes=n_genes, asked=params)


def _ladder(params: RunParams, n_cells: int) -> Ladder:
    if params.partition.by_resolution:
        return ResolutionLadder(params.search.reduction)
    return CountLadder(params.search.reduction, most=n_cells)


def _make_clusterer(scores: NDArray[np.float64], params: RunParams, make_graph: MakeGraph | None) -> Clusterer:
    if not params.partition.by_resolution:
        return SpaceClusterer(scores, params.partition, params.seed)
    return GraphClusterer(build_graph(scores, params.graph, make_graph), params.partition, params.seed)


def _with_modularity(search: Search, cluster: Clusterer) -> Search:
    """The modularity of labels that merging changed."""
    if not isinstance(cluster, GraphClusterer) or not np.isnan(search.partition.modularity):
        return search
    modularity = cluster.modularity(search.partition.labels)
    return dataclasses.replace(search, partition=dataclasses.replace(search.partition, modularity=modularity))
