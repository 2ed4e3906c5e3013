"""What the pictures share: a figure to draw on, how it is handed over, colours, and how it is described."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from recall_py._docs import with_shared_docs
from recall_py.adata import keys
from recall_py.adata.labels import read_labels

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.axes import Axes

    from recall_py.adata.stored import StoredResult


FAILING = "#D55E00"
"""Vermilion of Okabe & Ito: told apart from blue by every kind of colour vision, and darker in grey than its ground."""
PASSING = "#0072B2"
NULL = "0.55"
QUIET = "0.75"
DPI = 150

_COMMON = {
    "adata": """\
adata
    With a calibrated clustering, merged labels, or the tests of given labels.
key
    ``key_added`` of the call that wrote it.""",
    "show": """\
show
    Show the figure; by default if it is neither saved nor returned, and no axes were given. With False, the axes are
    returned, as in scanpy.
save
    File to write it to.
return_fig
    Return the figure.""",
    "returns": """\
Returns
-------
The figure if `return_fig`, the axes if `show` is False, else None.""",
    "raises": """\
Raises
------
KeyError
    If there is no such result.
ValueError
    If the labels have changed since.""",
}


with_plot_docs = with_shared_docs(_COMMON)


def axes_to_draw_on(ax: Axes | None, size: tuple[float, float]) -> tuple[Any, Axes]:
    """The given axes, or a new figure of `size` inches."""
    import matplotlib.pyplot as plt

    if ax is not None:
        return ax.figure, ax
    return plt.subplots(figsize=size, layout="constrained")


def hand_over(
    figure: Any, axes: Any, *, given: bool, show: bool | None, save: str | Path | None, return_fig: bool
) -> Any:
    """Save, show and return a figure as asked; one that is neither returned nor on `given` axes is closed."""
    import matplotlib.pyplot as plt

    for drawn in np.ravel(axes) if given else figure.axes:
        _show_as_written(drawn)
    if save is not None:
        figure.savefig(save, dpi=DPI, bbox_inches="tight")
    if show or (show is None and save is None and not return_fig and not given):
        plt.show()
    if return_fig:
        return figure
    if show is False:
        return axes
    if not given:
        plt.close(figure)
    return None


def _show_as_written(ax: Axes) -> None:
    """Take no formula from dollars in the names of clusters and genes; numbers at the axes may be formulas."""
    from matplotlib.text import Text
    from matplotlib.ticker import FixedFormatter, FuncFormatter

    numbers = [
        label
        for axis in (ax.xaxis, ax.yaxis)
        if not isinstance(axis.get_major_formatter(), FixedFormatter | FuncFormatter)
        for label in axis.get_ticklabels(which="both")
    ]
    for text in ax.findobj(Text):
        if text not in numbers:
            text.set_parse_math(False)


def say_instead(ax: Axes, text: str) -> None:
    """Say in words why there is nothing to draw."""
    ax.set_axis_off()
    ax.text(0.5, 0.5, text, ha="center", va="center", transform=ax.transAxes, wrap=True)


def palette(adata: AnnData, run: StoredResult) -> list[str]:
    """A colour for each cluster: those in ``uns``, else scanpy's default ones."""
    import matplotlib as mpl
    from matplotlib.colors import to_hex
    from scanpy.plotting import palettes

    categories = read_labels(adata, run.column).cat.categories
    colours = adata.uns.get(run.column + keys.COLORS_SUFFIX, ())
    if len(colours) < len(categories):
        choices = (mpl.rcParams["axes.prop_cycle"].by_key()["color"], palettes.default_20, palettes.default_28)
        colours = next((some for some in choices if len(some) >= len(categories)), palettes.default_102)
    of_category = {name: to_hex(colours[i % len(colours)]) for i, name in enumerate(categories)}
    return [of_category[name] for name in run.names]


def every(n_items: int, at_most: int) -> int:
    """The step that leaves at most so many of some items."""
    return max(1, int(np.ceil(n_items / at_most)))
