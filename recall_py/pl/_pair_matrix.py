"""A matrix of pairs of clusters: their order, their names, and what all cells have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recall_py.pl._figure import FAILING
from recall_py.words import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from recall_py.adata.stored import StoredResult

WITH_NUMBERS = 16
"""Clusters at most whose numbers are written into the matrix."""
_LONGEST = 24
"""Letters of a name at most."""


class Order(NamedTuple):
    """Clusters in the order in which they stand side by side."""

    codes: NDArray[np.int64]
    tree: dict[str, Any]

    def of(self, matrix: NDArray[Any]) -> NDArray[Any]:
        """(n_clusters, n_clusters) in this order."""
        return matrix[np.ix_(self.codes, self.codes)]


def by_similarity(matrix: NDArray[np.float64]) -> Order:
    """The order of average linkage: clusters with low values side by side."""
    from scipy.cluster.hierarchy import dendrogram

    tree = dendrogram(similarity_tree(matrix), no_plot=True)
    return Order(np.array(tree["leaves"]), tree)


def similarity_tree(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average linkage; pairs that were not tested count as the farthest, since those that matter were."""
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    distance = np.log2(1.0 + matrix)
    farthest = np.nanmax(distance) + 1.0 if np.isfinite(distance).any() else 1.0
    distance = np.where(np.isnan(distance), farthest, distance)
    np.fill_diagonal(distance, 0.0)
    return linkage(squareform(distance, checks=False), "average", optimal_ordering=True)


def size_of(result: StoredResult) -> tuple[float, float]:
    """Inches that the matrix takes."""
    longest = 0.07 * max(len(shortened(name, _LONGEST)) for name in result.names)
    side = min(13.0, 3.4 + max(0.33, 0.17 if result.n_clusters > 20 else 0.42) * result.n_clusters)
    return min(14.0, side + longest), min(13.0, side + 0.3 + longest)


def draw_cells(axis: Axes, ordered: NDArray[np.float64], shown: NDArray[np.bool_], norm: Any, form: str) -> Any:
    """Colours of the cells that are `shown`, with their numbers where there is room; returns the image."""
    n = len(ordered)
    image = axis.imshow(np.ma.masked_where(~shown, ordered), cmap="cividis", norm=norm, interpolation="nearest")
    if n <= WITH_NUMBERS:
        for i, j in zip(*np.nonzero(shown), strict=True):
            dark = float(norm(ordered[i, j])) < 0.55
            axis.text(j, i, format(ordered[i, j], form), ha="center", va="center", size=7, color="w" if dark else "k")
    return image


def name_and_frame(axis: Axes, result: StoredResult, order: Order, title: str) -> None:
    """Names on both sides, the tree of the order above, and the title."""
    n = result.n_clusters
    names = [shortened(name, _LONGEST) for name in result.names[order.codes]]
    size = 9 if n <= 20 else 7 if n <= 40 else 5
    axis.set_xticks(range(n), names, rotation=90 if max(map(len, names)) > 2 or n > 30 else 0, size=size)
    axis.set_yticks(range(n), names, size=size)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    top = axis.inset_axes((0.0, 1.01, 1.0, 0.14))
    for at, height in zip(order.tree["icoord"], order.tree["dcoord"], strict=True):
        top.plot((np.array(at) - 5) / 10, height, color="0.3", lw=1)
    top.set(xlim=(-0.5, n - 0.5), ylim=(0, None))
    top.set_axis_off()
    axis.set_title(title, y=1.16)


def colour_bar(axis: Axes, image: Any, label: str, lowest: float, highest: float) -> None:
    """The scale of the colours, with round numbers."""
    rounded = [base * 10**power for power in range(5) for base in (1, 2, 5)]
    ticks = [value for value in rounded if lowest <= value <= highest]
    bar = axis.figure.colorbar(image, ax=axis, shrink=0.6, label=label, format="%d", ticks=ticks)
    bar.minorticks_off()


def fill(axis: Axes, untested: NDArray[np.bool_]) -> None:
    """The diagonal in grey, and hatched what was not compared: one shape each, as there may be thousands of cells."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5], [-0.5, -0.5]])
    corner_codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]
    diagonal = np.eye(len(untested), dtype=bool)
    for cells, look in (
        (diagonal, {"facecolor": "0.8", "edgecolor": "none"}),
        (untested & ~diagonal, {"facecolor": "white", "edgecolor": "0.8", "hatch": "///", "linewidth": 0}),
    ):
        if cells.any():
            centres = np.argwhere(cells)[:, ::-1]
            squares = Path((centres[:, None] + corners).reshape(-1, 2), np.tile(corner_codes, len(centres)))
            axis.add_patch(PathPatch(squares, **look))


def outline(axis: Axes, i: int, j: int, n: int, *, dotted: bool = False) -> None:
    """The frame of a pair that fails, or nearly did."""
    from matplotlib.patches import Rectangle

    axis.add_patch(
        Rectangle(
            (j - 0.44, i - 0.44),
            0.88,
            0.88,
            facecolor="none" if dotted else "white",
            edgecolor=FAILING,
            linewidth=line_width(n),
            linestyle=":" if dotted else "-",
        )
    )


def line_width(n: int) -> float:
    """Points of an outline among so many clusters."""
    return 2.0 if n <= 20 else 1.0
