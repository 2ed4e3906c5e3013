"""The search step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from recall_py.adata.stored import read_run
from recall_py.pl._figure import FAILING, PASSING, QUIET, axes_to_draw_on, every, hand_over, with_plot_docs
from recall_py.words import counted

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.axes import Axes

_TICKS = 12
_NAMED = 20
"""Steps whose number of failing pairs is written beside them, at most."""


@with_plot_docs
def search(
    adata: AnnData,
    key: str = "leiden",
    *,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Any:
    """Number of clusters at each step of the search; steps with failing pairs have open marks and say how many.

    Parameters
    ----------
    {adata}
    ax
        Axes to draw on.
    {show}

    {returns}

    {raises}

    Examples
    --------
    >>> import anndata as ad, recall_py
    >>> adata = ad.read_h5ad("data/pbmc68k.h5ad")
    >>> recall_py.tl.leiden(adata, 4, method="knockoffs")
    >>> recall_py.pl.search(adata, show=False).get_ylabel()
    'clusters'
    """
    from matplotlib.ticker import MaxNLocator

    from recall_py import get

    run = read_run(adata, key)
    steps = get.iterations(adata, key)
    figure, axis = axes_to_draw_on(ax, (max(4.5, min(11.0, 2.5 + 0.5 * len(steps))), 4.0))
    number, clusters = np.arange(1, len(steps) + 1), steps["n_clusters"].to_numpy()
    fails = steps["n_failing"].to_numpy() > 0
    stands = run.standing_step
    axis.plot(number, clusters, color=QUIET, zorder=1)
    marks: dict[str, Any] = {"s": 55, "linewidths": 1.8, "zorder": 2}
    if fails.any():
        axis.scatter(
            number[fails], clusters[fails], facecolors="white", edgecolors=FAILING, label="some pairs fail", **marks
        )
    if not fails.all():
        axis.scatter(number[~fails], clusters[~fails], color=PASSING, label="no pair fails", **marks)
    axis.scatter(
        number[stands], clusters[stands], s=190, facecolors="none", edgecolors="black", label="the result", zorder=3
    )
    gap = every(len(steps), _NAMED)
    for i in np.flatnonzero(fails)[::gap]:
        text = f"{steps['n_failing'].iloc[i]}"
        axis.annotate(text, (number[i], clusters[i]), (0, 7), textcoords="offset points", ha="center", size=8)
    _label_axes(axis, number, steps, "resolution" if run.by_resolution else "clusters asked for")
    axis.set_ylim(0, clusters.max() * 1.2 + 0.5)
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    title = "number: failing pairs" if fails.any() else None
    axis.legend(frameon=False, fontsize=8, labelspacing=0.9, title=title, title_fontsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_title(f"{counted(clusters[0])} at the start, {clusters[stands]} in the result")
    return hand_over(figure, axis, given=ax is not None, show=show, save=save, return_fig=return_fig)


def _label_axes(axis: Axes, number: np.ndarray[Any, Any], steps: Any, word: str) -> None:
    """Levels under the steps; where they stay the same, because clusters are merged, once for all."""
    shown = number[:: every(len(number), _TICKS)]
    axis.set_ylabel("clusters")
    axis.set_xlim(0.5, len(number) + 0.5)
    levels = steps["level"].to_numpy()
    if (levels == levels[0]).all():
        axis.set_xticks(shown)
        axis.set_xlabel(f"step ({word} {levels[0]:.3g})")
    else:
        axis.set_xticks(shown, [f"{i}\n{levels[i - 1]:.2g}" for i in shown])
        axis.set_xlabel(f"step and {word}")
