"""Draws of the null models: their edge cases, their seeds, and what they must not depend on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse, stats

from recall_py.method.nulls import NULL_MODELS, augment
from recall_py.method.results import Cells, NullFit

INDEPENDENT = ["ZIP", "NB", "permutation", "NB-depth"]
"""Families that draw each gene by itself."""


def knockoffs(counts: np.ndarray, name: str = "ZIP", seed: int = 1, depth=None, batches=None, **options) -> np.ndarray:
    matrix = sparse.csc_array(np.asarray(counts, dtype=np.float64))
    augmented = augment(Cells(matrix, depth, batches), name, np.random.SeedSequence(seed), **options)
    return augmented.counts[:, matrix.shape[1] :].toarray()


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
    assert NULL_MODELS["ZIP"].fit(sparse.csc_array(counts), np.ones(20_000)).parameters["pi"][0] < 0
    drawn = knockoffs(counts)
    assert drawn.mean() == pytest.approx(mean, abs=5 * np.sqrt(mean / 20_000))
    assert drawn.var() == pytest.approx(mean, rel=0.05)


def test_nb_gene_without_overdispersion_is_drawn_as_poisson():
    drawn = knockoffs(np.full((20_000, 1), 4), "NB")
    assert drawn.mean() == pytest.approx(4, abs=5 * np.sqrt(4 / 20_000))
    assert drawn.var() == pytest.approx(4, rel=0.05)


@pytest.mark.parametrize("name", NULL_MODELS)
def test_huge_counts_are_drawn_near_their_mean(name):
    counts = np.random.default_rng(0).poisson(3e6, (400, 1))
    drawn = knockoffs(counts, name, depth=np.ones(400))
    assert drawn.mean() == pytest.approx(3e6, rel=1e-3)
    assert drawn.std() == pytest.approx(np.sqrt(3e6), rel=0.2)


def test_tiny_size_draws_few_large_counts():
    fit = NullFit("NB", {"size": np.array([1e-3]), "mu": np.array([0.5])})
    sample = NULL_MODELS["NB"].sample(fit, np.ones(200_000), np.random.SeedSequence(1), n_jobs=1).toarray()
    p0 = stats.nbinom.pmf(0, 1e-3, 1e-3 / 0.501)
    assert (sample == 0).mean() == pytest.approx(p0, abs=5 * np.sqrt(p0 * (1 - p0) / 200_000))
    assert sample.max() > 500


def test_one_cell_with_many_counts_is_fitted_and_drawn():
    counts = np.zeros((5000, 40))
    counts[0] = 3000
    for name in NULL_MODELS:
        drawn = knockoffs(counts, name)
        assert (drawn >= 0).all()
        if name in ("ZIP", "NB", "ZIP-copula", "NB-copula", "permutation", "NB-depth"):  # those that fit rare counts
            assert (drawn > 0).mean() < 0.01


@pytest.mark.parametrize("name", NULL_MODELS)
def test_same_seed_gives_same_bits_for_any_number_of_threads(rng, name):
    """With more than one block of genes and more than one chunk of cells."""
    counts = rng.negative_binomial(0.5, 0.3, (2100, 200))
    one = knockoffs(counts, name, n_jobs=1)
    np.testing.assert_array_equal(one, knockoffs(counts, name, n_jobs=3))
    np.testing.assert_array_equal(one, knockoffs(counts, name, n_jobs=1))
    assert np.any(one != knockoffs(counts, name, seed=2))


@pytest.mark.parametrize("name", ["ZIP", "NB", "permutation"])
def test_knockoff_of_a_gene_does_not_depend_on_other_genes(rng, name):
    counts = rng.negative_binomial(0.5, 0.3, (80, 300))
    others = rng.permuted(counts, axis=0)[:, ::-1].copy()
    others[:, 150] = counts[:, 150]
    np.testing.assert_array_equal(knockoffs(counts, name)[:, 150], knockoffs(others, name)[:, 150])


@pytest.mark.parametrize("name", INDEPENDENT)
def test_identical_genes_have_different_knockoffs(name):
    drawn = knockoffs(np.random.default_rng(0).negative_binomial(0.5, 0.3, (200, 1)).repeat(4, axis=1), name)
    assert len(np.unique(drawn.T, axis=0)) == 4


@pytest.mark.parametrize("name", NULL_MODELS)
def test_counts_are_left_unchanged_and_stand_first(rng, name):
    counts = sparse.csc_array(rng.poisson(1.0, (30, 12)).astype(np.float32))
    before = counts.toarray()
    for array in (counts.data, counts.indices, counts.indptr):
        array.flags.writeable = False
    augmented = augment(Cells(counts), name, np.random.SeedSequence(0))
    np.testing.assert_array_equal(counts.toarray(), before)
    np.testing.assert_array_equal(augmented.counts[:, :12].toarray(), before)
    assert augmented.n_genes == 12
    assert augmented.counts.shape == (30, 24)
    assert [fit.family for fit in augmented.fits] == [name]
    assert augmented.counts.dtype == np.float32
    assert augmented.counts.has_sorted_indices


@pytest.mark.parametrize("name", sorted(set(NULL_MODELS) - {"permutation"}))
def test_any_number_of_cells_can_be_drawn(rng, name):
    counts = sparse.csc_array(rng.poisson(1.0, (60, 5)))
    fit = NULL_MODELS[name].fit(counts, np.ones(60))
    for n_cells in (1, 59, 1025):
        assert NULL_MODELS[name].sample(fit, np.ones(n_cells), np.random.SeedSequence(0), n_jobs=1).shape == (
            n_cells,
            5,
        )


def test_permutation_keeps_the_counts_of_each_gene(rng):
    counts = rng.negative_binomial(0.5, 0.2, (300, 20)) * (rng.random(20) < 0.9)
    drawn = knockoffs(counts, "permutation")
    np.testing.assert_array_equal(np.sort(drawn, axis=0), np.sort(counts, axis=0))
    assert (drawn != counts).any(axis=0).sum() >= 15


def test_permutation_moves_every_count_to_every_cell():
    """Each of 5 cells holds the one count of a gene as often as the others: chi-square above one in a million."""
    drawn = knockoffs(np.tile([[7], [0], [0], [0], [0]], 4000), "permutation")
    assert stats.chisquare((drawn == 7).sum(axis=1)).pvalue > 1e-6


def test_permutation_refuses_another_number_of_cells(rng):
    fit = NULL_MODELS["permutation"].fit(sparse.csc_array(rng.poisson(1.0, (60, 5))), np.ones(60))
    with pytest.raises(ValueError, match="60 observed cells cannot give 61"):
        NULL_MODELS["permutation"].sample(fit, np.ones(61), np.random.SeedSequence(0), n_jobs=1)


@pytest.mark.parametrize(("name", "missing"), [("permutation", "observed counts"), ("NB-copula", "correlation")])
def test_fit_without_what_its_family_needs_is_refused(name, missing):
    fit = NullFit(name, {"size": np.ones(1), "mu": np.ones(1)})
    with pytest.raises(ValueError, match=f"holds no {missing}"):
        NULL_MODELS[name].sample(fit, np.ones(5), np.random.SeedSequence(0), n_jobs=1)


def test_knockoffs_of_small_integer_counts_do_not_wrap_round(rng):
    counts = sparse.csc_array(rng.poisson(240, (500, 3)).clip(max=255).astype(np.uint8))
    drawn = augment(Cells(counts), "ZIP", np.random.SeedSequence(0)).counts[:, 3:].toarray()
    assert drawn.min() > 150


def test_knockoffs_have_the_distribution_of_the_originals_knockoffs(dataset):
    """Totals over all genes of one draw of each, on the scale of the draws' own sampling error."""
    theirs = dataset.augmented.counts[:, dataset.augmented.n_genes :]
    ours = augment(Cells(dataset.counts), "ZIP", np.random.SeedSequence(0)).counts[:, dataset.augmented.n_genes :]
    n_cells = dataset.counts.shape[0]
    fit = NULL_MODELS["ZIP"].fit(dataset.counts, np.ones(n_cells)).parameters
    variance = np.where(fit["pi"] > 0, fit["mean"] * (1 + fit["pi"] * fit["lambda"]), fit["mean"])
    error = np.sqrt(2 * variance / n_cells)
    z = np.asarray(ours.mean(axis=0) - theirs.mean(axis=0)).ravel() / error
    assert abs(z.mean()) < 5 / np.sqrt(z.size)
    assert z.std() == pytest.approx(1.0, abs=0.25)
