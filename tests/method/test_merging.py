"""Merging clusters by null cells of each pair: what comes out of given labels, and what it does not depend on."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import sparse
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import kneighbors_graph

from recall_py.datasets import simulate
from recall_py.method.clustering.components import embed, scale
from recall_py.method.merging import merge_clusters
from recall_py.method.normalisation import log_normalise
from recall_py.method.pairs.lead import NULL_FALL
from recall_py.method.pairs.neighbours import Centroids, EdgeWeights
from recall_py.method.pairs.table import MAX_CELLS
from recall_py.method.params import ALPHA, MergeParams

QUICK = MergeParams(n_draws=3)


class Cells:
    """Counts of simulated cells, their embedding and their graph."""

    def __init__(self, **options) -> None:
        adata = simulate(**{"n_cells": 180, "n_genes": 250, "mean_depth": 2000, "n_markers": 30, **options})
        self.counts = sparse.csr_array(adata.X)
        self.scores = embed(scale(log_normalise(sparse.csc_array(self.counts))), 5).scores
        self.groups, self.batches = (adata.obs[name].cat.codes.to_numpy(np.int32) for name in ("group", "batch"))
        self.read: list[np.ndarray] = []

    def rows(self, cells):
        self.read.append(cells)
        return self.counts[cells]

    def neighbours(self, kind, labels):
        if kind == "embedding":
            return Centroids.of_cells(self.scores, labels)
        return None if kind == "labels" else EdgeWeights(kneighbors_graph(self.scores, 10), labels)

    def merge(self, labels, params=QUICK, kind="labels", **options):
        return merge_clusters(labels, self.rows, self.neighbours(kind, labels), params, **{"n_jobs": 1, **options})


def k_means(cells, k, seed=0):
    return KMeans(k, n_init=1, random_state=seed).fit_predict(cells.scores).astype(np.int32)


@pytest.fixture(scope="module")
def three():
    return Cells(group_shares=(0.5, 0.3, 0.2))


@pytest.fixture(scope="module")
def split(three):
    """Clusters of which several share a group."""
    return k_means(three, 6)


@pytest.fixture(scope="module")
def merged(three, split):
    return three.merge(split)


def flat(found):
    """Everything in a result, as comparable text."""
    with np.printoptions(threshold=10**6, precision=17):
        return repr([found.labels, found.members, found.merges, found.standing, found.untested])


@pytest.mark.parametrize("kind", ["graph", "embedding", "labels"])
def test_groups_that_were_cut_are_whole_again(three, split, kind):
    found = three.merge(split, kind=kind)
    assert adjusted_rand_score(three.groups, split) < 0.8
    assert adjusted_rand_score(three.groups, found.labels) > 0.95


def test_every_cluster_is_a_union_of_clusters_that_came_in(split, merged):
    assert sorted(code for members in merged.members for code in members) == list(range(6))
    for code, members in enumerate(merged.members):
        np.testing.assert_array_equal(merged.labels == code, np.isin(split, members))
    sizes = np.bincount(merged.labels)
    assert merged.labels.dtype == np.int32
    assert (np.diff(sizes) <= 0).all()


def test_merges_in_their_order_lead_from_the_start_to_the_end(split, merged):
    parts = {(code,) for code in range(6)}
    for merge in merged.merges:
        assert {merge.first, merge.second} <= parts
        assert merge.sizes == tuple(np.isin(split, side).sum() for side in (merge.first, merge.second))
        assert merge.sizes[0] >= merge.sizes[1]
        parts = parts - {merge.first, merge.second} | {tuple(sorted(merge.first + merge.second))}
    assert parts == set(merged.members)


def test_what_fails_is_merged_and_what_is_left_stands(merged):
    assert len(merged.merges) == 3
    for outcome in merged.merges:
        assert not outcome.stands
        assert outcome.lead <= outcome.threshold == 1.0
        assert outcome.kind == "pair"
    assert len(merged.standing) == 3
    for outcome in merged.standing:
        assert outcome.stands
        assert {outcome.first, outcome.second} <= set(merged.members)
        assert outcome.comparison.genes.size <= 20
        assert (outcome.comparison.log10_p < outcome.comparison.log10_p_null)[:3].all()


def test_an_outcome_near_the_threshold_is_called_near(three):
    two = np.minimum(three.groups, 1)
    (pair,) = three.merge(two).standing
    for below, near in ((0.4, True), (0.6, False)):
        alpha = ALPHA * (pair.lead - below) ** -NULL_FALL
        params = dataclasses.replace(QUICK, alpha=alpha, near=0.5)
        (again,) = three.merge(two, params).standing
        assert (again.near, again.lead) == (near, pair.lead)


@pytest.mark.parametrize("n_jobs", [2, 5])
def test_threads_change_no_bit(three, split, merged, n_jobs):
    assert flat(three.merge(split, n_jobs=n_jobs)) == flat(merged)


def test_names_of_the_clusters_do_not_matter(three, split, merged):
    renamed = np.array([3, 5, 0, 1, 4, 2])
    found = three.merge(renamed[split])
    np.testing.assert_array_equal(found.labels, merged.labels)
    assert [{*renamed[list(members)].tolist()} for members in merged.members] == [set(m) for m in found.members]
    assert [outcome.lead for outcome in found.merges] == [outcome.lead for outcome in merged.merges]


def test_the_order_of_the_cells_does_not_matter_to_the_clusters(three, split, merged):
    order = np.random.default_rng(0).permutation(split.size)
    counts = three.counts[order]
    found = merge_clusters(split[order], lambda cells: counts[cells], None, QUICK, n_jobs=1)
    assert adjusted_rand_score(found.labels, merged.labels[order]) == 1.0


def test_another_seed_draws_other_null_cells(three, split, merged):
    other = three.merge(split, dataclasses.replace(QUICK, seed=1))
    assert other.standing[0].lead != merged.standing[0].lead
    told = [
        dict(zip(one.comparison.genes, one.comparison.log10_p, strict=True))
        for one in (other.standing[0], merged.standing[0])
    ]
    both = told[0].keys() & told[1].keys()
    assert both
    assert {gene: told[0][gene] for gene in both} == {gene: told[1][gene] for gene in both}


def test_at_most_so_many_cells_of_a_cluster_are_read_and_each_cluster_once():
    cells = Cells(n_cells=900, group_shares=(0.5, 0.5), n_genes=60, n_markers=20)
    found = cells.merge(cells.groups)
    assert [asked.size for asked in cells.read] == [MAX_CELLS, MAX_CELLS]
    for asked, code in zip(cells.read, (0, 1), strict=True):
        assert (cells.groups[asked] == code).all()
    assert found.labels.max() == 1


def test_one_cluster_has_no_pair(three):
    found = three.merge(np.zeros(three.groups.size, dtype=np.int32))
    assert found.members == ((0,),)
    assert (found.merges, found.standing, found.untested) == ((), (), ())


def test_two_cells_become_one_cluster(three):
    counts = three.counts[:2]
    found = merge_clusters(np.array([0, 1]), lambda cells: counts[cells], None, QUICK)
    assert found.labels.tolist() == [0, 0]
    assert [merge.kind for merge in found.merges] == ["small"]
    assert np.isnan(found.merges[0].lead)


@pytest.mark.parametrize("min_cells", [0, 2])
def test_three_cells_are_compared_where_they_are_asked_for(three, min_cells):
    labels = np.zeros(three.groups.size, dtype=np.int32)
    labels[:3] = 1
    found = three.merge(labels, dataclasses.replace(QUICK, min_cells=min_cells))
    assert [merge.kind for merge in found.merges] == ["pair"]


def with_small(three):
    """Two cells of the first group as a cluster of their own, and one of the third."""
    labels = three.groups.copy()
    labels[np.flatnonzero(three.groups == 0)[:2]] = 3
    labels[np.flatnonzero(three.groups == 2)[:1]] = 4
    return labels


@pytest.mark.parametrize("kind", ["graph", "embedding", "labels"])
def test_small_clusters_join_the_nearest(three, kind):
    found = three.merge(with_small(three), kind=kind)
    np.testing.assert_array_equal(found.labels, three.groups)
    assert [(merge.kind, merge.first, merge.second) for merge in found.merges] == [
        ("small", (2,), (4,)),
        ("small", (0,), (3,)),
    ]
    assert all(merge.comparison is None and not merge.stands and not merge.near for merge in found.merges)


def test_small_clusters_without_an_edge_join_the_nearest_profile(three):
    labels = with_small(three)
    graph = kneighbors_graph(three.scores, 10).tolil()
    alone = np.flatnonzero(labels >= 3)
    graph[alone] = 0
    graph[:, alone] = 0
    found = merge_clusters(labels, three.rows, EdgeWeights(sparse.csr_array(graph), labels), QUICK, n_jobs=1)
    np.testing.assert_array_equal(found.labels, three.groups)


def test_small_clusters_stay_where_they_are_asked_to(three):
    labels = with_small(three)
    found = three.merge(labels, dataclasses.replace(QUICK, merge_small=False))
    np.testing.assert_array_equal(found.labels, labels)
    assert found.untested == (3, 4)
    assert not {3, 4} & {code for pair in found.standing for code in pair.first + pair.second}


def test_parts_of_a_graph_that_no_edge_joins_are_compared_with_the_nearest(three):
    """One population explains both, so no cluster stands for want of edges alone."""
    labels = (np.arange(three.groups.size) % 2).astype(np.int32)
    apart = (labels[:, None] == labels).astype(float)
    found = merge_clusters(labels, three.rows, EdgeWeights(sparse.csr_array(apart), labels), QUICK, n_jobs=1)
    assert (len(found.members), len(found.merges), found.standing) == (1, 1, ())


def test_batches_alone_hold_no_pair_apart():
    cells = Cells(n_cells=600, n_batches=2, batch_sd=0.6)
    labels = np.where(np.arange(cells.batches.size) % 40 == 0, 1 - cells.batches, cells.batches).astype(np.int32)
    assert cells.merge(labels).labels.max() == 1
    assert cells.merge(labels, batches=cells.batches).labels.max() == 0


@pytest.mark.parametrize("batch_sd", [0.0, 0.5])
def test_thirty_batches_of_few_cells_split_no_group_and_hide_none(batch_sd):
    """Clusters have five cells of a batch, more or less."""
    options = {"n_cells": 600, "n_batches": 30, "batch_sd": batch_sd, "mean_depth": 1500}
    pure = Cells(**options)
    assert pure.merge((np.arange(600) % 4).astype(np.int32), batches=pure.batches).labels.max() == 0
    two = Cells(group_shares=(0.5, 0.5), log2_fold_change=2.0, **options)
    halves = (2 * two.groups + np.arange(600) % 2).astype(np.int32)
    found = two.merge(halves, batches=two.batches)
    assert adjusted_rand_score(found.labels, two.groups) == 1.0


def test_clusters_without_a_batch_in_common_stay_and_are_not_compared():
    cells = Cells(n_batches=2, batch_sd=1.0)
    found = cells.merge(cells.batches, batches=cells.batches)
    assert found.labels.max() == 1
    assert [(outcome.kind, outcome.comparison) for outcome in found.standing] == [("batch", None)]


def collapses(how, seed, **options):
    cells = Cells(random_state=seed, **options)
    labels = np.random.default_rng(seed).integers(4, size=180) if how == "at random" else k_means(cells, 4, seed)
    return cells.merge(labels.astype(np.int32), MergeParams(seed=seed)).labels.max() == 0


@pytest.mark.parametrize("how", ["at random", "k-means"])
def test_one_population_becomes_one_cluster(how):
    assert collapses(how, 0)


@pytest.mark.slow
@pytest.mark.parametrize("n_modules", [0, 2])
@pytest.mark.parametrize("how", ["at random", "k-means"])
def test_one_population_seldom_stays_in_parts(how, n_modules):
    left = sum(not collapses(how, seed, n_modules=n_modules) for seed in range(10))
    # Populations left in parts at a rate of 0.05: more than 1 of 10 has chance 0.09.
    assert left <= 1


@pytest.mark.slow
def test_distinct_groups_stay_apart():
    whole = 0
    for seed in range(10):
        cells = Cells(random_state=seed, group_shares=(0.4, 0.35, 0.25))
        whole += adjusted_rand_score(cells.groups, cells.merge(k_means(cells, 6, seed)).labels) > 0.95
    assert whole >= 9


@pytest.mark.parametrize("labels", [[0, 2, 2], [-1, 0, 0], []])
def test_labels_that_are_no_codes_are_refused(three, labels):
    with pytest.raises(ValueError, match=r"labels must be codes 0\.\.k-1.*numpy\.unique"):
        merge_clusters(np.array(labels, dtype=np.int32), three.rows)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_draws": 0}, "n_draws is 0; a whole number from 2 on"),
        ({"min_cells": -1}, "min_cells is -1; a whole number from 0 on"),
        ({"n_best": 2.5}, "n_best is 2.5; a whole number"),
        ({"alpha": float("nan")}, "alpha is nan; a share between 0 and 1 is needed"),
        ({"alpha": 0.0}, "alpha is 0.0; a share between 0 and 1 is needed"),
        ({"alpha": 5}, "alpha is 5; a share between 0 and 1 is needed"),
        ({"near": -1.0}, "near is -1.0; a difference from 0 on"),
    ],
)
def test_bad_parameters_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MergeParams(**options)
