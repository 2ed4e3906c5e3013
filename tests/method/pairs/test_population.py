"""The one-population model: what its draws keep, what they do not invent, and how null cells are cut in two."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import nbinom, poisson, spearmanr

from recall_py._kernels.null_cells import _quantile
from recall_py.datasets import simulate
from recall_py.method.pairs.population import Population, draw_population, fit_population, leading_eigenvectors

N_DRAWS = 30


def dense(**options):
    """Counts of the genes that have some, and the batches of the cells."""
    adata = simulate(**{"n_cells": 200, "n_genes": 300, "mean_depth": 2000, **options})
    counts = adata.X.toarray().astype(float)
    return counts[:, counts.any(axis=0)], adata.obs["batch"].cat.codes.to_numpy()


def fit_and_draw(counts, batches=None, n_draws: int = N_DRAWS, pieces=None, is_first=None):
    rng = np.random.default_rng(0)
    pieces = np.zeros(len(counts), dtype=int) if pieces is None else pieces
    is_first = np.arange(len(counts)) % 2 == 0 if is_first is None else is_first
    stratum = np.zeros(len(counts), dtype=np.int32) if batches is None else batches.astype(np.int32)
    population = fit_population(sparse.csc_array(counts, dtype=np.float32), stratum, pieces, is_first, rng)
    return population, np.stack([draw_population(population, rng).toarray() for _ in range(n_draws)])


def expected(population):
    """(n_cells, n_genes) means."""
    return population.depth[:, np.newaxis] * population.share[population.stratum]


def log_values(counts):
    return np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)


def largest_correlation(counts, mean=None):
    """Leading eigenvalue of the correlations between genes with a mean above 1, in `counts` or as given."""
    expressed = (counts.mean(axis=0) if mean is None else mean) > 1
    return np.linalg.eigvalsh(np.corrcoef(log_values(counts)[:, expressed].T))[-1]


@pytest.fixture(scope="module")
def module_data():
    return dense(n_modules=1, module_genes=50, module_sd=0.6)[0]


@pytest.fixture(scope="module")
def module_draws(module_data):
    return fit_and_draw(module_data)


def test_draws_keep_the_means_of_the_genes(module_data, module_draws):
    means = module_draws[1].mean(axis=1)
    error = means.std(axis=0, ddof=1) / np.sqrt(N_DRAWS)
    z = (means.mean(axis=0) - module_data.mean(axis=0)) / error
    # t with 29 degrees of freedom for each of 300 genes: P(some abs(t) > 6) is 5e-4. A mean 5% off has z of 9 or so.
    assert np.abs(z).max() < 6
    assert abs(module_draws[1].mean() / module_data.mean() - 1) < 0.01


def test_draws_keep_the_variance_of_the_genes(module_data, module_draws):
    ratio = module_draws[1].var(axis=1).mean(axis=0) / module_data.var(axis=0)
    ratio = ratio[module_data.mean(axis=0) > 1]
    # The variance of one gene in 200 cells is known to about 10-20%; that of a typical gene to about 1%.
    assert abs(np.median(ratio) - 1) < 0.05
    assert np.mean(np.abs(ratio - 1) < 0.25) > 0.9


def test_draws_keep_the_depths_of_the_cells(module_data, module_draws):
    depth = module_data.sum(axis=1)
    assert min(spearmanr(draw.sum(axis=1), depth).statistic for draw in module_draws[1]) > 0.95


def test_draws_keep_the_strongest_correlation(module_data, module_draws):
    population, draws = module_draws
    assert population.loadings.shape[1] >= 1
    drawn = np.mean([largest_correlation(draw, module_data.mean(axis=0)) for draw in draws])
    assert drawn == pytest.approx(largest_correlation(module_data), rel=0.15)
    genes_alone = np.random.default_rng(0).permuted(module_data, axis=0)
    assert drawn > 2 * largest_correlation(genes_alone)


def test_draws_are_of_new_cells(module_data, module_draws):
    """The score of a cell on the module is drawn anew, that of the data is not kept."""
    direction = leading_eigenvectors(np.cov(log_values(module_data).T), 1, np.random.default_rng(0))[1][:, 0]
    score = log_values(module_data) @ direction
    relation = [abs(np.corrcoef(log_values(draw) @ direction, score)[0, 1]) for draw in module_draws[1]]
    assert np.mean(relation) < 0.3


@pytest.mark.parametrize("seed", range(3))
def test_no_correlation_where_there_is_none(seed):
    counts, _ = dense(random_state=seed)
    population, draws = fit_and_draw(counts, n_draws=8)
    explained = (population.loadings**2).sum(axis=1)
    # Modules of simulate have a variance of 0.16 or so in all of their genes.
    assert np.median(explained) < 0.01
    drawn = np.mean([largest_correlation(draw, counts.mean(axis=0)) for draw in draws])
    # Noise passes for a factor as often as not: the edge is the mean over a few shuffles.
    assert 0.9 < drawn / largest_correlation(counts) < 1.35


def test_poisson_counts_give_poisson_draws():
    counts, _ = dense(dispersion=0.0)
    population, draws = fit_and_draw(counts)
    assert not population.loadings.size
    expressed = expected(population).mean(axis=0) > 1
    assert np.median(population.rest[expressed]) < 0.01
    deviance = ((draws - expected(population)) ** 2 / np.maximum(expected(population), 1e-9)).mean(axis=(0, 1))
    assert np.median(deviance[expressed]) == pytest.approx(1, abs=0.03)


def test_dispersion_is_recovered():
    population, _ = fit_and_draw(dense(dispersion=0.5, depth_spread=0.2)[0], n_draws=1)
    total = (1 + population.rest) * np.exp((population.loadings**2).sum(axis=1)) - 1
    assert np.median(total[expected(population).mean(axis=0) > 3]) == pytest.approx(0.5, rel=0.15)


def test_batches_keep_their_means():
    counts, batches = dense(n_batches=2, batch_sd=0.8)
    expressed = np.minimum(*(counts[batches == code].mean(axis=0) for code in (0, 1))) > 0.5

    def fold(values):
        return np.diff([np.log(values[batches == code][:, expressed].mean(axis=0)) for code in (0, 1)], axis=0)[0]

    _, within = fit_and_draw(counts, batches)
    assert np.corrcoef(fold(counts), fold(within.mean(axis=0)))[0, 1] > 0.99
    _, without = fit_and_draw(counts)
    assert np.abs(fold(without.mean(axis=0))).max() < 0.5 * np.abs(fold(counts)).max()


def test_a_gap_within_one_of_the_two_clusters_is_no_factor():
    """One piece holds two kinds of cells, the other a third: the gap within the first must not widen the null."""
    adata = simulate(
        300, 300, group_shares=(0.34, 0.33, 0.33), n_markers=60, log2_fold_change=2, mean_depth=2000, dispersion=0.0
    )
    counts = adata.X.toarray().astype(float)
    counts = counts[:, counts.any(axis=0)]
    third = adata.obs["group"].cat.codes.to_numpy() == 2
    population, _ = fit_and_draw(counts, n_draws=1, pieces=third.astype(int), is_first=third)
    mixed, _ = fit_and_draw(counts, n_draws=1, pieces=third.astype(int))
    assert (mixed.loadings**2).sum() > 20 * max((population.loadings**2).sum(), 1e-9)


def test_a_factor_of_both_clusters_is_kept_where_a_cluster_has_pieces_of_one_cell(module_data):
    pieces = np.zeros(len(module_data), dtype=int)
    pieces[:5] = np.arange(1, 6)
    population, _ = fit_and_draw(module_data, n_draws=1, pieces=pieces, is_first=pieces > 0)
    assert population.loadings.shape[1] >= 1


def test_a_gap_between_pieces_is_no_factor():
    """Two kinds of cells differ along a strong factor where they are taken for one piece, not where each is a piece."""
    adata = simulate(
        200, 300, group_shares=(0.5, 0.5), n_markers=60, log2_fold_change=2, mean_depth=2000, dispersion=0.0
    )
    counts = adata.X.toarray().astype(float)
    counts = counts[:, counts.any(axis=0)]
    joined, _ = fit_and_draw(counts, n_draws=1)
    apart, _ = fit_and_draw(counts, n_draws=1, pieces=adata.obs["group"].cat.codes.to_numpy())
    gap = joined.loadings[:, 0] / np.linalg.norm(joined.loadings[:, 0])
    along = [((population.loadings.T @ gap) ** 2).sum() for population in (joined, apart)]
    assert along[0] > 1
    assert along[1] < 0.1 * along[0]


def test_a_factor_is_as_strong_where_the_pieces_are_cut_along_it(module_data, module_draws):
    direction = leading_eigenvectors(np.cov(log_values(module_data).T), 1, np.random.default_rng(0))[1][:, 0]
    score = log_values(module_data) @ direction
    cut_along, _ = fit_and_draw(module_data, n_draws=1, pieces=(score > np.median(score)).astype(int))
    whole = module_draws[0]
    strength = [(population.loadings**2).sum() for population in (cut_along, whole)]
    assert strength[0] == pytest.approx(strength[1], rel=0.25)


def test_every_cell_its_own_piece_leaves_no_factor(module_data):
    population, _ = fit_and_draw(module_data, n_draws=1, pieces=np.arange(len(module_data)))
    assert not population.loadings.size


def population_of(mean, rest, n_cells):
    """Genes with the same mean in all cells, without factors."""
    mean = np.asarray(mean, dtype=np.float32)
    depth, stratum = np.full(n_cells, mean.sum()), np.zeros(n_cells, dtype=np.int32)
    return Population(
        depth.astype(np.float32),
        stratum,
        (mean / mean.sum())[np.newaxis],
        np.zeros((mean.size, 0), dtype=np.float32),
        np.asarray(rest, dtype=np.float64),
    )


@pytest.mark.parametrize("dispersion", [0.0, 1e-9, 0.3, 4.0])
@pytest.mark.parametrize("mean", [0.003, 0.3, 3.0, 190.0])
def test_draws_have_the_distribution_of_scipy(mean, dispersion):
    n_cells = 20_000
    counts = draw_population(population_of([mean], [dispersion], n_cells), np.random.default_rng(0)).toarray()[:, 0]
    family = poisson(mean) if dispersion < 1e-6 else nbinom(1 / dispersion, 1 / (1 + mean * dispersion))
    at = np.unique(family.ppf([0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.999]))
    found = (counts[:, np.newaxis] <= at).mean(axis=0)
    # 5 standard deviations of a share, in at most 8 places of 16 distributions: one fails in 10,000 seeds.
    np.testing.assert_array_less(
        np.abs(found - family.cdf(at)), 5 * np.sqrt(family.cdf(at) * family.sf(at) / n_cells) + 1e-9
    )


@pytest.mark.parametrize("mean", [0.01, 1.0, 50.0, 199.0])
@pytest.mark.parametrize("dispersion", [0.0, 0.5, 2.0])
def test_the_largest_uniform_number_ends_in_a_count_that_can_be(mean, dispersion):
    """What is left of a number next to 1 is rounding: the sum of the terms must end, and near the tail."""
    family = poisson(mean) if dispersion == 0 else nbinom(1 / dispersion, 1 / (1 + mean * dispersion))
    for uniform in (1.0 - 2.0**-28, 1.0 - 2.0**-53, 1.0):
        assert family.sf(_quantile(uniform, mean, dispersion) - 1) > 1e-24


def test_a_single_gene_has_no_factors():
    counts = np.arange(1, 13, dtype=float)[:, np.newaxis]
    population, draws = fit_and_draw(counts, n_draws=2)
    assert not population.loadings.size
    assert np.isfinite(draws).all()


def test_large_means_are_drawn_too():
    draws = draw_population(population_of([5000, 5000], [0.0, 0.2], 20_000), np.random.default_rng(0)).toarray()
    np.testing.assert_allclose(draws.mean(axis=0), 5000, rtol=0.02)
    np.testing.assert_allclose(draws.var(axis=0), [5000, 5000 + 0.2 * 5000**2], rtol=0.05)


def test_small_batches_hide_no_overdispersion():
    """Thirty batches of ten cells: the means of a batch are those of the cells at hand, and follow them."""
    rng = np.random.default_rng(2)
    counts = sparse.csc_array(rng.poisson(0.5 * rng.gamma(1 / 0.8, 0.8, (300, 400))).astype(np.float32))
    batches, one = np.repeat(np.arange(30), 10).astype(np.int32), np.zeros(300, dtype=np.int32)
    for stratum in (one, batches):
        population = fit_population(counts, stratum, one, np.arange(300) < 150, rng)
        whole = (1 + population.rest) * np.exp((population.loadings.astype(float) ** 2).sum(axis=1)) - 1
        assert whole.mean() == pytest.approx(0.8, abs=0.12)


def test_draws_follow_the_factors_and_the_batches():
    """The moments of a log-normal rate: a mean that the factor leaves alone, and a variance that it adds."""
    n_cells = 20_000
    stratum = (np.arange(n_cells) % 2).astype(np.int32)
    share = np.array([[0.6, 0.4], [0.2, 0.8]], dtype=np.float32)
    loadings = np.array([[0.5], [0.0]], dtype=np.float32)
    population = Population(np.full(n_cells, 10, dtype=np.float32), stratum, share, loadings, np.zeros(2))
    draws = draw_population(population, np.random.default_rng(0)).toarray()
    for code in (0, 1):
        mean = 10 * share[code]
        np.testing.assert_allclose(draws[stratum == code].mean(axis=0), mean, rtol=0.03)
        variance = mean + mean**2 * np.expm1(loadings[:, 0] ** 2)
        np.testing.assert_allclose(draws[stratum == code].var(axis=0), variance, rtol=0.06)


def test_fit_and_draw_are_deterministic(module_data):
    (first, first_draws), (second, second_draws) = (fit_and_draw(module_data, n_draws=1) for _ in range(2))
    assert first.loadings.tobytes() == second.loadings.tobytes()
    assert first_draws.tobytes() == second_draws.tobytes()


@pytest.mark.parametrize("n_cells", [6, 10])
def test_few_cells_can_be_fitted_and_drawn(module_data, n_cells):
    counts = module_data[:n_cells]
    counts = counts[:, counts.any(axis=0)]
    population, draws = fit_and_draw(counts, n_draws=3)
    assert all(np.isfinite(part).all() for part in (expected(population), population.loadings, population.rest))
    assert (draws >= 0).all()
    assert draws.sum() > 0


def test_leading_eigenvectors_are_those_of_a_full_decomposition():
    rng = np.random.default_rng(1)
    values = rng.standard_normal((80, 60)) @ np.diag([9.0, 7.0, 5.0, 4.0] + [1.0] * 56)
    symmetric = values @ values.T
    found, vectors = leading_eigenvectors(symmetric, 3, rng)
    expected, basis = np.linalg.eigh(symmetric)
    np.testing.assert_allclose(found, expected[::-1][:3], rtol=1e-4)
    np.testing.assert_allclose(np.abs((vectors * basis[:, ::-1][:, :3]).sum(axis=0)), 1.0, rtol=1e-3)


def test_the_sign_of_an_eigenvector_does_not_depend_on_where_the_iterations_start():
    """Nor so on the processor: rounding alone decides the sign that a decomposition gives."""
    values = np.random.default_rng(1).standard_normal((80, 60)) @ np.diag([9.0, 7.0, 5.0, 4.0] + [1.0] * 56)
    first, *others = (leading_eigenvectors(values @ values.T, 3, np.random.default_rng(seed))[1] for seed in range(8))
    for other in others:
        np.testing.assert_allclose(other, first, atol=1e-3)


def test_no_more_eigenvectors_than_there_are():
    assert leading_eigenvectors(np.eye(2), 5, np.random.default_rng(0))[0].size == 2
