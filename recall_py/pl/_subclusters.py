"""The tree of clusters inside clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from recall_py.adata.labels import read_labels
from recall_py.adata.stored import read_merging
from recall_py.pl._figure import QUIET, axes_to_draw_on, hand_over, palette, with_plot_docs
from recall_py.words import shortened

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.axes import Axes

_LEAST = 0.22
"""Inches of height that a name takes: a smaller cluster is drawn so high."""
_INSET = 0.02
_PER_LEAF = 0.3
"""Inches of height for each cluster."""
_PER_DEPTH = 2.4


@with_plot_docs
def subclusters(
    adata: AnnData,
    key: str = "leiden_R",
    *,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Any:
    """Clusters inside clusters, from the labels that it began with on the left to the clusters that are left.

    Each box is a label, as high as it has cells (very small ones are drawn larger), with what is inside of it on its
    right. Labels that were looked into as one have one box. What is left has its colour; what was looked into is white.
    The number after the cells is the evidence against the neighbour inside the same box that it leads least: above 1
    the two stand.

    Parameters
    ----------
    adata
        After :func:`recall_py.tl.subcluster`.
    key
        ``key_added`` of the last call.
    ax
        Axes to draw on.
    {show}

    {returns}

    Raises
    ------
    KeyError
        If there is no such tree.
    ValueError
        If the labels have changed since.

    Examples
    --------
    >>> import recall_py
    >>> adata = recall_py.datasets.simulate(300, 200, group_shares=(0.4, 0.3, 0.3), n_markers=40, log2_fold_change=3)
    >>> adata.obs["coarse"] = adata.obs["group"].astype(str).replace("group2", "group1")
    >>> recall_py.tl.subcluster(adata, "coarse", "group1", flavor="igraph", n_iterations=2)
    >>> recall_py.pl.subclusters(adata, "coarse_R", show=False).get_title()
    '2 labels became 3 clusters'
    """
    from recall_py import get

    table = get.subclusters(adata, key)
    run = read_merging(adata, key)
    left = read_labels(adata, key).cat.categories
    colours = _colours(adata, key, run)
    inner = set(table["parent"]) - {""}
    drawn = table[table["label"].isin([*left, *inner])].drop_duplicates("label", keep="last")
    inside = {str(parent): rows["label"].tolist() for parent, rows in drawn.groupby("parent", sort=False)}
    facts = drawn.set_index("label")
    n_left, depth = int(facts.index.isin(left).sum()), int(facts["depth"].max()) + 1
    height = max(3.0, _PER_LEAF * n_left + 1)
    least = _LEAST / height * facts["n_cells"].where(facts["parent"] == "").sum()
    heights = pd.Series(0.0, index=facts.index)
    for label in facts.index[::-1]:  # parents stand before their children
        of_parts = sum(heights[part] for part in inside.get(label, ()))
        heights[label] = of_parts or max(float(facts["n_cells"][label]), least)
    figure, axis = axes_to_draw_on(ax, (max(4.0, _PER_DEPTH * depth), height))
    _boxes(axis, inside, facts, heights, colours)
    axis.set_xlim(-_INSET, depth)
    axis.set_ylim(heights[inside[""]].sum(), 0)
    axis.set_axis_off()
    roots = table[(table["depth"] == 0) & (table["key"] == table["key"].iloc[0])]
    n_roots = int((roots["n_cells"].cumsum() <= adata.n_obs).sum())  # labels that were looked into as one come after
    axis.set_title(f"{n_roots} labels became {n_left} clusters")
    return hand_over(figure, axis, given=ax is not None, show=show, save=save, return_fig=return_fig)


def _colours(adata: AnnData, key: str, run: Any) -> dict[str, str]:
    """Of every label that is left, those that were not looked into included."""
    from dataclasses import replace

    names = read_labels(adata, key).cat.categories.to_numpy(dtype=str)
    return dict(zip(names.tolist(), palette(adata, replace(run, names=names)), strict=True))


def _boxes(
    axis: Axes,
    inside: dict[str, list[str]],
    facts: pd.DataFrame,
    heights: pd.Series[float],
    colours: dict[str, str],
) -> None:
    """A box for each label, those inside of it on its right, from the top down."""
    top_of: dict[str, float] = {"": 0.0}
    for parent in ["", *facts.index]:
        top = top_of[parent]
        for label in inside.get(parent, ()):
            top_of[label] = top
            row: pd.Series[Any] = facts.loc[label]  # type: ignore[assignment]
            _box(axis, label, row, top, float(heights[label]), colours.get(label))
            top += float(heights[label])


def _box(axis: Axes, label: str, row: pd.Series[Any], top: float, height: float, colour: str | None) -> None:
    from matplotlib.patches import Rectangle

    left = float(row["depth"])
    box = Rectangle((left, top), 1 - _INSET, height, facecolor=colour or "white", alpha=0.6, gid=label)
    box.set(edgecolor=QUIET if colour is None else "white", linewidth=1.5)
    axis.add_patch(box)
    evidence = "" if pd.isna(row["evidence"]) else f", {row['evidence']:.2f}"
    axis.text(
        left + 2 * _INSET, top + height / 2, f"{shortened(label)} ({row['n_cells']:,}{evidence})", va="center", size=9
    )
