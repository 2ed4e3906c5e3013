"""Plain Leiden, the default, auto, the original's search, scstability and opticlust, on every real set in one run.

``pip install scstability==0.1.0 opticlust==0.5.0`` (Python 3.12), then ``python -m benchmarks.rivals [--seeds 1]``. A
package that is not there is left out, and the page says so.
"""

from __future__ import annotations

import argparse
import time
import warnings
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import scanpy as sc

from benchmarks.default import LEIDEN, agreement, graph_of, oracle, sets
from benchmarks.machine import describe_machine
from benchmarks.tables import RESULTS, write_csv, write_markdown
from recall_py import tl

RESOLUTIONS = np.round(np.arange(0.1, 2.01, 0.1), 1).tolist()
"""What scstability chooses from, which has no grid of its own."""
MIXED = "cd19b"
"""A sorted population that holds two types."""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds, from 0 on")
    parser.add_argument("--out", default=RESULTS)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    _, machine = describe_machine("scikit-learn")
    methods, absent = available()
    rows = []
    for name, adata, truth in sets():
        graph = graph_of(adata)
        best = None if truth is None else oracle(graph, truth)
        for seed in range(args.seeds):
            sc.pp.neighbors(graph, random_state=seed)
            for method, cluster in methods.items():
                rows.append(
                    {"set": name, "seed": seed, "method": method, **run(cluster, graph, truth, seed), "best": best}
                )
                print(rows[-1], flush=True)
    write_csv(rows, "rivals", args.out)
    write_markdown(
        summary(rows, methods, absent),
        "rivals",
        title="Beside other packages",
        machine=machine,
        command=f"python -m benchmarks.rivals --seeds {args.seeds}",
        folder=args.out,
    )


def plain(adata, seed):
    sc.tl.leiden(adata, 1.0, random_state=seed, **LEIDEN)
    return adata.obs["leiden"]


def default(adata, seed):
    tl.leiden(adata, random_state=seed, **LEIDEN)
    return adata.obs["leiden"]


def auto(adata, seed):
    tl.leiden(adata, "auto", random_state=seed)
    return adata.obs["leiden"]


def original(adata, seed):
    tl.recall(adata, random_state=seed)
    return adata.obs["recall_clusters"]


def scstability(adata, seed):
    from scstability import stability_sweep

    found = stability_sweep(adata, RESOLUTIONS, random_state=seed, progress=False)
    return found.reference_labels[found.recommend()]


def opticlust(adata, seed):
    from opticlust import clust, recommend

    sc.tl.umap(adata, random_state=seed)
    columns = clust.clustering(adata, cluster_kwargs={"random_state": seed, **LEIDEN})
    recommend.score_resolutions(adata, columns)
    return adata.obs[recommend.recommend_resolutions(adata)[0]]


METHODS = {
    "plain, 1": plain,
    "tl.leiden, 1": default,
    "auto": auto,
    "tl.recall": original,
    "scstability": scstability,
    "opticlust": opticlust,
}


def available():
    """Methods whose packages are there, and the names of those that are not."""
    absent = []
    for name in ("scstability", "opticlust"):
        try:
            version(name)
        except PackageNotFoundError:
            absent.append(name)
    return {name: method for name, method in METHODS.items() if name not in absent}, absent


def run(cluster, graph, truth, seed):
    adata = graph.copy()
    begun = time.process_time()
    try:
        labels = cluster(adata, seed).astype(str).to_numpy()
    except Exception as error:  # another package's; the page shows it
        return {"clusters": None, "ARI": None, "CPU [s]": time.process_time() - begun, "error": repr(error)[:200]}
    return {
        "clusters": len(set(labels)),
        "ARI": None if truth is None else agreement(truth, labels),
        "CPU [s]": time.process_time() - begun,
        "error": "",
    }


def summary(rows, methods, absent):
    labelled, pure = [], []
    for name in dict.fromkeys(row["set"] for row in rows):
        own = {method: [row for row in rows if (row["set"], row["method"]) == (name, method)] for method in methods}
        if own["auto"][0]["best"] is None:
            pure.append(
                {"set": name, **{method: " ".join(str(row["clusters"]) for row in of) for method, of in own.items()}}
            )
        else:
            labelled.append(
                {
                    "set": name,
                    **{method: mean_of(of) for method, of in own.items()},
                    "best plain": own["auto"][0]["best"],
                }
            )
    names = [*methods, "best plain"]
    for told, of_sets in (("mean", np.nanmean), ("worst", np.nanmin)):
        sets_alone = [line for line in labelled if line["set"] not in ("mean", "worst")]
        labelled.append({"set": told, **{name: float(of_sets([line[name] for line in sets_alone])) for name in names}})
    one_kind = [row for row in rows if row["best"] is None and MIXED not in row["set"] and row["clusters"] is not None]
    split = {method: [row["clusters"] > 1 for row in one_kind if row["method"] == method] for method in methods}
    told_split = ", ".join(f"{method} {sum(of)} of {len(of)}" for method, of in split.items())
    cost = ", ".join(
        f"{method} {sum(row['CPU [s]'] for row in rows if row['method'] == method):.0f}" for method in methods
    )
    errors = sorted({f"{row['method']} on {row['set']}: {row['error']}" for row in rows if row["error"]})
    notes = f" Not installed: {', '.join(absent)}." if absent else ""
    notes += f" Errors: {'; '.join(errors)}." if errors else ""
    return [
        (
            "Agreement with the truth",
            "ARI. Same graph and seed for all but tl.recall, which makes its own. scstability: the resolution that it "
            f"recommends of {RESOLUTIONS[0]} to {RESOLUTIONS[-1]}; opticlust: the first that it recommends of its "
            f"81. best plain: of 24 resolutions, chosen by the truth. "
            f"Seconds of CPU for all sets: {cost}.{notes}",
            labelled,
        ),
        (
            "One kind of cell",
            f"Clusters for each seed. Runs that end with more than one: {told_split}; zheng_cd19b_pure, which holds "
            "naive and memory B cells, is not counted.",
            pure,
        ),
    ]


def mean_of(rows):
    values = [row["ARI"] for row in rows if row["ARI"] is not None]
    return float(np.mean(values)) if values else float("nan")


if __name__ == "__main__":
    main()
