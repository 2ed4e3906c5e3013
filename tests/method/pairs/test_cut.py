"""Null cells cut in two, and the scaled genes by which they are, beside dense twins."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from recall_py.method.pairs.cut import ScaledGenes, cut, cut_in_two


def differences(values):
    """Of a part, the differences of the means of dense values."""
    return lambda part: values[part].mean(axis=0) - values[~part].mean(axis=0)


def between(scores, part):
    return ((scores[part].mean(axis=0) - scores[~part].mean(axis=0)) ** 2).sum()


def random_part(rng, n_cells, size):
    return np.isin(np.arange(n_cells), rng.choice(n_cells, size, replace=False))


@pytest.mark.parametrize("seed", range(10))
def test_cut_has_the_size(seed):
    rng = np.random.default_rng(seed)
    n_cells = int(rng.integers(6, 80))
    size = int(rng.integers(1, n_cells))
    scores = rng.standard_normal((n_cells, 4)) * [3, 2, 1, 1]
    start = random_part(rng, n_cells, size)
    part = cut(scores, differences(scores), start, start.astype(float), [np.arange(n_cells)], rng)
    assert part.dtype == np.bool_
    assert part.sum() == size
    assert between(scores, part) >= between(scores, start) * (1 - 1e-12)


def two_means(scores, position, size):
    """Six steps of 2-means of the given size, written out."""
    for _ in range(6):
        part = np.isin(np.arange(len(scores)), np.argsort(-position, kind="stable")[:size])
        position = scores @ (scores[part].mean(axis=0) - scores[~part].mean(axis=0))
    return part


@pytest.mark.parametrize("seed", range(5))
def test_cut_is_seen_in_single_genes_as_well_as_the_real_direction_would_be(seed):
    """Five modules of genes vary alike: a cut across several has weaker markers than one along a module."""
    rng = np.random.default_rng(seed)
    modules = rng.standard_normal((300, 5))
    values = np.repeat(modules, 40, axis=1) + 0.3 * rng.standard_normal((300, 200))
    half = random_part(rng, 300, 150)
    for direction in (modules[:, 0], modules.sum(axis=1)):
        part = cut(modules, differences(values), half, direction, [np.arange(300)], rng)
        seen = [
            ((values[cells].mean(axis=0) - values[~cells].mean(axis=0)) ** 4).sum()
            for cells in (part, two_means(modules, direction, 150))
        ]
        assert seen[0] >= seen[1] * (1 - 1e-9)


@pytest.mark.parametrize("size", [20, 50])
def test_cut_finds_separated_blobs(size):
    rng = np.random.default_rng(size)
    blob = random_part(rng, 100, size)
    scores = rng.standard_normal((100, 5))
    scores[blob, 1] += 10
    start = random_part(rng, 100, size)
    part = cut(scores, differences(scores), start, start.astype(float), [np.arange(100)], rng)
    if size == 50:  # either blob has the size
        assert np.array_equal(part, blob) or np.array_equal(part, ~blob)
    else:
        np.testing.assert_array_equal(part, blob)


def dense_twin(values, stratum):
    """Scaled, bounded above and centred within batches, in plain NumPy."""
    deviation = values.std(axis=0, ddof=1)
    scaled = np.minimum((values - values.mean(axis=0)) / np.where(deviation > 0, deviation, np.inf), 10.0)
    for code in np.unique(stratum):
        scaled[stratum == code] -= scaled[stratum == code].mean(axis=0)
    return scaled


@pytest.mark.parametrize("density", [0.02, 0.6])
@pytest.mark.parametrize("n_batches", [1, 3])
def test_scaled_genes_are_those_of_the_dense_twin(density, n_batches):
    """Few values are multiplied one by one, many as a dense block."""
    rng = np.random.default_rng(3)
    values = np.where(rng.random((150, 80)) < density, rng.gamma(2.0, 1.0, (150, 80)), 0.0)
    values[:, 5] = 0.0
    values[0, 7] = 400.0  # above the bound
    stratum = (np.arange(150) % n_batches).astype(np.int32)
    twin = dense_twin(values, stratum)
    scaled = ScaledGenes.of(sparse.csc_array(values.astype(np.float32)), stratum)
    part = rng.random(150) < 0.3
    np.testing.assert_allclose(scaled.difference(part), differences(twin)(part), atol=2e-5)
    direction = rng.standard_normal(80).astype(np.float32)
    np.testing.assert_allclose(scaled.along(direction), twin @ direction, atol=1e-3)
    scores = scaled.scores(150, rng)
    np.testing.assert_allclose(scores @ scores.T, twin @ twin.T, atol=2e-2)


def test_a_cut_keeps_the_share_of_each_batch():
    rng = np.random.default_rng(0)
    stratum = (np.arange(90) % 3).astype(np.int32)
    values = sparse.csc_array(rng.gamma(1.0, 1.0, (90, 40)).astype(np.float32))
    is_first = rng.random(90) < 0.4
    part = cut_in_two(ScaledGenes.of(values, stratum), is_first, rng.standard_normal(40).astype(np.float32), rng)
    np.testing.assert_array_equal(np.bincount(stratum[part]), np.bincount(stratum[is_first]))
