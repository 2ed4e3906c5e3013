"""Number of clusters and agreement with known labels, on real data.

``python -m benchmarks.accuracy [--seeds 3] [--methods leiden-ZIP-resolution ...]``
"""

import argparse
import time
import warnings

import scanpy as sc
from sklearn.metrics import adjusted_rand_score

from benchmarks.clusterings import KEY, calibrated, tutorial_graph
from benchmarks.datasets import labelled_sets, pure_populations
from benchmarks.machine import describe_machine
from benchmarks.tables import RESULTS, write_csv, write_markdown
from recall_py import CalibrationWarning

PLAIN = "scanpy"
METHODS = (
    PLAIN,
    *(
        f"{name}-{null}-{how}"
        for name in ("leiden", "recall")
        for null in ("ZIP", "NB")
        for how in ("resolution", "merge")
    ),
)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0 on")
    parser.add_argument(
        "--methods", nargs="+", choices=METHODS, default=METHODS, metavar="METHOD", help=", ".join(METHODS)
    )
    parser.add_argument("--out", default=RESULTS)
    args = parser.parse_args()
    warnings.simplefilter("ignore", CalibrationWarning)
    warnings.filterwarnings("ignore", message=".*default backend for leiden", category=FutureWarning)
    warnings.filterwarnings("ignore", message="zero-centering a sparse array")
    _, machine = describe_machine("scikit-learn")

    for method in args.methods:
        run(next(labelled_sets()), method, 0)  # compile
    rows = []
    for dataset in (*labelled_sets(), *pure_populations()):
        for method in args.methods:
            rows += [run(dataset, method, seed) for seed in range(args.seeds)]
            print("; ".join(one_line(row) for row in rows[-args.seeds :]), flush=True)
    command = f"python -m benchmarks.accuracy --seeds {args.seeds}"
    if tuple(args.methods) != METHODS:
        command += f" --methods {' '.join(args.methods)}"
    write_csv(rows, "accuracy", args.out)
    write_markdown(
        summary(rows), "accuracy", title="Clusters on real data", machine=machine, command=command, folder=args.out
    )


def run(dataset, method, seed):
    """One clustering of one set, as a row; an error of the run is its result."""
    row = {
        "set": dataset.name,
        "method": method,
        "seed": seed,
        "pure": dataset.pure,
        "cells": dataset.adata.n_obs,
        "expected": dataset.expected,
        "most": dataset.most,
        "clusters": None,
        "ari": None,
        "split": None,
        "seconds": None,
        "dims": None,
        "start": None,
        "resolution": None,
        "iterations": None,
        "ended": None,
        "first_passed": None,
        "error": None,
        "error_at_defaults": None,
    }
    dims = None
    try:
        adata = dataset.adata.copy()
        start = time.perf_counter()
        try:
            found = cluster(adata, method, seed, dims)
        except ValueError as problem:
            if "principal components" not in str(problem) and "n_components" not in str(problem):
                raise
            row["error_at_defaults"] = str(problem)
            dims = fewer_components(adata.n_obs)
            start = time.perf_counter()
            found = cluster(adata, method, seed, dims)
    except ValueError as problem:
        return {**row, "error": str(problem)}
    row |= {"seconds": time.perf_counter() - start, **found}
    labels = adata.obs[KEY].astype(str).to_numpy()
    row["clusters"] = len(set(labels))
    if dataset.pure:
        row["split"] = row["clusters"] > dataset.most
    else:
        row["ari"] = adjusted_rand_score(dataset.truth[dataset.scored], labels[dataset.scored])
    return row


