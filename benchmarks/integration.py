"""What embeddings mix and keep, and clusters on their graphs before and after calibration.

``python -m benchmarks.integration [--only pancreas] [--methods none harmony] [--keep]``; ``--draw`` makes the picture
of the table that is there.

None of these packages comes with ``[bench]``: ``pip install bbknn 'recall-py[harmony,scvi,torch]'``. The sets are six
donors of two species (pancreas), stimulated and resting blood cells, whose types are not known, and simulated cells of
four types in 8 batches.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scanpy as sc
from sklearn.metrics import adjusted_rand_score

from benchmarks.datasets import read_singlets
from benchmarks.default import LEIDEN
from benchmarks.machine import describe_machine
from benchmarks.tables import RESULTS, write_csv, write_markdown
from recall_py import get, pp, tl
from recall_py.datasets import simulate

PICTURE = RESULTS.parents[1] / "docs" / "integration.png"
METHODS = ("none", "bbknn", "harmony", "scvi", "cvae")
BATCHES = {"pancreas": 6, "stimulated": 2, "simulated": 8}
"""By set."""
MARKERS = {"pancreas": ("o", "#0072B2"), "stimulated": ("s", "#D55E00"), "simulated": ("^", "#009E73")}
"""Marker and colour by set; Okabe and Ito's colours, told apart by the colour-blind."""
QUIET = {"scvi": {"train": {"enable_progress_bar": False, "early_stopping": True, "accelerator": "cpu"}}}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="take sets alone whose name begins so")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--keep", action="store_true", help="leave the other rows of the table as they are")
    parser.add_argument("--draw", action="store_true", help="draw the picture, and measure nothing")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--picture", type=Path, default=PICTURE)
    args = parser.parse_args()
    if args.draw:
        draw(pd.read_csv(args.out / "integration.csv"), args.picture)
        return
    warnings.simplefilter("ignore")
    _, machine = describe_machine("scikit-learn")
    rows = []
    for name, adata in sets():
        if not name.startswith(args.only):
            continue
        prepare(adata)
        for method in args.methods:
            rows.append({"set": name, "method": method, **measured(adata, method)})
            print(rows[-1], flush=True)
    if args.keep:
        rows = with_those_kept(rows, pd.read_csv(args.out / "integration.csv"))
    draw(pd.DataFrame(rows), args.picture)
    write_csv(rows, "integration", args.out)
    command = f"python -m benchmarks.integration --methods {' '.join(args.methods)}"
    text = (
        "iLISI: batches among the neighbours of a cell, harmonypy's, perplexity 30; the most is the number of batches. "
        "cLISI: types, 1 is the least. ARI to the types of Leiden at resolution 1, and of the same calibrated with "
        "`batch_key`. Pairs of one batch could not be compared, as their batches have too few cells of both."
    )
    write_markdown(
        [("What is mixed, and what is kept", text, rows)],
        "integration",
        title="Embeddings without batches",
        machine=machine,
        command=command + f" --only {args.only}" * bool(args.only) + " --keep" * args.keep,
        folder=args.out,
    )


def with_those_kept(rows, table):
    """The rows, and those of the table whose set and method are not among them, in the order of a whole run."""
    measured_now = {(row["set"], row["method"]) for row in rows}
    old = table.astype(object).where(table.notna(), None).to_dict("records")
    both = rows + [row for row in old if (row["set"], row["method"]) not in measured_now]
    return sorted(both, key=lambda row: (list(BATCHES).index(row["set"]), METHODS.index(row["method"])))


def draw(table, path):
    """A line for each method: how far batches are mixed, and how well clusters agree with the types."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.2), sharey=True, layout="constrained")
    for name, rows in table.groupby("set", sort=False):
        marker, colour = MARKERS[name]
        style = {"marker": marker, "color": colour, "linestyle": "", "markersize": 8, "clip_on": False}
        lines = [len(METHODS) - 1 - METHODS.index(method) for method in rows["method"]]
        axes[0].plot((rows["iLISI"].astype(float) - 1) / (BATCHES[name] - 1), lines, label=name, **style)
        axes[1].plot(rows["ARI, plain"].astype(float), lines, fillstyle="none", **style)
        axes[1].plot(rows["ARI, calibrated"].astype(float), lines, **style)
    axes[0].set(xlim=(0, 1), xlabel="batches among the neighbours: (iLISI - 1) / (batches - 1)\nright is more mixed")
    axes[1].set(xlim=(0, 1), xlabel="ARI of clusters to types, plain (hollow) and calibrated (filled)\nright is better")
    axes[0].set_yticks(range(len(METHODS)), METHODS[::-1])
    figure.legend(loc="outside upper center", ncols=len(MARKERS), frameon=False)
    for axis in axes:
        axis.grid(axis="y", color="0.9")
        axis.set_axisbelow(True)
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.tick_params(axis="y", length=0, pad=10)
    figure.savefig(path, dpi=130)
    plt.close(figure)
    print(f"wrote {path}", flush=True)


def sets():
    """Name and counts, with ``batch`` and, where it is known, ``type``."""
    adata = read_singlets("pancreas_baron350")
    adata.obs["type"] = adata.obs["annotation"]
    yield "pancreas", adata
    yield "stimulated", read_singlets("kang_pbmc_stim")
    adata = simulate(
        4000, 1000, group_shares=(0.4, 0.3, 0.2, 0.1), n_markers=30, n_batches=8, batch_sd=0.3, mean_depth=3000
    )
    adata.obs["type"] = adata.obs["group"]
    yield "simulated", adata


def prepare(adata):
    """Make components of log-normalised counts of the variable genes."""
    adata.layers["counts"] = adata.X.copy()
    sc.pp.normalize_total(adata)
    sc.pp.log1p(adata)
    sc.pp.highly_variable_genes(adata, n_top_genes=min(2000, adata.n_vars), batch_key="batch")
    sc.pp.pca(adata, n_comps=30)


def measured(adata, method):
    """What the method mixes and keeps, and what it costs."""
    from harmonypy import compute_lisi

    cells = adata.copy()
    began = time.process_time()
    slot = {"none": "X_pca", "bbknn": None}.get(method, f"X_{method}")
    if method == "bbknn":
        import bbknn

        bbknn.bbknn(cells, batch_key="batch")
    elif method != "none":
        pp.embed(cells, method, batch_key="batch", **QUIET.get(method, {}))
    seconds = time.process_time() - began
    row = {"iLISI": None, "cLISI": None}
    if slot is not None:
        sc.pp.neighbors(cells, use_rep=slot)
        names = [name for name in ("batch", "type") if name in cells.obs]
        observed = cells.obs[names].astype(str)
        lisi = compute_lisi(np.asarray(cells.obsm[slot], dtype=float), observed, names, perplexity=30).mean(axis=0)
        row = dict(zip(("iLISI", "cLISI"), map(float, lisi), strict=False))
    tl.leiden(cells, 1.0, batch_key="batch", **LEIDEN)
    start, found = (cells.obs[key].astype(str).to_numpy() for key in ("leiden_start", "leiden"))
    of_type = [None, None]
    if "type" in cells.obs:
        of_type = [adjusted_rand_score(cells.obs["type"].astype(str), labels) for labels in (start, found)]
    return {
        **row,
        "ARI, plain": of_type[0],
        "ARI, calibrated": of_type[1],
        "clusters, plain": len(set(start)),
        "clusters, calibrated": len(set(found)),
        "pairs of one batch": int(get.pairs(cells)["kind"].eq("batch").sum()),
        "CPU s of the embedding": seconds,
    }


if __name__ == "__main__":
    main()
