"""Ways to go down the resolutions: single steps, strides, and Leiden started from the partition before.

``python -m benchmarks.search``
"""

import argparse
import dataclasses
import time

import anndata as ad
import numpy as np
from sklearn.metrics import adjusted_rand_score

from benchmarks.datasets import drop_empty, read
from benchmarks.machine import describe_machine
from benchmarks.scale.data import add_data_arguments, counts_file
from benchmarks.tables import RESULTS, write_csv, write_markdown
from recall_py.adata.neighbours import scanpy_graph
from recall_py.adata.read import read_counts
from recall_py.method.calibrate import ResolutionLadder, calibrate
from recall_py.method.clustering.components import MAX_COMPONENTS, embed, scale
from recall_py.method.clustering.partition import GraphClusterer
from recall_py.method.normalisation import log_normalise
from recall_py.method.pairs.against_knockoffs import KnockoffTest, SortedGeneTests
from recall_py.method.params import FilterParams, GraphParams, PartitionParams, SearchParams
from recall_py.method.pipeline import draw_knockoffs

SETS = ("pbmc3k", "mix3_celseq2", "rnamix_celseq2", "pancreas_baron350", "kang_pbmc_stim", "stoeckius_4lines_hto")
LEIDEN = PartitionParams(flavor="igraph", n_iterations=2)
REDUCTION = 0.2
FURTHER = 8
"""Levels below the one found at which failing is looked at again."""


class Warm(GraphClusterer):
    """Leiden from the partition that the call before has found."""

    def __call__(self, level):
        found = super().__call__(level)
        self._params = dataclasses.replace(LEIDEN, options={"initial_membership": found.labels.tolist()})
        return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument(
        "--cells", type=int, nargs="*", default=[100_000], help="sizes of simulated sets, beside --sets"
    )
    parser.add_argument("--start", type=float, default=4.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", default=RESULTS)
    add_data_arguments(parser)
    args = parser.parse_args()
    facts, machine = describe_machine()
    files = {f"{n_cells:,} simulated cells": counts_file(n_cells, args) for n_cells in args.cells}
    rows = []
    for name in (*args.sets, *files):
        for seed in range(args.seeds if name in args.sets else 1):
            adata = ad.read_h5ad(files[name]) if name in files else drop_empty(read(name))
            rows.append({"set": name, "seed": seed} | compare(adata, seed, args.start) | {"date": facts["date"]})
            print(rows[-1], flush=True)
    write_csv(rows, "search", args.out)
    text = (
        f"Knockoffs (ZIP), scanpy's graph on up to {MAX_COMPONENTS} components, igraph's Leiden with 2 iterations, "
        f"from resolution {args.start:g} down by a fifth at a time. Single steps: the default. Strides: `bisect=True`. "
        "Warm: single steps, each Leiden from the partition before. Seconds: Leiden and tests of pairs, without graph "
        "and sorting. ARI: of the labels with those of the single steps. Fails again: whether at one of the "
        f"{FURTHER} levels below the one found some pair fails, so that strides may find another level."
    )
    command = f"python -m benchmarks.search --sets {' '.join(args.sets)} --cells {' '.join(map(str, args.cells))}"
    write_markdown(
        [("Searches", text, [{k: v for k, v in row.items() if k != "date"} for row in rows])],
        "search",
        title="The search down the resolutions",
        machine=machine,
        command=f"{command} --start {args.start:g} --seeds {args.seeds}",
        folder=args.out,
    )


def compare(adata, seed, start):
    """One row: the three ways on the same graph and knockoffs."""
    cells = read_counts(adata).read()
    values = log_normalise(draw_knockoffs(cells, "ZIP", seed).counts)
    scores = embed(scale(values), min(MAX_COMPONENTS, (min(cells.counts.shape) - 1) // 2)).scores
    graph, genes = scanpy_graph(scores, GraphParams()), SortedGeneTests(values, FilterParams(), n_jobs=2)
    found = {
        "single": timed(GraphClusterer(graph, LEIDEN, seed), genes, SearchParams(start=start)),
        "strides": timed(GraphClusterer(graph, LEIDEN, seed), genes, SearchParams(start=start, bisect=True)),
        "warm": timed(Warm(graph, LEIDEN, seed), genes, SearchParams(start=start)),
    }
    single = found["single"][0]
    row = {"clusters": single.partition.n_clusters, "resolution": float(single.level)}
    for name, (search, seconds) in found.items():
        row |= {f"{name}: steps": len(search.iterations), f"{name} [s]": seconds}
        if name != "single":
            row[f"{name}: ARI"] = float(adjusted_rand_score(single.partition.labels, search.partition.labels))
    again = fails_below(GraphClusterer(graph, LEIDEN, seed), KnockoffTest(genes, FilterParams()), single.level)
    return row | {"fails again": "yes" if again else "no"}


def timed(cluster, genes, params):
    """The search and its seconds."""
    begun = time.perf_counter()
    search = calibrate(cluster, KnockoffTest(genes, FilterParams()), params, ResolutionLadder(REDUCTION))
    return search, time.perf_counter() - begun


def fails_below(cluster, test, level):
    """Whether a pair fails at one of the next levels."""
    levels = level * (1 - REDUCTION) ** np.arange(1, FURTHER + 1)
    return any(test(cluster(lower).labels).failing.any() for lower in levels)


if __name__ == "__main__":
    main()
