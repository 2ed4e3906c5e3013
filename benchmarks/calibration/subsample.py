"""Clusters of growing subsamples of one population: does the answer depend on the number of cells?

``python -m benchmarks.calibration.subsample``: simulated cells of one kind, with co-expression in every cell.
"""

import argparse
import warnings

import numpy as np

from benchmarks.accuracy import grouped
from benchmarks.clusterings import KEY, calibrated
from benchmarks.machine import describe_machine
from benchmarks.tables import RESULTS, write_csv, write_markdown
from recall_py import datasets

CELLS = (50, 100, 200, 400, 800, 1600)
SIMULATED = {"mean_depth": 20_000, "n_modules": 4, "module_sd": 0.5}
METHODS = {
    "recall-ZIP": {"call": "recall"},
    "knockoff-NB-depth": {"null_method": "NB-depth", "flavor": "igraph", "dims": 20},
    "knockoff-NB-depth-auc": {"null_method": "NB-depth", "flavor": "igraph", "dims": 20, "min_auc": 0.65},
    "calibrated": {"preset": "calibrated"},
    "calibrated-auc": {"preset": "calibrated", "min_auc": 0.65},
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", default=RESULTS)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    _, machine = describe_machine()
    rows = []
    for seed in range(args.seeds):
        population = datasets.simulate(n_cells=max(CELLS), random_state=seed, **SIMULATED)
        for n_cells in CELLS:
            chosen = np.random.default_rng(seed).choice(population.n_obs, n_cells, replace=False)
            for method, options in METHODS.items():
                adata = population[chosen].copy()
                calibrated(adata, seed, **options)
                rows.append({"seed": seed, "cells": n_cells, "method": method, "clusters": adata.obs[KEY].nunique()})
    table = []
    for (method,), runs in grouped(rows, "method"):
        by_size = {f"{n} cells": ", ".join(str(row["clusters"]) for row in runs if row["cells"] == n) for n in CELLS}
        table.append({"method": method, **by_size})
    text = f"Clusters per seed; one is right. Simulated with {SIMULATED}. auc: min_auc=0.65."
    write_csv(rows, "subsample", args.out)
    write_markdown(
        [("Clusters against the number of cells", text, table)],
        "subsample",
        title="Growing subsamples of one population",
        machine=machine,
        command=f"python -m benchmarks.calibration.subsample --seeds {args.seeds}",
        folder=args.out,
    )


if __name__ == "__main__":
    main()
