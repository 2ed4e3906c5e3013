"""Null models within batches."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from recall_py.method.nulls import NULL_MODELS, augment
from recall_py.method.nulls.batches import cells_of_batches, fit_within, moments_within
from recall_py.method.nulls.moments import observed_moments
from recall_py.method.results import Cells

N_CELLS = 240
BATCHES = np.array([2, 0, 1, 0, 2, 0] * 40, dtype=np.int32)


@pytest.fixture
def counts(rng: np.random.Generator) -> sparse.csc_array:
    """Genes whose mean differs between batches; gene 0 is silent in batch 0, gene 1 in batches 1 and 2."""
    scale = np.array([[0.0, 3.0, 1.0, 0.5, 9.0], [4.0, 0.0, 1.0, 2.0, 2.0], [1.0, 0.0, 5.0, 0.1, 20.0]])
    return sparse.csc_array(rng.poisson(scale[BATCHES] * rng.gamma(2.0, 0.5, (N_CELLS, 5))).astype(np.float64))


def knockoffs(counts: sparse.csc_array, name: str, seed: int = 4, depth=None, batches=None, **options) -> np.ndarray:
    augmented = augment(Cells(counts, depth, batches), name, np.random.SeedSequence(seed), **options)
    np.testing.assert_array_equal(augmented.counts[:, : counts.shape[1]].toarray(), counts.toarray())
    return augmented.counts[:, counts.shape[1] :].toarray()


@pytest.mark.parametrize("name", NULL_MODELS)
def test_gene_that_is_silent_in_a_batch_has_a_silent_knockoff_there(counts, name):
    drawn = knockoffs(counts, name, batches=BATCHES)
    assert not drawn[BATCHES == 0, 0].any()
    assert not drawn[BATCHES != 0, 1].any()
    assert drawn[BATCHES == 1, 0].any()
    assert drawn[BATCHES == 0, 1].any()
    assert knockoffs(counts, name)[BATCHES == 0, 0].any()


@pytest.mark.parametrize("name", NULL_MODELS)
def test_batch_is_fitted_and_drawn_as_if_it_were_alone(counts, name):
    """Batch i draws from the i-th child of the seed; its rows come back in place."""
    depth = np.asarray(counts.sum(axis=1)).ravel()
    augmented = augment(Cells(counts, depth, BATCHES), name, np.random.SeedSequence(4))
    assert len(augmented.fits) == 3
    assert augmented.counts.has_sorted_indices
    for code, child in enumerate(np.random.SeedSequence(4).spawn(3)):
        cells = code == BATCHES
        alone = augment(Cells(counts.tocsr()[cells].tocsc(), depth[cells]), name, child)
        np.testing.assert_array_equal(augmented.counts.tocsr()[cells].toarray(), alone.counts.toarray())
        for key, value in alone.fits[0].parameters.items():
            np.testing.assert_array_equal(augmented.fits[code].parameters[key], value)


@pytest.mark.parametrize("name", NULL_MODELS)
def test_one_batch_is_the_same_as_none(counts, name):
    found = knockoffs(counts, name, batches=np.zeros(N_CELLS, dtype=np.int32))
    np.testing.assert_array_equal(found, knockoffs(counts, name))


def test_batches_draw_the_same_bits_for_any_number_of_threads(counts):
    for name in NULL_MODELS:
        found = knockoffs(counts, name, batches=BATCHES, n_jobs=2)
        np.testing.assert_array_equal(found, knockoffs(counts, name, batches=BATCHES))


def test_identical_batches_have_different_knockoffs(rng):
    counts = np.tile(rng.poisson(2.0, (50, 8)), (2, 1))
    drawn = knockoffs(sparse.csc_array(counts.astype(np.float64)), "ZIP", batches=np.repeat([0, 1], 50))
    assert (drawn[:50] != drawn[50:]).any()


def test_permutation_keeps_the_counts_of_each_gene_within_each_batch(counts):
    drawn = knockoffs(counts, "permutation", batches=BATCHES)
    for code in range(3):
        cells = code == BATCHES
        np.testing.assert_array_equal(np.sort(drawn[cells], axis=0), np.sort(counts.toarray()[cells], axis=0))


def test_depth_is_the_cells_total_unless_given(counts, rng):
    total = np.asarray(counts.sum(axis=1)).ravel()
    expected = knockoffs(counts, "NB-depth")
    np.testing.assert_array_equal(knockoffs(counts, "NB-depth", depth=total / total.mean()), expected)
    assert (knockoffs(counts, "NB-depth", depth=rng.permutation(total)) != expected).any()


def test_depth_is_relative_within_each_batch(counts):
    """A batch sequenced seven times deeper has the fit of its own cells."""
    depth = np.asarray(counts.sum(axis=1)).ravel()
    deeper = np.where(BATCHES == 1, 7 * depth, depth)
    fits = [augment(Cells(counts, d, BATCHES), "NB-depth", np.random.SeedSequence(0)).fits for d in (depth, deeper)]
    for one, other in zip(*fits, strict=True):
        for key, value in one.parameters.items():
            np.testing.assert_allclose(other.parameters[key], value, rtol=1e-10)
    for code, fit in enumerate(fits[0]):
        np.testing.assert_allclose(fit.parameters["mean"], counts.toarray()[code == BATCHES].mean(axis=0))


def test_batch_without_any_counts_is_drawn_as_zeros(counts):
    silent = counts.multiply((BATCHES != 1)[:, None]).tocsc()
    for name in NULL_MODELS:
        assert not knockoffs(sparse.csc_array(silent), name, batches=BATCHES)[BATCHES == 1].any()


@pytest.mark.parametrize(
    ("codes", "found"), [([0] * 239 + [1], "number 1 .* has 1 cell,"), ([0, 2] * 120, "1 .* no cells")]
)
def test_batch_with_fewer_than_two_cells_is_refused(counts, codes, found):
    with pytest.raises(ValueError, match=found):
        augment(Cells(counts, batches=np.array(codes)), "ZIP", np.random.SeedSequence(0))


@pytest.mark.parametrize("name", NULL_MODELS)
def test_moments_over_batches_are_those_of_the_draws(counts, name):
    """Within five standard errors over many seeds; exactly those of the data for the permutation."""
    depth = np.asarray(counts.sum(axis=1)).ravel()
    cells = cells_of_batches(BATCHES, N_CELLS)
    model = NULL_MODELS[name]
    fitted = moments_within(model, fit_within(model, counts, depth, cells), depth, cells)
    if name == "permutation":
        for found, expected in zip(fitted, observed_moments(counts), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)
        return
    n_seeds = 30
    drawn = np.concatenate([knockoffs(counts, name, seed, batches=BATCHES) for seed in range(n_seeds)])
    fourth = ((drawn - drawn.mean(axis=0)) ** 4).mean(axis=0)
    n = len(drawn)
    assert (abs(drawn.mean(axis=0) - fitted.mean) < 5 * np.sqrt(fitted.variance / n)).all()
    assert (abs(drawn.var(axis=0) - fitted.variance) < 5 * np.sqrt((fourth - fitted.variance**2) / n)).all()
    assert (abs((drawn == 0).mean(axis=0) - fitted.zeros) < 5 * np.sqrt(0.25 / n)).all()
