"""The decision on a pair of clusters: how far its genes lead their own nulls, beside how far null genes do.

The best genes of null cells, cut in two as a clustering would, show how small p-values get by the cutting alone. Most
of them are the same in every draw: those of the programmes along which the population varies. So each gene is compared
with itself among null cells, and so is each draw with the others: the lead of the real genes is real where it is
several times that of a draw. A few perfect markers show at the first ranks; in small clusters, where their p-values
saturate, types show at deeper ones. So the rank counts at which the lead is largest.
"""

from __future__ import annotations

import math
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from recall_py.method.pairs.pooled import PooledPair
from recall_py.method.params import ALPHA
from recall_py.method.results import Comparison, Lead

RANKS = np.array([1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 75, 100])
"""Places among the genes of a cut, the one with the largest lead first."""
ADDED = 0.25
"""Decades added to both sides: a tenth of a decade against nothing is no lead."""
FEW_DRAWS = 3
"""After so many, a pair that is far from the threshold is settled."""
OBVIOUS = 0.2
"""Difference to the threshold that is far."""
CLEAR_GAIN = 0.2
"""Lead that genes have to add before it is said that they alone tell two clusters apart."""
NULL_LEAD = 0.5
"""Evidence that every cut of one population is taken to reach, where a clustering has looked for it."""
NULL_FALL = 4.5
"""Power by which the share of such cuts falls from there on: a twofold evidence is reached by one in 23."""


def p_value(times: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Share of the cuts of one population, as a clustering makes them, whose genes lead as far.

    A power law, which is fitted to the largest fifth of the cuts in ``benchmarks.null_cuts``.

    Parameters
    ----------
    times
        The evidence; see :class:`~recall_py.method.results.Lead`. NaN stays NaN.
    """
    return np.maximum(np.asarray(times) / NULL_LEAD, 1.0) ** -NULL_FALL


def threshold(alpha: float) -> float:
    """The evidence above which a pair stands.

    1 at the usual `alpha`, for which runs on one population were measured; at others as far along the tail of null cuts
    as the two differ.
    """
    return float((ALPHA / alpha) ** (1.0 / NULL_FALL))


def asked(n_cells: int) -> float:
    """How many times as far as null cells genes have to lead, with so many cells in the smaller cluster.

    A model of one population is off by a share of what varies, and the more cells there are the more it shows: 2.3 of
    20 cells, 3.0 of 80, 3.6 of 300 were passed by one in 70 of the cuts of one population that they were chosen on;
    ``benchmarks/power`` has what others pass.
    """
    return 0.9 + 1.1 * math.log10(max(n_cells, 3))


def lead(log10_p: NDArray[np.float64], log10_p_null: NDArray[np.float64], n_cells: int) -> Lead:
    """Compare the genes of a cut with themselves in null cuts, rank by rank.

    Parameters
    ----------
    log10_p
        (n_genes,) of the real genes.
    log10_p_null
        (n_draws, n_genes) of the null genes, of two draws at least.
    n_cells
        Of the smaller cluster.
    """
    n_draws, n_genes = log10_p_null.shape
    ranks = RANKS[n_genes >= RANKS]
    null = [_leads(log10_p_null[draw], np.delete(log10_p_null, draw, axis=0)) for draw in range(n_draws)]
    real_at = _at(_leads(log10_p, log10_p_null), ranks)
    null_at = np.mean([_at(of_draw, ranks) for of_draw in null], axis=0)
    needed = asked(n_cells) * (null_at + ADDED) - ADDED
    return Lead(float(np.max((real_at + ADDED) / (needed + ADDED))), ranks, real_at, null_at, needed)


def _leads(log10_p: NDArray[np.float64], log10_p_null: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n_genes,) decades by which each gene is better than itself among null cells, the median over draws."""
    return np.median(log10_p_null, axis=0) - log10_p


def _at(leads: NDArray[np.float64], ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    """The largest leads, at least 0."""
    return np.maximum(-np.sort(-leads)[ranks - 1], 0.0)


def best_genes(leads: NDArray[np.float64], auc: NDArray[np.float64], n_best: int) -> NDArray[np.int64]:
    """The genes that are higher in the first cluster and in the second and lead their nulls most, `n_best` of each."""
    order = np.argsort(-leads, kind="stable")
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
    genes = np.flatnonzero(pair.left_out == 0)
    log10_p, auc = pair.real_cut()
    n_cells = pair.n_compared
    drawn = (null.genes.log10_p for null in islice(pair.null_cuts(rng), n_draws))
    log10_p_null = np.array(list(islice(drawn, FEW_DRAWS)))
    found = lead(log10_p[genes], log10_p_null[:, genes], n_cells)
    if abs(found.times - threshold) <= OBVIOUS and (more := list(drawn)):
        log10_p_null = np.vstack((log10_p_null, more))
        found = lead(log10_p[genes], log10_p_null[:, genes], n_cells)
    with_left_out = None
    told_by: list[int] = []
    if found.times <= threshold and genes.size < log10_p.size:
        groups = np.unique(pair.left_out[pair.left_out > 0]).tolist()

        def times_with(*groups: int) -> float:
            counting = np.isin(pair.left_out, [0, *groups])
            return lead(log10_p[counting], log10_p_null[:, counting], n_cells).times

        with_left_out, least = times_with(*groups), max(threshold, found.times + CLEAR_GAIN)
        if with_left_out > least:
            told_by = [group for group in groups if len(groups) == 1 or times_with(group) > least] or groups
    best = genes[best_genes(_leads(log10_p, log10_p_null)[genes], auc[genes], n_best)]
    return Comparison(
        found,
        with_left_out,
        tuple(told_by),
        best,
        log10_p[best],
        np.median(log10_p_null[:, best], axis=0),
        auc[best],
        pair.log2_fold_changes(best),
    )
