"""Genes that do not count: no pair stands by them, what they alone tell apart says so, and nothing else changes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import sparse

from recall_py.datasets import simulate
from recall_py.method.merging import merge_clusters, test_clusters
from recall_py.method.pairs.neighbours import AllPairs
from recall_py.method.pairs.pooled import PooledPair
from recall_py.method.params import MergeParams
from recall_py.method.threads import each_done

QUICK = MergeParams(n_draws=3)


class Cells:
    """Three groups; the first two differ in their own markers alone, which are known."""

    def __init__(self, **options) -> None:
        adata = simulate(180, 250, group_shares=(0.4, 0.3, 0.3), mean_depth=2000, n_markers=30, **options)
        self.counts = sparse.csr_array(adata.X)
        self.groups = adata.obs["group"].cat.codes.to_numpy(np.int32)
        self.marker_of = adata.var["marker_of"].to_numpy(str)

    def rows(self, cells):
        return self.counts[cells]

    def genes_of(self, *groups):
        """1 for the markers of some groups, 0 for other genes."""
        return np.isin(self.marker_of, [f"group{group}" for group in groups]).astype(np.int8)

    def merge(self, params=QUICK, **options):
        return merge_clusters(self.groups, self.rows, None, params, **{"n_jobs": 1, **options})

    def test(self, **options):
        return test_clusters(self.groups, self.rows, AllPairs(), QUICK, **{"n_jobs": 1, **options})


@pytest.fixture(scope="module")
def three():
    return Cells()


@pytest.fixture(scope="module")
def merged(three):
    return three.merge(left_out=three.genes_of(0, 1))


def flat(outcomes):
    """Everything in some outcomes, as comparable text."""
    with np.printoptions(threshold=10**6, precision=17):
        return repr(outcomes)


def outcome_of(found, first, second):
    return next(one for one in found.outcomes if {one.first, one.second} == {(first,), (second,)})


def test_pair_that_only_genes_left_out_tell_apart_is_merged_and_says_so(three, merged):
    assert three.merge().merges == ()
    (merge,) = merged.merges
    assert {merge.first, merge.second} == {(0,), (1,)}
    assert merge.told_by == (1,)
    assert merge.lead <= merge.threshold < merge.with_left_out


def test_the_group_of_genes_that_tells_the_two_apart_is_named(three):
    """Of three groups of genes the second has the markers of both clusters, the others have nothing of them."""
    codes = 2 * three.genes_of(0, 1)
    others = np.flatnonzero((codes == 0) & (three.genes_of(2) == 0))
    codes[others[:20]], codes[others[20:40]] = 1, 3
    assert outcome_of(three.test(left_out=codes), 0, 1).told_by == (2,)


def test_groups_that_tell_two_apart_only_together_are_all_named(three):
    halves = three.genes_of(0, 1)
    marked = np.flatnonzero(halves)
    halves[marked[::2]] = 2
    assert set(outcome_of(three.test(left_out=halves), 0, 1).told_by) == {1, 2}


def test_pair_that_other_genes_tell_apart_stands(merged):
    (pair,) = merged.standing
    assert pair.stands
    assert pair.told_by == ()
    assert pair.with_left_out is None


def test_lead_with_genes_left_out_is_that_of_all_genes(three):
    found, of_all = three.test(left_out=three.genes_of(0, 1)), three.test()
    failing = outcome_of(found, 0, 1)
    assert failing.with_left_out == outcome_of(of_all, 0, 1).lead


def test_genes_left_out_are_never_told_of_and_others_are_as_without(three, merged):
    left_out = three.genes_of(0, 1)
    assert not left_out[merged.standing[0].comparison.genes].any()
    assert three.genes_of(2)[merged.standing[0].comparison.genes[:5]].all()
    of_all = three.test()
    for one, other in zip(three.test(left_out=left_out).outcomes, of_all.outcomes, strict=True):
        p_of_all = dict(zip(other.comparison.genes, other.comparison.log10_p, strict=True))
        shared = [gene for gene in one.comparison.genes if gene in p_of_all]
        assert [p for gene, p in zip(one.comparison.genes, one.comparison.log10_p, strict=True) if gene in shared] == [
            p_of_all[gene] for gene in shared
        ]
        assert one.lead <= other.lead


def test_null_cells_have_the_genes_left_out_too(three):
    """A pair's null cells are drawn once: what is left out changes what counts, not what is drawn."""
    cells = three.counts[three.groups < 2]
    is_first = three.groups[three.groups < 2] == 0
    order = np.argsort(~is_first, kind="stable")
    left_out = three.genes_of(0, 1)
    given = (cells[order], int(is_first.sum()), (~is_first)[order].astype(int), None)
    drawn = [
        next(PooledPair.of(*given, exact=False, **options)[0].null_cuts(np.random.default_rng(0)))
        for options in ({}, {"left_out": left_out})
    ]
    np.testing.assert_array_equal(drawn[0].counts.toarray(), drawn[1].counts.toarray())
    np.testing.assert_array_equal(drawn[0].is_first, drawn[1].is_first)


