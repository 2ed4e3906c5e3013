"""Whole runs on drawn counts: noise stays one cluster, groups are found, one seed decides everything."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from recall_py.adata.neighbours import scanpy_graph
from recall_py.method import pipeline
from recall_py.method.clustering.components import embed, scale
from recall_py.method.normalisation import log_normalise
from recall_py.method.params import FilterParams, GraphParams, PartitionParams, RunParams, SearchParams
from recall_py.method.pipeline import cluster_counts, draw_knockoffs
from recall_py.method.results import Cells, RecallResult


def run_params(algorithm: str = "leiden", kind: str = "snn", seed: int = 0, n_jobs: int = 1, **search) -> RunParams:
    start = 5 if algorithm in ("kmeans", "ward") else 0.8
    return RunParams(
        search=SearchParams(**{"start": start, **search}),
        dims=10,
        graph=GraphParams(kind=kind, n_neighbors=20),
        partition=PartitionParams(algorithm=algorithm),
        seed=seed,
        n_jobs=n_jobs,
    )


def one_population(seed: int, n_cells: int = 300, n_genes: int = 200) -> sparse.csc_array:
    rng = np.random.default_rng(seed)
    return sparse.csc_array(rng.poisson(rng.gamma(1.0, 1.0, n_genes), (n_cells, n_genes)).astype(float))


def two_populations(seed: int, n_markers: int = 40, fold: float = 4.0) -> tuple[sparse.csc_array, np.ndarray]:
    """300 cells x 200 genes; in each group `n_markers` genes are `fold` times as high as in the other."""
    rng = np.random.default_rng(seed)
    truth = (rng.random(300) < 0.5).astype(int)
    rate = np.tile(rng.gamma(1.0, 1.0, 200), (300, 1))
    for group in (0, 1):
        rate[np.ix_(truth == group, np.arange(n_markers) + group * n_markers)] *= fold
    return sparse.csc_array(rng.poisson(rate).astype(float)), truth


def distant_populations(n_markers: int) -> tuple[sparse.csc_array, np.ndarray]:
    """Two groups without any edge between them, which differ in `n_markers` of 100 genes only."""
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1], 100)
    rate = np.full((200, 100), 3.0)
    rate[:100, :n_markers] = 0.01
    rate[100:, :n_markers] = 60.0
    return sparse.csc_array(rng.poisson(rate).astype(float)), truth


@pytest.mark.slow
@pytest.mark.parametrize(
    ("algorithm", "kind", "strategy", "n_runs"),
    [
        ("leiden", "snn", "resolution", 5),
        ("leiden", "umap", "resolution", 4),
        ("louvain", "snn", "merge", 10),
        ("kmeans", "snn", "resolution", 10),
        ("ward", "snn", "resolution", 10),
    ],
)
def test_poisson_noise_ends_in_one_cluster(algorithm, kind, strategy, n_runs):
    """All of 140 such runs (20 of each, NB and Louvain by resolution too) ended in one cluster: none of these may fail.

    Every run must have cut the noise first, else there was nothing to undo.
    """
    for seed in range(n_runs):
        params = run_params(algorithm, kind, seed, strategy=strategy)
        search = cluster_counts(Cells(one_population(seed)), params, make_graph=scanpy_graph).search
        assert search.iterations[0].n_clusters > 1
        assert search.partition.n_clusters == 1, seed


def test_noise_cut_on_real_genes_alone_keeps_its_double_dipping():
    """The control of the test above, DESIGN section 2: knockoffs calibrate only what they took part in."""
    n_selected = {"real genes": [], "real and knockoff genes": []}
    for seed in range(4):
        counts = one_population(seed)
        augmented = draw_knockoffs(Cells(counts), "ZIP", seed).counts
        for name, clustered in zip(n_selected, (counts, augmented), strict=True):
            scores = embed(scale(log_normalise(clustered)), 10).scores
            labels = KMeans(2, n_init=10, random_state=0).fit_predict(scores[:, :1]).astype(np.int32)
            table, _ = pipeline.check_labels(
                Cells(counts), labels, "knockoff", "ZIP", FilterParams(), seed=seed, n_jobs=1
            )
            n_selected[name].append(int(table.n_selected[0]))
    print(n_selected)
    assert np.median(n_selected["real genes"]) >= 20
    assert n_selected["real and knockoff genes"] == [0, 0, 0, 0]


@pytest.mark.parametrize("strategy", ["resolution", "merge"])
@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [("leiden", "snn"), ("leiden", "umap"), ("louvain", "snn"), ("kmeans", "snn"), ("ward", "snn")],
)
def test_two_clearly_different_groups_are_found(algorithm, kind, strategy):
    counts, truth = two_populations(3)
    found = cluster_counts(Cells(counts), run_params(algorithm, kind, strategy=strategy), make_graph=scanpy_graph)
    assert found.search.partition.n_clusters == 2
    assert adjusted_rand_score(truth, found.search.partition.labels) > 0.95
    assert found.search.reason == "calibrated"
    # Nearly all markers are among the 80 genes that differ, at most the target share of others.
    assert np.mean(found.markers.gene >= 80) <= 0.1
    assert len(found.markers.gene) >= 60


def assert_same_bits(first: RecallResult, second: RecallResult) -> None:
    np.testing.assert_array_equal(first.search.partition.labels, second.search.partition.labels)
    assert first.search.iterations == second.search.iterations
    for name in ("pair", "gene", "w", "log10_p", "log10_p_knockoff", "auc", "log2_fold_change"):
        np.testing.assert_array_equal(getattr(first.markers, name), getattr(second.markers, name), err_msg=name)
    np.testing.assert_array_equal(first.search.pairs.evidence, second.search.pairs.evidence)
    np.testing.assert_array_equal(first.search.pairs.threshold, second.search.pairs.threshold)


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [("leiden", "snn"), ("leiden", "umap"), ("louvain", "snn"), ("kmeans", "snn"), ("ward", "snn")],
)
@pytest.mark.parametrize("null_method", ["ZIP", "NB"])
def test_same_seed_gives_the_same_bits_for_any_number_of_threads(algorithm, kind, null_method):
    counts, _ = two_populations(1, fold=2.5)
    found = []
    for n_jobs in (1, 2):
        base = run_params(algorithm, kind, seed=9, n_jobs=n_jobs)
        asked = RunParams(**{**vars(base), "null_method": null_method})
        found.append(cluster_counts(Cells(counts), asked, make_graph=scanpy_graph))
    assert len(found[0].markers.w) > 0
    assert_same_bits(*found)


def test_other_seed_gives_other_knockoffs():
    counts = one_population(0)
    first, second = (draw_knockoffs(Cells(counts), "ZIP", seed).counts for seed in (0, 1))
    assert (first != second).nnz > 0


@pytest.mark.parametrize("algorithm", ["leiden", "louvain"])
def test_distant_groups_that_differ_in_too_few_genes_end_the_search(algorithm):
    """No resolution joins components, and 10 genes are below the floor of 20: without the rule the search is long."""
    counts, truth = distant_populations(n_markers=10)
    params = RunParams(**{**vars(run_params(algorithm, max_iterations=1000)), "dims": 2})
    search = cluster_counts(Cells(counts), params).search
    assert search.reason == "disconnected"
    assert not search.converged
    assert len(search.iterations) < 40
    assert adjusted_rand_score(truth, search.partition.labels) == 1.0
    assert search.pairs.failing.all()


def test_distant_groups_that_differ_in_too_few_genes_are_merged():
    counts, _ = distant_populations(n_markers=10)
    params = RunParams(**{**vars(run_params(strategy="merge")), "dims": 2})
    assert cluster_counts(Cells(counts), params).search.reason == "one cluster"


def test_modularity_of_merged_clusters_is_that_of_their_graph():
    counts, _ = two_populations(3)
    merged = cluster_counts(Cells(counts), run_params(strategy="merge", start=2.0)).search
    assert any(step.merged for step in merged.iterations)
    assert 0.3 < merged.partition.modularity < 0.6


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.int64])
def test_labels_do_not_depend_on_the_dtype_of_the_counts(dtype):
    counts, _ = two_populations(1, fold=2.5)
    expected = cluster_counts(Cells(counts), run_params())
    assert_same_bits(expected, cluster_counts(Cells(counts.astype(dtype)), run_params()))


@pytest.mark.parametrize(
    ("shape", "changes", "message"),
    [
        ((15, 100), {}, "15 cells are too few for 20 neighbours"),
        ((100, 19), {}, "19 genes are too few.*at least 20"),
        ((100, 30), {"dims": 30}, "too few for 30 principal components"),
    ],
)
def test_data_that_are_too_small_are_refused(shape, changes, message):
    counts = sparse.csc_array(np.ones(shape))
    with pytest.raises(ValueError, match=message):
        cluster_counts(Cells(counts), RunParams(**{**vars(run_params()), **changes}))
