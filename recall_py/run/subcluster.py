"""Clusters inside clusters: genes, components and a graph of some cells alone, and the tree of what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recall_py.adata import keys
from recall_py.adata.labels import read_labels, restricted_cells, restricted_prefix
from recall_py.adata.neighbours import scanpy_components, scanpy_graph
from recall_py.adata.read import find_counts, named_genes
from recall_py.adata.write import refuse_labels_of_others
from recall_py.counts.selection import most_variable
from recall_py.method.normalisation import log_normalised_block
from recall_py.method.params import GraphParams
from recall_py.words import listed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from anndata import AnnData

FEWEST = 10
"""Cells below which there is nothing to look for inside."""


class Inside(NamedTuple):
    """What the cells inside a restriction are clustered by."""

    graph: sparse.csr_array
    """(n_obs, n_obs) with edges between the cells inside alone."""
    genes: list[str]
    """To compare clusters by: those given, or chosen among these cells."""


def graph_inside(
    adata: AnnData,
    restrict_to: tuple[str, Sequence[str]],
    *,
    use_rep: str | None,
    n_neighbors: int,
    n_top_genes: int,
    layer: str | None,
    genes: Sequence[str] | None,
    seed: int,
) -> Inside:
    """Neighbours among the cells of some labels, by what varies among them or by a recorded embedding."""
    cells = restricted_cells(adata, restrict_to)
    n_cells = int(cells.sum())
    if n_cells < FEWEST:
        msg = (
            f"obs[{restrict_to[0]!r}] has {n_cells} cells of {listed(list(restrict_to[1]))}; with fewer than {FEWEST} "
            "there is nothing to be found inside."
        )
        raise ValueError(msg)
    params = GraphParams(n_neighbors=min(n_neighbors, n_cells - 1), random_state=seed)
    found = find_counts(adata, layer, cells)
    if genes is not None:
        chosen = named_genes(found, genes)
    elif found.counts.shape[1] <= n_top_genes:
        chosen = found.counts.survey.stored > 0
    else:
        chosen = most_variable(found.counts, n_top_genes)[0] & (found.counts.survey.stored > 0)
    if use_rep is None:
        counts = found.counts.columns(chosen)
        scores = scanpy_components(log_normalised_block(counts, found.counts.totals), seed)
    else:
        scores = _recorded_scores(adata, use_rep)[cells]
    among = scanpy_graph(scores, params).tocoo()
    at = np.flatnonzero(cells)
    graph = sparse.csr_array((among.data, (at[among.row], at[among.col])), shape=(adata.n_obs, adata.n_obs))
    return Inside(graph, found.names[chosen].tolist())


def _recorded_scores(adata: AnnData, use_rep: str) -> NDArray[np.float64]:
    """(n_obs, n_dimensions) of a recorded embedding."""
    if use_rep not in adata.obsm:
        msg = f"obsm[{use_rep!r}] does not exist. obsm has: {listed(list(adata.obsm))}."
        raise KeyError(msg)
    scores = np.asarray(adata.obsm[use_rep], dtype=np.float64)
    if not np.isfinite(scores).all():
        msg = f"obsm[{use_rep!r}] has values that are NaN or infinite. Make it anew, or leave use_rep out."
        raise ValueError(msg)
    return scores


def refuse_lost_labels(adata: AnnData, key_added: str, groupby: str) -> None:
    """Refuse a key under which the labels to start from, or those of others, would be lost."""
    read_labels(adata, groupby)
    refuse_labels_of_others(adata, key_added, groupby)


def write_history(
    adata: AnnData, key: str, restrict_to: tuple[str, Sequence[str]], asked: Mapping[str, Any], call: str
) -> None:
    """Write the tree of all splits down to here beside the record of the last one, ``uns[key]["recall"]``."""
    groupby, groups = restrict_to
    record = adata.uns[key][keys.RECORD]
    clustering = record[keys.CLUSTERING]
    clustering |= {**{name: value for name, value in asked.items() if value is not None}, "call": call}
    clustering["graph"] = "the cells inside"
    before = _history(adata, groupby)
    evidence = _least_evidence(record)
    sizes = dict(zip(record["labels"].tolist(), record["sizes"].tolist(), strict=True))
    rows = [*before]
    known = {row["label"] for row in before}
    parent = restricted_prefix(restrict_to).removesuffix(",")
    if parent not in known:  # several labels, looked into as one
        sizes_before = {row["label"]: row["n_cells"] for row in before}
        n_cells = sum(sizes_before.get(name, 0) for name in groups)
        rows.append({"label": parent, "parent": "", "n_cells": n_cells, "key": groupby, "evidence": np.nan})
    rows += [
        {"label": label, "parent": parent, "n_cells": n_cells, "key": key, "evidence": evidence.get(label, np.nan)}
        for label, n_cells in sizes.items()
    ]
    record[keys.HISTORY] = {
        name: np.array([row[name] for row in rows], dtype=kind)
        for name, kind in (("label", str), ("parent", str), ("n_cells", int), ("key", str), ("evidence", float))
    }


def _history(adata: AnnData, groupby: str) -> list[dict[str, Any]]:
    """Rows of the tree that labels have; labels that have none are roots."""
    entry = adata.uns.get(groupby)
    stored = entry.get(keys.RECORD, {}).get(keys.HISTORY) if hasattr(entry, "get") else None
    if stored is None:
        sizes: pd.Series[int] = read_labels(adata, groupby).value_counts(sort=False)
        return [
            {"label": str(label), "parent": "", "n_cells": int(n_cells), "key": groupby, "evidence": np.nan}
            for label, n_cells in sizes.items()
            if n_cells
        ]
    return [
        {
            "label": str(label),
            "parent": str(parent),
            "n_cells": int(n_cells),
            "key": str(made),
            "evidence": float(evidence),
        }
        for label, parent, n_cells, made, evidence in zip(
            *(np.asarray(stored[name]) for name in ("label", "parent", "n_cells", "key", "evidence")), strict=True
        )
    ]


def _least_evidence(record: Mapping[str, Any]) -> dict[str, float]:
    """How far each cluster leads the neighbour that it leads least."""
    outcomes = record[keys.OUTCOMES]
    least: dict[str, float] = {}
    for at in np.flatnonzero(~outcomes["merged"] & (outcomes["kind"] == "pair")):
        for side in ("group", "reference"):
            name, evidence = str(outcomes[side][at]), float(outcomes["evidence"][at])
            least[name] = min(evidence, least.get(name, np.inf))
    return least
