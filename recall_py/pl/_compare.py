"""How far rival methods agree, how many clusters each finds, and what it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from recall_py.adata import keys
from recall_py.adata.comparison import AGREEMENT, LABEL, read_comparison
from recall_py.pl._figure import axes_to_draw_on, hand_over, with_plot_docs
from recall_py.words import counted, in_words, shortened

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from anndata import AnnData
    from matplotlib.axes import Axes


@with_plot_docs
def compare(
    adata: AnnData,
    key: str = "compare",
    *,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Any:
    """Agreement of rival methods with each other and with a label, with clusters and time of each.

    Parameters
    ----------
    adata
        With a comparison by :func:`recall_py.tl.compare`.
    key
        ``key_added`` of that call.
    ax
        Axes to draw on.
    {show}

    {returns}

    Raises
    ------
    KeyError
        If there is no comparison.

    Examples
    --------
    >>> import recall_py, scanpy as sc
    >>> adata = recall_py.datasets.simulate(200, 300, group_shares=(0.5, 0.5), log2_fold_change=3)
    >>> sc.pp.neighbors(adata, use_rep="X")
    >>> table = recall_py.tl.compare(adata, ["plain", "sc_shc"], label="group")
    >>> recall_py.pl.compare(adata, show=False).get_title()
    'Agreement of the methods (adjusted Rand index)'
    """
    table = read_comparison(adata, key)
    columns = {name: f"{AGREEMENT}{name}" for name in table["method"]}
    if LABEL in table:
        columns = {shortened(str(adata.uns[key][keys.PARAMS]["label"])): LABEL, **columns}
    values = table[list(columns.values())].to_numpy(dtype=float)
    figure, axis = axes_to_draw_on(ax, (3.2 + 0.85 * len(columns), 1.5 + 0.55 * len(table)))
    axis.imshow(values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        colour = "white" if value > 0.6 else "black"
        axis.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour, size=9)
    if LABEL in table:
        axis.axvline(0.5, color="white", lw=4)
    axis.set_xticks(range(len(columns)), list(columns), rotation=30, ha="right", rotation_mode="anchor")
    axis.set_yticks(range(len(table)), [_told(row) for _, row in table.iterrows()])
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    axis.set_title("Agreement of the methods (adjusted Rand index)", size=10)
    return hand_over(figure, axis, given=ax is not None, show=show, save=save, return_fig=return_fig)


def _told(row: pd.Series[Any]) -> str:
    """A method with its clusters and its time."""
    seconds = float(row["cpu_seconds"])
    time = f"{seconds:.1f} s" if seconds < 9.95 else in_words(seconds)
    return f"{row['method']}: {counted(int(row['n_clusters']))}, {time} CPU"
