"""Picture of the calibration benchmark, ``python -m benchmarks.calibration.picture``, from the CSV files that exist."""

import argparse
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd

from benchmarks.tables import RESULTS

OUT = RESULTS.parents[1] / "docs" / "calibration.png"
PARTS = {"development": "none", "held_out": "full"}
"""How the markers of each part are filled."""
KINDS = {
    "plain": ("s", "0.35"),
    "recall": ("^", "#D55E00"),
    "knockoff": ("o", "#0072B2"),
    "calibrated": ("D", "#009E73"),
}
"""Marker and colour by the first word of a method's name; Okabe and Ito's colours, told apart by the colour-blind."""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder with calibration_<part>.csv")
    parser.add_argument("--out", type=Path, default=OUT, help="picture to write")
    args = parser.parse_args()
    found = {
        part: figures(pd.read_csv(path))
        for part in PARTS
        if (path := args.results / f"calibration_{part}.csv").is_file()
    }
    if not found:
        names = " or ".join(f"calibration_{part}.csv" for part in PARTS)
        print(f"{args.results} holds no {names}. Make one: python -m benchmarks.calibration", file=sys.stderr)
        sys.exit(2)
    draw(found).savefig(args.out, dpi=130)
    print(f"wrote {args.out}")


def figures(rows):
    """The share of pure runs that were split, in percent, and the mean ARI, by method; without runs that failed."""
    rows = rows[(rows["method"] != "oracle") & (rows["set"] != "zheng_cd19b_pure") & rows["clusters"].notna()]
    split = rows[rows["pure"]].groupby("method")["clusters"].apply(lambda found: 100 * (found > 1).mean())
    return pd.DataFrame({"split": split, "ari": rows[~rows["pure"]].groupby("method")["ari"].mean()})


def draw(found):
    """A line for each method, the one that agrees best with the labels on top; a marker for each part."""
    order = pd.concat(found.values())["ari"].groupby(level=0).mean().sort_values().index
    figure, axes = plt.subplots(1, 2, figsize=(10, 1.6 + 0.27 * len(order)), sharey=True, layout="constrained")
    for part, table in found.items():
        for method, row in table.iterrows():
            marker, colour = KINDS[method.split("-")[0]]
            style = {"marker": marker, "color": colour, "fillstyle": PARTS[part], "markersize": 7, "clip_on": False}
            for axis, name in zip(axes, ("split", "ari"), strict=True):
                axis.plot(row[name], order.get_loc(method), **style)
    axes[0].axvline(5, color="0.6", linestyle=":", linewidth=1)
    axes[0].set(xlim=(0, 100), xlabel="runs on cells of one kind that were split (%)\nleft is better; dotted: 5 %")
    axes[1].set(xlim=(0, 1), xlabel="mean adjusted Rand index on labelled sets\nright is better")
    axes[0].set_xticks(range(0, 101, 25))
    axes[1].set_xticks([0, 0.25, 0.5, 0.75, 1])
    axes[0].set_yticks(range(len(order)), order)
    figure.get_layout_engine().set(wspace=0.06)
    for axis in axes:
        axis.grid(axis="y", color="0.9")
        axis.set_axisbelow(True)
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.tick_params(axis="y", length=0)
    named = [f"{part.replace('_', ' ')} sets ({'hollow' if PARTS[part] == 'none' else 'filled'})" for part in found]
    figure.suptitle(" and ".join(named).capitalize())
    return figure


if __name__ == "__main__":
    main()
