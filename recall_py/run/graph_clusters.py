"""Clusters of the graph that an AnnData has, calibrated: cluster, read counts of few cells, merge, write once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from recall_py.adata import keys
from recall_py.adata.labels import read_labels, restricted_cells
from recall_py.adata.merged import write_calibrated
from recall_py.adata.modality import with_counts
from recall_py.adata.neighbours import recorded_graph
from recall_py.adata.read import read_counts, refuse_copy_of_file, refuse_unusable
from recall_py.adata.write import refuse_occupied, refuse_start_of_others
from recall_py.method.params import MergeParams
from recall_py.run.merge import neighbours_on, refuse_too_many
from recall_py.run.observe import MergeLog, start_warnings, warn
from recall_py.words import listed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anndata import AnnData

    from recall_py.adata.neighbours import CellGraph

Cluster = Callable[["AnnData", str], None]
"""Clusters the cells of an AnnData that holds a neighbour graph; writes to its ``obs`` and ``uns`` as scanpy does."""


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

    key = asked.key_added
    keys.refuse_unusable(key)
    counts = with_counts(adata, asked.modality)
    refuse_unusable(counts)
    refuse_copy_of_file(counts, copy=asked.copy)
    refuse_occupied(adata, key)
    refuse_start_of_others(adata, key)
    cells = None if asked.restrict_to is None else restricted_cells(adata, asked.restrict_to)
    graph = _graph(adata, asked)
    data = read_counts(
        counts, layer=asked.layer, batch_key=asked.batch_key, cells=cells, only=asked.genes, by_rows=True
    )
    begun = time.perf_counter()
    labels, entry = _clustered(adata, cluster, graph, cells, key)
    clustered = time.perf_counter()
    prefix = "" if asked.restrict_to is None else f"{'-'.join(asked.restrict_to[1])},"
    names = [f"{prefix}{name}" for name in labels.cat.categories]
    everywhere = _everywhere(adata, labels, names, cells, asked)
    codes = labels.cat.codes.to_numpy().astype(np.int32)
    refuse_too_many(np.bincount(codes), MergeParams.min_cells, f"The clustering that would be obs[{key!r}]")
    n_cells, n_genes = data.shape
    start = logging.info(
        f"calibrating {len(names)} clusters of {n_cells} cells: {n_genes} genes ({data.selection}), counts from "
        f"{data.source}, neighbours by {graph.name}"
    )
    params = MergeParams(seed=asked.seed)
    merging = merge_clusters(
        codes,
        data.rows,
        neighbours_on(graph, cells, codes),
        params,
        batches=data.batches,
        observer=MergeLog(names, progress=asked.progress),
        n_jobs=asked.n_jobs,
    )
    seconds = {"cluster": clustered - begun, "merge": time.perf_counter() - clustered}
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
        params,
        merging,
        {**entry, keys.PARAMS: {**entry[keys.PARAMS], **_restriction(asked)}},
        {**clustering, "seconds": seconds},
    )
    warn(start_warnings(merging, names), stacklevel=4)
    logging.info(
        "    finished",
        time=start,
        deep=(
            f"{len(names)} clusters became {len(merging.members)}: added\n"
            f"    {key!r}, the cluster labels (adata.obs, categorical), and why (adata.uns)\n"
            f"    {key + keys.START_SUFFIX!r}, the labels at the start (adata.obs, categorical)"
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


def _clustered(
    adata: AnnData, cluster: Cluster, graph: CellGraph, cells: NDArray[np.bool_] | None, key: str
) -> tuple[pd.Series[Any], dict[str, Any]]:
    """Labels as categories and what ``uns`` has of them, of the cells that take part; `adata` is not touched."""
    import anndata as ad

    names = adata.obs_names if cells is None else adata.obs_names[cells]
    among = graph.among(cells)
    if len(names) > 1 and not sparse.csr_array(among).count_nonzero():
        msg = f"No edge of {graph.name} joins two of the {len(names)} cells that are to be clustered."
        raise ValueError(msg)
    holder = ad.AnnData(
        obs=pd.DataFrame(index=names),
        obsp={"connectivities": among},
        uns={keys.NEIGHBORS: {"connectivities_key": "connectivities", "distances_key": "distances", "params": {}}},
    )
    cluster(holder, key)
    return holder.obs[key], dict(holder.uns[key])


def _everywhere(
    adata: AnnData,
    labels: pd.Series[Any],
    names: Sequence[str],
    cells: NDArray[np.bool_] | None,
    asked: GraphClustering,
) -> pd.Series[Any]:
    """(n_obs,) labels at the start; those of other cells stay as they were, as in scanpy."""
    if asked.restrict_to is None or cells is None:
        return labels
    from natsort import natsorted

    everywhere = read_labels(adata, asked.restrict_to[0]).astype(str).to_numpy(dtype=object)
    taken = set(names) & set(everywhere[~cells].tolist())
    if taken:
        msg = (
            f"obs[{asked.restrict_to[0]!r}] has cells outside the restriction that are called {listed(sorted(taken))}, "
            "as the new clusters would be. Rename them first."
        )
        raise ValueError(msg)
    everywhere[cells] = np.asarray(names, dtype=object)[labels.cat.codes]
    return pd.Series(pd.Categorical(everywhere, categories=natsorted(set(everywhere))), index=adata.obs_names)


def _restriction(asked: GraphClustering) -> dict[str, Any]:
    if asked.restrict_to is None:
        return {}
    return {"restrict_to": f"{asked.restrict_to[0]}:{','.join(asked.restrict_to[1])}"}


def _given_names(asked: GraphClustering) -> dict[str, str]:
    """The arguments that name a slot or a column, where they were given."""
    names = ("layer", "batch_key", "neighbors_key", "obsp", "modality")
    return {name: str(value) for name in names if (value := getattr(asked, name)) is not None}
