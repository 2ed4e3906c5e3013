"""The synthetic-null test: what it calls supported, and what it does not depend on."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
import searches
from scipy import sparse, stats
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

import recall_py
from recall_py import CalibrationWarning
from recall_py.datasets import simulate
from recall_py.method.clustering.components import embed, scale
from recall_py.method.normalisation import log_normalise
from recall_py.method.pairs.against_null_cells import SyntheticTest
from recall_py.method.params import FilterParams

PARAMS = FilterParams(n_draws=3)


class Cells:
    """Counts, log-normalised values and components, and the true groups and batches."""

    def __init__(self, **options) -> None:
        adata = simulate(**{"n_cells": 120, "n_genes": 300, "mean_depth": 2000, "n_markers": 30, **options})
        counts = sparse.csc_array(adata.X)
        self.counts = counts[:, np.flatnonzero(np.diff(counts.indptr))]
        self.values = log_normalise(self.counts)
        self.scores = embed(scale(self.values), 5).scores
        self.groups, self.batches = (adata.obs[name].cat.codes.to_numpy(np.int32) for name in ("group", "batch"))

    def test(self, params: FilterParams = PARAMS, **options) -> SyntheticTest:
        return SyntheticTest(self.counts, params, values=self.values, scores=self.scores, **options)

    def n_selected(self, labels, **options) -> int:
        """Selected genes of the only pair."""
        (n_selected,) = self.test(**options)(np.asarray(labels, dtype=np.int32)).n_selected
        return int(n_selected)


@pytest.fixture(scope="module")
def three():
    return Cells(group_shares=(0.4, 0.35, 0.25))


@pytest.fixture(scope="module")
def eight():
    return Cells(n_cells=240, group_shares=[1 / 8] * 8, n_markers=20, log2_fold_change=2)


def as_bytes(table):
    return [getattr(table, name).tobytes() for name in table.__dataclass_fields__]


def test_same_seed_gives_the_same_bits_for_any_number_of_threads(three):
    first, *others = (three.test(n_jobs=n) for n in (1, 1, 2, 5))
    for other in others:
        assert as_bytes(other(three.groups)) == as_bytes(first(three.groups))
        assert as_bytes(other.markers(three.groups)) == as_bytes(first.markers(three.groups))


def test_another_seed_draws_other_null_cells(three):
    one, other = (three.test(seed=seed)(three.groups) for seed in (0, 1))
    assert not np.array_equal(one.threshold, other.threshold)


def test_what_was_tested_before_changes_nothing(three):
    fresh = three.test()(three.groups)
    used = three.test()
    used(np.where(three.groups == 2, 0, three.groups).astype(np.int32))
    used(np.arange(three.groups.size, dtype=np.int32) % 4)
    assert as_bytes(used(three.groups)) == as_bytes(fresh)
    assert as_bytes(used(three.groups)) == as_bytes(fresh)


def test_codes_of_the_clusters_do_not_matter(three):
    swapped = np.array([2, 0, 1], dtype=np.int32)[three.groups]
    plain, renamed = (three.test()(labels) for labels in (three.groups, swapped))
    outcome = {frozenset(pair): n for pair, n in zip(plain.pairs.tolist(), plain.n_selected.tolist(), strict=True)}
    for (a, b), n in zip(renamed.pairs.tolist(), renamed.n_selected.tolist(), strict=True):
        before = np.argsort([2, 0, 1])[[a, b]]
        assert outcome[frozenset(before.tolist())] == n


def test_only_the_nearest_clusters_are_tested(eight):
    table = eight.test(FilterParams())(eight.groups)
    assert set(table.pairs.ravel().tolist()) == set(range(8))
    assert (np.bincount(table.pairs.ravel()) >= 3).all()
    assert 12 <= len(table.pairs) <= 24  # of 28
    assert (table.pairs[:, 0] < table.pairs[:, 1]).all()
    assert len(np.unique(table.pairs, axis=0)) == len(table.pairs)
    np.testing.assert_array_equal(table.sizes, np.bincount(eight.groups)[table.pairs])
    assert not table.untested.size


def test_distance_is_what_a_merge_adds_to_the_sum_of_squares(eight):
    def within(labels):
        return sum(((x - x.mean(axis=0)) ** 2).sum() for x in (eight.scores[labels == c] for c in np.unique(labels)))

    table = eight.test(FilterParams())(eight.groups)
    for (a, b), distance in list(zip(table.pairs, table.distance, strict=True))[:4]:
        merged = np.where(eight.groups == b, a, eight.groups)
        assert distance == pytest.approx(within(merged) - within(eight.groups))


@pytest.mark.parametrize("codes", [[0, 1], [1, 0]])
def test_markers_are_directed_from_the_first_cluster_to_the_second(codes):
    cells = Cells(group_shares=(0.6, 0.4), log2_fold_change=2)
    labels = np.array(codes, dtype=np.int32)[cells.groups]
    test = cells.test()
    table, markers = test(labels), test.markers(labels)
    assert markers.gene.size == table.n_selected[0] > 20
    np.testing.assert_array_equal(np.sign(markers.auc - 0.5), np.sign(markers.log2_fold_change))
    mean = [np.expm1(cells.values[labels == code].toarray()).mean(axis=0)[markers.gene] for code in (0, 1)]
    np.testing.assert_array_equal(markers.auc > 0.5, mean[0] > mean[1])
    assert {True, False} == set((markers.auc > 0.5).tolist())
    assert (markers.w >= 0).all()
    assert (markers.log10_p < markers.log10_p_knockoff).mean() > 0.95


@pytest.mark.parametrize("codes", [(0, 1), (2, 0)])
def test_null_counts_of_every_gene_are_those_that_were_tested(three, codes):
    test = three.test(FilterParams(n_draws=1))
    table, markers = test(three.groups), test.markers(three.groups)
    found = test.every_gene(three.groups, codes, pieces=three.groups)
    counts = found.null.toarray()
    values = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    seen = counts.any(axis=0)
    sides = [values[found.null_side == side][:, seen] for side in (0, 1)]
    assert [len(side) for side in sides] == np.bincount(three.groups)[list(codes)].tolist()
    p = stats.mannwhitneyu(*sides, method="asymptotic").pvalue
    np.testing.assert_allclose(found.log10_p_null[seen], np.log10(p), rtol=1e-9, atol=1e-12)
    assert (found.log10_p_null[~seen] == 0).all()
    row = table.pairs.tolist().index(sorted(codes))
    assert found.selection.threshold == table.threshold[row]
    of_pair = markers.pair == row
    np.testing.assert_array_equal(np.flatnonzero(found.selection.selected), markers.gene[of_pair])
    np.testing.assert_array_equal(found.log10_p_null[markers.gene[of_pair]], markers.log10_p_knockoff[of_pair])


def test_clusters_too_small_to_be_tested_are_named(three):
    labels = three.groups.copy()
    labels[:2] = 3
    labels[2] = 4
    table = three.test()(labels)
    assert table.untested.tolist() == [3, 4]
    assert not np.isin(table.pairs, [3, 4]).any()
    assert len(table.pairs) == 3


def test_one_cluster_has_no_pair(three):
    labels = np.zeros(three.groups.size, dtype=np.int32)
    test = three.test()
    assert test(labels).pairs.shape == (0, 2)
    assert not test(labels).failing.any()
    assert not test.markers(labels).gene.size


@pytest.mark.parametrize("exact_below", [0, 10])
def test_a_cluster_of_three_cells_can_be_tested(three, exact_below):
    labels = np.zeros(three.groups.size, dtype=np.int32)
    labels[:3] = 1
    table = three.test(FilterParams(exact_below=exact_below))(labels)
    assert table.sizes.tolist() == [[117, 3]]
    assert table.failing.all()


def test_batches_alone_support_no_split():
    for seed in range(3):
        cells = Cells(n_batches=2, batch_sd=0.6, random_state=seed)
        assert cells.n_selected(cells.batches) >= 20
        assert cells.n_selected(cells.batches, batches=cells.batches) == 0


def test_groups_are_found_within_batches():
    """Also where the batches differ more than the groups: each group has cells of both."""
    options = {"n_cells": 300, "group_shares": (0.5, 0.5), "log2_fold_change": 2.5, "n_batches": 2}
    for batch_sd in (0.2, 0.6):
        cells = Cells(batch_sd=batch_sd, **options)
        assert cells.n_selected(cells.groups, batches=cells.batches) >= 20, batch_sd


def test_weak_markers_are_dropped_by_min_auc(three):
    kept = [three.test(FilterParams(min_auc=floor)).markers(three.groups) for floor in (0.5, 0.85)]
    assert kept[1].gene.size > 20
    assert np.abs(kept[1].auc - 0.5).min() >= 0.35
    assert np.abs(kept[0].auc - 0.5).min() < 0.35


def split(cells, how, seed):
    if how == "first component":
        return cells.scores[:, 0] > 0
    return KMeans(2, n_init=3, random_state=seed).fit_predict(cells.scores)


@pytest.mark.slow
@pytest.mark.parametrize("n_modules", [0, 2])
@pytest.mark.parametrize("how", ["k-means", "first component"])
def test_one_population_cut_in_two_is_seldom_supported(how, n_modules):
    supported = 0
    for seed in range(20):
        cells = Cells(random_state=seed, n_modules=n_modules)
        supported += cells.n_selected(split(cells, how, seed), seed=seed) > 0
    # Splits that are supported at a rate of 0.05: more than 2 of 20 has chance 0.08. Seen: 0.
    assert supported <= 2


@pytest.mark.slow
def test_true_groups_are_supported():
    supported = 0
    for seed in range(20):
        cells = Cells(random_state=seed, group_shares=(0.6, 0.4))
        supported += cells.n_selected(cells.groups, seed=seed) > 0
    assert supported >= 18


@pytest.mark.parametrize("how", ["k-means", "first component"])
def test_two_groups_pass_and_one_does_not(how):
    one, two = Cells(), Cells(group_shares=(0.5, 0.5))
    assert one.n_selected(split(one, how, 0)) == 0
    assert two.n_selected(split(two, how, 0)) >= 20


def adata_of(**options) -> ad.AnnData:
    return simulate(**{"n_cells": 240, "n_genes": 400, "mean_depth": 3000, "n_markers": 40, **options})


@pytest.fixture(scope="module")
def groups():
    return adata_of(group_shares=(0.5, 0.3, 0.2), n_batches=2, batch_sd=0.1)


def asked(adata, key="leiden"):
    return adata.uns[key]["recall"]["params"]


def test_calibrated_preset_finds_the_groups(groups):
    adata = searches.leiden(groups, 2, preset="calibrated", copy=True)
    assert adata.obs["leiden"].nunique() == 3
    assert adjusted_rand_score(adata.obs["group"], adata.obs["leiden"]) > 0.95
    assert recall_py.get.pairs(adata)["passes"].all()
    assert adata.uns["leiden"]["recall"]["reason"] == "calibrated"
    names = ("pair_test", "search_strategy", "filter_n_draws", "filter_exact_below", "graph_kind")
    assert [asked(adata)[name] for name in names] == ["synthetic", "merge", 7, 10, "snn"]


def test_calibrated_preset_leaves_one_population_whole():
    adata = adata_of()
    with pytest.warns(CalibrationWarning, match="One cluster is left.*null cells"):
        searches.leiden(adata, 2, preset="calibrated", n_draws=3)
    assert adata.obs["leiden"].nunique() == 1


def test_arguments_beside_the_preset_win(groups):
    given = {"strategy": "resolution", "n_draws": 1, "dims": 7, "exact_below": 4, "min_auc": 0.6}
    adata = searches.leiden(groups, 2, preset="calibrated", copy=True, **given)
    names = ("pair_test", "search_strategy", "filter_n_draws", "dims", "filter_exact_below", "filter_min_auc")
    assert [asked(adata)[name] for name in names] == ["synthetic", "resolution", 1, 7, 4, 0.6]
    knockoffs = searches.leiden(groups, 1, preset="calibrated", pair_test="knockoff", n_draws=1, copy=True)
    assert [asked(knockoffs)[name] for name in names[:3]] == ["knockoff", "merge", 1]


def test_batch_key_keeps_the_groups(groups):
    adata = searches.leiden(groups, 2, preset="calibrated", n_draws=1, batch_key="batch", copy=True)
    assert adjusted_rand_score(adata.obs["group"], adata.obs["leiden"]) > 0.95


def test_same_seed_gives_the_same_run_for_any_number_of_threads(groups):
    one, two = (searches.leiden(groups, 2, preset="calibrated", n_draws=1, n_jobs=n, copy=True) for n in (1, 3))
    assert one.obs["leiden"].equals(two.obs["leiden"])
    assert recall_py.get.markers(one).equals(recall_py.get.markers(two))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dims": "all"}, "dims is 'all'; pass a number of components, or 'auto'"),
        ({"dims": 1}, "from 2 on"),
        ({"min_auc": 1.0}, r"min_auc is 1.0; it must be from 0.5 \(off\) to below 1"),
        ({"min_auc": 0.4}, "min_auc is 0.4"),
        ({"min_auc": float("nan")}, "min_auc is nan"),
        ({"n_draws": 0}, "n_draws is 0; a whole number from 1 on is needed"),
        ({"n_draws": 2.5}, "n_draws is 2.5; a whole number"),
        ({"pair_test": "permutation"}, "Available: knockoff, synthetic"),
        ({"preset": "best"}, "Available: recall, calibrated"),
    ],
)
def test_bad_arguments_are_refused(groups, arguments, message):
    with pytest.raises(ValueError, match=message):
        searches.leiden(groups, copy=True, **arguments)


def test_over_split_labels_fail_where_they_are_over_split(groups):
    adata = groups.copy()
    label = adata.obs["group"].astype(str).to_numpy(dtype=object)
    values = log_normalise(sparse.csc_array(adata.X))
    large = label == "group0"
    label[large] += np.where(embed(scale(values[large]), 2).scores[:, 0] > 0, "a", "b").astype(object)
    adata.obs["leiden"] = label
    searches.filter_tested(adata, "leiden", n_draws=3)
    pairs = recall_py.get.pairs(adata, "recall_test").set_index(["group", "reference"])["passes"]
    assert not pairs.loc[("group0a", "group0b")]
    assert pairs.drop(("group0a", "group0b")).all()
    assert len(pairs) == 6
    assert adata.uns["recall_test"]["params"]["pair_test"] == "synthetic"


def test_labels_are_tested_with_the_draws_of_the_preset_unless_said_otherwise(groups):
    for arguments, n_draws in (({}, 7), ({"n_draws": 1}, 1), ({"external": True}, 1)):
        adata = searches.filter_tested(groups, "group", copy=True, **arguments)
        assert adata.uns["recall_test"]["params"]["n_draws"] == n_draws


def test_no_draws_are_refused_for_given_labels(groups):
    with pytest.raises(ValueError, match="n_draws is 0"):
        searches.filter_tested(groups, "group", n_draws=0, copy=True)


def test_labels_below_three_cells_are_named_and_not_tested(groups):
    adata = groups.copy()
    label = adata.obs["group"].astype(str).to_numpy(dtype=object)
    label[:2] = "few"
    adata.obs["label"] = label
    searches.filter_tested(adata, "label", n_draws=1)
    record = adata.uns["recall_test"]["recall"]
    assert list(record["untested"]) == ["few"]
    assert "few" not in recall_py.get.pairs(adata, "recall_test")[["group", "reference"]].to_numpy()
