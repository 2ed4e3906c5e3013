"""Draws of the null models have the fitted distribution, and ``moments`` describes it; edge cases of every family."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse, stats

from recall_py.method.nulls import NULL_MODELS
from recall_py.method.nulls.moments import Moments, mix_moments, observed_moments
from recall_py.method.results import NullFit

DEPTHS = np.array([0.1, 0.5, 0.9, 2.5])
N_DRAWS = 100_000
SUPPORT = np.arange(3000)


def null_fit(family: str, **parameters: float) -> NullFit:
    """A fit of one gene with given parameters."""
    correlation = np.eye(1) if family.endswith("copula") else None
    return NullFit(family, {name: np.array([value]) for name, value in parameters.items()}, correlation=correlation)


def zip_fit(rate: float, inflation: float, family: str = "ZIP") -> NullFit:
    """A fit with given parameters, together with the moments that the family keeps beside them."""
    mean = (1 - inflation) * rate
    parameters = {"lambda": rate, "pi": inflation, "mean": mean, "mean_nonzero": rate / -np.expm1(-rate)}
    return null_fit(family, **parameters)


def nb_fit(size: float, mu: float, family: str = "NB") -> NullFit:
    return null_fit(family, size=size, mu=mu)


def depth_fit(mean: float, overdispersion: float) -> NullFit:
    return null_fit("NB-depth", mean=mean, overdispersion=overdispersion)


def pmf(fit: NullFit) -> np.ndarray:
    """Probability of each count of `SUPPORT` over cells of the given depths, by scipy."""
    values = {name: value[0] for name, value in fit.parameters.items()}
    if fit.family == "NB-depth":
        phi = values["overdispersion"]
        parts = [nb_pmf(1 / phi if phi else np.inf, values["mean"] * depth) for depth in DEPTHS]
        return np.mean(parts, axis=0)
    if fit.family == "Gaussian-copula":
        p = np.diff(stats.norm.cdf(np.append(SUPPORT, SUPPORT.size) - 0.5, values["mean"], values["sd"]))
        p[0] = stats.norm.cdf(0.5, values["mean"], values["sd"])
        return p
    if fit.family == "Poisson-copula":
        return stats.poisson.pmf(SUPPORT, values["mean"])
    if fit.family.startswith("NB"):
        return nb_pmf(values["size"], values["mu"])
    rate, inflation = values["lambda"], values["pi"]
    if inflation < 0:
        return stats.poisson.pmf(SUPPORT, (1 - inflation) * rate)
    return (1 - inflation) * stats.poisson.pmf(SUPPORT, rate) + inflation * (SUPPORT == 0)


def nb_pmf(size: float, mu: float) -> np.ndarray:
    if np.isinf(size):
        return stats.poisson.pmf(SUPPORT, mu)
    return stats.nbinom.pmf(SUPPORT, size, size / (size + mu))


FITS = [
    *(zip_fit(*at) for at in [(0.02, 0.4), (1.3, 0.7), (8.0, 0.05), (2.0, -0.2)]),
    *(nb_fit(*at) for at in [(0.05, 0.4), (0.7, 3.0), (4.0, 2.0), (12.0, 90.0), (1e9, 1.5), (np.inf, 2.5)]),
    *(zip_fit(*at, "ZIP-copula") for at in [(0.02, 0.4), (1.3, 0.7), (8.0, 0.05), (2.0, -0.2)]),
    *(nb_fit(*at, "NB-copula") for at in [(0.05, 0.4), (0.7, 3.0), (12.0, 90.0), (1e9, 1.5), (np.inf, 2.5)]),
    *(null_fit("Poisson-copula", mean=mean) for mean in (0.03, 1.7, 60.0)),
    *(null_fit("Gaussian-copula", mean=m, sd=sd) for m, sd in [(0.3, 0.8), (0.02, 0.2), (40.0, 5.0), (100.0, 60.0)]),
    *(depth_fit(*at) for at in [(0.02, 0.0), (0.3, 4.0), (2.0, 0.5), (70.0, 0.1), (1.5, 1e-9), (3.0, 0.0)]),
]


def draw(fit: NullFit, depth: np.ndarray, seed: int = 1) -> np.ndarray:
    return NULL_MODELS[fit.family].sample(fit, depth, np.random.SeedSequence(seed), n_jobs=1).toarray()


@pytest.mark.parametrize("fit", FITS, ids=lambda fit: f"{fit.family}-{list(fit.parameters.values())}")
def test_moments_are_those_of_the_distribution(fit):
    p = pmf(fit)
    assert p.sum() == pytest.approx(1.0)
    mean = (p * SUPPORT).sum()
    found = NULL_MODELS[fit.family].moments(fit, DEPTHS)
    assert found.mean[0] == pytest.approx(mean, rel=1e-6)
    assert found.variance[0] == pytest.approx((p * (SUPPORT - mean) ** 2).sum(), rel=1e-6)
    assert found.zeros[0] == pytest.approx(p[0], rel=1e-6)


@pytest.mark.parametrize("fit", FITS, ids=lambda fit: f"{fit.family}-{list(fit.parameters.values())}")
def test_draws_have_the_fitted_distribution(fit):
    """Mean, variance and share of zeros within five standard errors, chi-square above one in a million.

    The depths are fixed, which only makes the errors smaller than those of independent draws.
    """
    p = pmf(fit)
    mean = (p * SUPPORT).sum()
    central = [(p * (SUPPORT - mean) ** power).sum() for power in (2, 4)]
    sample = draw(fit, np.tile(DEPTHS, N_DRAWS // DEPTHS.size))[:, 0]
    assert sample.mean() == pytest.approx(mean, abs=5 * np.sqrt(central[0] / N_DRAWS))
    assert sample.var() == pytest.approx(central[0], abs=5 * np.sqrt((central[1] - central[0] ** 2) / N_DRAWS))
    assert (sample == 0).mean() == pytest.approx(p[0], abs=5 * np.sqrt(p[0] * (1 - p[0]) / N_DRAWS))

    # Bins of at least 25 expected draws; the tail is one bin.
    last = int(np.flatnonzero(p * N_DRAWS >= 25)[-1]) + 1
    first = int(np.flatnonzero(p * N_DRAWS >= 25)[0])
    observed = np.bincount(np.clip(sample, first, last) - first, minlength=last - first + 1)
    expected = np.concatenate(([p[: first + 1].sum()], p[first + 1 : last], [p[last:].sum()])) * N_DRAWS
    if expected[-1] < 5:
        observed = np.append(observed[:-2], observed[-2:].sum())
        expected = np.append(expected[:-2], expected[-2:].sum())
    assert stats.chisquare(observed, expected, sum_check=False).pvalue > 1e-6


@pytest.mark.parametrize("fit", [depth_fit(0.3, 2.0), depth_fit(8.0, 0.3)])
def test_draws_follow_the_depth_of_their_cell(fit):
    """Mean and share of zeros at each depth, within five standard errors."""
    n_draws = 40_000
    sample = draw(fit, np.repeat(DEPTHS, n_draws)).reshape(DEPTHS.size, n_draws)
    (base,), (phi,) = fit.parameters.values()
    for depth, counts in zip(DEPTHS, sample, strict=True):
        mu = base * depth
        zeros = stats.nbinom.pmf(0, 1 / phi, 1 / (1 + phi * mu))
        assert counts.mean() == pytest.approx(mu, abs=5 * np.sqrt((mu + phi * mu**2) / n_draws))
        assert (counts == 0).mean() == pytest.approx(zeros, abs=5 * np.sqrt(zeros * (1 - zeros) / n_draws))


def test_cell_without_depth_has_no_counts():
    for fit in (depth_fit(0.4, 2.0), depth_fit(60.0, 0.2), depth_fit(3.0, 0.0)):
        assert not draw(fit, np.array([0.0, 2.0] * 50))[::2].any()


EDGES = np.column_stack(
    [
        np.zeros(400),
        np.ones(400),
        np.full(400, 4),
        np.arange(400) == 3,
        3000 * (np.arange(400) == 3),
        np.arange(400) < 9,
    ]
).astype(np.float64)
"""All zero, all 1, constant, a single 1, one very high count, a few 1."""


@pytest.mark.parametrize("name", NULL_MODELS)
def test_edge_cases_are_drawn_with_their_moments(name):
    """Mean and share of zeros within five standard errors of ``moments``, exactly where nothing is random."""
    model, depth = NULL_MODELS[name], np.ones(len(EDGES))
    fit = model.fit(sparse.csc_array(EDGES), depth)
    moments = model.moments(fit, depth)
    n_seeds = 100
    drawn = np.concatenate([draw(fit, depth, seed) for seed in range(n_seeds)])
    assert (drawn >= 0).all()
    error = np.sqrt(moments.variance / len(drawn))
    assert (abs(drawn.mean(axis=0) - moments.mean) <= 5 * error).all()
    error = np.sqrt(moments.zeros * (1 - moments.zeros) / len(drawn))
    assert (abs((drawn == 0).mean(axis=0) - moments.zeros) <= 5 * error + 1e-12).all()
    if name != "Gaussian-copula":
        np.testing.assert_allclose(moments.mean, EDGES.mean(axis=0), rtol=1e-12)


@pytest.mark.parametrize("name", NULL_MODELS)
def test_what_the_edge_cases_are_drawn_as(name):
    model = NULL_MODELS[name]
    drawn = draw(model.fit(sparse.csc_array(EDGES), np.ones(len(EDGES))), np.ones(len(EDGES)))
    assert not drawn[:, 0].any()
    if name.startswith(("ZIP", "permutation", "Gaussian")):
        np.testing.assert_array_equal(drawn[:, 1], 1)
    if name.startswith(("ZIP", "permutation")):
        assert drawn[:, [3, 5]].max() == 1
    if name in ("permutation", "Gaussian-copula"):
        np.testing.assert_array_equal(drawn[:, 2], 4)
    else:  # no more variable than Poisson counts
        assert drawn[:, 2].var() == pytest.approx(4.0, abs=5 * np.sqrt(4 * (1 + 2 * 4) / 400))


def test_observed_moments_are_those_of_the_dense_counts(rng):
    counts = np.column_stack([rng.poisson(0.2, 300), rng.poisson(3e6, 300), np.full(300, 3_000_001), np.zeros(300)])
    found = observed_moments(sparse.csc_array(counts))
    np.testing.assert_allclose(found.mean, counts.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(found.variance, counts.var(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.zeros, (counts == 0).mean(axis=0), atol=1e-15)
    assert found.variance[2] == 0


def test_mixed_moments_are_those_of_the_joined_counts(rng):
    parts = [rng.poisson(mean, (n_cells, 3)) for mean, n_cells in ((0.5, 100), (3.0, 40), (9.0, 7))]
    moments = [observed_moments(sparse.csc_array(part)) for part in parts]
    joined = np.concatenate(parts)
    mixed = mix_moments(moments, np.array([100, 40, 7]) / 147)
    assert isinstance(mixed, Moments)
    for found, expected in zip(mixed, observed_moments(sparse.csc_array(joined)), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)
