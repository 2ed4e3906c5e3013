"""The knockoff filter: contrast, threshold and selection for one pair of clusters or many.

Source: Barber & Candès, Ann. Stat. 2015, doi 10.1214/15-AOS1337, equations 1.8 and 1.9 (``offset`` 0 and 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Selection(NamedTuple):
    """Outcome of the filter on one set of contrasts."""

    threshold: float
    """tau, ``inf`` where nothing can be selected."""
    selected: NDArray[np.bool_]
    """(n_genes,) W >= tau and W > 0."""
    evidence: float
    """Largest lead of the real genes over their knockoffs, max over t of #{W >= t} - #{W <= -t}."""


def contrast(log10_p: NDArray[np.float64], log10_p_knockoff: NDArray[np.float64]) -> NDArray[np.float64]:
    """W = -log10 p(gene) + log10 p(knockoff): positive where the real gene is the better marker.

    Parameters
    ----------
    log10_p, log10_p_knockoff
        Same shape, values <= 0. On the log scale, because p itself underflows from about abs(z) = 38 on.
    """
    return log10_p_knockoff - log10_p


def drop_weak(
    w: NDArray[np.float64], auc: NDArray[np.float64], auc_null: NDArray[np.float64], min_auc: float
) -> NDArray[np.float64]:
    """W with 0 where the better marker of the two, real or null, is a weak one: its AUC is within 1 - min_auc, min_auc.

    The rule treats a gene and its null alike, so that W of a gene without signal stays symmetric about 0.
    """
    if min_auc <= 0.5:
        return w
    effect = np.abs(np.where(w > 0, auc, auc_null) - 0.5)
    return np.where(effect >= min_auc - 0.5 - 1e-9, w, 0.0)


def combine(selections: Sequence[Selection]) -> Selection:
    """One outcome of several independent null draws: genes that more than half of the draws select.

    The stability selection of Ren, Wei & Candès (JASA 2023, doi 10.1080/01621459.2021.1962720) with the share 1/2; the
    threshold and the evidence are medians. A pair that one draw in twenty would pass by chance passes three of five
    rarely.
    """
    if len(selections) == 1:
        return selections[0]
    votes = np.mean([selection.selected for selection in selections], axis=0)
    return Selection(
        float(np.median([selection.threshold for selection in selections])),
        votes > 0.5,
        float(np.median([selection.evidence for selection in selections])),
    )


def select(w: ArrayLike, *, fdr: float = 0.05, offset: int = 1) -> Selection:
    """Threshold and selection for the contrasts `w` of one pair.

    tau is the smallest t in {0} u {abs(W)} with (offset + #{W <= -t}) / max(1, #{W >= t}) <= fdr.

    Parameters
    ----------
    w
        (n_genes,) contrasts. NaN counts as 0; an infinite contrast counts as the largest finite number, so an infinite
        threshold always means that nothing is selected.
    fdr
        Target share of false discoveries, q.
    offset
        1 is "knockoff+"; with it, at least ``ceil(1 / fdr)`` genes are needed to select any.
    """
    largest = np.finfo(np.float64).max
    w = np.nan_to_num(np.asarray(w, dtype=np.float64), nan=0.0, posinf=largest, neginf=-largest)
    ascending = np.sort(w)
    t = np.unique(np.concatenate(([0.0], np.abs(w))))
    n_real = w.size - np.searchsorted(ascending, t, side="left")
    n_null = np.searchsorted(ascending, -t, side="right")
    passing = np.flatnonzero((offset + n_null) / np.maximum(1, n_real) <= fdr)
    threshold = float(t[passing[0]]) if passing.size else np.inf
    return Selection(threshold, (w >= threshold) & (w > 0), float(np.max(n_real - n_null)))
