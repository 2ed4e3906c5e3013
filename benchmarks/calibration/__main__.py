"""False clusters and found ones, for every way to calibrate: real sets, pure populations, simulations.

``python -m benchmarks.calibration --part development``: all methods, to choose from.
``python -m benchmarks.calibration --part "held out" --methods plain recall-ZIP calibrated``: what was chosen, once.
The split is in ``split.py``. Every method sees the same genes (2,000, seurat_v3, or all if fewer).
"""

import argparse
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import combinations
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, median

import numpy as np
import pandas as pd
import scanpy as sc
from sklearn.metrics import adjusted_rand_score

from benchmarks.accuracy import grouped, per_seed
from benchmarks.calibration.split import DEVELOPMENT, HELD_OUT, REAL, SIMULATED
from benchmarks.clusterings import KEY, calibrated, filter_tested, tutorial_graph
from benchmarks.datasets import drop_empty, mix3_singlets, read
from benchmarks.machine import describe_machine
from benchmarks.tables import RESULTS, write_csv, write_markdown
from recall_py import datasets
from recall_py.adata.read import read_counts

SCORED = {
    "stoeckius_4lines_hto": ["HEK", "K562", "KG1", "THP1"],
}
METHODS = {
    "plain": None,
    "recall-ZIP": {"call": "recall", "null_method": "ZIP"},
    "recall-NB": {"call": "recall", "null_method": "NB"},
    **{
        f"knockoff-{null}": {"null_method": null, "flavor": "igraph"}
        for null in ("ZIP", "NB", "NB-depth", "permutation", "NB-copula", "Gaussian-copula")
    },
    **{
        f"knockoff-{null}-merge": {"null_method": null, "flavor": "igraph", "strategy": "merge"}
        for null in ("ZIP", "NB-depth")
    },
    "knockoff-ZIP-3draws": {"null_method": "ZIP", "flavor": "igraph", "n_draws": 3},
    "calibrated": {"preset": "calibrated"},
    "calibrated-1draw": {"preset": "calibrated", "n_draws": 1},
    "calibrated-resolution": {"preset": "calibrated", "strategy": "resolution"},
}
LABEL_TESTS = {
    "knockoff ZIP": {"external": True},
    "knockoff NB-depth": {"external": True, "null_method": "NB-depth"},
    "synthetic": {},
}
ORACLE_RESOLUTIONS = np.geomspace(0.02, 3.0, 24)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=(DEVELOPMENT, HELD_OUT), default=DEVELOPMENT)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--keep", action="store_true", help="keep what the results hold of the other methods")
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side, one thread each")
    parser.add_argument("--out", default=RESULTS)
    args = parser.parse_args()
    _, machine = describe_machine("scikit-learn")
    tasks = [(args.part, name, method, args.seeds) for name in sets(args.part) for method in args.methods]
    tasks += [(args.part, name, "oracle", 1) for name, found in sets(args.part).items() if not found["pure"]]
    rows = []
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
        for done in pool.map(run_task, tasks):
            rows += done
            found = ", ".join(
                f"{row['clusters']}" + (f" ({row['ari']:.2f})" if row["ari"] is not None else "") for row in done
            )
            print(f"{done[0]['set']}, {done[0]['method']}: {found}", flush=True)
        lines = [] if args.part == DEVELOPMENT else SCORED["stoeckius_4lines_hto"]
        null_rows = list(pool.map(hashtag_null, [(kind, test, args.seeds) for kind in lines for test in LABEL_TESTS]))
    name = f"calibration_{args.part.replace(' ', '_')}"
    if args.keep:
        rows += kept_rows(Path(args.out) / f"{name}.csv", without={"oracle", *args.methods})
    rows.sort(key=lambda row: list(sets(args.part)).index(row["set"]))
    command = (
        f'python -m benchmarks.calibration --part "{args.part}" --seeds {args.seeds} --methods {" ".join(args.methods)}'
        + (" --keep" if args.keep else "")
    )
    write_csv(rows, name, args.out)
    write_markdown(
        [*summary(rows), *hashtag_section(null_rows)],
        name,
        title=f"Calibration: {args.part} sets",
        machine=machine,
        command=command,
        folder=args.out,
    )


