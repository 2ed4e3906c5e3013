"""The tables of a report about merged or tested clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from recall_py import get
from recall_py.adata.programmes import told
from recall_py.report.tables import MOST_PAIRS, NAMED_GENES, Table, markers_table
from recall_py.words import listed, shortened

if TYPE_CHECKING:
    from anndata import AnnData

    from recall_py.adata.stored import StoredMerging

_MEANING = {
    "seed": "seed of the null cells",
    "n_draws": "null draws of each pair",
    "alpha": "share of runs on one population that may split it",
    "near": "difference to it that is called near",
    "min_cells": "cells needed to be compared",
    "exact_below": "exact p-values below so many cells",
    "merge_small": "smaller clusters join their nearest",
    "external": "labels come from elsewhere than these counts",
    "n_best": "genes that are told of each pair",
}
_LONGEST = 40
"""Letters of a name at most, where it stands in many rows."""
_KINDS = {
    "pair": "null cells",
    "small": "too small to compare",
    "batch": "too few cells in the same batches: type or batch effect",
}


def merges_table(merges: pd.DataFrame) -> Table:
    """Every merge, in their order."""
    note = f"In their order: of the pairs with evidence of {_threshold(merges)} or less, the nearest first."
    return Table("merges", _named(merges, passes=False), note)


def pairs_table(pairs: pd.DataFrame) -> Table:
    """Every pair that was compared last, the weakest first."""
    order = pairs.sort_values("evidence", kind="stable")
    note = (
        "Evidence: how many times as far as needed the genes of the two lead their own nulls. p: the share of cuts of "
        f"one population that reach as much. A pair stands above {_threshold(pairs)}. Only neighbours are compared, "
        "unless all pairs were asked for."
    )
    if len(pairs) > MOST_PAIRS:
        note += f" The {MOST_PAIRS:,} weakest of {len(pairs):,} pairs are shown; get.pairs has them all."
    return Table("pairs", _named(order.head(MOST_PAIRS), passes=True), note)


def clusters_table(adata: AnnData, result: StoredMerging, clusters: pd.DataFrame) -> Table:
    """Every cluster: what it is made of, its nearest rival and its strongest markers."""
    best = get.markers(adata, result.key, by="cluster")
    genes = {name: table["gene"] for name, table in best.groupby("group")}
    none = pd.Series([], dtype=str)
    columns: dict[str, Any] = {
        "cluster": clusters["cluster"],
        "cells": clusters["n_cells"],
        "% of cells": 100.0 * clusters["n_cells"] / clusters["n_cells"].sum(),
    }
    if result.merges_clusters:
        columns["made of"] = clusters["start"].map(", ".join)
    else:
        columns["supported"] = np.where(clusters["supported"], "yes", "no")
        columns["would be merged with"] = clusters["merge_with"].replace("", "–")
    columns |= {
        "weakest against": clusters["weakest"].replace("", "–"),
        "evidence against it": clusters["evidence"],
        "near": _near(clusters["near"]),
        "strongest markers": [
            ", ".join(genes.get(name, none).head(NAMED_GENES)) or "–" for name in clusters["cluster"]
        ],
    }
    note = "Weakest against: the neighbour against which a cluster has least evidence."
    if "stability" in clusters:
        columns["stability"] = clusters["stability"]
        note += " Stability: the overlap with its best match in a run of Leiden, the mean over runs; 1 is the most."
    return Table("clusters", pd.DataFrame(columns), note)


def marker_genes_table(adata: AnnData, result: StoredMerging) -> Table:
    """As for every result; the names of unions, which can be long, are shortened."""
    table = markers_table(adata, result)
    names = [shortened(name, _LONGEST) for name in table.frame["cluster"]]
    return Table(table.name, table.frame.assign(cluster=names), table.note)


def parameters_table(result: StoredMerging) -> Table:
    """What was asked, and what was read."""
    record = result.record
    rows: dict[str, Any] = {
        "counts from": record["source"],
        "genes": f"{len(record['genes']):,}, {record['selection']}",
        "programmes": told(result.programmes) or "none: all genes count",
    }
    asked = dict(sorted({**result.clustering, **result.around}.items()))
    rows |= {
        name: value
        for name, value in asked.items()
        if name not in ("seconds", "random_state", *_MEANING) and value != ""
    }
    rows |= {meaning: result.params[name] for name, meaning in _MEANING.items()}
    frame = pd.DataFrame([(name, str(value)) for name, value in rows.items()], columns=["parameter", "value"])
    return Table("parameters", frame)


def _named(table: pd.DataFrame, *, passes: bool) -> pd.DataFrame:
    columns: dict[str, Any] = {
        "cluster": table["group"],
        "and": table["reference"],
        "cells": table["n_group"],
        "cells of the other": table["n_reference"],
        "evidence": table["evidence"],
        "p": table["p_value"],
        "near": _near(table["near"]),
        "compared by": table["kind"].map(_KINDS),
        "best genes": table["genes"].map(lambda genes: ", ".join(genes[:NAMED_GENES]) or "–"),
    }
    if "batches" in table:
        columns["batches compared"] = table["batches"].map(lambda names: listed(names) if names else "–")
    if table["programmes"].any():
        columns |= {"evidence with programmes": table["evidence_with_programmes"], "programmes": table["programmes"]}
    if passes:
        columns["passes"] = np.where(table["passes"], "yes", "no")
    return pd.DataFrame(columns)


def _threshold(table: pd.DataFrame) -> str:
    return f"{table['threshold'].max():.3g}" if len(table) else "the threshold"


def _near(flags: pd.Series[Any]) -> Any:
    return np.where(flags, "near", "")
