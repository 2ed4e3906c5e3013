"""Given labels merged, from AnnData to AnnData: read once, merge on plain arrays, write once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from recall_py.adata import keys
from recall_py.adata.labels import read_clusters
from recall_py.adata.merged import write_merging
from recall_py.adata.neighbours import recorded_graph
from recall_py.adata.read import read_counts, refuse_copy_of_file, refuse_unusable
from recall_py.adata.write import refuse_labels_of_others, refuse_occupied
from recall_py.method.pairs.table import MAX_CLUSTERS
from recall_py.method.params import MergeParams
from recall_py.run.observe import describe_outcome, merging_warnings, warn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData


def merge_adata(
    adata: AnnData,
    groupby: str,
    *,
    key_added: str | None = None,
    batch_key: str | None = None,
    layer: str | None = None,
    genes: Sequence[str] | None = None,
    neighbors_key: str | None = None,
    obsp: str | None = None,
    merge_small: bool = False,
    seed: int = 0,
    n_jobs: int | None = None,
    copy: bool = False,
) -> AnnData | None:
    """Merge the labels of ``obs[groupby]``; see :func:`recall_py.tl.merge_clusters`."""
    from scanpy import logging

    from recall_py.method.merging import merge_clusters
    from recall_py.method.pairs.neighbours import EdgeWeights

    key_added = f"{groupby}{keys.MERGED_SUFFIX}" if key_added is None else key_added
    keys.refuse_unusable(key_added)
    refuse_unusable(adata)
    refuse_copy_of_file(adata, copy=copy)
    labels = read_clusters(adata, groupby)
    names = labels.cat.categories.tolist()
    if len(names) > MAX_CLUSTERS:
        msg = (
            f"obs[{groupby!r}] has {len(names)} labels; at most {MAX_CLUSTERS} can be merged. "
            "Is this the column of the clusters?"
        )
        raise ValueError(msg)
    refuse_occupied(adata, key_added)
    refuse_labels_of_others(adata, key_added, groupby)
    graph = recorded_graph(adata, neighbors_key, obsp)
    data = read_counts(adata, layer=layer, batch_key=batch_key, only=genes)
    n_cells, n_genes = data.shape
    near_by = "their counts" if graph is None else f"obsp[{graph[1]!r}]"
    start = logging.info(
        f"merging obs[{groupby!r}]: {len(names)} labels of {n_cells} cells, {n_genes} genes ({data.selection}), "
        f"counts from {data.source}, neighbours by {near_by}"
    )
    counts = sparse.csr_array(data.read().counts)
    codes = labels.cat.codes.to_numpy().astype(np.int32)
    params = MergeParams(merge_small=merge_small, seed=seed)
    merging = merge_clusters(
        codes,
        lambda cells: counts[cells],
        None if graph is None else EdgeWeights(graph[0], codes),
        params,
        batches=data.batches,
        n_jobs=n_jobs,
    )
    for outcome in (*merging.merges, *(pair for pair in merging.standing if pair.near)):
        logging.info(f"    {describe_outcome(outcome, names)}")
    target = adata.copy() if copy else adata
    asked = {
        "groupby": groupby,
        "batch_key": batch_key or "",
        "layer": layer or "",
        "connectivities": "" if graph is None else graph[1],
        "merge_small": merge_small,
        "random_state": seed,
    }
    write_merging(target, key_added, groupby, names, data, params, merging, asked)
    warn(merging_warnings(merging, names, groupby), stacklevel=4)
    logging.info(
        "    finished",
        time=start,
        deep=(
            f"found {len(merging.members)} clusters and added\n"
            f"    {key_added!r}, the merged labels (adata.obs, categorical), and why (adata.uns)"
        ),
    )
    return target if copy else None
