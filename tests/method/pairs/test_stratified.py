"""The rank-sum test within batches, against a slow twin and scipy's test of each batch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse, special, stats

from recall_py.method.pairs.rank_sum import stratified_test, two_sample_test


def van_elteren_slowly(column, is_first, stratum):
    """AUC and z by ranking the cells of each batch."""
    auc, pairs, deviation, variance, weights = 0.0, 0.0, 0.0, 0.0, []
    for batch in np.unique(stratum):
        cells = stratum == batch
        first, n = is_first[cells], int(cells.sum())
        n_first, n_second = int(first.sum()), int((~first).sum())
        if not n_first or not n_second:
            continue
        ranks = stats.rankdata(column[cells])
        u = ranks[first].sum() - n_first * (n_first + 1) / 2
        weight = 1 / (n + 1)
        auc, pairs = auc + weight * u, pairs + weight * n_first * n_second
        deviation += weight * (u - n_first * n_second / 2)
        variance += weight**2 * n_first * n_second / (n * (n - 1)) * np.sum((ranks - ranks.mean()) ** 2)
        weights.append(weight)
    if not weights:
        return 0.5, 0.0
    z = max(abs(deviation) - min(weights) / 2, 0) / np.sqrt(variance) if variance > 1e-12 else 0.0
    return auc / pairs, z


def check(values, is_first, stratum):
    matrix = sparse.csc_array(values.astype(np.float32))
    auc, log10_p = stratified_test(matrix, is_first, stratum)
    for gene, column in enumerate(values.T):
        expected, z = van_elteren_slowly(column, is_first, stratum)
        assert auc[gene] == pytest.approx(expected, rel=1e-10)
        assert log10_p[gene] == pytest.approx((np.log(2) + special.log_ndtr(-z)) / np.log(10), rel=1e-9, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(4, 60), st.sampled_from([0.1, 0.5, 3.0]))
def test_it_agrees_with_the_slow_twin(seed, n_batches, n_cells, mean):
    """Few counts tie often, batches of one cell and of one part occur, and so do genes without a count."""
    rng = np.random.default_rng(seed)
    values = rng.poisson(mean, (n_cells, 7))
    stratum = np.unique(rng.integers(n_batches, size=n_cells), return_inverse=True)[1].astype(np.int32)
    check(values, rng.random(n_cells) < 0.4, stratum)


def test_it_adds_up_scipys_tests_of_the_batches():
    """Without ties, the mean and the variance of each batch's count are read off scipy's p-value."""
    rng = np.random.default_rng(5)
    sizes = [(8, 12), (30, 5), (6, 6)]
    stratum = np.repeat([0, 1, 2], [sum(size) for size in sizes]).astype(np.int32)
    is_first = np.concatenate([np.arange(sum(size)) < size[0] for size in sizes])
    column = rng.gamma(2.0, size=stratum.size) + 0.8 * is_first + 10 * stratum
    deviation = variance = 0.0
    for batch, (n_first, n_second) in enumerate(sizes):
        parts = [column[(stratum == batch) & (is_first == part)] for part in (True, False)]
        found = stats.mannwhitneyu(*parts, method="asymptotic", use_continuity=False)
        off = found.statistic - n_first * n_second / 2
        deviation += off / (n_first + n_second + 1)
        variance += (off / stats.norm.isf(found.pvalue / 2) / (n_first + n_second + 1)) ** 2
    z = (abs(deviation) - 0.5 / (max(map(sum, sizes)) + 1)) / np.sqrt(variance)
    _, log10_p = stratified_test(sparse.csc_array(column[:, np.newaxis].astype(np.float32)), is_first, stratum)
    assert 10 ** log10_p[0] == pytest.approx(2 * stats.norm.sf(z), rel=1e-6)


def test_in_one_batch_it_is_the_test_without_batches():
    rng = np.random.default_rng(0)
    values = sparse.csc_array(rng.poisson(0.7, (80, 50)).astype(np.float32))
    is_first = rng.random(80) < 0.3
    u, log10_p = two_sample_test(values, is_first)
    auc, within = stratified_test(values, is_first, np.zeros(80, dtype=np.int32))
    np.testing.assert_allclose(within, log10_p, rtol=1e-12)
    np.testing.assert_allclose(auc, u / (is_first.sum() * (~is_first).sum()), rtol=1e-12)


def test_what_differs_between_batches_alone_tells_nothing():
    """Nine in ten cells of a part are of one batch, whose counts are ten times as high."""
    rng = np.random.default_rng(1)
    stratum = np.repeat([0, 1], 200).astype(np.int32)
    is_first = rng.random(400) < np.where(stratum == 0, 0.9, 0.1)
    values = sparse.csc_array(
        rng.poisson(np.where(stratum == 0, 10.0, 1.0)[:, np.newaxis], (400, 300)), dtype=np.float32
    )
    assert two_sample_test(values, is_first)[1].max() < -10
    p = 10 ** stratified_test(values, is_first, stratum)[1]
    assert stats.kstest(p, "uniform").pvalue > 0.001


def test_batches_that_do_not_count_change_nothing():
    rng = np.random.default_rng(3)
    values, stratum = rng.poisson(1.0, (90, 20)).astype(np.float32), np.repeat([0, 1, 2], 30).astype(np.int32)
    is_first, among = rng.random(90) < 0.4, stratum != 1
    found = stratified_test(sparse.csc_array(values), is_first, stratum, np.array([True, False, True]))
    alone = stratified_test(sparse.csc_array(values[among]), is_first[among], stratum[among] // 2)
    np.testing.assert_array_equal(found, alone)


def test_parts_that_share_no_batch_have_p_one():
    stratum = np.repeat([0, 1], 5).astype(np.int32)
    auc, log10_p = stratified_test(sparse.csc_array(np.ones((10, 2), dtype=np.float32)), stratum == 0, stratum)
    assert auc.tolist() == [0.5, 0.5]
    assert log10_p.tolist() == [0.0, 0.0]
