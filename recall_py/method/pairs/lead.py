"""The decision on a pair of clusters: how many times the decades of null cells its best genes reach.

The best genes of null cells, cut in two as a clustering would, show how small p-values get by the cutting alone. Five
perfect markers show at the first ranks; in small clusters, where their p-values saturate, types show at deeper ones. So
the rank counts at which the lead is largest.
"""

from __future__ import annotations

from itertools import islice

import numpy as np
from numpy.typing import NDArray

from recall_py.method.pairs.pooled import PooledPair
from recall_py.method.results import Comparison, Lead

RANKS = np.array([3, 5, 7, 10, 15, 20, 30, 50, 75, 100])
"""Places among the genes of a cut, the best gene first."""
ADDED = 2.0
"""Decades added to both sides: a p-value of 0.1 against 0.5 is no lead."""
FEW_DRAWS = 3
"""After so many, a pair that is far from the threshold is settled."""
OBVIOUS = 0.3
"""Difference to the threshold that is far: of 960 real pairs none crossed it from there with the draws left."""


def lead(log10_p: NDArray[np.float64], log10_p_null: NDArray[np.float64]) -> Lead:
    """Compare the genes of a cut with those of null cuts, rank by rank.

    Parameters
    ----------
    log10_p
        (n_genes,) of the real genes.
    log10_p_null
        (n_draws, n_genes) of the null genes.
    """
    ranks = RANKS[log10_p.size >= RANKS] if log10_p.size >= RANKS[0] else np.array([log10_p.size])
    real = -np.sort(log10_p)[ranks - 1]
    null = (-np.sort(log10_p_null, axis=1)[:, ranks - 1]).max(axis=0)
    return Lead(float(np.max((real + ADDED) / (null + ADDED))), ranks, real, null)


def needed(null: NDArray[np.float64], threshold: float) -> NDArray[np.float64]:
    """-log10 p that real genes have to exceed at one rank at least."""
    return threshold * (null + ADDED) - ADDED


def best_genes(log10_p: NDArray[np.float64], auc: NDArray[np.float64], n_best: int) -> NDArray[np.int64]:
    """The best genes that are higher in the first cluster and in the second, `n_best` of each, by p-value."""
    order = np.argsort(log10_p, kind="stable")
    taken = np.zeros(order.size, dtype=np.bool_)
    for side in (auc[order] > 0.5, auc[order] < 0.5):
        taken[np.flatnonzero(side)[:n_best]] = True
    return order[taken]


def compare(pair: PooledPair, rng: np.random.Generator, *, threshold: float, n_draws: int, n_best: int) -> Comparison:
    """Compare two clusters by their genes and by those of null cells.

    Parameters
    ----------
    pair
        The cells of the two clusters.
    rng
        Draws the null cells.
    threshold
        Lead above which the pair stands. Where the first draws leave it far from there, no more are made.
    n_draws
        Null draws of a pair that is near.
    n_best
        Genes to tell of, of each side.
    """
    log10_p, auc = pair.real_cut()
    drawn: list[NDArray[np.float64]] = []
    for null in islice(pair.null_cuts(rng), n_draws):
        drawn.append(null.genes.log10_p)
        found = lead(log10_p, np.array(drawn))
        if len(drawn) >= FEW_DRAWS and abs(found.times - threshold) > OBVIOUS:
            break
    best = best_genes(log10_p, auc, n_best)
    return Comparison(
        found,
        best,
        log10_p[best],
        np.array(drawn)[:, best].min(axis=0),
        auc[best],
        pair.log2_fold_changes(best),
    )
