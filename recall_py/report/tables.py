"""The tables of a report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from recall_py import get
from recall_py.adata.recomputed import cluster_expression
from recall_py.words import percent

if TYPE_CHECKING:
    from anndata import AnnData

    from recall_py.adata.stored import StoredResult, StoredRun

MOST_PAIRS = 2_000
"""Rows of a table of pairs at most."""
_MOST_MARKERS = 4_000
NAMED_GENES = 6
"""Genes that are named of each cluster or pair."""


@dataclass(frozen=True)
class Table:
    """A table of the report."""

    name: str
    frame: pd.DataFrame
    note: str = ""


def steps_table(adata: AnnData, run: StoredRun) -> Table:
    """The steps of the search."""
    steps = get.iterations(adata, run.key)
    by_resolution = run.by_resolution
    named = steps.rename(
        columns={
            "level": "resolution" if by_resolution else "clusters asked for",
            "n_clusters": "clusters",
            "n_pairs": "pairs",
            "n_failing": "failing pairs",
            "min_selected": "selected genes of the weakest pair",
            "merged": "merged afterwards",
        }
    )
    named.insert(0, "step", np.arange(1, len(named) + 1))
    return Table("steps", named if steps["merged"].any() else named.drop(columns="merged afterwards"))


def clusters_table(adata: AnnData, run: StoredRun) -> Table:
    """Every cluster with its size, its weakest rival and its strongest markers."""
    sizes, matrix = run.sizes, run.pair_matrix()
    best = get.markers(adata, run.key, by="cluster")
    genes = {name: table["gene"] for name, table in best.groupby("group")}
    rows = []
    for code, name in enumerate(run.names.tolist()):
        tested = np.isfinite(matrix[code]).any()
        rival = int(np.nanargmin(matrix[code])) if tested else -1
        own = genes.get(name, pd.Series([], dtype=str))
        rows.append(
            {
                "cluster": name,
                "cells": int(sizes[code]),
                "% of cells": 100.0 * sizes[code] / sizes.sum(),
                "weakest rival": run.names[rival] if tested else "not tested",
                "genes against it": float(matrix[code, rival]) if tested else np.nan,
                "markers": len(own),
                "strongest markers": ", ".join(own.head(NAMED_GENES)) or "–",
            }
        )
    note = "Weakest rival: the cluster that the fewest selected genes tell it from."
    return Table("clusters", pd.DataFrame(rows), note)


def pairs_table(adata: AnnData, run: StoredRun) -> Table:
    """Every tested pair, the weakest first."""
    table = get.pairs(adata, run.key)
    if "false_share" in table:
        table = table.sort_values(["n_selected", "false_share"], ascending=[True, False], kind="stable")
        share = {"% false at best": 100.0 * table["false_share"].clip(upper=1.0)}
    else:  # recorded by an earlier version
        table, share = table.sort_values(["n_selected", "evidence"], kind="stable"), {}
    named = pd.DataFrame(
        {
            "cluster": table["group"],
            "and": table["reference"],
            "cells": table["n_group"],
            "cells of the other": table["n_reference"],
            "selected genes": table["n_selected"],
            "threshold of W": table["threshold"],
            **share,
            "passes": np.where(table["passes"], "yes", "no"),
        }
    )
    note = (
        "A gene is selected if its lead over its null gene, W, reaches the threshold: the lowest one at which the "
        f"share of false genes, estimated from the null genes, is {percent(run.filter.fdr)} at most. “% false at best” "
        "is the lowest share that any threshold gives: above the target, no gene can be selected and the pair fails. A "
        f"pair that passes has {run.filter.min_selected} selected genes or more."
    )
    if len(named) > MOST_PAIRS:
        note += f" The {MOST_PAIRS:,} weakest of {len(named):,} pairs are shown; get.pairs has them all."
    return Table("pairs", named.head(MOST_PAIRS), note)


def markers_table(adata: AnnData, run: StoredResult) -> Table:
    """Genes that are higher in a cluster than in at least one other, with their share of expressing cells."""
    table = get.markers(adata, run.key, by="cluster")
    n_all = len(table)
    table = table.groupby("group", sort=False).head(max(5, _MOST_MARKERS // run.n_clusters))
    genes = table["gene"].unique()
    share = cluster_expression(adata, run, genes)[1]
    row = np.array([run.code(name) for name in table["group"]], dtype=np.int64)
    column = pd.Index(genes).get_indexer(table["gene"])
    inside = share[row, column]
    sizes = run.sizes.astype(float)
    elsewhere = (sizes @ share)[column] - inside * sizes[row]
    named = pd.DataFrame(
        {
            "cluster": table["group"],
            "gene": table["gene"],
            "clusters it is higher than": table["n_pairs"],
            "W": table["w"],
            "AUC": table["auc"],
            "log2 fold change": table["log2_fold_change"],
            "% expressing": 100.0 * inside,
            "% expressing elsewhere": 100.0 * elsewhere / np.maximum(sizes.sum() - sizes[row], 1.0),
        }
    )
    note = "W, AUC and fold change are the smallest over the clusters that the gene is higher than."
    if len(named) < n_all:
        note += f" The strongest {len(named):,} of {n_all:,} rows are shown; get.markers has them all."
    return Table("markers", named, note)


def parameters_table(run: StoredRun) -> Table:
    """What was asked, and what was read."""
    read = {"counts from": run.record["source"], "genes": f"{len(run.record['genes']):,}, {run.record['selection']}"}
    extra = {name: value for name, value in run.around.items() if name in ("batch_key", "restrict_to", "neighbors_key")}
    rows = {**read, **extra, **run.params}
    if run.searched:
        rows |= {"components used": run.record["n_components"]}
    frame = pd.DataFrame([(name, str(value)) for name, value in rows.items()], columns=["parameter", "value"])
    return Table("parameters", frame)
