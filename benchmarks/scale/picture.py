"""Picture of the scaling benchmark, ``python -m benchmarks.scale.picture``, from its CSV."""

import argparse
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from benchmarks.scale.tables import STAGES, exponent
from benchmarks.tables import RESULTS

OUT = RESULTS.parents[1] / "docs" / "scale.png"
METHODS = {
    "scanpy": ("s", "0.35"),
    "resolution": ("^", "#0072B2"),
    "merge": ("o", "#D55E00"),
    "calibrated": ("D", "#009E73"),
}
"""Marker and colour; Okabe and Ito's colours, told apart by the colour-blind."""
SHOWN = 0.02
"""Stages that take less than this share of every run are left out."""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder with scale.csv")
    parser.add_argument("--out", type=Path, default=OUT, help="picture to write")
    args = parser.parse_args()
    table = args.results / "scale.csv"
    if not table.is_file():
        print(f"{table} is absent. Make it: python -m benchmarks.scale", file=sys.stderr)
        sys.exit(2)
    draw(one_input(pd.read_csv(table))).savefig(args.out, dpi=130)
    print(f"wrote {args.out}")


def one_input(rows):
    """The runs on files that were loaded; where there is none of a method and size, that on the genes read alone."""
    loaded = rows[rows["input"] == "memory"].set_index(["cells", "method"]).index
    only = rows.set_index(["cells", "method"]).index
    return rows[(rows["input"] == "memory") | ~only.isin(loaded)]


def draw(rows):
    """Time and peak of the runs on the left, the stages of each method on the right; all axes are logarithmic."""
    methods = [name for name in METHODS if name in set(rows["method"])]
    figure, axes = plt.subplot_mosaic(
        [["time", *methods[:2]], ["memory", *methods[2:], *["."] * (4 - len(methods))][:3]],
        figsize=(13, 8.5),
        layout="constrained",
        sharex=True,
    )
    runs = rows[rows["stage"] == "run"]
    for method in methods:
        of_method = runs[runs["method"] == method]
        draw_line(axes["time"], of_method, "wall_s", method, *METHODS[method])
        draw_line(
            axes["memory"], of_method.assign(gb=of_method["peak_mib"] * 2**20 / 1e9), "gb", method, *METHODS[method]
        )
        draw_stages(axes[method], rows[rows["method"] == method], method)
    axes["time"].set(title="Clustering, without reading and selection", ylabel="seconds")
    axes["memory"].set(title="Peak resident memory of the process", ylabel="GB", xlabel="cells")
    for name in ("time", "memory"):
        axes[name].legend(frameon=False)
    for axis in axes.values():
        axis.set(xscale="log", yscale="log")
        axis.grid(color="0.92")
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    dates = " and ".join(sorted(set(rows["date"])))
    figure.suptitle(f"Cells against cost, measured on {dates}; the number after a name is the exponent of its growth")
    return figure


def draw_line(axis, rows, quantity, name, marker, colour):
    """One line with its points, its fit where it is one of seconds; a cross where a run was ended."""
    rows = rows.sort_values("cells")
    done = rows[rows["ended"] == "done"]
    label = name
    if quantity == "wall_s":
        b, a, span = exponent(rows)
        if b is not None:
            label = f"{name} {b:.2f}"
            ends = np.array(span, dtype=float)
            axis.plot(ends, a * ends**b, color=colour, linewidth=0.8, linestyle=":")
    axis.plot(done["cells"], done[quantity], marker=marker, color=colour, label=label, markersize=5, linewidth=1.2)
    cut = rows[(rows["ended"] != "done") & rows[quantity].gt(0)]
    axis.plot(cut["cells"], cut[quantity], linestyle="", marker="x", color=colour, markersize=9)


def draw_stages(axis, rows, method):
    """The stages of one method that take time, the longest at the largest size first."""
    rows = rows.assign(share=rows["wall_s"] / rows.groupby("cells")["wall_s"].transform("max"))
    worth = rows[rows["stage"].isin(STAGES)].groupby("stage")["share"].max()
    at_largest = rows[rows["cells"] == rows["cells"].max()].set_index("stage")["wall_s"]
    names = sorted(worth[worth >= SHOWN].index, key=lambda name: -at_largest.get(name, 0.0))
    colours = plt.get_cmap("tab20").colors
    for name in names:
        draw_line(axis, rows[rows["stage"] == name], "wall_s", name, "o", colours[STAGES.index(name)])
    axis.set(title=method, ylabel="seconds", xlabel="cells")
    axis.legend(frameon=False, fontsize=7.5, ncols=2)


if __name__ == "__main__":
    main()