def kept_rows(path, without):
    """Rows of an earlier run, of the methods that are still there."""
    stored = pd.read_csv(path).astype({"clusters": "Int64"}).astype(object)
    stored = stored[stored["method"].isin(set(METHODS) - without)]
    return stored.where(stored.notna(), None).to_dict("records")


@cache
def sets(part):
    """Sets of one part by name: ``adata`` with the selected genes, ``truth``, ``scored`` cells, ``pure`` or not."""
    found = {}
    for name, where in REAL.items():
        if where != part:
            continue
        raw = mix3_singlets() if name == "mix3_celseq2" else read(name)
        if name == "zheng_cd19b_pure":
            found[name] = as_set(raw, None)
            continue
        column = "annotation" if name in ("pbmc3k", "pancreas_baron350") else "truth"
        truth = raw.obs[column].astype(str).to_numpy()
        kinds = SCORED.get(name, sorted(set(truth)))
        found[name] = as_set(raw, column, kinds)
        if column == "truth":  # an annotation is no proof that a group is pure
            found |= {f"{name} {kind}": as_set(raw[truth == kind], None) for kind in kinds}
    for name, arguments in SIMULATED[part].items():
        raw = datasets.simulate(**arguments, random_state=17)
        pure = "group_shares" not in arguments
        found[name] = as_set(raw, None if pure else "group")
    return found


def as_set(raw, column, kinds=None):
    adata = drop_empty(raw)
    if adata.n_vars > 2000:
        genes = read_counts(adata).genes
        adata = drop_empty(adata[:, genes])
    truth = None if column is None else adata.obs[column].astype(str).to_numpy()
    scored = None if truth is None else np.isin(truth, kinds or sorted(set(truth)))
    return {"adata": adata, "truth": truth, "scored": scored, "pure": truth is None}


def run_task(task):
    """All seeds of one method on one set, as rows."""
    part, name, method, n_seeds = task
    warnings.simplefilter("ignore")
    data = sets(part)[name]
    if method == "oracle":
        return [oracle(name, data)]
    runs = [one_run(name, data, method, seed) for seed in range(n_seeds)]
    return [row for row, _ in runs] if data["pure"] else with_stability(runs)


def one_run(name, data, method, seed):
    adata = data["adata"].copy()
    start = time.perf_counter()
    error = None
    try:
        cluster(adata, method, seed)
        labels = adata.obs[KEY].astype(str).to_numpy()
    except ValueError as problem:
        error, labels = str(problem), None
    row = {"set": name, "method": method, "seed": seed, "pure": data["pure"], "cells": adata.n_obs}
    row |= {"expected": 1 if data["pure"] else len(set(data["truth"][data["scored"]]))}
    row |= {"clusters": None if labels is None else len(set(labels)), "ari": None, "stability": None}
    if labels is not None and not data["pure"]:
        row["ari"] = adjusted_rand_score(data["truth"][data["scored"]], labels[data["scored"]])
    return {**row, "seconds": time.perf_counter() - start, "error": error}, labels


def with_stability(runs):
    """Rows with the median ARI between the labels of all pairs of seeds."""
    labels = [found for _, found in runs if found is not None]
    between = [adjusted_rand_score(a, b) for a, b in combinations(labels, 2)]
    return [{**row, "stability": median(between) if between else None} for row, _ in runs]


def cluster(adata, method, seed):
    options = METHODS[method]
    most = None if min(adata.shape) > 51 else (min(adata.shape) - 1) // 2
    if options is None:
        values = tutorial_graph(adata, most or 50)
        sc.tl.leiden(values, resolution=1, random_state=seed, key_added=KEY, flavor="igraph", n_iterations=2)
        adata.obs[KEY] = values.obs[KEY]
        return
    few = {} if most is None or options.get("call") == "recall" or "preset" in options else {"dims": most}
    calibrated(adata, seed, n_jobs=1, **few, **options)


