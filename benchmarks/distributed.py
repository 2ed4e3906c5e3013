"""The run on dask workers beside the same run in memory: labels, time, and bytes between workers.

``python -m benchmarks.distributed --cells 100000``
"""

import argparse
import time

import anndata as ad
import dask
import h5py
import numpy as np
from anndata.experimental import read_elem_lazy
from distributed import Client, LocalCluster

from benchmarks.clusterings import search
from benchmarks.machine import describe_machine
from benchmarks.scale.data import add_data_arguments, counts_file
from benchmarks.tables import RESULTS, write_csv, write_markdown

OPTIONS = {"flavor": "igraph", "n_iterations": 2}
CHUNK = 8192
"""Cells in a chunk of the file."""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", default=RESULTS)
    add_data_arguments(parser)
    args = parser.parse_args()
    facts, machine = describe_machine("dask", "distributed")
    file = counts_file(args.cells, args)
    rows = [run(name, file, args.workers) for name in ("memory", "threads", "processes")]
    labels = [row.pop("labels") for row in rows]
    for row, found in zip(rows, labels, strict=True):
        row["labels as in memory"] = "yes" if np.array_equal(found, labels[0]) else "no"
        row["date"] = facts["date"]
    text = (
        f"{args.cells:,} cells, {args.selected:,} genes marked, `search(flavor='igraph', n_iterations=2)`. memory: "
        f"the file is loaded. threads: the counts are a dask array over the file, in chunks of {CHUNK:,} cells, on "
        f"dask's threads. processes: the same on a `LocalCluster` of {args.workers} workers with one thread each; what "
        "all workers together received from each other is counted. Reading the file is part of each run; the "
        "first one, in memory, compiles the search for neighbours (graph)."
    )
    write_csv(rows, "distributed", args.out)
    write_markdown(
        [("The same run on three engines", text, rows)],
        "distributed",
        title="On dask workers",
        machine=machine,
        command=f"python -m benchmarks.distributed --cells {args.cells} --workers {args.workers}",
        folder=args.out,
    )


def run(name, file, n_workers):
    """One row: what a run took and found on one engine."""
    if name == "memory":
        return {"engine": name} | timed(lambda: ad.read_h5ad(file))
    with h5py.File(file) as store:
        tables = {slot: ad.io.read_elem(store[slot]) for slot in ("obs", "var")}
        chunks = (CHUNK, store["X"].attrs["shape"][1])
        if name == "threads":
            with dask.config.set(scheduler="threads", num_workers=n_workers):
                return {"engine": name} | timed(lambda: ad.AnnData(read_elem_lazy(store["X"], chunks=chunks), **tables))
        with (
            LocalCluster(n_workers=n_workers, threads_per_worker=1, dashboard_address=None) as cluster,
            Client(cluster) as client,
        ):
            row = timed(lambda: ad.AnnData(read_elem_lazy(store["X"], chunks=chunks), **tables))
            log = client.run(lambda dask_worker: sum(entry["total"] for entry in dask_worker.transfer_incoming_log))
            return {"engine": name} | row | {"between workers [MB]": sum(log.values()) / 1e6}


def timed(read):
    """Seconds of reading and clustering, and the labels."""
    start = time.perf_counter()
    adata = read()
    search(adata, **OPTIONS)
    seconds = time.perf_counter() - start
    parts = {f"{name} [s]": float(value) for name, value in adata.uns["leiden"]["recall"]["seconds"].items()}
    return {"labels": adata.obs["leiden"].to_numpy(), "seconds": seconds, **parts}


if __name__ == "__main__":
    main()
