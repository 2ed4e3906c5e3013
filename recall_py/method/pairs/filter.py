"""The knockoff filter: contrast, threshold and selection for one pair of clusters or many.

Source: Barber & Candès, Ann. Stat. 2015, doi 10.1214/15-AOS1337, equations 1.8 and 1.9 (``offset`` 0 and 1).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

_FEWEST_DRAWS = 3
_MARGIN = 0.25
"""A pair that passes at this share of the target after the fewest draws needs no more."""


class Selection(NamedTuple):
    """Outcome of the filter on one set of contrasts."""

    threshold: float
    """tau, ``inf`` where nothing can be selected."""
    selected: NDArray[np.bool_]
    """(n_genes,) W >= tau and W > 0."""
    evidence: float
    """Largest lead of the real genes over their knockoffs, max over t of #{W >= t} - #{W <= -t}."""
    false_share: float
    """Lowest estimate of the share of false discoveries, min over t of (offset + #{W <= -t}) / max(1, #{W >= t})."""


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


def select(w: ArrayLike, *, fdr: float = 0.05, offset: int = 1) -> Selection:
    """Threshold and selection for the contrasts `w` of one pair.

    tau is the smallest t in {0} u {abs(W)} with (offset + #{W <= -t}) / max(1, #{W >= t}) <= fdr. Over several null
    draws the two counts are means, as in the permutation estimate of Tusher, Tibshirani & Chu (PNAS 2001, doi
    10.1073/pnas.091062498), and a gene is selected on the median of its W.

    Parameters
    ----------
    w
        (n_genes,) contrasts, or (n_draws, n_genes) against independent draws of the null genes. NaN counts as 0; an
        infinite contrast counts as the largest finite number, so an infinite threshold always means that nothing is
        selected.
    fdr
        Target share of false discoveries, q.
    offset
        1 is "knockoff+"; with it, at least ``ceil(1 / fdr)`` genes are needed to select any.
    """
    largest = np.finfo(np.float64).max
    w = np.atleast_2d(np.nan_to_num(np.asarray(w, dtype=np.float64), nan=0.0, posinf=largest, neginf=-largest))
    t, all_real, all_null = _counts_beyond(w)
    n_real, n_null = all_real / len(w), all_null / len(w)
    false_share = (offset + n_null) / np.maximum(1, n_real)
    passing = np.flatnonzero(false_share <= fdr)
    threshold = float(t[passing[0]]) if passing.size else np.inf
    middle = np.median(w, axis=0) if len(w) > 1 else w[0]
    selected = (middle >= threshold) & (middle > 0)
    return Selection(threshold, selected, float(np.max(n_real - n_null)), float(false_share.min()))


def is_settled(
    w: NDArray[np.float64], highest: NDArray[np.float64], n_draws: int, *, fdr: float = 0.05, offset: int = 1
) -> bool:
    """Whether the draws of one pair may end before all `n_draws` are made.

    They do where :func:`select` can select no gene any more, whatever the other draws give; and from the third draw on
    where it selects some at a quarter of `fdr`. (Nearer to `fdr` one bad draw among the rest can still turn the pair.)

    Parameters
    ----------
    w
        (n_done, n_genes) contrasts of the draws that are made.
    highest
        (n_genes,) upper bounds on W, -log10 p of the real genes.
    """
    t, n_real, n_null = _counts_beyond(w, highest)
    n_highest = highest.size - np.searchsorted(np.sort(highest), t, side="left")
    most_real = n_real + (n_draws - len(w)) * n_highest
    if not (offset * n_draws + n_null <= fdr * np.maximum(n_draws, most_real)).any():
        return True
    return len(w) >= _FEWEST_DRAWS and bool(select(w, fdr=_MARGIN * fdr, offset=offset).selected.any())


def _counts_beyond(
    w: NDArray[np.float64], also: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Return every t where a count changes, those in `also` too, and #{W >= t} and #{W <= -t} over all draws."""
    t = np.unique(np.concatenate(([0.0], np.abs(w).ravel(), np.empty(0) if also is None else also)))
    ascending = np.sort(w, axis=None)
    n_real = ascending.size - np.searchsorted(ascending, t, side="left")
    return t, n_real, np.searchsorted(ascending, -t, side="right")
