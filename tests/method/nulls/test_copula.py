"""Copulas reproduce gene-gene correlation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse, stats

from recall_py.method.nulls import NULL_MODELS
from recall_py.method.nulls.marginals import CountFamily, CountMarginal, Poisson
from recall_py.method.nulls.negative_binomial import NegativeBinomial
from recall_py.method.nulls.zero_inflated_poisson import ZeroInflatedPoisson
from recall_py.method.results import NullFit

COPULAS = ["ZIP-copula", "NB-copula", "Poisson-copula", "Gaussian-copula"]


def factor_normals(rng: np.random.Generator, n_cells: int, loadings: np.ndarray) -> np.ndarray:
    """Normal scores with correlation loadings loadings' off the diagonal."""
    noise = rng.standard_normal((n_cells, loadings.size)) * np.sqrt(1 - loadings**2)
    return rng.standard_normal((n_cells, 1)) * loadings + noise


def fit(name: str, counts: np.ndarray) -> NullFit:
    return NULL_MODELS[name].fit(sparse.csc_array(counts), np.ones(len(counts)))


def draw(fitted: NullFit, n_cells: int, seed: int = 1) -> np.ndarray:
    sampled = NULL_MODELS[fitted.family].sample(fitted, np.ones(n_cells), np.random.SeedSequence(seed), n_jobs=2)
    return sampled.toarray()


@pytest.mark.parametrize("name", COPULAS)
def test_correlation_of_draws_is_the_fitted_one(rng, name):
    """Counts of mean 80, where the transform is nearly one-to-one: within five standard errors."""
    loadings = np.array([0.9, 0.8, -0.8, 0.5, 0.0, 0.3])
    counts = stats.poisson.ppf(stats.norm.cdf(factor_normals(rng, 3000, loadings)), 80)
    fitted = fit(name, counts)
    truth = np.outer(loadings, loadings)
    np.fill_diagonal(truth, 1.0)
    np.testing.assert_allclose(fitted.correlation, truth, atol=0.01 + 5 / np.sqrt(3000))
    refitted = fit(name, draw(fitted, 20_000))
    np.testing.assert_allclose(refitted.correlation, fitted.correlation, atol=0.01 + 5 / np.sqrt(20_000))


@pytest.mark.parametrize(
    "parameters",
    [
        ("NB-copula", {"size": [0.4, 2.0], "mu": [0.3, 0.8]}),
        ("ZIP-copula", {"lambda": [2.0, 0.7], "pi": [0.8, 0.2], "mean": [0.4, 0.56], "mean_nonzero": [2.31, 1.39]}),
        ("Poisson-copula", {"mean": [0.2, 1.1]}),
        ("Gaussian-copula", {"mean": [0.2, 1.1], "sd": [0.9, 1.0]}),
    ],
    ids=lambda parameters: parameters[0],
)
def test_sparse_genes_are_expressed_together_as_often_as_the_bivariate_normal_says(parameters):
    """The share of cells where both genes are zero, against scipy's bivariate normal: within five standard errors."""
    name, values = parameters
    correlation = np.array([[1.0, 0.7], [0.7, 1.0]])
    fitted = NullFit(name, {key: np.array(value) for key, value in values.items()}, correlation=correlation)
    n_draws = 100_000
    zeros = NULL_MODELS[name].moments(fitted, np.ones(1)).zeros
    expected = stats.multivariate_normal.cdf(stats.norm.ppf(zeros), cov=correlation)
    found = (draw(fitted, n_draws) == 0).all(axis=1).mean()
    assert found == pytest.approx(expected, abs=5 * np.sqrt(expected * (1 - expected) / n_draws))
    assert abs(found - zeros.prod()) > 0.02


@pytest.mark.parametrize("name", COPULAS)
def test_genes_that_go_together_are_drawn_together(rng, name):
    """Sparse counts too: weaker than in the data, but clearly there; a third gene stays apart."""
    depth = rng.gamma(0.5, 2.0, (4000, 1))
    counts = np.column_stack(
        [rng.poisson(1.5 * depth), rng.poisson(1.5 * depth), rng.negative_binomial(0.5, 0.25, 4000)]
    )
    drawn = draw(fit(name, counts), 4000)
    observed = stats.spearmanr(counts[:, 0], counts[:, 1]).statistic
    found = stats.spearmanr(drawn).statistic
    assert observed > 0.4
    assert 0.15 < found[0, 1] < observed + 0.1
    np.testing.assert_allclose(found[2, :2], 0.0, atol=5 / np.sqrt(4000) + 0.03)


