"""Pairs of clusters that did not change are not tested again, and have the outcome that they would have."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from recall_py.method.clustering.partition import by_decreasing_size
from recall_py.method.pairs.against_knockoffs import KnockoffTest, SortedGeneTests
from recall_py.method.params import FilterParams

PARAMS = FilterParams(fdr=0.3, min_cells=1)


class Counted:
    """Tests of genes that note which pairs they were asked for."""

    def __init__(self, genes):
        self.genes = genes
        self.facts = genes.facts
        self.asked = []

    def contrasts(self, labels, pairs):
        self.asked.append(pairs.tolist())
        return self.genes.contrasts(labels, pairs)


@pytest.fixture(scope="module")
def values():
    rng = np.random.default_rng(3)
    cells = np.repeat(np.arange(6), 40)
    real = rng.poisson(0.4 + 1.5 * (cells[:, None] % 3 == rng.integers(3, size=60)))
    null = rng.poisson(0.8, real.shape)
    return sparse.csc_array(np.hstack([real, null]).astype(np.float32))


def same(found, expected):
    for name in ("pairs", "sizes", "threshold", "n_selected", "evidence", "false_share"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), steps=st.integers(1, 6), merging=st.booleans())
def test_every_step_has_the_outcome_of_a_fresh_test(values, seed, steps, merging):
    rng = np.random.default_rng(seed)
    genes = SortedGeneTests(values, PARAMS)
    test = KnockoffTest(genes, PARAMS)
    labels = by_decreasing_size(rng.integers(8, size=values.shape[0]))
    for _ in range(steps):
        fresh = KnockoffTest(genes, PARAMS)
        same(test(labels), fresh(labels))
        found, expected = test.markers(labels), KnockoffTest(genes, PARAMS).markers(labels)
        for name in vars(found):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
        if merging and labels.max() > 0:
            labels = by_decreasing_size(np.where(labels == labels.max(), 0, labels))
        else:
            moved = rng.integers(labels.size, size=3)
            labels = labels.copy()
            labels[moved] = rng.integers(labels.max() + 1, size=3)
            labels = by_decreasing_size(labels)


def test_after_a_merge_the_pairs_of_the_new_cluster_alone_are_tested(values):
    genes = Counted(SortedGeneTests(values, PARAMS))
    test = KnockoffTest(genes, PARAMS)
    labels = np.repeat(np.arange(5, dtype=np.int32), [60, 55, 50, 40, 35])
    test(labels)
    assert len(genes.asked[0]) == 10
    merged = by_decreasing_size(np.where(labels == 4, 3, labels))  # the largest now
    test(merged)
    assert sorted(genes.asked[1]) == [[0, 1], [0, 2], [0, 3]]
    test.markers(merged)
    assert genes.asked[2] == []


def test_outcomes_of_clusters_that_are_gone_are_forgotten(values):
    genes = Counted(SortedGeneTests(values, PARAMS))
    test = KnockoffTest(genes, PARAMS)
    one, other = (np.random.default_rng(seed).integers(3, size=240).astype(np.int32) for seed in (0, 1))
    for labels in (one, other, one):
        test(labels)
    assert [len(asked) for asked in genes.asked] == [3, 3, 3]
