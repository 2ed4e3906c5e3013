"""Which clusters became one, and by how much they missed to stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from recall_py.adata.stored import read_merging
from recall_py.pl._figure import FAILING, axes_to_draw_on, hand_over, palette, with_plot_docs
from recall_py.pl._joins import final_trees, rows_of
from recall_py.words import counted, shortened, shortened_inside

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from anndata import AnnData
    from matplotlib.axes import Axes

    from recall_py.adata.stored import StoredMerging
    from recall_py.pl._joins import Joined

_LINE = "0.35"
_FEW = 50
"""Clusters at the start up to which lines are set wide."""
_LONGEST = 30
"""Letters of a name at most."""


class _Look(NamedTuple):
    """How wide lines are set, for so many clusters."""

    line: float
    """Inches of a row."""
    level: float
    """Inches of a join."""
    size: float
    """Points of the letters."""


@with_plot_docs
def merges(
    adata: AnnData,
    key: str = "leiden",
    *,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Any:
    """The tree of merges: clusters at the start on the left, those that are left on the right.

    Each bracket is a merge. The number on it is its evidence: how many times as far as needed the genes of the two lead
    their own nulls, not far enough to hold them apart. Near ones, which another seed may turn, are coloured. "small"
    marks a cluster that joined its nearest because it has too few cells to be compared. Why each was made:
    :func:`recall_py.get.merges` and :func:`recall_py.pl.evidence`.

    Parameters
    ----------
    {adata}
    ax
        Axes to draw on.
    {show}

    {returns}

    Raises
    ------
    KeyError
        If there is no such result, or nothing was to be merged.
    ValueError
        If the labels have changed since.

    Examples
    --------
    >>> import anndata as ad, recall_py
    >>> adata = ad.read_h5ad("data/pbmc68k.h5ad")
    >>> adata = adata[adata.obs["annotation"].isin(["CD8+ Cytotoxic T", "CD56+ NK", "CD19+ B"])].copy()
    >>> recall_py.tl.merge_clusters(adata, "annotation")
    >>> recall_py.pl.merges(adata, "annotation_merged", show=False).get_title()
    '3 clusters became 2'
    """
    from recall_py import get

    result = read_merging(adata, key)
    if not result.merges_clusters:
        msg = (
            f"uns[{key!r}] holds tests of obs[{result.column!r}], which merge nothing. What each label would be merged "
            f"with: recall_py.get.clusters(adata, {key!r}). To merge: recall_py.tl.merge_clusters(adata, "
            f"{result.column!r})"
        )
        raise KeyError(msg)
    table = get.merges(adata, key)
    trees = final_trees(result, table)
    at, height = rows_of(trees)
    depth = max(tree.level for tree in trees)
    look = _Look(0.27, 0.55, 9) if result.start_names.size <= _FEW else _Look(0.16, 0.4, 6)
    longest = max(map(len, [*_shown(result.start_names.tolist()), *_shown(result.names.tolist())]))
    wide = 2.6 + look.level * (depth + 1) + 0.012 * look.size * longest
    figure, axis = axes_to_draw_on(ax, (min(14.0, max(4.5, wide)), 1.3 + look.line * (height + 1)))
    for tree in trees:
        for join in tree.joins():
            _bracket(axis, join, table.iloc[join.row], at, look)
    _ends(axis, adata, result, trees, at, look)
    axis.set(xlim=(-0.05, depth + 1.05), ylim=(height - 0.3, -0.9))
    axis.set_xticks([])
    axis.spines[:].set_visible(False)
    axis.set_title(_title(result), pad=22 if table["near"].any() else None)
    _legend(axis, table)
    return hand_over(figure, axis, given=ax is not None, show=show, save=save, return_fig=return_fig)


def _bracket(axis: Axes, join: Joined, merge: pd.Series[Any], at: dict[tuple[int, ...], float], look: _Look) -> None:
    """Lines from the two parts to one, with the evidence on it."""
    near = bool(merge["near"])
    colour = FAILING if near else _LINE
    heights = [at[part.members] for part in join.parts]
    for part, y in zip(join.parts, heights, strict=True):
        axis.plot([part.level, join.level], [y, y], color=_LINE, lw=0.9, solid_capstyle="butt")
    axis.plot([join.level, join.level], heights, color=colour, lw=2.2 if near else 1.4)
    text = "small" if merge["kind"] == "small" else f"{merge['evidence']:.2f}"
    axis.text(
        join.level + 0.08,
        at[join.members] - 0.08,
        text,
        size=look.size - 1,
        color=colour,
        weight="bold" if near else "normal",
        va="bottom",
    )


def _ends(
    axis: Axes,
    adata: AnnData,
    result: StoredMerging,
    trees: list[Joined],
    at: dict[tuple[int, ...], float],
    look: _Look,
) -> None:
    """Clusters at the start on the left, and those that are left on the right, in their colours."""
    depth = max(tree.level for tree in trees)
    leaves = [leaf for tree in trees for leaf in tree.leaves()]
    names = _shown([str(result.start_names[leaf.members[0]]) for leaf in leaves])
    axis.set_yticks(
        [at[leaf.members] for leaf in leaves],
        [f"{name} ({leaf.n_cells:,})" for name, leaf in zip(names, leaves, strict=True)],
        size=look.size,
    )
    axis.tick_params(length=0)
    untested = set(map(str, result.record["untested"]))
    for tree, name, colour in zip(trees, result.names.tolist(), palette(adata, result), strict=True):
        y = at[tree.members]
        short = (shortened if tree.parts else shortened_inside)(name, _LONGEST)
        axis.plot([tree.level, depth + 1], [y, y], color=_LINE, lw=0.9, solid_capstyle="butt")
        axis.plot(depth + 1, y, marker="s", ms=look.size, color=colour, mec="black", mew=0.6, clip_on=False)
        axis.annotate(
            f"{short} ({tree.n_cells:,}{', not tested' if name in untested else ''})",
            (depth + 1, y),
            xytext=(1.2 * look.size, 0),
            textcoords="offset points",
            size=look.size,
            weight="bold",
            va="center",
        )


def _shown(names: list[str]) -> list[str]:
    return [shortened_inside(name, _LONGEST) for name in names]


def _title(result: StoredMerging) -> str:
    n_start = result.start_names.size
    if n_start == 1:
        return "1 cluster at the start: nothing to merge"
    start = counted(n_start)
    return f"{start} became {result.n_clusters}" if result.n_clusters < n_start else f"{start}, none merged"


def _legend(axis: Axes, table: pd.DataFrame) -> None:
    """What numbers, colour and words on the brackets mean."""
    if table.empty:
        return
    said = "start on the left, result on the right (cells in brackets)"
    if (table["kind"] == "pair").any():
        said += (
            f"\nnumbers: times the lead that is needed;\n{table['threshold'].max():.3g} or less, and the two became one"
        )
    if (table["kind"] == "small").any():
        said += "\nsmall: too few cells to be compared, joined to the nearest"
    axis.set_xlabel(said, fontsize=8)
    if table["near"].any():
        axis.plot([], [], color=FAILING, lw=2.2, label="near: another seed may turn it")
        axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, fontsize=8, borderpad=0.1)
