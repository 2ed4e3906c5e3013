"""A query of 1,000 cells on a reference in a file, and the reference with the query added: time and memory.

``python -m benchmarks.atlas [--cells 100000 1000000] [--labels 10 100]``
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from benchmarks.machine import describe_machine
from benchmarks.own_graph import Spent, simulated
from benchmarks.pbmc3k.runs import peak_mib
from benchmarks.r_bridge import resident_mib
from benchmarks.scale.data import CACHE, counts_file
from benchmarks.tables import RESULTS, write_csv, write_markdown
from recall_py import tl

N_GENES = 20_000
N_QUERY = 1_000
TEXT = """Simulated cells of ten kinds x 20,000 genes; the reference is an .h5ad file in CSR, not packed, opened with
`backed="r"`. With 100 labels each kind is cut in ten at random. `map_query` reads at most 500 cells of each label and
searches all of these, without an index. Right: query cells whose label is of their kind. Memory is the peak beyond what
was held before. `update_atlas` writes all cells to a new file. One run each, after a small one that compiles."""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, nargs="+", default=(100_000, 1_000_000), help="cells of the reference")
    parser.add_argument("--labels", type=int, nargs="+", choices=(10, 100), default=(10, 100))
    parser.add_argument("--out", default=RESULTS)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    _, machine = describe_machine("scikit-learn")
    query = ad.read_h5ad(
        counts_file(N_QUERY, argparse.Namespace(source="pbmc3k", genes=N_GENES, selected=2_000, seed=1, cache=CACHE))
    )
    query.obs_names = "query_" + query.obs_names
    tl.map_query(query[::2].copy(), query[1::2].copy(), "kind", same_platform=True)
    rows = []
    for n_cells in args.cells:
        for n_labels in args.labels:
            path, mapped = simulated(n_cells, N_GENES), query.copy()
            rows.append(mapping(path, n_labels, mapped))
            print(rows[-1], flush=True)
        rows[-1] |= updating(path, n_labels, mapped)
        print(rows[-1], flush=True)
    write_csv(rows, "atlas", args.out)
    cells, labels = (" ".join(map(str, given)) for given in (args.cells, args.labels))
    write_markdown(
        [("A query on a reference in a file", TEXT, rows)],
        "atlas",
        title="Queries on large references",
        machine=machine,
        command=f"python -m benchmarks.atlas --cells {cells} --labels {labels}",
        folder=args.out,
    )


def reference_of(path, n_labels):
    """The cells of a file with labels: each kind in parts at random."""
    reference = ad.read_h5ad(path, backed="r")
    kinds = reference.obs["kind"].astype(str)
    part = np.random.default_rng(0).integers(n_labels // 10, size=reference.n_obs)
    reference.obs["label"] = pd.Categorical(kinds + ":" + pd.Series(part, index=kinds.index).astype(str))
    return reference


def mapping(path, n_labels, query):
    """Cost of a mapping, which is written to `query`, and how often the kind is right."""
    reference = reference_of(path, n_labels)
    before = resident_mib()
    with Spent() as spent:
        tl.map_query(query, reference, "label", same_platform=True)
    right = query.obs["mapped"].astype(str).str.split(":").str[0] == query.obs["kind"].astype(str)
    return {
        "cells": reference.n_obs,
        "labels": reference.obs["label"].nunique(),
        "right": float(right.mean()),
        "map_query, wall s": spent.wall,
        "map_query, CPU s": spent.cpu,
        "map_query, MiB": peak_mib() - before,
    }


def updating(path, n_labels, query):
    """Cost of writing the reference with the query added."""
    reference = reference_of(path, n_labels)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        before = resident_mib()
        with Spent() as spent:
            tl.update_atlas(reference, query, output=Path(folder) / "atlas.h5ad").file.close()
        grown = peak_mib() - before
    return {"update_atlas, wall s": spent.wall, "update_atlas, CPU s": spent.cpu, "update_atlas, MiB": grown}


if __name__ == "__main__":
    main()
