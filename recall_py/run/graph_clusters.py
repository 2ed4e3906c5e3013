"""Clusters of the graph that an AnnData has, calibrated: cluster, read counts of few cells, merge, write once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from recall_py.adata import keys
from recall_py.adata.labels import (
    batch_codes,
    in_natural_order,
    labels_everywhere,
    restricted_cells,
    restricted_prefix,
    told_restriction,
)
from recall_py.adata.merged import write_calibrated
from recall_py.adata.modality import with_counts
from recall_py.adata.neighbours import recorded_graph
from recall_py.adata.programmes import left_out, told
from recall_py.adata.read import read_counts, refuse_copy_of_file, refuse_no_counts, refuse_unusable
from recall_py.adata.write import refuse_columns_of_others, refuse_occupied
from recall_py.arguments import ArgumentError
from recall_py.method.params import MergeParams
from recall_py.run.merge import compare_each_on, neighbours_on, refuse_too_many
from recall_py.run.observe import MergeLog, start_warnings, tell_others, waiting, warn, warn_of_empty
from recall_py.run.unnamed_batches import unnamed_batches

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anndata import AnnData

    from recall_py.adata.neighbours import CellGraph
    from recall_py.method.clustering.sweep import Sweep

AUTO = "auto"
"""The resolution of clusters that last over a range of them."""
Cluster = Callable[["AnnData", str], "Sweep | None"]
"""Clusters the cells of an AnnData that holds a neighbour graph; writes to its ``obs`` and ``uns`` as scanpy does.

