"""Given labels tested on one fold of the counts, by the clusters that another fold gives.

A test has no double dipping if the labels do not come from the counts that it looks at. The clusters of the first fold
do not, where the folds are independent; given labels do. So the clustering is repeated on the first fold, each of its
clusters is called as the given label that most of its cells have, and what is called alike is compared on the second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from recall_py.adata import keys
from recall_py.adata.folds import fold_layers, whole_counts
from recall_py.adata.labels import read_clusters
from recall_py.adata.neighbours import recorded_graph_params, scanpy_components, scanpy_graph
from recall_py.adata.read import read_counts, refuse_copy_of_file
from recall_py.adata.write import refuse_occupied, refuse_record_of_labels
from recall_py.arguments import ArgumentError
from recall_py.method.clustering.partition import GraphClusterer
from recall_py.method.clustering.sweep import Sweep
from recall_py.method.normalisation import log_normalised_block
from recall_py.method.params import RESOLUTION_CLUSTERERS, GraphParams, PartitionParams, resolve_seed
from recall_py.run.graph_clusters import AUTO
from recall_py.run.merge import test_adata
from recall_py.run.observe import CalibrationWarning, warn
from recall_py.run.split import split_counts
from recall_py.words import listed, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

    from recall_py.method.params import Rng

COUNTSPLIT = keys.COUNTSPLIT
_GRAPH = "connectivities"
_LEAST_AGAIN = 0.5
"""Share of cells with their own label again below which the user is told."""


class Clustering(NamedTuple):
    """What found given labels."""

    algorithm: str
    resolution: float | str
    """A number, or ``"auto"``."""


def test_on_folds(
    adata: AnnData,
    groupby: str,
    *,
    external: bool,
    key_added: str,
    batch_key: str | None,
    layer: str | None,
    genes: Sequence[str] | None,
    neighbors_key: str | None,
    obsp: str | None,
    modality: str | None,
    random_state: int | np.random.RandomState | None,
    rng: Rng | None,
    copy: bool,
    **others: Any,
) -> AnnData | None:
    """Test labels by the clusters of one fold on another; see :func:`recall_py.tl.test_clusters`."""
    for name, value in (("external", external), ("obsp", obsp), ("modality", modality)):
        if value:
            text = (
                "{name} cannot be used with {method:'countsplit'}, which clusters a fold of the counts of an AnnData "
                "anew. Leave it out."
            )
            raise ArgumentError(text, name=name)
    keys.refuse_unusable(key_added)
    refuse_copy_of_file(adata, copy=copy)
    refuse_occupied(adata, key_added)
    refuse_record_of_labels(adata, key_added)
    column = key_added + keys.AGAIN_SUFFIX
    if column in adata.obs and not _is_own(adata, key_added):
        text = "obs[{column!r}] is there already and is of no test; it would be lost. Pass another {key_added}."
        raise ArgumentError(text, column=column)
    labels = read_clusters(adata, groupby)
    clustering = recorded_clustering(adata, groupby)
    params, n_pcs = recorded_graph_params(adata, neighbors_key)
    seed = resolve_seed(random_state, rng)
    folds, first, second = two_folds(adata, layer, batch_key, seed)
    graph = graph_of_fold(folds, first, params, n_pcs, genes, seed)
    again = called_as(clusters_of(graph, clustering, seed), labels)
    folds.obs[column], folds.obsp[_GRAPH] = again, sparse.csr_matrix(graph)
    test_adata(
        folds,
        groupby=column,
        key_added=key_added,
        external=True,
        batch_key=batch_key,
        layer=second,
        genes=genes,
        neighbors_key=None,
        obsp=_GRAPH,
        modality=None,
        random_state=seed,
        rng=None,
        copy=False,
        lone=True,
        **others,
    )
    target = adata.copy() if copy else adata
    entry = folds.uns[key_added]
    entry[keys.PARAMS] |= {
        "method": COUNTSPLIT,
        "labels": groupby,
        "layer": layer or "",
        "neighbors_key": neighbors_key or "",
        "resolution": clustering.resolution,
        "connectivities": "",
        "external": False,
    }
    found = _found_again(labels, again)
    entry[keys.RECORD][keys.AGAIN] = found
    target.obs[column] = again
    target.uns[key_added] = entry
    warn(_messages(found), stacklevel=4)
    return target if copy else None


def two_folds(adata: AnnData, layer: str | None, batch_key: str | None, seed: int) -> tuple[AnnData, str, str]:
    """The cells with two folds of their counts as layers, and their names.

    The folds are those that ``tl.countsplit`` has left, else they are drawn anew.
    """
    import anndata as ad

    names = fold_layers(adata, keys.COUNTSPLIT)[:2]
    kept = [name for name in (keys.FEATURE_TYPES,) if name in adata.var]
    columns = {name: adata.obs[name] for name in (batch_key,) if name is not None and name in adata.obs}
    folds = ad.AnnData(obs=pd.DataFrame(columns, index=adata.obs_names), var=adata.var[kept].copy())
    if names:
        for name in names:
            folds.layers[name] = _all_of(adata, name)
        return folds, *names
    folds.X = _all_of(adata, layer)
    split_counts(
        folds,
        2,
        shares=None,
        model="poisson",
        size=None,
        layer=None,
        key_added=keys.COUNTSPLIT,
        random_state=seed,
        rng=None,
        copy=False,
    )
    return folds, *fold_layers(folds, keys.COUNTSPLIT)


def _all_of(adata: AnnData, layer: str | None) -> sparse.csr_matrix:
    counts, _ = whole_counts(adata, layer)
    return sparse.csr_matrix(counts.columns(np.ones(counts.shape[1], dtype=np.bool_)))


def graph_of_fold(
    folds: AnnData, layer: str, params: GraphParams, n_pcs: int | None, genes: Sequence[str] | None, seed: int
) -> sparse.csr_array:
    """Neighbours by the principal components of one fold, of genes that are chosen on it or named."""
    data = read_counts(folds, layer=layer, only=genes)
    values = log_normalised_block(sparse.csr_array(data.matrix.columns(data.chosen)), data.totals)
    return scanpy_graph(scanpy_components(sparse.csc_array(values), seed)[:, :n_pcs], params)


def clusters_of(graph: sparse.csr_array, clustering: Clustering, seed: int) -> NDArray[np.int32]:
    """The clustering repeated on another graph, by igraph."""
    if isinstance(clustering.resolution, str):
        return Sweep.of(graph, seed).lasting()
    params = PartitionParams(algorithm=clustering.algorithm, flavor="igraph", n_iterations=2)
    return GraphClusterer(graph, params, seed)(clustering.resolution).labels


def called_as(codes: NDArray[np.integer], labels: pd.Series[Any]) -> pd.Series[Any]:
    """Each cluster as the label that most of its cells have, the first of several; of cells without one, none."""
    counted = pd.crosstab(codes, labels.cat.codes.to_numpy()).drop(columns=-1, errors="ignore")
    names = labels.cat.categories[counted.columns[counted.to_numpy().argmax(axis=1)]].to_numpy(dtype=object, copy=True)
    names[counted.sum(axis=1).to_numpy() == 0] = None
    kept = [name for name in labels.cat.categories if name in set(names)]
    return pd.Series(pd.Categorical(names[codes], categories=kept), index=labels.index)


def recorded_clustering(adata: AnnData, groupby: str) -> Clustering:
    """What found the labels, as the record beside them says.

    Raises
    ------
    ValueError
        If there is none, or it is of a clustering that cannot be repeated on other counts.
    """
    entry = adata.uns.get(groupby)
    params = dict(entry.get(keys.PARAMS, {})) if hasattr(entry, "get") else {}
    record = entry.get(keys.RECORD, {}) if hasattr(entry, "get") else {}
    how = record.get(keys.CLUSTERING, {})
    resolution = how.get("resolution", params.get("resolution"))
    algorithm = str(how.get("algorithm", "leiden" if "n_iterations" in params else "louvain"))
    why = ""
    if resolution is None:
        why = f"uns[{groupby!r}] does not say by what resolution they were found"
    elif record and not how:
        why = "they come from a search with knockoff genes, which has its own test"
    elif "restrict_to" in params or "restrict_to" in how:
        why = "they come from a clustering of some of the cells alone"
    elif algorithm not in RESOLUTION_CLUSTERERS:
        why = f"{algorithm} has no resolution"
    if why:
        text = (
            "The labels obs[{groupby!r}] cannot be found again on a fold of the counts: {why}. Labels of sc.tl.leiden, "
            "recall_py.tl.leiden or recall_py.tl.louvain can. For others: {method:'pairs'}"
        )
        raise ArgumentError(text, groupby=groupby, why=why)
    found = np.ravel(resolution)[0]
    return Clustering(algorithm, AUTO if str(found) == AUTO else float(found))


def _is_own(adata: AnnData, key_added: str) -> bool:
    """Whether an earlier test of this kind is stored there."""
    entry = adata.uns.get(key_added, {})
    return hasattr(entry, "get") and keys.AGAIN in entry.get(keys.RECORD, {})


def _found_again(labels: pd.Series[Any], again: pd.Series[Any]) -> dict[str, NDArray[Any]]:
    """Of each label: the share of its cells that have it again, and what most of them are called."""
    counted = pd.crosstab(labels.to_numpy(dtype=object), again.to_numpy(dtype=object))
    counted = counted.reindex(index=list(labels.cat.categories), columns=list(again.cat.categories), fill_value=0)
    n_cells = labels.value_counts(sort=False).to_numpy()
    own = [int(counted.loc[name, name]) if name in counted.columns else 0 for name in counted.index]
    return {
        "label": counted.index.to_numpy(dtype=np.str_),
        "n_cells": n_cells,
        "again": np.array(own) / n_cells,
        "most": counted.columns[counted.to_numpy().argmax(axis=1)].to_numpy(dtype=np.str_),
        "found": np.isin(counted.index, counted.columns),
    }


def _messages(found: dict[str, NDArray[Any]]) -> list[CalibrationWarning]:
    """Which labels the fold has no cluster of, and whether the others are much the same."""
    messages = []
    if not found["found"].all():
        text = (
            "{n_lost} of {n_labels} labels have no cluster of their own on one fold of the counts: {names}. Each is "
            "counted as not supported, and belongs to what most of its cells are called there."
        )
        lost = found["label"][~found["found"]]
        messages.append(
            CalibrationWarning(text, n_lost=lost.size, n_labels=found["label"].size, names=listed(lost.tolist()))
        )
    share = float(np.average(found["again"], weights=found["n_cells"]))
    if share < _LEAST_AGAIN:
        text = (
            "Only {share} of the cells have their label again on one fold: the tests are of other clusters than given."
        )
        messages.append(CalibrationWarning(text, share=percent(share)))
    return messages
