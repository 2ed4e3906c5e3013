"""Several null draws, weak markers, exact p-values in small pairs, and the components above the noise."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
import searches
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse

import recall_py
from recall_py.datasets import simulate
from recall_py.method.clustering.components import embed, n_components_above_noise, scale
from recall_py.method.normalisation import log_normalise
from recall_py.method.pairs.against_knockoffs import KnockoffTest, SortedGeneTests
from recall_py.method.pairs.filter import drop_weak, is_settled, select
from recall_py.method.pairs.rank_sum import cluster_pairs
from recall_py.method.pairs.rank_sum_exact import exact_log10_p
from recall_py.method.pairs.table import EXACT_PARTNER, limited
from recall_py.method.params import FilterParams
from recall_py.method.pipeline import draw_knockoffs
from recall_py.method.results import Cells


@pytest.fixture(scope="module")
def adata():
    return simulate(200, 300, group_shares=(0.6, 0.4), n_markers=40, log2_fold_change=2, mean_depth=2000)


@pytest.fixture(scope="module")
def counts(adata):
    counts = sparse.csc_array(adata.X)
    return counts[:, np.flatnonzero(np.diff(counts.indptr))]


@pytest.fixture(scope="module")
def codes(adata):
    return adata.obs["group"].cat.codes.to_numpy(np.int32)


def random_w(seed, n: int = 500):
    rng = np.random.default_rng(seed)
    return rng.normal(size=n), rng.uniform(size=n), rng.uniform(size=n)


@pytest.mark.parametrize("min_auc", [0.5, 0.6, 0.9])
def test_drop_weak_treats_real_and_null_alike(min_auc):
    w, auc, auc_null = random_w(1)
    np.testing.assert_array_equal(drop_weak(-w, auc_null, auc, min_auc), -drop_weak(w, auc, auc_null, min_auc))


@pytest.mark.parametrize("min_auc", [0.55, 0.6, 0.7, 0.8])
def test_drop_weak_does_not_depend_on_which_cluster_is_first(min_auc):
    """An AUC of `min_auc` itself, or 1 less it, is no weak one."""
    w, auc, auc_null = random_w(2)
    np.testing.assert_array_equal(drop_weak(w, 1 - auc, 1 - auc_null, min_auc), drop_weak(w, auc, auc_null, min_auc))
    at_floor = np.array([round(100 * min_auc), round(100 * (1 - min_auc))]) / 100
    np.testing.assert_array_equal(drop_weak(np.ones(2), at_floor, np.full(2, 0.5), min_auc), [1, 1])


def test_drop_weak_at_one_half_is_off():
    w, _, _ = random_w(3)
    half = np.full(w.size, 0.5)
    np.testing.assert_array_equal(drop_weak(w, half, half, 0.5), w)


def test_drop_weak_keeps_winners_above_the_floor_and_no_others():
    w, auc, auc_null = random_w(4)
    kept = drop_weak(w, auc, auc_null, 0.7)
    winner = np.where(w > 0, auc, auc_null)
    strong = (winner > 0.7) | (winner < 0.3)
    np.testing.assert_array_equal(kept[strong], w[strong])
    assert not kept[~strong].any()
    assert strong.any()
    assert not strong.all()


def test_drop_weak_takes_null_draws_in_front():
    w, auc, auc_null = random_w(5)
    stacked = drop_weak(np.stack((w, -w)), auc, np.stack((auc_null, auc_null)), 0.7)
    np.testing.assert_array_equal(stacked[0], drop_weak(w, auc, auc_null, 0.7))
    np.testing.assert_array_equal(stacked[1], drop_weak(-w, auc, auc_null, 0.7))


def select_slowly(w, fdr, offset):
    """Selected genes, by the definition: both counts are means over the draws, a gene counts by its median W."""
    for t in sorted({0.0, *np.abs(w).ravel().tolist()}):
        n_real, n_null = (w >= t).sum() / len(w), (w <= -t).sum() / len(w)
        if (offset + n_null) / max(1, n_real) <= fdr:
            return [bool(middle >= t and middle > 0) for middle in np.median(w, axis=0)]
    return [False] * w.shape[1]


contrasts = st.tuples(st.integers(1, 5), st.integers(1, 30)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.integers(-24, 160).map(lambda quarter: quarter / 4))
)
rules = st.fixed_dictionaries({"fdr": st.sampled_from([0.05, 0.1, 0.3]), "offset": st.sampled_from([0, 1])})


@given(contrasts, rules)
def test_selection_over_draws_is_the_definition(w, rule):
    found = select(w, **rule)
    assert found.selected.tolist() == select_slowly(w, **rule)
    assert np.isfinite(found.threshold) or not found.selected.any()


@given(contrasts, rules)
def test_the_same_draw_many_times_is_one_draw(w, rule):
    one, many = select(w[0], **rule), select(np.repeat(w[:1], 4, axis=0), **rule)
    assert (one.threshold, one.evidence) == (many.threshold, many.evidence)
    assert one.selected.tolist() == many.selected.tolist()


@given(contrasts, rules, st.integers(1, 5))
def test_draws_do_not_end_before_three_unless_the_pair_fails(w, rule, n_done):
    n_done = min(n_done, len(w), 2)
    highest = np.maximum(w.max(axis=0), 0.0)
    if is_settled(w[:n_done], highest, len(w) + 1, **rule):
        whatever = np.concatenate((w, highest[np.newaxis]))
        assert not select(whatever, **rule).selected.any()


@given(contrasts.filter(lambda w: len(w) >= 3), rules, st.integers(1, 4))
def test_draws_that_end_early_pass_with_a_margin_or_fail(w, rule, n_left):
    if is_settled(w, np.maximum(w.max(axis=0), 0.0), len(w) + n_left, **rule):
        passes = select(w, **rule).selected.any()
        assert passes == select(w, **rule | {"fdr": rule["fdr"] / 4}).selected.any()


def test_a_clear_pair_needs_few_draws_of_seven():
    rng = np.random.default_rng(0)
    noise = np.abs(random_w(500)[0])
    assert is_settled(-noise[np.newaxis], noise, 7)
    strong = np.concatenate((np.full(100, 20.0), rng.normal(size=400)))
    three = np.stack([strong + rng.normal(size=500) for _ in range(3)])
    highest = three.max(axis=0) + 1
    assert not is_settled(three[:2], highest, 7)
    assert is_settled(three, highest, 7)


@pytest.mark.parametrize("null_method", ["ZIP", "NB", "permutation", "Gaussian-copula"])
def test_first_draw_is_that_of_a_single_draw(counts, null_method):
    one, three = (draw_knockoffs(Cells(counts), null_method, 4, 1, n_draws=n) for n in (1, 3))
    n_genes = counts.shape[1]
    assert three.counts.shape[1] == 4 * n_genes
    assert three.n_genes == one.n_genes == n_genes
    assert three.n_draws == 3
    assert (three.counts[:, : 2 * n_genes] != one.counts).nnz == 0
    draws = [three.counts[:, (1 + k) * n_genes : (2 + k) * n_genes] for k in range(3)]
    assert all((draws[a] != draws[b]).nnz for a, b in ((0, 1), (0, 2), (1, 2)))


def gene_tests(counts, params, n_jobs: int = 1):
    values = log_normalise(draw_knockoffs(Cells(counts), "ZIP", 0, n_jobs, n_draws=params.n_draws).counts)
    return SortedGeneTests(values, params, n_jobs=n_jobs)


def knockoff_test(counts, params):
    return KnockoffTest(gene_tests(counts, params), params)


@pytest.mark.parametrize("n_jobs", [2, 3])
@pytest.mark.parametrize("exact_below", [0, 1000])
def test_draws_have_the_same_bits_for_any_number_of_threads(counts, codes, n_jobs, exact_below):
    params = FilterParams(n_draws=3, exact_below=exact_below)
    one, many = (gene_tests(counts[:, :130], params, n) for n in (1, n_jobs))
    w, again = (genes.contrasts(codes, cluster_pairs(2)) for genes in (one, many))
    assert w.shape == (3, 1, 130)
    assert w.tobytes() == again.tobytes()
    found, again = (KnockoffTest(genes, params).markers(codes) for genes in (one, many))
    assert all(getattr(found, name).tobytes() == getattr(again, name).tobytes() for name in vars(found))


def test_outcome_of_three_draws_is_the_vote_of_their_contrasts(counts, codes):
    test = knockoff_test(counts, FilterParams(n_draws=3))
    w = gene_tests(counts, FilterParams(n_draws=3)).contrasts(codes, cluster_pairs(2))[:, 0]
    votes = sum(select(draw).selected.astype(int) for draw in w)
    markers = test.markers(codes)
    assert markers.gene.tolist() == np.flatnonzero(votes >= 2).tolist()
    assert test(codes).n_selected.tolist() == [markers.gene.size]
    np.testing.assert_array_equal(markers.w, np.median(w, axis=0)[markers.gene])


def test_small_clusters_are_left_out_of_the_knockoff_test(counts, codes):
    labels = codes.copy()
    labels[:2] = 2
    table = knockoff_test(counts, FilterParams())(labels)
    assert table.untested.tolist() == [2]
    assert table.pairs.tolist() == [[0, 1]]
    assert knockoff_test(counts, FilterParams(min_cells=2))(labels).untested.size == 0


def test_weak_markers_are_not_selected(counts, codes):
    markers = knockoff_test(counts, FilterParams(min_auc=0.75)).markers(codes)
    assert markers.gene.size >= 20
    assert np.abs(markers.auc - 0.5).min() >= 0.25


@pytest.mark.parametrize("n_draws", [1, 3])
def test_leiden_with_several_draws_is_the_same_for_any_number_of_threads(adata, n_draws):
    options = {"graph": "snn", "dims": 10, "n_draws": n_draws, "copy": True, "flavor": "igraph", "n_iterations": 2}
    one, two = (searches.leiden(adata, 2, n_jobs=n_jobs, **options) for n_jobs in (1, 2))
    assert one.obs["leiden"].equals(two.obs["leiden"])
    assert recall_py.get.markers(one).equals(recall_py.get.markers(two))
    assert one.uns["leiden"]["recall"]["params"]["filter_n_draws"] == n_draws


def test_a_sample_of_cells_depends_on_the_cells_alone():
    cells = np.arange(0, 300, 3)
    sample = limited(cells, 20)
    assert np.unique(sample).size == 20
    assert np.isin(sample, cells).all()
    np.testing.assert_array_equal(sample, limited(cells.copy(), 20))
    np.testing.assert_array_equal(limited(cells, 100), cells)


def test_small_pairs_have_exact_p_values(counts, codes):
    labels = np.ones(codes.size, dtype=np.int32)
    labels[np.flatnonzero(codes == 0)[:6]] = 0
    params = FilterParams(exact_below=7, fdr=0.5)
    values = log_normalise(draw_knockoffs(Cells(counts), "ZIP", 0, 1).counts)
    exact = SortedGeneTests(values, params).contrasts(labels, cluster_pairs(2))[0, 0]
    plain = SortedGeneTests(values, FilterParams(exact_below=6)).contrasts(labels, cluster_pairs(2))[0, 0]
    assert not np.array_equal(exact, plain)
    few, many = np.flatnonzero(labels == 0), limited(np.flatnonzero(labels == 1), EXACT_PARTNER)
    log10_p = exact_log10_p(sparse.csc_array(values[np.concatenate((few, many))]), np.arange(56) < 6)
    np.testing.assert_allclose(exact, log10_p[counts.shape[1] :] - log10_p[: counts.shape[1]])


def test_small_external_groups_are_tested_exactly():
    adata = simulate(206, 300, group_shares=(200 / 206, 6 / 206), n_markers=60, log2_fold_change=4, mean_depth=4000)
    found = {}
    for exact_below in (0, 10):
        tested = searches.filter_tested(adata, "group", external=True, exact_below=exact_below, copy=True)
        assert recall_py.get.pairs(tested, "recall_test")["passes"].tolist() == [True]
        found[exact_below] = recall_py.get.markers(tested, "recall_test").set_index("gene")["log10_p"]
    normal, exact = found[0].align(found[10], join="inner")
    assert len(exact) >= 20
    assert not np.allclose(normal, exact)
    # No p is less than that of one arrangement of 6 among 56 cells; ties leave the other tail without a like.
    assert exact.min() >= -np.log10(comb(56, 6)) - 1e-6


def n_components(counts) -> int:
    counts = sparse.csc_array(counts)
    values = log_normalise(counts[:, np.flatnonzero(np.diff(counts.indptr))].astype(np.float64))
    return n_components_above_noise(values, embed(scale(values), 30).standard_deviation)


def test_noise_has_two_components():
    rng = np.random.default_rng(0)
    mean = rng.gamma(2, 2, size=300)
    assert [n_components(rng.poisson(mean, size=(200, 300))) for _ in range(3)] == [2, 2, 2]


@pytest.mark.parametrize("n_modules", [3, 6])
def test_strong_modules_are_counted(n_modules):
    found = n_components(simulate(300, 400, mean_depth=3000, n_modules=n_modules, module_sd=0.8).X)
    assert n_modules <= found <= n_modules + 2


def test_groups_are_counted():
    found = n_components(simulate(300, 400, mean_depth=3000, group_shares=[0.25] * 4, n_markers=40).X)
    assert 3 <= found <= 5


def test_components_above_noise_are_the_same_for_any_number_of_threads(counts):
    values = log_normalise(counts)
    deviation = embed(scale(values), 20).standard_deviation
    one, two = (n_components_above_noise(values, deviation, n_jobs=n_jobs) for n_jobs in (1, 2))
    assert one == two


def test_components_above_noise_leave_the_values_alone(counts):
    values = log_normalise(counts)
    before = values.copy()
    n_components_above_noise(values, np.ones(3))
    assert (values != before).nnz == 0
    np.testing.assert_array_equal(values.indices, before.indices)
