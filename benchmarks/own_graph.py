"""What calibrating a clustering of one's own graph costs beside plain scanpy, in one process with warm kernels.

``python -m benchmarks.own_graph [--cells 3000 10000 100000] [--million]``
"""

from __future__ import annotations

import argparse
import time
import warnings

import anndata as ad
import numpy as np
import pandas as pd
import scanpy as sc
from scipy import sparse

from benchmarks.datasets import drop_empty, read
from benchmarks.default import LEIDEN, graph_of
from benchmarks.machine import describe_machine
from benchmarks.pbmc3k.runs import peak_mib
from benchmarks.r_bridge import resident_mib
from benchmarks.scale.data import CACHE, counts_file
from benchmarks.tables import RESULTS, write_csv, write_markdown
from recall_py import get, tl
from recall_py.datasets import simulate

CLUSTERS = (10, 30, 100)
GENES = (500, 2_000, 8_000)
PICTURE = RESULTS.parents[1] / "docs" / "own_graph.png"
LABELS_OF_A_MILLION = 40
SMALL, REPEATS = 20_000, 5
"""Sets with fewer cells are measured so often; the medians are told."""


class Spent:
    """CPU and wall seconds of what runs within."""

    def __enter__(self):
        self._cpu, self._wall = time.process_time(), time.perf_counter()
        return self

    def __exit__(self, *_):
        self.cpu, self.wall = time.process_time() - self._cpu, time.perf_counter() - self._wall


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, nargs="*", default=(10_000, 100_000), help="simulated cells")
    parser.add_argument("--million", action="store_true", help="a million cells too, counts in a file")
    parser.add_argument("--out", default=RESULTS)
    parser.add_argument("--picture", default=PICTURE)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    facts, machine = describe_machine()
    for n_cells in (300, 8_500):  # compiles what there is to compile; from 8,192 cells on neighbours are approximate
        tl.leiden(graph_of(simulate(n_cells, 500, group_shares=(0.5, 0.5))), 1, **LEIDEN)
    largest = [million()] if args.million else []  # first, while nothing is left in memory that it could use
    rows = [beside_scanpy("pbmc3k", read("pbmc3k")), beside_scanpy("neurons10k", read("neurons10k_1000g"))]
    rows += [beside_scanpy(f"simulated {n:,}", ad.read_h5ad(simulated(n, 20_000))) for n in args.cells]
    growth = [by_clusters(k) for k in CLUSTERS]
    wider = [by_genes(n_genes) for n_genes in GENES]
    sections = [
        ("Beside plain scanpy", BESIDE, rows),
        (
            "By the number of clusters",
            "20,000 simulated cells x 2,000 genes, ten kinds, each in random parts.",
            growth,
        ),
        (
            "By the number of genes",
            "5,000 simulated cells of ten kinds, all genes take part, .3 counts of each.",
            wider,
        ),
    ]
    if largest:
        sections.append(
            ("A million cells in a file", "Counts in CSR in an .h5ad file, backed; a graph at hand.", largest)
        )
    draw(rows, growth, args.picture)
    write_csv([facts | row for _, _, part in sections for row in part], "own_graph", args.out)
    cells = " ".join(map(str, args.cells))
    command = f"python -m benchmarks.own_graph --cells {cells}" + (" --million" if args.million else "")
    write_markdown(
        sections, "own_graph", title="The cost of a calibration", machine=machine, command=command, folder=args.out
    )


BESIDE = (
    "plain: most variable genes, totals, log1p, 50 components, 15 neighbours and Leiden at resolution 1 (igraph, two "
    "iterations). calibration: what tl.leiden takes beyond that Leiden. Ratio: CPU of both over CPU of plain. The "
    f"neighbours from 8,192 cells on are approximate. Medians of {REPEATS} runs below {SMALL:,} cells."
)


def simulated(n_cells, n_genes):
    return counts_file(n_cells, argparse.Namespace(source="pbmc3k", genes=n_genes, selected=2_000, seed=0, cache=CACHE))


def beside_scanpy(name, adata):
    """Plain scanpy, and the default from there."""
    counts = drop_empty(adata)
    graph_of(counts[:500])  # what depends on the kind of data is compiled
    times = []
    for _ in range(REPEATS if counts.n_obs < SMALL else 1):
        with Spent() as before:
            adata = graph_of(counts)
        with Spent() as clustering:
            sc.tl.leiden(adata, 1, key_added="plain", **LEIDEN)
        with Spent() as both:
            tl.leiden(adata, 1, key_added="calibrated", **LEIDEN)
        plain = before.cpu + clustering.cpu, before.wall + clustering.wall
        times.append((*plain, both.cpu - clustering.cpu, both.wall - clustering.wall))
    cpu, wall, more, waited = np.median(times, axis=0)
    n_pairs = len(get.pairs(adata, "calibrated")) + len(get.merges(adata, "calibrated"))
    return {
        "data": name,
        "cells": adata.n_obs,
        "clusters": f"{adata.obs['plain'].nunique()} -> {adata.obs['calibrated'].nunique()}",
        "pairs": n_pairs,
        "plain, CPU s": cpu,
        "calibration, CPU s": more,
        "CPU ms a pair": 1e3 * more / n_pairs,
        "ratio": (cpu + more) / cpu,
        "plain, wall s": wall,
        "calibration, wall s": waited,
    }


