"""Picture of the calibration benchmark, ``python -m benchmarks.calibration_picture``, from its CSV files."""

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd

from benchmarks.tables import RESULTS

OUT = RESULTS.parents[1] / "docs" / "calibration.png"
PARTS = ("development", "held_out")


def main():
    figure, axes = plt.subplots(1, len(PARTS), figsize=(11, 4.8), sharex=True, sharey=True)
    for axis, part in zip(axes, PARTS, strict=True):
        rows = pd.read_csv(RESULTS / f"calibration_{part}.csv")
        rows = rows[(rows["method"] != "oracle") & (rows["set"] != "zheng_cd19b_pure")]
        split = rows[rows["pure"]].groupby("method")["clusters"].apply(lambda found: 100 * (found > 1).mean())
        ari = rows[~rows["pure"]].groupby("method")["ari"].mean()
        for method in ari.index:
            kind = method.split("-")[0]
            marker, color = {"plain": ("s", "0.4"), "recall": ("^", "#D55E00"), "knockoff": ("o", "#0072B2")}.get(
                kind, ("D", "#009E73")
            )
            axis.scatter(split[method], ari[method], marker=marker, color=color, s=45)
            axis.annotate(method, (split[method], ari[method]), xytext=(5, 3), textcoords="offset points", fontsize=7)
        axis.axvline(5, color="0.7", linestyle=":", linewidth=1)
        axis.set(title=f"{part.replace('_', ' ')} sets", xlabel="runs on cells of one kind that were split (%)")
        axis.set_xlim(-3, 118)
    axes[0].set_ylabel("mean ARI on labelled sets")
    figure.tight_layout()
    figure.savefig(OUT, dpi=130)
    print(f"wrote {OUT}")


if __name__ == "__main__":
    main()