def oracle(name, data):
    """The best ARI that plain Leiden reaches at any resolution: what choosing by the truth would give."""
    values = tutorial_graph(data["adata"], 50 if min(data["adata"].shape) > 51 else 20)
    best = (-1.0, 0)
    for resolution in ORACLE_RESOLUTIONS:
        sc.tl.leiden(values, resolution=resolution, key_added=KEY, flavor="igraph", n_iterations=2)
        labels = values.obs[KEY].astype(str).to_numpy()
        ari = adjusted_rand_score(data["truth"][data["scored"]], labels[data["scored"]])
        best = max(best, (ari, len(set(labels))))
    expected = len(set(data["truth"][data["scored"]]))
    row = {"set": name, "method": "oracle", "seed": 0, "pure": False, "cells": values.n_obs, "expected": expected}
    return {**row, "clusters": best[1], "ari": best[0], "stability": None, "seconds": None, "error": None}


def summary(rows):
    """Tables for people."""
    overall, truth, pure = [], [], []
    oracles = {row["set"]: row["ari"] for row in rows if row["method"] == "oracle"}
    for (method,), runs in grouped([row for row in rows if row["method"] != "oracle"], "method"):
        real, simulated = (
            [
                row
                for row in runs
                if row["pure"] and row["clusters"] and row["set"] != "zheng_cd19b_pure" and is_sim(row) == sim
            ]
            for sim in (False, True)
        )
        labelled = [row for row in runs if row["ari"] is not None]
        overall.append(
            {
                "method": method,
                "real pure runs split": share(real),
                "simulated pure or continuous runs split": share(simulated),
                "mean ARI": mean(row["ari"] for row in labelled) if labelled else None,
                "mean ARI below the oracle": mean(oracles[row["set"]] - row["ari"] for row in labelled),
                "lowest stability": min(
                    (row["stability"] for row in labelled if row["stability"] is not None), default=None
                ),
                "mean seconds": mean(row["seconds"] for row in runs),
                "errors": sum(row["error"] is not None for row in runs),
            }
        )
    for (name, method), runs in grouped([row for row in rows if not row["pure"]], "set", "method"):
        found = [row["ari"] for row in runs if row["ari"] is not None]
        truth.append(
            {
                "set": name,
                "expected": runs[0]["expected"],
                "method": method,
                "clusters per seed": per_seed(runs, "clusters"),
                "mean ARI": mean(found) if found else None,
                "stability": runs[0]["stability"],
                "seconds": None if method == "oracle" else mean(row["seconds"] for row in runs),
            }
        )
    for (name,), runs in grouped([row for row in rows if row["pure"]], "set"):
        methods = {method: per_seed(of_method, "clusters") for (method,), of_method in grouped(runs, "method")}
        pure.append({"set": name, "cells": runs[0]["cells"], **methods})
    return [
        (
            "Overall",
            "Split: more than one cluster in a population of one kind. Stability: median ARI between the labels of two "
            "seeds, the lowest of the labelled sets. Oracle: the best ARI of plain Leiden over 24 resolutions.",
            overall,
        ),
        ("Labelled sets", "", truth),
        (
            "One kind of cell or continuous, clusters per seed",
            "zheng_cd19b_pure: 2 is defensible, left out of the shares.",
            pure,
        ),
    ]


def hashtag_null(task):
    """Hashtag replicates within one cell line, labels without any signal: pairs that pass one test."""
    kind, test, n_seeds = task
    warnings.simplefilter("ignore")
    raw = read("stoeckius_4lines_hto")
    adata = drop_empty(raw[(raw.obs["truth"] == kind).to_numpy()])
    passing = []
    for seed in range(n_seeds):
        filter_tested(adata, "batch", key_added=KEY, random_state=seed, n_jobs=1, **LABEL_TESTS[test])
        passing += adata.uns[KEY]["recall"]["pairs"]["passes"].tolist()
    return {"line": kind, "test": test, "pairs": len(passing), "passing": sum(passing)}


def hashtag_section(rows):
    text = "Tests by the filter on hashtag replicates within one cell line, which carry no signal; all seeds together."
    return [("Labels without signal", text, rows)] if rows else []


def is_sim(row):
    return any(row["set"] in scenarios for scenarios in SIMULATED.values())


def share(runs):
    split = sum(row["clusters"] > 1 for row in runs)
    return f"{split} of {len(runs)} ({split / len(runs):.0%})" if runs else None


if __name__ == "__main__":
    main()
