"""How often runs on one population split it, and how often runs on two types find two: by alpha, start, size and depth.

``python -m benchmarks.one_population [--repeats 1]``

Populations are sorted, grown or simulated; types are two cell lines, two sorted populations, or simulated. Cells are
drawn without replacement; depth is thinned binomially.
"""

from __future__ import annotations

import argparse
import multiprocessing
import warnings
from concurrent.futures import ProcessPoolExecutor, as_completed

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.stats import binomtest

from benchmarks.datasets import drop_empty, read_singlets
from benchmarks.default import LEIDEN, agreement, graph_of
from benchmarks.machine import describe_machine
from benchmarks.power.pairs import PURE, SIMULATED
from benchmarks.tables import RESULTS, write_csv, write_markdown
from recall_py import tl
from recall_py.datasets import simulate
from recall_py.method.params import ALPHA

SIZES = (100, 300, 1000, 3000)
USUAL_SIZE = 300
"""Where start, alpha and depth are varied."""
DEPTHS = (1.0, 0.5, 0.2)
STARTS = ("auto", 0.5, 1.0, 2.0, 4.0)
FEW_STARTS = ("auto", 1.0)
ALPHAS = (0.01, 0.05, 0.2)
TWO = {"stoeckius_4lines_hto": ("K562", "KG1"), "zheng_facs3_500": ("cd56_NK", "bcell")}
"""Types that are easily told apart."""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1, help="draws of cells and seeds for each setting")
    parser.add_argument("--only", default="", help="take populations alone whose name begins so, such as simulated")
    parser.add_argument("--jobs", type=int, default=2, help="processes side by side")
    parser.add_argument("--out", default=RESULTS)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    _, machine = describe_machine("scikit-learn")
    rows = []
    with ProcessPoolExecutor(args.jobs, multiprocessing.get_context("spawn")) as pool:
        asked = [pool.submit(measured, cells) for cells in samples(args.repeats) if cells[0].startswith(args.only)]
        for done in as_completed(asked):
            rows += done.result()
            write_csv(rows, "one_population", args.out)
    rows = pd.DataFrame(rows).sort_values(["types", "cells", "size", "depth", "start", "alpha"], key=as_text)
    write_csv(rows, "one_population", args.out)
    write_markdown(
        summary(rows),
        "one_population",
        title="One population, and two types",
        machine=machine,
        command=f"python -m benchmarks.one_population --repeats {args.repeats}"
        + f" --only {args.only}" * bool(args.only),
        folder=args.out,
    )


def samples(repeats):
    """Cells, what they are, and how many types they hold."""
    for repeat in range(repeats):
        rng = np.random.default_rng([2, repeat])
        for name in {**PURE, **TWO}:
            adata = read_singlets(name)
            labels = adata.obs["truth"].astype(str).to_numpy()
            for kind in PURE.get(name, []):
                yield from by_size(f"{name} {kind}", adata[labels == kind], np.zeros((labels == kind).sum()), rng)
            if name in TWO:
                if missing := set(TWO[name]) - set(labels):
                    msg = f"{name} has no cells called {', '.join(missing)}."
                    raise ValueError(msg)
                chosen = np.isin(labels, TWO[name])
                yield from by_size(" and ".join(TWO[name]), adata[chosen], labels[chosen], rng)
        for name, options in SIMULATED.items():
            adata = simulate(max(SIZES), 1500, random_state=100 + repeat, **options)
            yield from by_size(f"simulated {name}", adata, np.zeros(adata.n_obs), rng)
        adata = simulate(max(SIZES), 1500, group_shares=(0.5, 0.5), n_markers=30, mean_depth=5000, random_state=repeat)
        yield from by_size("simulated, 30 markers", adata, adata.obs["group"].to_numpy(), rng)


def by_size(what, adata, truth, rng):
    """Cells drawn from a population, in several sizes, and of one size in several depths."""
    for size in (size for size in SIZES if size <= adata.n_obs):
        chosen = np.sort(rng.choice(adata.n_obs, size, replace=False))
        for depth in DEPTHS if size == USUAL_SIZE else (1.0,):
            drawn = adata[chosen].copy()
            drawn.X = sparse.csr_matrix(drawn.X)
            drawn.X.data = rng.binomial(drawn.X.data.astype(np.int64), depth).astype(np.float32)
            drawn.X.eliminate_zeros()
            drawn.obs["type"] = np.asarray(truth[chosen]).astype(str)
            yield what, drop_empty(drawn), size, depth, int(rng.integers(1 << 30))


