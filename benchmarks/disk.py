"""Files read in blocks and files loaded: time and peak memory until the counts are there, and of writing labels.

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
WAYS = {"blocks": "in blocks", "memory": "loaded"}
RUN = """
import hashlib, json, sys, time
from contextlib import nullcontext
from pathlib import Path
import anndata as ad
import numpy as np
import recall_py
from recall_py.files.store import opened, write_result
from recall_py.adata.read import read_counts

way, source, target = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])

def report(stage, start):
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 2**20
    print(json.dumps({"stage": stage, "seconds": time.perf_counter() - start, "peak_gib": peak}))

read_counts(recall_py.datasets.pbmc68k(), n_top_genes=500)  # compiles and imports
report("imports", time.perf_counter())
with opened(source) if way == "blocks" else nullcontext() as adata:
    start = time.perf_counter()
    adata = adata if way == "blocks" else ad.read_h5ad(source)
    data = read_counts(adata)
    report("read and select", start)
    start = time.perf_counter()
    adata.obs["found"] = adata.obs["type"]
    adata.uns["found"] = {"n": 1}
    if way == "blocks":
        write_result(adata, source, target, [("obs", None), ("uns", "found")], None)
    else:
        adata.write_h5ad(target, compression="gzip")
    report("write", start)
arrays = (data.read().counts.data, data.read().counts.indices, data.genes, data.totals)
print(json.dumps({"found": [hashlib.sha256(np.ascontiguousarray(array)).hexdigest() for array in arrays],
                  "selected_gib": (data.read().counts.data.nbytes + data.read().counts.indices.nbytes) / 2**30}))
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--out", default=RESULTS)
    args = parser.parse_args()
    _, machine = describe_machine("h5py")
    rows, found = [], []
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "cells.h5ad"
        n_stored = simulate(source, args.cells)
        for way, name in WAYS.items():
            command = [sys.executable, "-W", "ignore", "-c", RUN, way, str(source), str(Path(folder) / f"{way}.h5ad")]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            *stages, last = map(json.loads, done.stdout.splitlines())
            rows += [{"way": name, **stage} for stage in stages]
            found.append(last)
        size = source.stat().st_size / 2**30
    if found[0] != found[1]:
        sys.exit("The two ways give other counts.")
    for row in rows:
        row |= {"seconds": round(row["seconds"], 1), "peak_gib": round(row["peak_gib"], 2)}
    what = (
        f"{args.cells:,} simulated cells x {N_GENES:,} genes of {N_TYPES} types, {n_stored:,} counts "
        f"({n_stored / args.cells / N_GENES:.1%} non-zero): {n_stored * 8 / 2**30:.2f} GiB in memory, {size:.2f} GiB "
        f"as packed .h5ad. 2,000 genes are selected, {found[0]['selected_gib']:.2f} GiB; the counts are the same "
        "both ways. Nothing is clustered: a column is added and the result is written. Peak memory is that of the "
        "process so far."
    )
    write_csv(rows, "disk", args.out)
    write_markdown(
        [("Time and peak memory", what, rows)],
        "disk",
        title="Files read in blocks",
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


if __name__ == "__main__":
    main()
