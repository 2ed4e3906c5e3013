"""Which fine clusters became which."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from recall_py.adata.stored import StoredRun, read_run
from recall_py.pl._figure import axes_to_draw_on, every, hand_over, palette, with_plot_docs
from recall_py.words import counted, shortened

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from anndata import AnnData
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_BAR = 0.16
"""Width of a column of clusters, where the steps are 1 apart."""
_GAPS = 0.25
"""Share of the height that is left between clusters, at most."""
_WIDEST_GAP = 0.04
_COLUMNS = 14
"""Columns at most that are drawn of a search by merging: in between, several pairs are merged at once."""
_TICKS = 14
_CURVE = 24


@dataclass(frozen=True)
class _Column:
    """The clusters of one step, from the bottom up."""

    order: NDArray[np.int64]
    """Codes."""
    sizes: NDArray[np.int64]
    """(n_clusters,) by code."""
    final: NDArray[np.int64]
    """(n_clusters,) code of the final cluster that most cells go to."""
    fails: NDArray[np.bool_]
    """(n_clusters,) whether a failing pair has the cluster."""
    bottom: NDArray[np.float64]
    """(n_clusters,) where it begins, in shares of the cells."""


@with_plot_docs
def tree(
    adata: AnnData,
    key: str = "leiden",
    *,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Any:
    """Clusters at each step of the search, and which became which: a river plot of the cells.

    Each column is a step, each bar a cluster, as high as it has cells, in the colour of the final cluster that most of
    them end up in. Bars with a thick outline take part in a failing pair. Of long searches by merging, some steps are
    left out; nothing is lost by that, since merging only joins.

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
        If there is no such result, or no search was made.
    ValueError
        If the labels have changed since.

    Examples
    --------
    >>> import anndata as ad, recall_py
    >>> adata = ad.read_h5ad("data/pbmc68k.h5ad")
    >>> recall_py.tl.leiden(adata, 4, method="knockoffs")
    >>> recall_py.pl.tree(adata, show=False).get_title().split()[1:]
    ['clusters', 'became', '10']
    """
    from recall_py import get

    run = read_run(adata, key)
    flow = get.flow(adata, key)
    steps, flow = _shown(flow[flow["step"] <= run.standing_step], run)
    columns = _columns(flow, run.n_clusters)
    most = max(column.sizes.size for column in columns)
    figure, axis = axes_to_draw_on(
        ax, (max(3.5, min(13.0, 2.0 + 1.1 * len(columns))), max(4.0, min(11.0, 2.5 + 0.14 * most)))
    )
    colours = palette(adata, run)
    for i in range(1, len(columns)):
        _ribbons(axis, i, flow[flow["step"] == i], columns[i - 1], columns[i], colours)
    for i, column in enumerate(columns):
        _bars(axis, i, column, colours, alone=run.names if i == len(columns) - 1 else None)
    _label(axis, steps, run)
    start = counted(columns[0].sizes.size)
    axis.set_title(f"{start} became {run.n_clusters}" if len(columns) > 1 else f"{start} in the only step")
    return hand_over(figure, axis, given=ax is not None, show=show, save=save, return_fig=return_fig)


def _shown(flow: pd.DataFrame, run: StoredRun) -> tuple[list[int], pd.DataFrame]:
    """The steps that are drawn, and the flow between them, its steps counted anew."""
    n_steps = int(flow["step"].max()) + 1
    if run.params["search_strategy"] != "merge" or n_steps <= _COLUMNS:
        return list(range(n_steps)), flow
    chosen = np.unique(np.linspace(0, n_steps - 1, _COLUMNS).round().astype(int)).tolist()
    by_step = dict(iter(flow.groupby("step")))
    parts = [by_step[0].assign(step=0)]
    for i, (first, last) in enumerate(pairwise(chosen), start=1):
        became = by_step[first + 1]
        for step in range(first + 2, last + 1):
            onwards = by_step[step][["source", "target", "fails"]].rename(columns={"source": "via"})
            became = became.drop(columns="fails").rename(columns={"target": "via"}).merge(onwards, on="via")
            became = became.drop(columns="via")
        parts.append(became.groupby(["source", "target", "fails"], as_index=False)["n_cells"].sum().assign(step=i))
    import pandas as pd

    return chosen, pd.concat(parts, ignore_index=True)


def _columns(flow: pd.DataFrame, n_final: int) -> list[_Column]:
    """Sizes, order and colours of the clusters of every step, from the last one back, so that ribbons cross little."""
    tables = [table for _, table in flow.groupby("step")]
    columns: list[_Column] = []
    for i in range(len(tables) - 1, -1, -1):
        reached = tables[i].groupby("target").agg(n_cells=("n_cells", "sum"), fails=("fails", "first"))
        sizes, fails = reached["n_cells"].to_numpy(), reached["fails"].to_numpy(dtype=bool)
        if not columns:
            final = np.arange(n_final)
            order = np.argsort(-sizes, kind="stable")
        else:
            after = columns[-1]
            shared = np.zeros((sizes.size, after.sizes.size))
            shared[tables[i + 1]["source"], tables[i + 1]["target"]] = tables[i + 1]["n_cells"]
            final = after.final[shared.argmax(axis=1)]
            middle = shared @ (after.bottom + after.sizes / 2) / shared.sum(axis=1)
            order = np.lexsort((-sizes, middle))
        columns.append(_Column(order, sizes, final, fails, _stack(order, sizes)))
    return columns[::-1]


def _stack(order: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Where each cluster begins, with the same gap between all."""
    gap = min(_WIDEST_GAP, _GAPS / max(1, sizes.size - 1)) * sizes.sum()
    bottom = np.empty(sizes.size)
    bottom[order] = np.concatenate(([0.0], np.cumsum(sizes[order] + gap)[:-1]))
    return bottom