def measured(cells):
    """The runs on one sample, in a process of its own."""
    warnings.simplefilter("ignore")
    return list(runs(*cells))


def as_text(column):
    return column.astype(str) if column.dtype == object else column


def runs(what, adata, size, depth, seed):
    """Clusters from each start and with each alpha."""
    graph = graph_of(adata)
    truth = adata.obs["type"].to_numpy()
    usual = depth == 1.0 and size == USUAL_SIZE
    for start in STARTS if usual else FEW_STARTS:
        for alpha in ALPHAS if usual and start in (1.0, 4.0) else (ALPHA,):
            found = graph.copy()
            tl.leiden(found, start, alpha=alpha, random_state=seed, **LEIDEN)
            labels = found.obs["leiden"].astype(str).to_numpy()
            yield {
                "cells": what,
                "types": len(set(truth)),
                "size": size,
                "depth": depth,
                "start": start,
                "alpha": alpha,
                "clusters": len(set(labels)),
                "ARI": agreement(truth, labels),
            }


def summary(rows):
    one, two = rows[rows["types"] == 1], rows[rows["types"] == 2]
    plain = (one["depth"] == 1.0) & (one["alpha"] == ALPHA)
    at_size = one["size"] == USUAL_SIZE
    by_start = [{"start": start, **split(one[plain & at_size & (one["start"] == start)])} for start in STARTS]
    by_alpha = [
        {"start": start, "alpha": alpha, **split(one[at_size & (one["depth"] == 1.0) & (one["start"] == start) & own])}
        for start in (1.0, 4.0)
        for alpha in ALPHAS
        for own in [one["alpha"] == alpha]
    ]
    flat = [
        {
            "size": size,
            **{f"{start}": told(one[plain & (one["size"] == size) & (one["start"] == start)]) for start in FEW_STARTS},
        }
        for size in SIZES
    ]
    thinned = at_size & (one["alpha"] == ALPHA)
    deep = [
        {
            "depth": depth,
            **{
                f"{start}": told(one[thinned & (one["depth"] == depth) & (one["start"] == start)])
                for start in FEW_STARTS
            },
        }
        for depth in DEPTHS
    ]
    split_runs = one[(one["clusters"] > 1) & (one["alpha"] == ALPHA)]
    which = [
        {
            "cells": what,
            "runs split": len(of),
            "settings": "; ".join(f"{r.size} cells, depth {r.depth:g}, from {r.start}" for r in of.itertuples()),
        }
        for what, of in split_runs.groupby("cells")
    ]
    types = [
        {
            "types": what,
            "size": size,
            "depth": depth,
            **{f"{row.start}": f"{row.clusters} ({row.ARI:.2f})" for row in of[of["alpha"] == ALPHA].itertuples()},
        }
        for (what, size, depth), of in two.groupby(["cells", "size", "depth"], sort=False)
    ]
    return [
        (
            "By start",
            f"Runs on {USUAL_SIZE} cells of one population that end with more than one cluster; alpha {ALPHA}.",
            by_start,
        ),
        ("By alpha", f"{USUAL_SIZE} cells.", by_alpha),
        ("By size", "Runs split, of all; by the start.", flat),
        ("By depth", f"{USUAL_SIZE} cells, of whose counts that share is kept.", deep),
        ("Which", "Populations that some run has split.", which),
        ("Two types", "Clusters found, and ARI; by the start.", types),
    ]


def split(rows):
    """How many runs are split, and the share with its 95 % interval."""
    hits, n = int((rows["clusters"] > 1).sum()), len(rows)
    if not n:
        return {}
    low, high = binomtest(hits, n).proportion_ci(method="wilson")
    return {"runs": n, "split": hits, "share": f"{hits / n:.3f} ({low:.3f} to {high:.3f})"}


def told(rows):
    return f"{int((rows['clusters'] > 1).sum())} of {len(rows)}" if len(rows) else "-"


if __name__ == "__main__":
    main()
