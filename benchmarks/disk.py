"""Reading from disk: time and peak memory of a run that reads a file in blocks, and of one that loads it.

``python -m benchmarks.disk``
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.machine import describe_machine
from benchmarks.tables import RESULTS, write_csv, write_markdown

N_GENES = 20_000
N_TYPES = 8
DEPTH = 1600
BLOCK = 5000
STAGES = ("read", "cluster", "write")
WAYS = {"blocks": "read in blocks", "memory": "loaded"}
RUN = """
import json, sys, time
from contextlib import nullcontext
from pathlib import Path
import anndata as ad
import recall_py
from recall_py.blocks import reading_once
from recall_py.disk import opened, write_result
from recall_py.read import read_counts

way, source, target, n_cells = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
options = {"algorithm": "kmeans", "num_clusters_start": 8, "key_added": "found"}

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 2**20

recall_py.tl.recall(recall_py.datasets.pbmc68k(), **options)  # compiles and imports
print(json.dumps({"stage": "imports", "seconds": 0, "peak_gib": peak()}))
with reading_once(), opened(source) if way == "blocks" else nullcontext() as adata:
    start = time.perf_counter()
    adata = adata if way == "blocks" else ad.read_h5ad(source)
    read_counts(adata)
    print(json.dumps({"stage": "read", "seconds": time.perf_counter() - start, "peak_gib": peak()}))
    start = time.perf_counter()
    recall_py.tl.recall(adata, **options)
    print(json.dumps({"stage": "cluster", "seconds": time.perf_counter() - start, "peak_gib": peak()}))
    start = time.perf_counter()
    if way == "blocks":
        write_result(adata, source, target, [("obs", None), ("uns", "found")], None)
    else:
        adata.write_h5ad(target, compression="gzip")
    print(json.dumps({"stage": "write", "seconds": time.perf_counter() - start, "peak_gib": peak()}))
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--out", default=RESULTS)
    args = parser.parse_args()
    _, machine = describe_machine("h5py")
    rows, labels = [], {}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "cells.h5ad"
        n_stored = simulate(source, args.cells)
        for way, name in WAYS.items():
            target = Path(folder) / f"{way}.h5ad"
            command = [sys.executable, "-W", "ignore", "-c", RUN, way, str(source), str(target), str(args.cells)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
            rows += [{"way": name, **row} for row in found]
            labels[way] = labels_of(target)
        size = source.stat().st_size / 2**30
    if labels["blocks"] != labels["memory"]:
        sys.exit("The labels differ.")
    for row in rows:
        row |= {"seconds": round(row["seconds"], 1), "peak_gib": round(row["peak_gib"], 2)}
    what = (
        f"{args.cells:,} simulated cells x {N_GENES:,} genes of {N_TYPES} types, {n_stored:,} counts "
        f"({n_stored / args.cells / N_GENES:.1%} non-zero): {n_stored * 8 / 2**30:.2f} GiB in memory, {size:.2f} GiB "
        "as packed .h5ad. 2,000 genes are selected; k-means from 8 clusters. Both ways give the same labels. `read` is "
        "all before the null genes are drawn; `cluster` takes the counts from there. Peak memory is that of the "
        "process so far; after `imports` a run on 700 cells has been made."
    )
    write_csv(rows, "disk", args.out)
    write_markdown(
        [("Time and peak memory", what, rows)],
        "disk",
        title="Reading from disk",
        machine=machine,
        command=f"python -m benchmarks.disk --cells {args.cells}",
        folder=args.out,
    )


def simulate(path, n_cells):
    """Multinomial counts of cells of eight types, written block by block; returns the number of non-zero counts."""
    import anndata as ad
    import h5py
    import numpy as np
    import pandas as pd
    from anndata.io import sparse_dataset, write_elem
    from scipy import sparse

    rng = np.random.default_rng(0)
    weight = rng.lognormal(0, 1.2, N_GENES) * rng.lognormal(0, 0.5, (N_TYPES, N_GENES))
    share = np.cumsum(weight / weight.sum(axis=1, keepdims=True), axis=1)
    types = rng.integers(0, N_TYPES, n_cells)
    depths = np.maximum(200, rng.lognormal(np.log(DEPTH), 0.3, n_cells)).astype(int)
    ad.AnnData(
        obs=pd.DataFrame({"type": pd.Categorical(types.astype(str))}, index=[f"cell{i}" for i in range(n_cells)]),
        var=pd.DataFrame(index=[f"gene{i}" for i in range(N_GENES)]),
    ).write_h5ad(path)
    with h5py.File(path, "a") as file:
        for start in range(0, n_cells, BLOCK):
            cells = np.arange(start, min(start + BLOCK, n_cells))
            genes = [np.searchsorted(share[types[i]], rng.random(depths[i])).clip(max=N_GENES - 1) for i in cells]
            rows = np.repeat(cells - start, depths[cells])
            entries = np.ones(rows.size, dtype=np.float32), (rows, np.concatenate(genes))
            counts = sparse.csr_matrix(sparse.coo_matrix(entries, shape=(cells.size, N_GENES)))
            counts.indptr = counts.indptr.astype(np.int64)
            if start == 0:
                write_elem(file, "X", counts, dataset_kwargs={"compression": "gzip"})
            else:
                sparse_dataset(file["X"]).append(counts)
        return int(file["X/data"].shape[0])


def labels_of(path):
    import h5py

    with h5py.File(path) as file:
        return file["obs/found/codes"][...].tolist()


if __name__ == "__main__":
    main()