def test_distances_are_those_of_all_genes(three):
    left_out, of_all = three.test(left_out=three.genes_of(0, 1)), three.test()
    assert [one.distance for one in left_out.outcomes] == [one.distance for one in of_all.outcomes]


def test_no_gene_left_out_changes_no_bit(three):
    none = np.zeros(three.marker_of.size, dtype=np.int8)
    assert flat(three.test(left_out=none).outcomes) == flat(three.test().outcomes)


def test_pair_that_fails_with_all_genes_too_has_no_such_reason(three):
    halves = (np.arange(three.groups.size) % 2).astype(np.int32)
    one_group = three.groups == 0
    found = test_clusters(
        halves[one_group],
        lambda cells: three.counts[one_group][cells],
        AllPairs(),
        QUICK,
        left_out=three.genes_of(1),
        n_jobs=1,
    )
    (pair,) = found.outcomes
    assert not pair.stands
    assert pair.with_left_out <= pair.threshold
    assert pair.told_by == ()


def test_genes_left_out_that_no_cell_has_are_not_looked_at(three):
    absent = three.genes_of(0, 1)
    counts = three.counts.tolil()
    counts[:, absent > 0] = 0
    counts = counts.tocsr()
    found = test_clusters(three.groups, lambda cells: counts[cells], AllPairs(), QUICK, left_out=absent, n_jobs=1)
    assert any(not one.stands for one in found.outcomes)
    assert all(one.with_left_out is None for one in found.outcomes)


@pytest.mark.parametrize("n_jobs", [2, 5])
def test_threads_change_no_bit(three, merged, n_jobs):
    found = three.merge(left_out=three.genes_of(0, 1), n_jobs=n_jobs)
    assert flat((found.merges, found.standing)) == flat((merged.merges, merged.standing))


def test_whatever_compares_pairs_compares_these_too(three, merged):
    asked = []

    def each(compare, pairs):
        asked.append(len(pairs))
        return each_done(lambda pair: compare(*pair), pairs, 1)

    found = three.merge(left_out=three.genes_of(0, 1), compare_each=each)
    assert flat(found.merges) == flat(merged.merges)
    assert sum(asked) == 4  # three at the start, and the union with the third


def test_every_failing_pair_is_explained_in_tests(three):
    found = three.test(left_out=three.genes_of(0, 1, 2))
    assert [one.told_by for one in found.outcomes] == [(1,)] * 3


def test_external_labels_and_small_clusters_are_explained_too(three):
    labels = np.where(three.groups == 1, 1, 0).astype(np.int32)
    labels[np.flatnonzero(labels == 1)[6:]] = 0
    params = dataclasses.replace(QUICK, external=True)
    (merge,) = merge_clusters(labels, three.rows, None, params, left_out=three.genes_of(1), n_jobs=1).merges
    assert merge.sizes[1] == 6
    assert merge.with_left_out > merge.lead


def test_cells_with_counts_in_left_out_genes_alone_tell_nothing(three):
    left_out = three.genes_of(0, 1)
    counts = three.counts.tolil()
    few = np.flatnonzero(three.groups == 1)[2:]
    counts[np.ix_(few, np.flatnonzero(left_out == 0))] = 0
    counts = counts.tocsr()
    found = test_clusters(three.groups, lambda cells: counts[cells], AllPairs(), QUICK, left_out=left_out, n_jobs=1)
    assert found.untested == (1,)


@pytest.mark.parametrize(
    ("left_out", "message"),
    [
        (np.zeros(3, dtype=np.int8), r"left_out must be 250 numbers of type int8.*got int8 of shape \(3,\)"),
        (np.zeros(250), "got float64"),
        (np.ones(250, dtype=np.int8), "left_out has all 250 genes"),
    ],
)
def test_what_has_no_number_for_each_gene_is_refused(three, left_out, message):
    with pytest.raises(ValueError, match=message):
        three.merge(left_out=left_out)
