"""The lead over null cells, beside a slow twin, and what a comparison tells of genes."""

from __future__ import annotations

import math
import statistics
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse, stats

from recall_py.method.pairs.lead import NULL_FALL, compare, lead, p_value, threshold
from recall_py.method.pairs.pooled import PooledPair
from recall_py.method.params import MergeParams

LOG10_P = st.floats(-300.0, 0.0)


def slow_lead(log10_p, log10_p_null, n_cells):
    """Gene by gene and rank by rank, in plain Python."""
    n_genes = len(log10_p)

    def largest(values, others, rank):
        leads = sorted((statistics.median(null) - p for p, null in zip(values, zip(*others, strict=True), strict=True)))
        return max(leads[-rank], 0)

    leads = []
    for rank in (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 75, 100):
        if rank <= n_genes:
            real = largest(log10_p, log10_p_null, rank)
            null = statistics.fmean(
                largest(draw, log10_p_null[:i] + log10_p_null[i + 1 :], rank) for i, draw in enumerate(log10_p_null)
            )
            leads.append((real + 0.25) / (null + 0.25) / (0.9 + 1.1 * math.log10(n_cells)))
    return max(leads)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), n_genes=st.integers(1, 30), n_draws=st.integers(2, 7), n_cells=st.integers(3, 300))
def test_lead_is_that_of_the_slow_twin(data, n_genes, n_draws, n_cells):
    log10_p = data.draw(arrays(float, n_genes, elements=LOG10_P))
    null = data.draw(arrays(float, (n_draws, n_genes), elements=LOG10_P))
    found = lead(log10_p, null, n_cells)
    assert found.times == pytest.approx(slow_lead(log10_p.tolist(), null.tolist(), n_cells), rel=1e-9)
    assert lead(log10_p[::-1], null[::-1, ::-1], n_cells).times == pytest.approx(found.times, rel=1e-9)
    assert (found.times > 1) == bool((found.real > found.needed).any())


@pytest.mark.parametrize(("n_genes", "ranks"), [(1, [1]), (4, [1, 2, 3]), (12, [1, 2, 3, 5, 7, 10])])
def test_fewer_genes_have_fewer_ranks(n_genes, ranks):
    assert lead(np.zeros(n_genes), np.zeros((2, n_genes)), 9).ranks.tolist() == ranks


def test_a_few_perfect_markers_lead_and_so_do_many_weaker_genes():
    rng = np.random.default_rng(0)
    null = np.minimum(np.linspace(-8.0, -1.0, 300) + 0.3 * rng.standard_normal((5, 300)), 0.0)
    real = null[0].copy()
    assert lead(real, null[1:], 50).times < 1
    few, many = real.copy(), real.copy()
    few[-3:] = -30.0
    many[150:] -= 5.0  # no gene is better than saturation allows
    assert lead(few, null[1:], 50).times > 5
    assert lead(many, null[1:], 50).times > 1.5


def test_genes_that_vary_in_every_draw_are_no_lead():
    """A programme along which every draw is cut has the best genes, and holds no two clusters apart."""
    rng = np.random.default_rng(0)
    null = -rng.exponential(1.0, (7, 500))
    null[:, :40] -= 50.0
    real = -rng.exponential(1.0, 500)
    real[:40] -= 50.0
    assert lead(real, null, 50).times < 1
    real[400:403] -= 25.0
    assert lead(real, null, 50).times > 1


def pair_of(shift: float, n_genes: int = 40) -> PooledPair:
    rng = np.random.default_rng(4)
    is_first = np.arange(60) < 25
    rate = np.full((60, n_genes), 3.0)
    rate[np.ix_(is_first, np.arange(8))] *= shift
    counts = sparse.csc_array(rng.poisson(rate).astype(np.float32))
    left_out = np.zeros(n_genes, dtype=np.int8)
    return PooledPair(counts=counts, is_first=is_first, pieces=(~is_first).astype(np.int64), left_out=left_out)


def test_a_comparison_names_the_best_genes_with_their_direction():
    pair = pair_of(6.0)
    found = compare(pair, np.random.default_rng(0), threshold=1.0, n_draws=3, n_best=6)
    counts = pair.counts.toarray().astype(float)
    values = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    sides = values[pair.is_first], values[~pair.is_first]
    tested = stats.mannwhitneyu(*sides, method="asymptotic")
    null = np.array([cut.genes.log10_p for cut in islice(pair.null_cuts(np.random.default_rng(0)), 3)])
    leads = np.median(null, axis=0) - pair.real_cut().log10_p
    order, first_has_more = np.argsort(-leads, kind="stable"), tested.statistic > 25 * 35 / 2
    of_sides = {*order[first_has_more[order]][:6], *order[~first_has_more[order]][:6]}
    best = np.array([gene for gene in order if gene in of_sides])
    np.testing.assert_array_equal(found.genes, best)
    np.testing.assert_allclose(found.log10_p, np.log10(tested.pvalue[best]), rtol=1e-9)
    np.testing.assert_allclose(found.log10_p_null, np.median(null, axis=0)[best])
    np.testing.assert_allclose(found.auc, tested.statistic[best] / (25 * 35))
    mean = [np.expm1(side).mean(axis=0)[best] for side in sides]
    np.testing.assert_allclose(found.log2_fold_change, np.log2((1 + mean[0]) / (1 + mean[1])), rtol=1e-5)
    assert set(found.genes[:6].tolist()) <= set(range(8))
    assert (found.auc[:6] > 0.9).all()
    assert (found.log10_p_null > found.log10_p)[:6].all()
    turned = found.turned()
    np.testing.assert_allclose(turned.auc, 1 - found.auc)
    np.testing.assert_allclose(turned.log2_fold_change, -found.log2_fold_change)


def test_clusters_with_markers_exceed_the_null_and_others_do_not():
    times = [
        compare(pair_of(shift), np.random.default_rng(0), threshold=1.0, n_draws=3, n_best=0).lead.times
        for shift in (6, 1)
    ]
    assert times[0] > 1 > times[1]


def test_an_obvious_pair_is_settled_after_three_draws():
    """The same draws are made, but no more than three where they leave no doubt."""
    drawn = []

    class Counted(PooledPair):
        def null_cuts(self, rng):
            for null in super().null_cuts(rng):
                drawn.append(null)
                yield null

    for shift, least, n_draws in ((6.0, 1.0, 3), (1.0, 1.0, 3), (1.0, 0.4, 7)):
        pair = pair_of(shift)
        counted = Counted(**vars(pair))
        drawn.clear()
        compare(counted, np.random.default_rng(0), threshold=least, n_draws=7, n_best=0)
        assert len(drawn) == n_draws


def test_p_values_fall_with_the_evidence_and_are_missing_where_there_is_none():
    p = p_value(np.array([-1.0, 0.0, 0.3, 1.0, 2.0, 20.0, np.nan]))
    assert p[:3].tolist() == [1.0, 1.0, 1.0]
    assert (np.diff(p[2:6]) < 0).all()
    assert p[5] > 0
    assert np.isnan(p[6])


@settings(max_examples=30, deadline=None)
@given(one=st.floats(1e-6, 0.999), other=st.floats(1e-6, 0.999))
def test_what_a_pair_has_to_reach_follows_the_tail(one, other):
    assert (threshold(one) > threshold(other)) == (one < other) or threshold(one) == pytest.approx(threshold(other))
    ratio = (threshold(one) / threshold(other)) ** -NULL_FALL
    assert ratio == pytest.approx(one / other)


def test_the_usual_alpha_asks_for_evidence_above_one():
    assert threshold(MergeParams.alpha) == 1.0
