"""Draws know nothing of cell types, and, where genes are drawn one by one, nothing of each other."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse, stats

from recall_py.method.nulls import NULL_MODELS, augment
from recall_py.method.results import Cells

N_CELLS = 300
N_SEEDS = 60


def draws(counts: np.ndarray, name: str, seed: int, depth: np.ndarray | None = None) -> np.ndarray:
    matrix = sparse.csc_array(counts.astype(np.float64))
    augmented = augment(Cells(matrix, depth), name, np.random.SeedSequence(seed))
    return augmented.counts[:, counts.shape[1] :].toarray()


@pytest.mark.parametrize("name", NULL_MODELS)
def test_draws_are_unrelated_to_cell_types(rng, name):
    """Rank-sum p values of knockoffs between two true groups, over seeds.

    Each seed gives one independent p value: the number below 0.05 is binomial with at most that probability, and may
    not exceed its quantile at one in a million. The real gene separates the groups at p < 1e-10.
    """
    group = np.arange(N_CELLS) < N_CELLS // 2  # in order, so that draws that keep the order of cells are found
    depth = rng.lognormal(0, 0.4, N_CELLS)
    fold = np.where(group[:, None], [8.0, 8.0, 1.0, 0.2], [1.0, 1.0, 1.0, 1.0])
    counts = rng.poisson(depth[:, None] * fold * rng.gamma(3.0, 1 / 3, (N_CELLS, 4)))
    assert stats.mannwhitneyu(counts[group, 0], counts[~group, 0]).pvalue < 1e-10
    assert stats.mannwhitneyu(depth[group], depth[~group]).pvalue > 0.05  # the groups do not differ in depth
    found = [draws(counts, name, seed, depth)[:, 0] for seed in range(N_SEEDS)]
    p = np.array([stats.mannwhitneyu(x[group], x[~group], method="asymptotic").pvalue for x in found])
    assert (p < 0.05).sum() <= stats.binom.isf(1e-6, N_SEEDS, 0.05)
    assert p.min() > 1e-6


@pytest.mark.parametrize("name", ["ZIP", "NB", "permutation"])
def test_genes_drawn_one_by_one_are_uncorrelated(rng, name):
    counts = rng.poisson(2 * rng.gamma(0.7, 1.0, (5000, 1)) * np.ones(6))
    assert np.corrcoef(counts.T)[0, 1] > 0.4
    correlation = np.corrcoef(draws(counts, name, 3).T) - np.eye(6)
    assert abs(correlation).max() < 5 / np.sqrt(5000)


def test_genes_drawn_with_depth_are_correlated_by_depth_alone(rng):
    """Residuals after the mean given depth are uncorrelated, and the counts themselves are not."""
    depth = rng.lognormal(0, 0.6, 5000)
    shared = rng.gamma(2.0, 0.5, (5000, 1))  # correlation given depth, which the knockoffs must not have
    counts = rng.poisson(4 * depth[:, None] * shared * np.ones(6))
    depth = depth / depth.mean()
    drawn = draws(counts, "NB-depth", 3, depth)
    mean = counts.sum(axis=0) / depth.sum() * depth[:, None]
    residuals = (drawn - mean) / mean  # of about equal variance at every depth
    observed = (counts - mean) / mean
    assert np.corrcoef(observed.T)[0, 1] > 0.3
    assert abs(np.corrcoef(residuals.T) - np.eye(6)).max() < 5 / np.sqrt(5000)
    assert np.corrcoef(drawn.T)[0, 1] > 0.2


def test_genes_are_uncorrelated_within_batches(rng):
    """Batches that differ in every mean make knockoffs go together; within a batch they do not."""
    batches = np.arange(4000) % 2
    counts = rng.poisson(np.where(batches[:, None] == 1, 6.0, 0.5) * rng.gamma(2.0, 0.5, (4000, 1)) * np.ones(5))
    matrix = sparse.csc_array(counts.astype(np.float64))
    for name in ("ZIP", "NB", "permutation", "NB-depth"):
        depth = np.ones(4000) if name == "NB-depth" else None
        augmented = augment(Cells(matrix, depth, batches), name, np.random.SeedSequence(2))
        drawn = augmented.counts[:, 5:].toarray()
        assert np.corrcoef(drawn.T)[0, 1] > 0.3
        for code in (0, 1):
            within = np.corrcoef(drawn[batches == code].T) - np.eye(5)
            assert abs(within).max() < 5 / np.sqrt(2000)
