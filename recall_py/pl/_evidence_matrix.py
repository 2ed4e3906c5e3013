"""The evidence that holds clusters apart, as a matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recall_py.method.pairs.lead import threshold
from recall_py.pl._pair_matrix import (
    WITH_NUMBERS,
    by_similarity,
    colour_bar,
    draw_cells,
    fill,
    name_and_frame,
    outline,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from recall_py.adata.stored import StoredMerging


def draw_evidence(axis: Axes, result: StoredMerging) -> None:
    """Draw the pairs that were compared last: what stands in colour, what fails outlined."""
    from matplotlib.colors import LogNorm

    compared = result.pairs
    matrix = result.matrix_of(compared, "evidence")
    order = by_similarity(np.clip(matrix, 0.0, None))
    evidence, near, passes = (order.of(result.matrix_of(compared, name)) for name in ("evidence", "near", "passes"))
    least = threshold(float(result.params["alpha"]))
    stands = (passes == 1) & np.isfinite(evidence)
    fails = passes == 0
    lowest = max(least, 0.1)
    highest = max(2 * lowest, np.max(evidence[stands], initial=0.0))
    image = draw_cells(axis, evidence, stands, LogNorm(lowest, highest), ".2f")
    n = result.n_clusters
    untested = ~stands & ~fails
    fill(axis, untested)
    for i, j in np.ndindex(n, n):
        if fails[i, j]:
            outline(axis, i, j, n)
            if n <= WITH_NUMBERS:
                axis.text(j, i, f"{evidence[i, j]:.2f}", ha="center", va="center", size=7)
        if near[i, j] == 1:
            outline(axis, i, j, n, dotted=True)
    name_and_frame(axis, result, order, "evidence that holds each pair of neighbours apart")
    said = [f"times the lead that is needed; above {least:.3g}, a pair stands"]
    if fails.any():
        said.append("solid outline: fails, the two would be one")
    if (near == 1).any():
        said.append("dotted outline: near, another seed may turn it")
    if (untested & ~np.eye(n, dtype=bool)).any():
        said.append("hatched: not compared")
    axis.set_xlabel("\n".join(said), fontsize=9)
    colour_bar(axis, image, "times the lead that is needed", lowest, highest)
