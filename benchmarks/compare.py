"""``tl.compare`` on every real set: clusters, agreement with the truth, and seconds of each method.

``python -m benchmarks.compare [--methods plain default recall sc_shc countsplit] [--largest 10000]``
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
import pandas as pd

from benchmarks.default import graph_of, scored_kinds, sets
from benchmarks.machine import describe_machine
from benchmarks.tables import RESULTS, write_csv, write_markdown
from recall_py import tl

METHODS = ("plain", "default", "recall", "sc_shc", "countsplit")
LABEL = "known"
MIXED = "zheng_cd19b_pure"
"""A sorted population that holds two types."""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--largest", type=int, default=10_000, help="cells of the largest set that is taken")
    parser.add_argument("--out", default=RESULTS)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    _, machine = describe_machine("scikit-learn")
    rows = []
    for name, adata, truth in sets():
        if adata.n_obs > args.largest:
            continue
        cells = graph_of(adata)
        if truth is not None:
            cells.obs[LABEL] = pd.Categorical(np.where(np.isin(truth, scored_kinds(truth)), truth, None))
        table = tl.compare(cells, args.methods, label=None if truth is None else LABEL)
        for row in table.to_dict("records"):
            found = {"set": name, "cells": cells.n_obs, "method": row["method"], "clusters": row["n_clusters"]}
            rows.append({**found, "ARI": row.get("ari_label"), "CPU [s]": row["cpu_seconds"]})
            print(rows[-1], flush=True)
    write_csv(rows, "compare", args.out)
    write_markdown(
        summary(rows, args.methods),
        "compare",
        title="tl.compare on real sets",
        machine=machine,
        command=f"python -m benchmarks.compare --methods {' '.join(args.methods)} --largest {args.largest}",
        folder=args.out,
    )


def summary(rows, methods):
    """Agreement and clusters on labelled sets, clusters of pure populations, and seconds."""
    labelled, clusters, pure = [], [], []
    for name in dict.fromkeys(row["set"] for row in rows):
        own = {row["method"]: row for row in rows if row["set"] == name}
        counted = {"set": name, **{method: own[method]["clusters"] for method in methods}}
        if own[methods[0]]["ARI"] is None:
            pure.append(counted)
            continue
        labelled.append({"set": name, **{method: own[method]["ARI"] for method in methods}})
        clusters.append(counted)
    overall = [
        {"set": told, **{method: float(of_sets([line[method] for line in labelled])) for method in methods}}
        for told, of_sets in (("mean", np.mean), ("worst", np.min))
    ]
    one_kind = [line for line in pure if line["set"] != MIXED]
    split = ", ".join(f"{method} {sum(line[method] > 1 for line in one_kind)} of {len(one_kind)}" for method in methods)
    cost = ", ".join(
        f"{method} {sum(row['CPU [s]'] for row in rows if row['method'] == method):.0f}" for method in methods
    )
    return [
        (
            "Agreement with the truth",
            "ARI with the known labels, over the cells that have one. plain, default and countsplit at resolution 1 of "
            "scanpy's standard graph (countsplit: on a graph of its fold); recall and sc_shc with their defaults. "
            f"Seconds of CPU for all sets, with what is compiled: {cost}.",
            labelled + overall,
        ),
        ("Clusters of labelled sets", "", clusters),
        (
            "One kind of cell",
            f"Clusters. Populations that are split: {split}; {MIXED}, which holds naive and memory B cells, is not "
            "counted.",
            pure,
        ),
    ]


if __name__ == "__main__":
    main()
