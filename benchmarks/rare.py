"""From which size on a rare type is a cluster of its own: by plain Leiden, the default, auto, and tests of its labels.

``python -m benchmarks.rare [--repeats 3]``

Some cells of one kind, drawn without replacement, among all cells of the others; and simulated cells, where the rare
type has ten genes of its own. A type counts as found where one cluster and it have a Jaccard index of at least .5.
"""

from __future__ import annotations

import argparse
import multiprocessing
import warnings
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pandas as pd
import scanpy as sc

from benchmarks.datasets import drop_empty
from benchmarks.default import LEIDEN, graph_of, labelled
from benchmarks.machine import describe_machine
from benchmarks.tables import RESULTS, write_csv, write_markdown
from recall_py import tl
from recall_py.datasets import simulate

SIZES = (5, 10, 15, 20, 30, 50)
REAL = {
    "stoeckius_4lines_hto": [("K562", ("HEK", "KG1", "THP1"))],
    "zheng_facs9": [("monocytes", None), ("bcells", None)],
    "pbmc3k": [("DC", None), ("NK", None), ("FCGR3A+ Mono", None)],
}
"""By set: the rare kind, and those that it is among; None for all others that have a name."""
NAMELESS = ("", "unassigned (dropped by tutorial QC)")
N_SIMULATED = 3000
FOLDS = (2.0, 3.0)
"""log2 fold change of the ten genes of a simulated rare type."""
METHODS = ("plain, 1", "default, 1", "auto", "labels")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="draws of cells and seeds for each setting")
    parser.add_argument("--jobs", type=int, default=2, help="processes side by side")
    parser.add_argument("--out", default=RESULTS)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    _, machine = describe_machine()
    rows = []
    with ProcessPoolExecutor(args.jobs, multiprocessing.get_context("spawn")) as pool:
        for found in pool.map(measured, samples(args.repeats)):
            rows.append(found)
            write_csv(rows, "rare", args.out)
    write_markdown(
        summary(pd.DataFrame(rows)),
        "rare",
        title="Rare types",
        machine=machine,
        command=f"python -m benchmarks.rare --repeats {args.repeats}",
        folder=args.out,
    )


def samples(repeats):
    """What is rare, how many cells of it there are, a seed, counts, and whether a cell is rare."""
    for repeat in range(repeats):
        rng = np.random.default_rng([3, repeat])
        for name, asked in REAL.items():
            adata, truth = labelled(name)
            for kind, among in asked:
                others = np.flatnonzero(np.isin(truth, among or sorted({*truth} - {kind, *NAMELESS})))
                own = np.flatnonzero(truth == kind)
                for size in (size for size in SIZES if size <= own.size):
                    rows = np.sort(np.concatenate([others, rng.choice(own, size, replace=False)]))
                    drawn = adata[rows].copy()
                    drawn.obs["type"] = truth[rows]
                    yield f"{name}: {kind}", kind, size, repeat, drop_empty(drawn)
        for fold in FOLDS:
            for size in SIZES:
                share = size / N_SIMULATED
                options = {"n_markers": 10, "log2_fold_change": fold, "random_state": 10 * repeat}
                adata = simulate(N_SIMULATED, 1500, group_shares=(1 - share, share), **options)
                adata.obs["type"] = adata.obs["group"].astype(str)
                kind = adata.obs["type"].value_counts().index[-1]
                yield f"simulated: 10 genes, fold {2**fold:.0f}", kind, size, repeat, drop_empty(adata)


def measured(sample):
    """How well each method finds one rare type, and whether its own labels stand."""
    warnings.simplefilter("ignore")
    what, kind, size, seed, adata = sample
    rare = adata.obs["type"].to_numpy() == kind
    values = graph_of(adata)
    sc.tl.leiden(values, 1.0, random_state=seed, key_added="plain, 1", **LEIDEN)
    tl.leiden(values, 1.0, random_state=seed, key_added="default, 1", **LEIDEN)
    tl.leiden(values, "auto", random_state=seed, key_added="auto", **LEIDEN)
    found = {"what": what, "cells": size, "seed": seed}
    found |= {method: best_overlap(values.obs[method], rare) for method in METHODS[:3]}
    tl.merge_clusters(values, "type", key_added="labels", random_state=seed)
    found["labels"] = best_overlap(values.obs["labels"], rare)
    return found


def best_overlap(labels, rare):
    """The largest Jaccard index of a cluster and the rare cells."""
    labels = labels.astype(str).to_numpy()
    return max(
        float((own & rare).sum() / (own | rare).sum()) for label in np.unique(labels) for own in [labels == label]
    )


def summary(rows):
    found = rows.assign(**{method: rows[method] >= 0.5 for method in METHODS})
    by_size = [
        {"cells": size, **{method: f"{int(of[method].sum())} of {len(of)}" for method in METHODS}}
        for size, of in found.groupby("cells")
    ]
    by_type = [
        {"type": what, "by": method, **{f"{size} cells": told(of, size, method) for size in SIZES}}
        for what, of in found.groupby("what", sort=False)
        for method in METHODS
    ]
    what = (
        "Runs that find the type, of all. plain: scanpy's Leiden; default: tl.leiden from that start; labels: "
        "tl.merge_clusters on the known types."
    )
    return [("By size", what, by_size), ("By type", "", by_type)]


def told(of, size, method):
    own = of[of["cells"] == size]
    return f"{int(own[method].sum())} of {len(own)}" if len(own) else None


if __name__ == "__main__":
    main()