@pytest.mark.parametrize(
    "family", [NegativeBinomial(), ZeroInflatedPoisson(), Poisson()], ids=lambda f: type(f).__name__
)
def test_scores_of_counts_from_the_family_are_standard_normal(rng, family: CountFamily):
    counts = {
        "NegativeBinomial": rng.negative_binomial(0.6, 0.4, 20_000),
        "ZeroInflatedPoisson": rng.poisson(3.0, 20_000) * (rng.random(20_000) < 0.4),
        "Poisson": rng.poisson(0.8, 20_000),
    }[type(family).__name__]
    column = sparse.csc_array(counts[:, None].astype(np.float64))
    fitted = family.fit(column, np.ones(20_000))
    scores = CountMarginal(family).scores(fitted, column.tocsr(), np.random.default_rng(0))[:, 0]
    assert stats.kstest(scores, "norm").pvalue > 1e-4
    # A larger count never has a smaller score.
    tops = [scores[counts == x].max() for x in range(4)]
    bottoms = [scores[counts == x].min() for x in range(1, 5)]
    assert all(top <= bottom for top, bottom in zip(tops, bottoms, strict=True))


@pytest.mark.parametrize(
    ("family", "parameters", "dist"),
    [
        (NegativeBinomial(), {"size": 0.3, "mu": 2.0}, stats.nbinom(0.3, 0.3 / 2.3)),
        (NegativeBinomial(), {"size": 20.0, "mu": 500.0}, stats.nbinom(20, 20 / 520)),
        (NegativeBinomial(), {"size": np.inf, "mu": 4.0}, stats.poisson(4.0)),
        (Poisson(), {"mean": 0.6}, stats.poisson(0.6)),
    ],
)
def test_survival_and_quantile_are_those_of_scipy(family, parameters, dist):
    """Far into the tail as well: probabilities down to 1e-200, scores up to 8."""
    fitted = NullFit("", {key: np.array([value]) for key, value in parameters.items()})
    counts = np.unique(np.concatenate([np.arange(60), np.arange(60, 3000, 37)]))
    expected = dist.sf(counts)
    seen = expected > 1e-200
    found = family.survival(fitted, counts, np.zeros(counts.size, dtype=np.int64))
    np.testing.assert_allclose(found[seen], expected[seen], rtol=1e-9)
    scores = np.linspace(-4, 8, 241)
    quantiles = CountMarginal(family).counts(fitted, scores[:, None]).toarray()[:, 0]
    survival = stats.norm.sf(scores)
    assert (dist.sf(quantiles) <= survival * (1 + 1e-9)).all()
    assert (dist.sf(quantiles - 1) >= survival * (1 - 1e-9)).all()


def test_randomised_transform_weakens_the_correlation_of_sparse_genes(rng):
    normals = factor_normals(rng, 20_000, np.array([0.9, 0.9]))
    found = [
        fit("Poisson-copula", stats.poisson.ppf(stats.norm.cdf(normals), mean)).correlation[0, 1]
        for mean in (50.0, 2.0, 0.1)
    ]
    assert found[0] == pytest.approx(0.81, abs=0.02)
    assert found[0] > found[1] + 0.05
    assert found[1] > found[2] + 0.2


def test_misfitted_marginals_do_not_make_genes_correlated(rng):
    """Scores of overdispersed counts under a Poisson marginal do not have mean 0."""
    counts = rng.negative_binomial(0.2, 0.02, (4000, 2))
    assert abs(fit("Poisson-copula", counts).correlation[0, 1]) < 5 / np.sqrt(4000)


def test_gaussian_correlation_is_pearsons(rng):
    counts = np.exp(factor_normals(rng, 2500, np.array([0.9, 0.7, -0.5]))).round()
    np.testing.assert_allclose(fit("Gaussian-copula", counts).correlation, np.corrcoef(counts.T), atol=1e-10)


@pytest.mark.parametrize("name", COPULAS)
def test_more_genes_than_cells_give_a_positive_definite_correlation(rng, name):
    counts = rng.negative_binomial(0.5, 0.3, (40, 90)) + 3 * (rng.random((40, 1)) < 0.5)
    fitted = fit(name, counts)
    assert np.linalg.eigvalsh(fitted.correlation).min() > 0
    np.testing.assert_array_equal(np.diagonal(fitted.correlation), 1.0)
    np.testing.assert_array_equal(fitted.correlation, fitted.correlation.T)
    assert draw(fitted, 40).shape == (40, 90)


@pytest.mark.parametrize("name", COPULAS)
def test_constant_gene_is_correlated_with_none(rng, name):
    counts = rng.poisson(rng.gamma(1.0, 3.0, (300, 1)), (300, 5))
    counts[:, 1], counts[:, 3] = 0, 2
    correlation = fit(name, counts).correlation
    np.testing.assert_array_equal(correlation[[1, 3]], np.eye(5)[[1, 3]])
    assert correlation[0, 2] > 0.3


@pytest.mark.parametrize("name", COPULAS)
def test_fit_is_deterministic(rng, name):
    counts = rng.negative_binomial(0.5, 0.3, (1500, 8))
    np.testing.assert_array_equal(fit(name, counts).correlation, fit(name, counts).correlation)
