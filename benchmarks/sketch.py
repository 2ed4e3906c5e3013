"""A sketch beside the run on all cells: adjusted Rand index, clusters and time.

``python -m benchmarks.sketch --cells 100000``
"""

import argparse
import time
import warnings

import anndata as ad
import numpy as np
from sklearn.metrics import adjusted_rand_score

from benchmarks.clusterings import search
from benchmarks.machine import describe_machine
from benchmarks.scale.data import add_data_arguments, counts_file
from benchmarks.scale.runs import KNOCKOFFS, LEIDEN
from benchmarks.tables import RESULTS, write_csv, write_markdown
from recall_py import CalibrationWarning

METHODS = ("resolution", "calibrated")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--sketches", type=int, nargs="+", default=[5_000, 10_000, 20_000, 50_000])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--resolution", type=float, default=1.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", default=RESULTS)
    add_data_arguments(parser)
    args = parser.parse_args()
    facts, machine = describe_machine("scikit-learn")
    adata = ad.read_h5ad(counts_file(args.cells, args))
    run(adata[:1000].copy(), "resolution", 500, 0, args.resolution)  # compiles
    rows = []
    for method in args.methods:
        of_method = []
        for sketch in (None, *args.sketches):
            for seed in range(args.seeds):
                labels, seconds = run(adata, method, sketch, seed, args.resolution)
                of_method.append(
                    {"method": method, "cells": sketch, "seed": seed, "seconds": seconds, "labels": labels}
                )
                print(method, sketch, seed, f"{seconds:.1f} s", len(np.unique(labels)), "clusters", flush=True)
        rows += compared(of_method, adata.obs["kind"])
    for row in rows:
        row["date"] = facts["date"]
    write_csv(rows, "sketch", args.out)
    text = (
        f"{args.cells:,} cells after {args.source}, {args.selected:,} genes marked, flavor='igraph', n_iterations=2, "
        f"start at resolution {args.resolution:g}, {args.seeds} seeds. ARI to all cells: with the runs on all cells, "
        "mean over them, in the first row with those of other seeds. ARI to the kinds: of the simulation. Ranges are "
        "over seeds. Seconds: the whole call, counts in memory, the quickest seed (the first one compiles the search "
        "for neighbours). Saved: share of the seconds of the run on all cells."
    )
    command = f"python -m benchmarks.sketch --cells {args.cells} --sketches {' '.join(map(str, args.sketches))}"
    command += f" --methods {' '.join(args.methods)} --resolution {args.resolution:g} --seeds {args.seeds}"
    write_markdown(
        [("Sketches", text, summarised(rows))],
        "sketch",
        title="Calibration on a sketch",
        machine=machine,
        command=command,
        folder=args.out,
    )


def run(adata, method, sketch, seed, resolution):
    """Labels and seconds of one call."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        start = time.perf_counter()
        search(adata, resolution, sketch=sketch, random_state=seed, key_added="found", **LEIDEN, **KNOCKOFFS[method])
        return adata.obs["found"].to_numpy().astype(str), time.perf_counter() - start


def compared(runs, kinds):
    """The runs of a method, each beside the runs on all cells."""
    whole = [run for run in runs if run["cells"] is None]
    found = []
    for run in runs:
        others = [other for other in whole if other is not run]
        found.append(
            {name: run[name] for name in ("method", "cells", "seed", "seconds")}
            | {
                "clusters": len(np.unique(run["labels"])),
                "ari_whole": float(np.mean([adjusted_rand_score(other["labels"], run["labels"]) for other in others]))
                if others
                else None,
                "ari_kinds": float(adjusted_rand_score(kinds, run["labels"])),
            }
        )
    return found


def summarised(rows):
    """One row for each method and size of the sketch."""
    groups = {}
    for row in rows:
        groups.setdefault((row["method"], row["cells"]), []).append(row)
    table = []
    for (method, cells), found in groups.items():
        seconds = min(row["seconds"] for row in found)
        of_all = min(row["seconds"] for row in groups[method, None])
        table.append(
            {
                "method": method,
                "sketch": f"{cells:,}" if cells else "all cells",
                "clusters": _range([row["clusters"] for row in found], "d"),
                "ARI to all cells": _range([row["ari_whole"] for row in found if row["ari_whole"] is not None], ".3f"),
                "ARI to the kinds": _range([row["ari_kinds"] for row in found], ".3f"),
                "seconds": float(seconds),
                "saved": f"{1 - seconds / of_all:.0%}",
            }
        )
    return table


def _range(values, form):
    if not values:
        return "-"
    low, high = min(values), max(values)
    return f"{low:{form}}" if low == high else f"{low:{form}} to {high:{form}}"


if __name__ == "__main__":
    main()
