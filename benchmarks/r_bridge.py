"""The bridge to R: FindClustersRecall on a Seurat object against the same run in Python alone, in time and memory.

``r_bridge/tests/run python -m benchmarks.r_bridge``, or without the first word where R, Seurat 5 and rpy2 are.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import scanpy as sc

from benchmarks.datasets import drop_empty, read
from benchmarks.machine import describe_machine
from benchmarks.pbmc3k.runs import peak_mib, quiet
from benchmarks.tables import RESULTS, write_csv, write_markdown

ROOT = Path(__file__).parents[1]
START = 2.0
R_PACKAGES = ("Seurat", "SeuratObject", "reticulate")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=[3_000, 30_000], help="3000 is PBMC 3k")
    parser.add_argument("--out", default=RESULTS)
    parser.add_argument("--python-run", metavar="FILE", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.python_run:
        python_run(args.python_run)
        return
    _, machine = describe_machine("rpy2")
    versions = ", ".join(f"{name} {r_version(name)}" for name in R_PACKAGES)
    rows = []
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as library:
        install_r_package(library)
        for size in args.sizes:
            files = write_files(dataset(size), Path(folder) / f"cells{size}")
            rows.append(compare(size, *files, args.repeats, library))
    what = (
        "Python: `tl.recall` on AnnData. R: `FindClustersRecall` on a Seurat object with the same counts and variable "
        f"features. Louvain from resolution {START:g}, ZIP, one thread, same seed: the labels are identical, else the "
        f"program stops. Fresh processes in turn, a small run first to load Python and compiled kernels; median of "
        f"{args.repeats}. Added is CPU time of the call beyond that of the Python call, because wall time depends "
        "on what else the machine does; outside the engine is wall time of R's call beyond the engine's stages."
    )
    memory = (
        "Of the whole process, before the call and at its peak, and the rise between. A dense copy of the selected "
        "genes would take the last column. Before the call, R holds all counts as doubles, Python as 32-bit numbers."
    )
    counted = [name for name in rows[0] if "[" not in name and "%" not in name]
    timed_columns = [name for name in rows[0] if "[s]" in name or "%" in name]
    measured = [name for name in rows[0] if "[MiB]" in name]
    sections = [
        ("Data", "PBMC 3k, and simulated cells of eight groups.", table(rows, counted)),
        ("Time", what, table(rows, ["cells", *timed_columns])),
        ("Memory", memory, table(rows, ["cells", *measured])),
    ]
    write_csv(rows, "r_bridge", args.out)
    write_markdown(
        sections,
        "r_bridge",
        title="The bridge to R",
        machine=f"{machine} R packages: {versions}.",
        command=f"r_bridge/tests/run python -m benchmarks.r_bridge --repeats {args.repeats}",
        folder=args.out,
    )


def table(rows, names):
    """The columns called `names`."""
    return [{name: row[name] for name in names} for row in rows]


def dataset(size):
    """Counts with 2,000 genes selected."""
    if size == 3_000:
        adata = drop_empty(read("pbmc3k"))
    else:
        from recall_py.datasets import simulate

        adata = drop_empty(simulate(size, 12_000, group_shares=(0.125,) * 8, mean_depth=3000, n_markers=80))
    adata.var_names = [name.replace("_", "-") for name in adata.var_names]
    sc.pp.highly_variable_genes(adata, flavor="seurat_v3", n_top_genes=2000)
    return adata


def write_files(adata, stem):
    """The same counts as .h5ad and as a Seurat object in .rds."""
    from recall_py import seurat

    files = stem.with_suffix(".h5ad"), stem.with_suffix(".rds")
    adata.write_h5ad(files[0])
    seurat.write_rds(seurat.to_seurat(adata), files[1])
    return files


def python_run(file):
    """One run in this fresh process; prints one line of JSON."""
    import anndata as ad

    from recall_py import datasets, tl

    quiet()
    warnings.simplefilter("ignore")
    tl.recall(datasets.pbmc68k(), n_jobs=1)
    adata = ad.read_h5ad(file)
    before = resident_mib()
    start = time.perf_counter(), time.process_time()
    tl.recall(adata, START, n_jobs=1)
    seconds, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
    record = adata.uns["recall_clusters"]["recall"]
    labels = adata.obs["recall_clusters"].astype(int).tolist()
    print(
        json.dumps(
            {
                "seconds": seconds,
                "cpu": cpu,
                "engine": float(sum(record["seconds"].values())),
                "before": before,
                "peak": peak_mib(),
                "labels": labels,
                "shape": adata.shape,
                "selected": int(adata.var["highly_variable"].sum()),
                "non_zeros": int(adata.X.nnz),
            }
        )
    )


def compare(size, h5ad, rds, repeats, library):
    """Both runs in turn."""
    runs = {"python": [], "r": []}
    commands = {
        "python": [sys.executable, "-m", "benchmarks.r_bridge", "--python-run", str(h5ad)],
        "r": ["Rscript", str(ROOT / "benchmarks" / "r_bridge.R"), str(rds), str(START)],
    }
    for _ in range(repeats):
        for name, command in commands.items():
            runs[name].append(json_of(command, library))
            print(size, name, {key: value for key, value in runs[name][-1].items() if key != "labels"}, flush=True)
    if any(run["labels"] != runs["python"][0]["labels"] for run in (*runs["python"], *runs["r"])):
        sys.exit(f"{size} cells: R and Python do not find the same labels.")
    one = runs["python"][0]
    taken = {name: statistics.median(run["seconds"] for run in runs[name]) for name in runs}
    cpu = {name: statistics.median(run["cpu"] for run in runs[name]) for name in runs}
    outside = statistics.median(run["seconds"] - run["engine"] for run in runs["r"])
    engine = statistics.median(run["engine"] for run in runs["r"])
    row = {
        "cells": one["shape"][0],
        "genes": one["shape"][1],
        "selected": one["selected"],
        "non-zeros": one["non_zeros"],
        "clusters": max(one["labels"]) + 1,
        "Python [s]": taken["python"],
        "R [s]": taken["r"],
        "Python, CPU [s]": cpu["python"],
        "R, CPU [s]": cpu["r"],
        "added CPU time, %": 100 * (cpu["r"] / cpu["python"] - 1),
        "outside the engine in R [s]": outside,
        "outside the engine in R, %": 100 * outside / engine,
    }
    for name, label in (("python", "Python"), ("r", "R")):
        row[f"{label}, before [MiB]"] = statistics.median(run["before"] for run in runs[name])
        row[f"{label}, peak [MiB]"] = statistics.median(run["peak"] for run in runs[name])
        row[f"{label}, rise [MiB]"] = row[f"{label}, peak [MiB]"] - row[f"{label}, before [MiB]"]
    row["one dense copy [MiB]"] = np.prod([one["shape"][0], one["selected"], 8]) / 2**20
    return row


def resident_mib():
    """Resident memory of this process now; the peak starts anew here."""
    Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:")) / 1024


def install_r_package(library):
    """Install recallpy into a library of its own."""
    command = ["R", "CMD", "INSTALL", "--no-docs", f"--library={library}", str(ROOT / "r_bridge")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")


def r_version(package):
    """Version of an R package."""
    code = f"cat(as.character(packageVersion('{package}')))"
    return subprocess.run(["Rscript", "-e", code], capture_output=True, text=True, check=True).stdout


def json_of(command, library):
    """The last line that a fresh process prints."""
    environment = {**os.environ, "R_LIBS": library, "RETICULATE_PYTHON": sys.executable}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