def by_clusters(k):
    """Cost of a calibration by the number of labels at the start."""
    adata = simulate(20_000, 2_000, group_shares=tuple([1 / 10] * 10), mean_depth=2500, random_state=0)
    kind = adata.obs["group"].cat.codes.to_numpy()
    part = np.random.default_rng(0).integers(k // 10, size=adata.n_obs)
    adata.obs["given"] = pd.Categorical((kind * (k // 10) + part).astype(str))
    with Spent() as spent:
        tl.merge_clusters(adata, "given")
    n = len(get.merges(adata, "given_merged"))
    return {
        "clusters": k,
        "left": adata.obs["given_merged"].nunique(),
        "merges": n,
        "CPU s": spent.cpu,
        "wall s": spent.wall,
    }


def by_genes(n_genes):
    """Cost of a tested pair by the number of genes that take part."""
    adata = simulate(5_000, n_genes, group_shares=tuple([1 / 10] * 10), mean_depth=0.3 * n_genes, random_state=0)
    with Spent() as spent:
        tl.merge_clusters(adata, "group", genes=adata.var_names)
    n_pairs = len(get.pairs(adata, "group_merged")) + len(get.merges(adata, "group_merged"))
    return {"genes": n_genes, "pairs": n_pairs, "CPU s": spent.cpu, "CPU ms a pair": 1e3 * spent.cpu / n_pairs}


def draw(rows, growth, path):
    """The cost beside plain scanpy by the number of cells, and the cost of merging by the number of labels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    beside, merging = figure.subplots(1, 2)
    rows = sorted(rows, key=lambda row: row["cells"])
    places = range(len(rows))
    plain, more = ([row[name] for row in rows] for name in ("plain, CPU s", "calibration, CPU s"))
    beside.bar(places, plain, color="0.7", label="plain scanpy")
    beside.bar(places, more, bottom=plain, color="C0", label="calibration")
    for place, row in enumerate(rows):
        total = row["plain, CPU s"] + row["calibration, CPU s"]
        beside.annotate(f"{row['ratio']:.2f} x", (place, total), (0, 2), textcoords="offset points", ha="center")
    beside.set_xticks(places, [f"{row['data'].split()[0]}\n{row['cells']:,}" for row in rows], fontsize=7)
    beside.set(ylabel="CPU s", title="From counts to labels")
    beside.margins(y=0.12)
    beside.legend(frameon=False)
    merging.plot([row["clusters"] for row in growth], [row["CPU s"] for row in growth], "C0o-")
    merging.set(xlabel="labels at the start", ylabel="CPU s", title="Merging labels of ten kinds, 20,000 cells")
    merging.set(xlim=(0, None), ylim=(0, None))
    for axis in (beside, merging):
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def million():
    """Labels on a graph at hand, counts in a file."""
    path = simulated(1_000_000, 2_000)
    adata = ad.read_h5ad(path, backed="r")
    kind = adata.obs["kind"].cat.codes.to_numpy()
    order = np.argsort(kind, kind="stable")
    n = order.size
    near = [sparse.coo_array((np.ones(n - s, np.float32), (order[:-s], order[s:])), (n, n)) for s in (1, 2, 3)]
    adata.obsp["connectivities"] = sparse.csr_matrix(sum(part + part.T for part in map(sparse.csr_array, near)))
    adata.uns["neighbors"] = {"connectivities_key": "connectivities", "distances_key": "distances", "params": {}}
    parts = -(-LABELS_OF_A_MILLION // np.unique(kind).size)
    within = np.empty(n, dtype=np.int64)
    within[order] = np.arange(n) * parts * np.unique(kind).size // n % parts
    adata.obs["given"] = pd.Categorical((kind.astype(int) * parts + within).astype(str))
    before = resident_mib()
    with Spent() as spent:
        tl.merge_clusters(adata, "given")
    return {
        "cells": n,
        "clusters": f"{adata.obs['given'].nunique()} -> {adata.obs['given_merged'].nunique()}",
        "CPU s": spent.cpu,
        "wall s": spent.wall,
        "memory beyond what was held, MiB": peak_mib() - before,
    }


if __name__ == "__main__":
    main()