Gives the runs that the clusters come from, where there were many."""


def cluster_by(
    find: Callable[[sparse.csr_array], tuple[NDArray[np.int32], Sweep | None]], params: Mapping[str, Any]
) -> Cluster:
    """Write codes that are found on a graph, an edge by the mean of its two directions; `params` are recorded."""

    def cluster(cells: AnnData, key: str) -> Sweep | None:
        adjacency = sparse.csr_array(cells.obsp["connectivities"])
        codes, sweep = find(sparse.csr_array((adjacency + adjacency.T) / 2))
        names = pd.Index([str(code) for code in range(codes.max() + 1)])
        cells.obs[key] = pd.Categorical.from_codes(codes, names)
        cells.uns[key] = {keys.PARAMS: dict(params)}
        return sweep

    return cluster


@dataclass(frozen=True, kw_only=True)
class GraphClustering:
    """What is asked of a calibrated clustering of the graph at hand."""

    key_added: str
    restrict_to: tuple[str, Sequence[str]] | None
    neighbors_key: str | None
    obsp: str | None
    adjacency: Any
    layer: str | None
    batch_key: str | None
    genes: Sequence[str] | None
    programmes: tuple[str, ...]
    alpha: float
    modality: str | None
    seed: int
    n_jobs: int | None
    progress: bool
    copy: bool
    recorded: Mapping[str, Any]
    """What clusters, and its arguments: for the record."""


def calibrate_graph_clusters(adata: AnnData, cluster: Cluster, asked: GraphClustering) -> AnnData | None:
    """Cluster the graph of `adata` with `cluster` and merge what is not supported; see :func:`recall_py.tl.leiden`."""
    from scanpy import logging

    from recall_py.method.merging import merge_clusters
    from recall_py.method.pairs.outcomes import sampled_cells

    key, params = asked.key_added, MergeParams(alpha=asked.alpha, seed=asked.seed)
    keys.refuse_unusable(key)
    counts = with_counts(adata, asked.modality)
    refuse_unusable(counts)
    refuse_copy_of_file(counts, copy=asked.copy)
    refuse_occupied(adata, key)
    refuse_columns_of_others(adata, key, stability=asked.recorded.get("resolution") == AUTO)
    cells = None if asked.restrict_to is None else restricted_cells(adata, asked.restrict_to)
    graph = _graph(adata, asked).among(cells)
    where: dict[str, Any] = {"layer": asked.layer, "batch_key": asked.batch_key, "cells": cells, "only": asked.genes}
    refuse_no_counts(counts, **where)
    with waiting(progress=asked.progress) as wait:
        begun = time.perf_counter()
        wait.doing("clustering")
        cell_names = adata.obs_names if cells is None else adata.obs_names[cells]
        labels, entry, sweep = _clustered(cell_names, cluster, graph, key)
        clustered = time.perf_counter()
        prefix = restricted_prefix(asked.restrict_to)
        names = [f"{prefix}{name}" for name in labels.cat.categories]
        codes = labels.cat.codes.to_numpy().astype(np.int32)
        everywhere = labels
        if asked.restrict_to is not None and cells is not None:
            of_all = labels_everywhere(adata, asked.restrict_to, cells, np.asarray(names, dtype=object)[codes])
            everywhere = pd.Series(in_natural_order(of_all), index=adata.obs_names)
        refuse_too_many(np.bincount(codes), MergeParams.min_cells, f"The clustering that would be obs[{key!r}]")
        wait.doing("reading counts")
        sampled = sampled_cells(codes, batch_codes(counts, asked.batch_key, cells))
        data = read_counts(counts, sampled=sampled, **where)
        tell_others(data)
        warn_of_empty(int(data.empty.sum()), data.genes.size)
        no_support = left_out(pd.Index(data.genes), asked.programmes)
        read = time.perf_counter()
        wait.doing("finding neighbours")
        start = logging.info(
            f"calibrating {len(names)} clusters of {codes.size} cells: {data.genes.size} genes ({data.selection}), "
            f"counts from {data.source}, neighbours by {graph.name}"
            f"{'; ' if asked.programmes else ''}{told(no_support.presence)}"
        )
        merging = merge_clusters(
            codes,
            data.rows,
            neighbours_on(graph, codes),
            params,
            batches=data.batches,
            left_out=no_support.codes,
            observer=MergeLog(names, wait, no_support.presence, progress=asked.progress),
            n_jobs=asked.n_jobs,
            compare_each=compare_each_on(data),
        )
    seconds = {"cluster": clustered - begun, "read": read - clustered, "merge": time.perf_counter() - read}
    target = adata.copy() if asked.copy else adata
    clustering = {**asked.recorded, "graph": graph.name, **_given_names(asked)}
    if asked.restrict_to is not None:
        clustering["restrict_to"] = np.array([asked.restrict_to[0], *asked.restrict_to[1]], dtype=np.str_)
    write_calibrated(
        target,
        key,
        everywhere,
        cells,
        names,
        prefix,
        data,
        no_support,
        params,
        merging,
        {**entry, keys.PARAMS: {**entry[keys.PARAMS], **told_restriction(asked.restrict_to)}},
        {**clustering, "seconds": seconds},
        None if sweep is None else sweep.stability(merging.labels),
    )
    unnamed = [] if asked.batch_key else unnamed_batches(counts, cells, codes, merging.standing)
    warn([*start_warnings(merging, names, swept=sweep is not None), *unnamed], stacklevel=4)
    logging.info(
        "    finished",
        time=start,
        deep=(
            f"{len(names)} clusters became {len(merging.members)}: added\n"
            f"    {key!r}, the cluster labels (adata.obs, categorical), and why (adata.uns)\n"
            f"    {key + keys.START_SUFFIX!r}, the labels at the start (adata.obs, categorical)"
            + (f"\n    {key + keys.STABILITY_SUFFIX!r}, how stable each cell is (adata.obs, float)" if sweep else "")
        ),
    )
    return target if asked.copy else None


def _graph(adata: AnnData, asked: GraphClustering) -> CellGraph:
    graph = recorded_graph(adata, asked.neighbors_key, asked.obsp, asked.adjacency)
    if graph is not None:
        return graph
    there = f" obsp has {', '.join(adata.obsp)}: name it, obsp='...'." if len(adata.obsp) else ""
    msg = (
        f"adata records no neighbour graph (uns['neighbors']), and there is nothing to cluster without one.{there} "
        "Make one: sc.pp.pca(adata) and sc.pp.neighbors(adata), on log-normalised values; or, for knockoff genes that "
        "need no graph: method='knockoffs'"
    )
    raise ValueError(msg)


def refuse_no_resolution(resolution: float | str | None) -> None:
    """Refuse a number at which no clustering ends well."""
    if isinstance(resolution, int | float) and not 0.0 <= resolution < math.inf:
        text = "{resolution} is {value}; a finite number from 0 on is needed, such as 1."
        raise ArgumentError(text, value=resolution)


def refuse_no_edges(graph: CellGraph, n_cells: int) -> None:
    """Refuse a graph in which nothing can be clustered."""
    if n_cells > 1 and not sparse.csr_array(graph.stored).count_nonzero():
        msg = f"No edge of {graph.name} joins two of the {n_cells} cells that are to be clustered."
        raise ValueError(msg)


def _clustered(
    cells: pd.Index, cluster: Cluster, graph: CellGraph, key: str
) -> tuple[pd.Series[Any], dict[str, Any], Sweep | None]:
    """Labels of the named `cells` as categories, what ``uns`` has of them, and the runs that they come from.

    The user's object is not touched.
    """
    import anndata as ad

    refuse_no_edges(graph, len(cells))
    holder = ad.AnnData(
        obs=pd.DataFrame(index=cells),
        obsp={"connectivities": graph.stored},
        uns={keys.NEIGHBORS: {"connectivities_key": "connectivities", "distances_key": "distances", "params": {}}},
    )
    sweep = cluster(holder, key)
    return holder.obs[key], dict(holder.uns[key]), sweep


def _given_names(asked: GraphClustering) -> dict[str, str]:
    """The arguments that name a slot or a column, where they were given."""
    names = ("layer", "batch_key", "neighbors_key", "obsp", "modality")
    return {name: str(value) for name in names if (value := getattr(asked, name)) is not None}
