"""Draws of the null models: their distribution, their edge cases, their seeds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse, stats

from recall_py.nulls import NULL_MODELS, augment
from recall_py.results import NullFit


def zip_fit(rate: float, inflation: float) -> NullFit:
    """A fit with given parameters, together with the moments that the family keeps beside them."""
    mean = (1 - inflation) * rate
    parameters = {"lambda": rate, "pi": inflation, "mean": mean, "mean_nonzero": rate / -np.expm1(-rate)}
    return NullFit("ZIP", {name: np.array([value]) for name, value in parameters.items()})


def nb_fit(size: float, mu: float) -> NullFit:
    return NullFit("NB", {"size": np.array([size]), "mu": np.array([mu])})


def draw(fit: NullFit, n_cells: int, seed: int = 1) -> np.ndarray:
    sampled = NULL_MODELS[fit.family].sample(fit, n_cells, np.random.SeedSequence(seed), n_jobs=1)
    return sampled.toarray()[:, 0]


def knockoffs(counts: np.ndarray, name: str = "ZIP", seed: int = 1, n_jobs: int = 1) -> np.ndarray:
    matrix = sparse.csc_array(np.asarray(counts, dtype=np.float64))
    augmented = augment(matrix, name, np.random.SeedSequence(seed), n_jobs=n_jobs)
    return augmented.counts[:, matrix.shape[1] :].toarray()


def zip_pmf(fit: NullFit, counts: np.ndarray) -> np.ndarray:
    rate, inflation = (fit.parameters[name][0] for name in ("lambda", "pi"))
    if inflation < 0:
        return stats.poisson.pmf(counts, (1 - inflation) * rate)
    return (1 - inflation) * stats.poisson.pmf(counts, rate) + inflation * (counts == 0)


def nb_pmf(fit: NullFit, counts: np.ndarray) -> np.ndarray:
    size, mu = (fit.parameters[name][0] for name in ("size", "mu"))
    if np.isinf(size):
        return stats.poisson.pmf(counts, mu)
    return stats.nbinom.pmf(counts, size, size / (size + mu))


FITS = [
    (zip_fit(0.02, 0.4), zip_pmf),
    (zip_fit(1.3, 0.7), zip_pmf),
    (zip_fit(8.0, 0.05), zip_pmf),
    (zip_fit(2.0, -0.2), zip_pmf),
    (nb_fit(0.05, 0.4), nb_pmf),
    (nb_fit(0.7, 3.0), nb_pmf),
    (nb_fit(4.0, 2.0), nb_pmf),
    (nb_fit(12.0, 90.0), nb_pmf),
    (nb_fit(1e9, 1.5), nb_pmf),
    (nb_fit(np.inf, 2.5), nb_pmf),
]


@pytest.mark.parametrize(("fit", "pmf"), FITS)
def test_draws_have_the_fitted_distribution(fit, pmf):
    """Mean, variance and share of zeros within five standard errors, chi-square above one in a million."""
    n_draws = 200_000
    support = np.arange(3000)
    p = pmf(fit, support)
    assert p.sum() == pytest.approx(1.0)
    sample = draw(fit, n_draws)
    mean = (p * support).sum()
    central = [(p * (support - mean) ** power).sum() for power in (2, 4)]
    assert sample.mean() == pytest.approx(mean, abs=5 * np.sqrt(central[0] / n_draws))
    assert sample.var() == pytest.approx(central[0], abs=5 * np.sqrt((central[1] - central[0] ** 2) / n_draws))
    assert (sample == 0).mean() == pytest.approx(p[0], abs=5 * np.sqrt(p[0] * (1 - p[0]) / n_draws))

    # Bins of at least 25 expected draws; the tail is one bin.
    last = int(np.flatnonzero(p * n_draws >= 25)[-1]) + 1
    first = int(np.flatnonzero(p * n_draws >= 25)[0])
    observed = np.bincount(np.clip(sample, first, last) - first, minlength=last - first + 1)
    expected = np.concatenate(([p[: first + 1].sum()], p[first + 1 : last], [p[last:].sum()])) * n_draws
    merged = expected[-1] < 5
    if merged:
        observed, expected = (
            np.append(observed[:-2], observed[-2:].sum()),
            np.append(expected[:-2], expected[-2:].sum()),
        )
    assert stats.chisquare(observed, expected, sum_check=False).pvalue > 1e-6


def test_all_zero_gene_stays_zero():
    for name in NULL_MODELS:
        assert not knockoffs(np.zeros((50, 2)), name).any()


def test_gene_of_ones_is_drawn_as_bernoulli():
    counts = np.zeros((20_000, 1))
    counts[:6000] = 1
    drawn = knockoffs(counts)
    assert set(np.unique(drawn)) == {0, 1}
    assert drawn.mean() == pytest.approx(0.3, abs=5 * np.sqrt(0.21 / 20_000))


def test_gene_that_is_one_in_every_cell_stays_one():
    np.testing.assert_array_equal(knockoffs(np.ones((60, 1))), 1)


def test_single_one_is_drawn_as_rare_ones():
    counts = np.zeros((1000, 300))
    counts[3] = 1
    drawn = knockoffs(counts)
    assert set(np.unique(drawn)) == {0, 1}
    assert drawn.sum() == pytest.approx(300, abs=5 * np.sqrt(300))


def test_gene_with_too_few_zeros_is_drawn_as_poisson():
    counts = np.full((20_000, 1), 2)
    counts[:300] = 0
    mean = counts.mean()
    assert NULL_MODELS["ZIP"].fit(sparse.csc_array(counts)).parameters["pi"][0] < 0
    drawn = knockoffs(counts)
    assert drawn.mean() == pytest.approx(mean, abs=5 * np.sqrt(mean / 20_000))
    assert drawn.var() == pytest.approx(mean, rel=0.05)


def test_nb_gene_without_overdispersion_is_drawn_as_poisson():
    drawn = knockoffs(np.full((20_000, 1), 4), "NB")
    assert drawn.mean() == pytest.approx(4, abs=5 * np.sqrt(4 / 20_000))
    assert drawn.var() == pytest.approx(4, rel=0.05)


@pytest.mark.parametrize("name", ["ZIP", "NB"])
def test_huge_counts_are_drawn_near_their_mean(name):
    counts = np.random.default_rng(0).poisson(3e6, (400, 1))
    drawn = knockoffs(counts, name)
    assert drawn.mean() == pytest.approx(3e6, rel=1e-3)
    assert drawn.std() == pytest.approx(np.sqrt(3e6), rel=0.2)


def test_tiny_size_draws_few_large_counts():
    sample = draw(nb_fit(1e-3, 0.5), 200_000)
    p0 = stats.nbinom.pmf(0, 1e-3, 1e-3 / 0.501)
    assert (sample == 0).mean() == pytest.approx(p0, abs=5 * np.sqrt(p0 * (1 - p0) / 200_000))
    assert sample.max() > 500


def test_one_cell_with_many_counts_is_fitted_and_drawn():
    counts = np.zeros((5000, 40))
    counts[0] = 3000
    for name in NULL_MODELS:
        drawn = knockoffs(counts, name)
        assert (drawn >= 0).all()
        assert (drawn > 0).mean() < 0.01


@pytest.mark.parametrize("name", ["ZIP", "NB"])
def test_same_seed_gives_same_bits_for_any_number_of_threads(rng, name):
    counts = rng.negative_binomial(0.5, 0.3, (80, 300))
    one = knockoffs(counts, name, n_jobs=1)
    np.testing.assert_array_equal(one, knockoffs(counts, name, n_jobs=2))
    np.testing.assert_array_equal(one, knockoffs(counts, name, n_jobs=1))
    assert np.any(one != knockoffs(counts, name, seed=2))


@pytest.mark.parametrize("name", ["ZIP", "NB"])
def test_knockoff_of_a_gene_does_not_depend_on_other_genes(rng, name):
    counts = rng.negative_binomial(0.5, 0.3, (80, 300))
    others = rng.permuted(counts, axis=0)[:, ::-1].copy()
    others[:, 150] = counts[:, 150]
    np.testing.assert_array_equal(knockoffs(counts, name)[:, 150], knockoffs(others, name)[:, 150])


@pytest.mark.parametrize("name", ["ZIP", "NB"])
def test_identical_genes_have_different_knockoffs(name):
    drawn = knockoffs(np.random.default_rng(0).negative_binomial(0.5, 0.3, (200, 1)).repeat(4, axis=1), name)
    assert len(np.unique(drawn.T, axis=0)) == 4


@pytest.mark.parametrize("name", ["ZIP", "NB"])
def test_counts_are_left_unchanged_and_stand_first(rng, name):
    counts = sparse.csc_array(rng.poisson(1.0, (30, 12)).astype(np.float32))
    before = counts.toarray()
    for array in (counts.data, counts.indices, counts.indptr):
        array.flags.writeable = False
    augmented = augment(counts, name, np.random.SeedSequence(0))
    np.testing.assert_array_equal(counts.toarray(), before)
    np.testing.assert_array_equal(augmented.counts[:, :12].toarray(), before)
    assert augmented.n_genes == 12
    assert augmented.counts.shape == (30, 24)
    assert augmented.fit.family == name


def test_knockoffs_of_small_integer_counts_do_not_wrap_round(rng):
    counts = sparse.csc_array(rng.poisson(240, (500, 3)).clip(max=255).astype(np.uint8))
    drawn = augment(counts, "ZIP", np.random.SeedSequence(0)).counts[:, 3:].toarray()
    assert drawn.min() > 150


def test_knockoffs_have_the_distribution_of_the_originals_knockoffs(dataset):
    """Totals over all genes of one draw of each, on the scale of the draws' own sampling error."""
    theirs = dataset.augmented.counts[:, dataset.augmented.n_genes :]
    ours = augment(dataset.counts, "ZIP", np.random.SeedSequence(0)).counts[:, dataset.augmented.n_genes :]
    n_cells = dataset.counts.shape[0]
    fit = NULL_MODELS["ZIP"].fit(dataset.counts).parameters
    variance = np.where(fit["pi"] > 0, fit["mean"] * (1 + fit["pi"] * fit["lambda"]), fit["mean"])
    error = np.sqrt(2 * variance / n_cells)
    z = np.asarray(ours.mean(axis=0) - theirs.mean(axis=0)).ravel() / error
    assert abs(z.mean()) < 5 / np.sqrt(z.size)
    assert z.std() == pytest.approx(1.0, abs=0.25)
