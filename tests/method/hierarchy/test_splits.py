"""Splits of a tree that one population would not show, on plain arrays."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from scipy.spatial.distance import pdist, squareform
from scipy.stats import norm

from recall_py.method.hierarchy import log_normal
from recall_py.method.hierarchy.components import (
    deviance_residuals,
    gain,
    leading,
    leading_eigenvectors,
    ward_tree,
)
from recall_py.method.hierarchy.splits import TreeParams, test_splits


def two_groups(rng, *, sizes=(60, 50), n_genes=120, fold=4.0):
    """Poisson counts of two populations that differ in a third of the genes."""
    rates = rng.gamma(2, 1, n_genes)
    of_second = np.where(np.arange(n_genes) < n_genes // 3, rates * fold, rates)
    return np.vstack([rng.poisson(rates, (sizes[0], n_genes)), rng.poisson(of_second, (sizes[1], n_genes))])


def test_residuals_are_signed_roots_of_the_poisson_deviance_within_each_batch(rng):
    counts = rng.poisson(1.5, (9, 7)).astype(float)
    counts[:, 2] = 0
    counts[:4, 3] = 0
    members = [np.arange(4), np.arange(4, 9)]
    residuals = deviance_residuals(counts, members)
    for cells in members:
        total = counts[cells].sum()
        for cell in cells:
            for gene in range(7):
                y, mu = counts[cell, gene], counts[cell].sum() * counts[cells, gene].sum() / total
                deviance = 2 * ((y * np.log(y / mu) if y else 0) - (y - mu))
                assert residuals[cell, gene] == pytest.approx(np.sign(y - mu) * np.sqrt(max(deviance, 0)), abs=1e-7)


@pytest.mark.parametrize("shape", [(40, 90), (90, 40)])
def test_components_are_the_leading_ones_of_the_singular_value_decomposition(rng, shape):
    residuals = rng.standard_normal(shape) * np.linspace(1, 3, shape[1])
    found = leading(residuals, 5)
    centred = residuals - residuals.mean(axis=0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(found.scores), np.abs(left[:, :5] * values[:5]), atol=1e-9)
    np.testing.assert_allclose(found.project(residuals), found.scores, atol=1e-9)


def test_few_eigenvectors_of_a_large_matrix_are_those_of_all(rng):
    factors = rng.standard_normal((450, 12)) * np.linspace(1, 2, 12)
    symmetric = factors @ factors.T
    values, vectors = leading_eigenvectors(symmetric, 12)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(symmetric)[::-1][:12], rtol=1e-9)
    np.testing.assert_allclose(vectors * values @ vectors.T, symmetric, atol=1e-8)


def test_tree_is_that_of_lance_and_williams_on_plain_distances(rng):
    """``ward.D`` of R updates plain distances; a slow twin does so by the formula."""
    points = rng.standard_normal((14, 3))
    distances = squareform(pdist(points))
    clusters = {i: [i] for i in range(14)}
    between = {(i, j): distances[i, j] for i in clusters for j in clusters if i < j}
    while len(clusters) > 2:
        a, b = min(between, key=between.__getitem__)
        d_ab = between.pop((a, b))
        n_a, n_b = len(clusters[a]), len(clusters[b])
        for k in set(clusters) - {a, b}:
            d_a, d_b = between.pop((min(a, k), max(a, k))), between.pop((min(b, k), max(b, k)))
            n_k = len(clusters[k])
            new = ((n_a + n_k) * d_a + (n_b + n_k) * d_b - n_k * d_ab) / (n_a + n_b + n_k)
            between[min(a, k), max(a, k)] = new
        clusters[a] += clusters.pop(b)
    root = ward_tree(points)
    halves = {frozenset(root.left.pre_order()), frozenset(root.right.pre_order())}
    assert halves == {frozenset(members) for members in clusters.values()}


def test_gain_is_the_sum_of_squares_between_the_sides(rng):
    points = rng.standard_normal((30, 4))
    first = np.arange(30) < 11
    between = 11 * 19 / 30 * ((points[first].mean(axis=0) - points[~first].mean(axis=0)) ** 2).sum()
    assert gain(points, first) == pytest.approx(between / 30)


def test_drawn_cells_have_the_moments_of_the_model(rng):
    loadings = np.array([[0.6], [0.5], [-0.4]])
    truth = log_normal.LogNormal(
        np.full(5, 4.0),
        np.array([0, 2, 4]),
        np.log(4.0) - 0.5 * ((loadings**2)[:, 0] + 0.04),
        loadings,
        np.full(3, 0.2),
    )
    drawn = log_normal.draw(truth, 40_000, rng)
    np.testing.assert_allclose(drawn.mean(axis=0), 4.0, rtol=0.03)
    np.testing.assert_allclose(drawn.var(axis=0)[[1, 3]], 4.0, rtol=0.05)
    covariance = np.cov(drawn.T)
    expected = 16 * np.expm1(loadings @ loadings.T + 0.04 * np.eye(3)) + 4.0 * np.eye(3)
    np.testing.assert_allclose(covariance[np.ix_([0, 2, 4], [0, 2, 4])], expected, rtol=0.12, atol=0.25)


def test_fit_finds_the_model_that_the_cells_were_drawn_from(rng):
    loadings = rng.normal(0, 0.5, (20, 2))
    variance = (loadings**2).sum(axis=1) + 0.09
    truth = log_normal.LogNormal(
        np.full(40, 6.0), np.arange(20), np.log(6.0) - variance / 2, loadings, np.full(20, 0.3)
    )
    model = log_normal.fit(log_normal.draw(truth, 20_000, rng), 2)
    assert set(range(20)) <= set(model.varying)
    known = np.isin(model.varying, np.arange(20))
    shared = model.loadings[known] @ model.loadings[known].T
    np.testing.assert_allclose(shared, loadings @ loadings.T, atol=0.12)
    np.testing.assert_allclose(model.log_mean[known], truth.log_mean, atol=0.1)


def test_genes_that_are_never_seen_together_can_be_fitted(rng):
    counts = np.zeros((40, 4))
    counts[:10, 0] = counts[10:20, 1] = 9
    counts[:, 2] = rng.poisson(3, 40)
    model = log_normal.fit(counts, 3)
    assert {0, 1} <= set(model.varying)
    assert np.isfinite(model.loadings).all()
    assert np.isfinite(log_normal.draw(model, 40, rng)).all()


def test_two_populations_are_split_and_one_is_not(rng):
    counts = two_groups(rng)
    tree = test_splits(sparse.csr_array(counts), n_jobs=1)
    assert tree.labels.tolist() == [0] * 60 + [1] * 50
    assert tree.splits[0].stands
    assert tree.splits[0].level == 0.05
    alone = test_splits(sparse.csr_array(counts[:60]), n_jobs=1)
    assert not alone.labels.any()


def test_levels_follow_the_family_wise_rule_and_splits_know_their_parents(rng):
    counts = np.vstack([two_groups(rng, sizes=(40, 40)), two_groups(rng, sizes=(40, 40), fold=9)])
    tree = test_splits(sparse.csr_array(counts), params=TreeParams(alpha=0.2), n_jobs=1)
    assert len(tree.splits) > 1
    for number, split in enumerate(tree.splits):
        n_node = split.n_left + split.n_right
        assert split.level == pytest.approx(0.2 * (n_node - 1) / 159)
        assert split.parent < number
        if split.parent >= 0:
            above = tree.splits[split.parent]
            assert above.stands
            assert n_node in (above.n_left, above.n_right)


def test_same_bits_on_any_number_of_threads(rng):
    counts = sparse.csr_array(two_groups(rng, fold=1.5))
    assert test_splits(counts, n_jobs=1).splits == test_splits(counts, n_jobs=3).splits


def test_p_is_the_upper_tail_of_a_normal_curve_through_the_nulls():
    from recall_py.method.hierarchy.splits import _upper_tail

    nulls = [1.0, 2.0, 4.0]
    assert _upper_tail(5.0, nulls) == pytest.approx(norm.sf(5, np.mean(nulls), np.std(nulls)))
    assert _upper_tail(1.0, [0.0, 0.0]) == 0.0


def test_given_labels_that_cut_one_population_become_one(rng):
    counts = two_groups(rng)
    labels = np.repeat([0, 1, 2], [30, 30, 50]).astype(np.int32)
    tree = test_splits(sparse.csr_array(counts), labels, n_jobs=1)
    assert tree.labels.tolist() == [0] * 60 + [1] * 50


def test_one_label_is_one_cluster(rng):
    tree = test_splits(sparse.csr_array(two_groups(rng)), np.zeros(110, dtype=np.int32))
    assert not tree.labels.any()
    assert tree.splits == ()


def test_batches_that_differ_alone_are_not_split(rng):
    rates = rng.gamma(2, 1, 120)
    of_batch = rates * np.where(np.arange(120) % 2, 4.0, 1.0)
    counts = np.vstack([rng.poisson(rates, (60, 120)), rng.poisson(of_batch, (60, 120))])
    batches = np.repeat([0, 1], 60).astype(np.int32)
    assert test_splits(sparse.csr_array(counts), n_jobs=1).labels.any()
    assert not test_splits(sparse.csr_array(counts), batches=batches, n_jobs=1).labels.any()


def test_splits_with_few_cells_on_a_side_are_counted_and_not_made(rng):
    tree = test_splits(sparse.csr_array(two_groups(rng, sizes=(60, 12))), n_jobs=1)
    assert not tree.labels.any()
    assert (tree.splits, tree.n_untested) == ((), 1)


@pytest.mark.parametrize(("name", "value"), [("alpha", 0.0), ("alpha", 1.0), ("n_components", 0)])
def test_parameters_out_of_bounds_are_refused(name, value):
    with pytest.raises(ValueError, match=r"alpha is|n_comps is"):
        TreeParams(**{name: value})