def fewer_components(n_cells):
    """Components for a set that has too few cells for 50."""
    return min(50, (n_cells - 1) // 2)


def cluster(adata, method, seed, dims):
    """Write labels to ``obs[KEY]``; returns how the run went. `dims` None leaves the default."""
    if method == PLAIN:
        return plain_leiden(adata, seed, dims or 50)
    name, null_method, strategy = method.split("-")
    options = {} if dims is None else {"dims": dims}
    calibrated(adata, seed, call=name, null_method=null_method, strategy=strategy, **options)
    record = adata.uns[KEY]["recall"]
    return {
        "dims": int(record["params"]["dims"]),
        "start": float(record["params"]["search_start"]),
        "resolution": float(record["level"]),
        "iterations": len(record["iterations"]["level"]),
        "ended": str(record["reason"]),
        "first_passed": bool(record["first_passed"]),
    }


def plain_leiden(adata, seed, dims):
    """The scanpy tutorial on the same genes: one Leiden at resolution 1."""
    if adata.n_vars > 2000:
        sc.pp.highly_variable_genes(adata, flavor="seurat_v3", n_top_genes=2000)
    else:
        adata.var["highly_variable"] = True
    genes = adata.var["highly_variable"].to_numpy()
    values = tutorial_graph(adata, dims, seed=seed, genes=genes)
    sc.tl.leiden(values, resolution=1, random_state=seed, key_added=KEY)
    adata.obs[KEY] = values.obs[KEY]
    return {"dims": dims, "start": 1.0, "resolution": 1.0, "iterations": 1, "ended": "plain"}


def one_line(row):
    """A row for the eye."""
    found = f"error: {row['error']}" if row["error"] else f"{row['clusters']} clusters"
    ari = "" if row["ari"] is None else f", ARI {row['ari']:.3f}"
    return f"{row['set']}, {row['method']}, seed {row['seed']}: {found}{ari}"


def summary(rows):
    """Tables for people: labelled sets, pure sets, share of pure runs that were split, and what went wrong."""
    labelled, pure, shares = [], [], []
    for (name, method), runs in grouped([row for row in rows if not row["pure"]], "set", "method"):
        ari = [row["ari"] for row in runs if row["ari"] is not None]
        labelled.append(
            {
                "set": name,
                "cells": runs[0]["cells"],
                "expected": runs[0]["expected"],
                "method": method,
                "clusters per seed": per_seed(runs, "clusters"),
                "ARI per seed": per_seed(runs, "ari", "{:.3f}"),
                "mean ARI": sum(ari) / len(ari) if ari else None,
                "ended": endings(runs),
                "seconds": sum(row["seconds"] or 0.0 for row in runs) / len(runs),
            }
        )
    for (name,), runs in grouped([row for row in rows if row["pure"]], "set"):
        methods = {method: per_seed(of_method, "clusters") for (method,), of_method in grouped(runs, "method")}
        expected = "1" if runs[0]["most"] == 1 else f"1 to {runs[0]['most']}"
        pure.append({"set": name, "cells": runs[0]["cells"], "expected": expected, **methods})
    for (method,), runs in grouped([row for row in rows if row["pure"] and row["most"] == 1], "method"):
        done = [row for row in runs if row["split"] is not None]
        split = sum(row["split"] for row in done)
        share = f"{split / len(done):.0%}" if done else None
        shares.append(
            {"method": method, "runs": len(done), "split": split, "share": share, "errors": len(runs) - len(done)}
        )
    problems = [
        {
            "set": name,
            "methods": ", ".join(dict.fromkeys(row["method"] for row in runs)),
            "runs": len(runs),
            "dims": dims,
            "error": error,
            "at defaults": default,
        }
        for (name, dims, error, default), runs in grouped(rows, "set", "dims", "error", "error_at_defaults")
        if error or default
    ]
    how = (
        "Genes seen in fewer than 3 cells and cells without counts are dropped before. leiden: the search by Leiden on "
        "scanpy's graph (start 1); recall: recall_py.tl.recall (start 0.8); then the null model and the strategy. "
        "scanpy: one plain Leiden at resolution 1 on the same genes, 50 components. Seeds from 0 on, one number each; "
        "a dash is an error. Ended: how many seeds ended how, (start) where no pair failed at the start. Seconds: mean "
        "of the runs."
    )
    return [
        ("Labelled sets", how + " stoeckius_4lines_hto: all cells clustered, the four lines scored.", labelled),
        ("Pure populations, clusters per seed", "Each clustered alone. B cells hold naive and memory cells.", pure),
        (
            "Share of pure runs that were split",
            "All pure populations but the B cells, for which 2 is right too.",
            shares,
        ),
        (
            "Errors, and runs with fewer components",
            "Where 50 components are refused at the defaults, min(50, (cells - 1) // 2) are used (column dims)."
            if problems
            else "None.",
            problems,
        ),
    ]


def grouped(rows, *names):
    """Rows by the values of `names`, in order of first appearance."""
    groups = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    return groups.items()


def per_seed(runs, name, form="{}"):
    return ", ".join("-" if row[name] is None else form.format(row[name]) for row in runs)


def endings(runs):
    """How the runs ended, with counts."""
    names = [(row["ended"] or "error") + (" (start)" if row["first_passed"] else "") for row in runs]
    return ", ".join(f"{names.count(name)} {name}" for name in dict.fromkeys(names))


if __name__ == "__main__":
    main()
