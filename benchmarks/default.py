"""The default beside plain Leiden, from the same start on the same graph, on every real set.

``python -m benchmarks.default [--seeds 3] [--resolutions 1 2]``
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
import scanpy as sc
from sklearn.metrics import adjusted_rand_score

from benchmarks.clusterings import KEY, search
from benchmarks.datasets import pure_populations, read_singlets
from benchmarks.machine import describe_machine
from benchmarks.tables import RESULTS, write_csv, write_markdown
from recall_py import tl

LABELLED = {
    "pbmc3k": "annotation",
    "zheng_facs9": "truth",
    "zheng_facs3_500": "truth",
    "stoeckius_4lines_hto": "truth",
    "mix3_celseq2": "truth",
    "rnamix_celseq2": "truth",
    "pancreas_baron350": "annotation",
}
"""Sets with labels, and their column."""
SCORED = {"stoeckius_4lines_hto": ["HEK", "K562", "KG1", "THP1"]}
"""Labels that count for the agreement, where not all do."""
METHODS = ("plain", "default", "knockoffs")
ORACLE = np.geomspace(0.02, 3.0, 24)
LEIDEN = {"flavor": "igraph", "n_iterations": 2}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0 on")
    parser.add_argument("--resolutions", type=float, nargs="+", default=(1.0, 2.0))
    parser.add_argument("--out", default=RESULTS)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    _, machine = describe_machine("scikit-learn")
    rows = []
    for name, adata, truth in sets():
        values = graph_of(adata)
        best = None if truth is None else oracle(values, truth)
        for resolution in args.resolutions:
            for seed in range(args.seeds):
                found = run(values, truth, resolution, seed)
                rows.append({"set": name, "resolution": resolution, "seed": seed, **found, "best plain, ARI": best})
                print(rows[-1], flush=True)
    write_csv(rows, "default", args.out)
    given = " ".join(f"{resolution:g}" for resolution in args.resolutions)
    command = f"python -m benchmarks.default --seeds {args.seeds} --resolutions {given}"
    write_markdown(
        summary(rows), "default", title="The default on real data", machine=machine, command=command, folder=args.out
    )


def sets():
    """Name, counts and labels that do not come from this clustering; no labels for a pure population."""
    for name in LABELLED:
        yield name, *labelled(name)
    for population in pure_populations():
        yield population.name, population.adata, None


def labelled(name):
    """Counts of a labelled set, and its labels; "" where a cell has none."""
    adata = read_singlets(name)
    labels = adata.obs[LABELLED[name]]
    return adata, np.where(labels.isna(), "", labels.astype(str))


def variable_genes(counts):
    """(n_genes,) the 2,000 most variable genes, or all if there are no more."""
    if counts.n_vars <= 2000:
        return np.ones(counts.n_vars, dtype=bool)
    found = sc.pp.highly_variable_genes(counts, flavor="seurat_v3", n_top_genes=2000, span=0.5, inplace=False)
    return found["highly_variable"].to_numpy()


def graph_of(adata):
    """scanpy's standard graph: totals to 10,000, log1p, 2,000 genes, no scaling, 50 components, 15 neighbours."""
    values = adata.copy()
    values.layers["counts"] = values.X.copy()
    values.var["highly_variable"] = variable_genes(values)
    sc.pp.normalize_total(values, target_sum=1e4)
    sc.pp.log1p(values)
    n_genes = int(values.var["highly_variable"].sum())
    sc.pp.pca(values, n_comps=min(50, (values.n_obs - 1) // 2, n_genes - 1), mask_var="highly_variable")
    sc.pp.neighbors(values)
    return values


def run(values, truth, resolution, seed):
    """One start, calibrated by the default, and the search with knockoffs from there."""
    adata = values.copy()
    begun = time.perf_counter()
    sc.tl.leiden(adata, resolution, random_state=seed, key_added="plain", **LEIDEN)
    plain = time.perf_counter()
    tl.leiden(adata, resolution, random_state=seed, key_added="default", **LEIDEN)
    done = time.perf_counter()
    n_components = adata.obsm["X_pca"].shape[1]
    search(adata, resolution, random_state=seed, key_added="knockoffs", dims=n_components, **LEIDEN)
    found = {"cells": adata.n_obs, "plain [s]": plain - begun, "default [s]": done - plain}
    for method in METHODS:
        labels = adata.obs[method].astype(str).to_numpy()
        found[f"{method}, clusters"] = len(set(labels))
        found[f"{method}, ARI"] = None if truth is None else agreement(truth, labels)
    return found


def agreement(truth, labels):
    """ARI over the cells that are scored."""
    scored = np.isin(truth, scored_kinds(truth))
    return float(adjusted_rand_score(truth[scored], labels[scored]))


def scored_kinds(truth):
    """Labels that count for the agreement: those of `SCORED` where the set is there, else all."""
    return next((kinds for kinds in SCORED.values() if set(kinds) <= set(truth)), sorted(set(truth) - {""}))


def oracle(values, truth):
    """The best ARI of plain Leiden at any resolution: what choosing by the truth would give."""
    found = []
    for resolution in ORACLE:
        sc.tl.leiden(values, resolution, key_added=KEY, **LEIDEN)
        found.append(agreement(truth, values.obs.pop(KEY).astype(str).to_numpy()))
    return max(found)


def summary(rows):
    """Tables of labelled sets and of pure populations; means over seeds."""
    labelled, pure = [], []
    for name, resolution in dict.fromkeys((row["set"], row["resolution"]) for row in rows):
        own = [row for row in rows if (row["set"], row["resolution"]) == (name, resolution)]
        line = {"set": name, "resolution": resolution, "cells": own[0]["cells"]}
        line |= {f"{method}, clusters": " ".join(str(row[f"{method}, clusters"]) for row in own) for method in METHODS}
        if own[0]["best plain, ARI"] is None:
            pure.append(line)
            continue
        line |= {f"{method}, ARI": float(np.mean([row[f"{method}, ARI"] for row in own])) for method in METHODS}
        labelled.append({**line, "best plain, ARI": own[0]["best plain, ARI"]})
    plain, default = (float(np.median([row[name] for row in rows])) for name in ("plain [s]", "default [s]"))
    how = (
        "From the same graph, start and seed: plain is scanpy's Leiden, default is tl.leiden, knockoffs the search on "
        "a graph of its own with the same parameters. best plain: the best of 24 resolutions, chosen by the truth. "
        f"Median seconds of a run: plain {plain:.2f}, default {default:.1f}, plain included."
    )
    return [
        ("Labelled sets", how, labelled),
        ("Means and worst sets", "ARI over the labelled sets.", means(labelled)),
        ("One kind of cell", "Clusters for each seed; zheng_cd19b_pure holds naive and memory B cells.", pure),
    ]


def means(labelled):
    """The mean and the lowest agreement of each method, by the start."""
    found = []
    for resolution in dict.fromkeys(line["resolution"] for line in labelled):
        own = [line for line in labelled if line["resolution"] == resolution]
        of_method = {method: [line[f"{method}, ARI"] for line in own] for method in METHODS}
        row = {f"{method}, mean": float(np.mean(values)) for method, values in of_method.items()}
        found.append({"resolution": resolution, **row} | {f"{name}, worst": min(v) for name, v in of_method.items()})
    return found


if __name__ == "__main__":
    main()