def _bars(axis: Axes, x: int, column: _Column, colours: list[str], *, alone: NDArray[np.str_] | None) -> None:
    """The clusters of a step; those of the last are named."""
    for code in column.order:
        fails = bool(column.fails[code])
        axis.bar(
            x,
            column.sizes[code],
            _BAR,
            bottom=column.bottom[code],
            color=colours[column.final[code]],
            edgecolor="black",
            linewidth=1.6 if fails else 0.4,
            hatch="////" if fails else None,
            zorder=3,
        )
    if alone is not None:
        _names(axis, x, column, alone)


def _names(axis: Axes, x: int, column: _Column, names: NDArray[np.str_]) -> None:
    """Names beside the bars, moved apart where bars are thin, with a line to their bar."""
    total = column.bottom.max() + column.sizes[column.order[-1]]
    size = 9 if names.size <= 20 else 6
    least = total * (0.05 if names.size <= 20 else 0.9 / names.size)
    wanted = (column.bottom + column.sizes / 2)[column.order]
    at = wanted.copy()
    for i in range(1, at.size):
        at[i] = max(at[i], at[i - 1] + least)
    overflow = max(0.0, at[-1] - total)
    at[-1] -= overflow
    for i in range(at.size - 2, -1, -1):
        at[i] = min(at[i], at[i + 1] - least)
    for code, middle, y in zip(column.order, wanted, at, strict=True):
        axis.plot([x + _BAR / 2, x + _BAR / 2 + 0.1], [middle, y], color="0.5", lw=0.6)
        axis.text(x + _BAR / 2 + 0.12, y, f"{shortened(names[code])} ({column.sizes[code]:,})", va="center", size=size)


def _ribbons(axis: Axes, x: int, table: pd.DataFrame, before: _Column, after: _Column, colours: list[str]) -> None:
    """The cells that a cluster passes on to each cluster of the next step."""
    leaves, enters = before.bottom.copy(), after.bottom.copy()
    rank_before, rank_after = np.argsort(before.order), np.argsort(after.order)
    source, target, n_cells = (table[name].to_numpy() for name in ("source", "target", "n_cells"))
    ends: dict[int, tuple[float, float]] = {}
    for row in np.lexsort((rank_after[target], rank_before[source])):
        ends[row] = (leaves[source[row]], 0.0)
        leaves[source[row]] += n_cells[row]
    for row in np.lexsort((rank_before[source], rank_after[target])):
        ends[row] = (ends[row][0], enters[target[row]])
        enters[target[row]] += n_cells[row]
    t = np.linspace(0.0, 1.0, _CURVE)
    bend = t * t * (3 - 2 * t)
    left, right = x - 1 + _BAR / 2, x - _BAR / 2
    for row, (start, end) in ends.items():
        lower = start + (end - start) * bend
        axis.fill_between(
            left + (right - left) * t,
            lower,
            lower + n_cells[row],
            color=colours[after.final[target[row]]],
            alpha=0.45,
            linewidth=0,
            zorder=1,
        )


def _label(axis: Axes, steps: list[int], run: StoredRun) -> None:
    levels = np.asarray(run.record["iterations"]["level"])
    word = "resolution" if run.by_resolution else "clusters asked for"
    constant = (levels == levels[0]).all()
    shown = range(0, len(steps), every(len(steps), _TICKS))
    axis.set_xticks(
        list(shown), [f"{steps[i] + 1}" if constant else f"{steps[i] + 1}\n{levels[steps[i]]:.2g}" for i in shown]
    )
    said = f"step ({word} {levels[0]:.3g})" if constant else f"step and {word}"
    if len(run.record["failing"]["step"]):
        said += "\nhatched, with a thick outline: in a failing pair"
    axis.set_xlabel(said)
    longest = max(len(f"{shortened(name)} (10,000)") for name in run.names)
    axis.set_xlim(-0.3, len(steps) - 1 + 0.35 + 0.035 * longest * max(1.0, len(steps) / 4))
    axis.set_yticks([])
    axis.spines[["top", "right", "left"]].set_visible(False)
