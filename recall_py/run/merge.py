"""Given labels merged or tested, from AnnData to AnnData: read once, compare on plain arrays, write once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recall_py.adata import keys
from recall_py.adata.labels import read_clusters
from recall_py.adata.merged import write_merging, write_tested
from recall_py.adata.modality import with_counts
from recall_py.adata.neighbours import recorded_graph
from recall_py.adata.read import read_counts, refuse_copy_of_file, refuse_unusable
from recall_py.adata.write import refuse_labels_of_others, refuse_occupied, refuse_record_of_labels
from recall_py.method.pairs.table import MAX_CLUSTERS
from recall_py.method.params import MergeParams
from recall_py.run.observe import MergeLog, finding_warnings, merging_warnings, warn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

    from recall_py.adata.neighbours import CellGraph
    from recall_py.adata.read import CountData
    from recall_py.method.pairs.neighbours import Neighbours


class GivenLabels(NamedTuple):
    """Labels to be compared, the counts of their cells, and which of them are neighbours."""

    names: list[str]
    codes: NDArray[np.int32]
    data: CountData
    neighbours: Neighbours | None


def merge_adata(
    adata: AnnData,
    groupby: str,
    *,
    key_added: str | None = None,
    external: bool = False,
    all_pairs: bool = False,
    batch_key: str | None = None,
    layer: str | None = None,
    genes: Sequence[str] | None = None,
    neighbors_key: str | None = None,
    obsp: str | None = None,
    modality: str | None = None,
    merge_small: bool = False,
    seed: int = 0,
    n_jobs: int | None = None,
    copy: bool = False,
) -> AnnData | None:
    """Merge the labels of ``obs[groupby]``; see :func:`recall_py.tl.merge_clusters`."""
    from scanpy import logging

    from recall_py.method.merging import merge_clusters

    key_added = f"{groupby}{keys.MERGED_SUFFIX}" if key_added is None else key_added
    counts = _accepted(adata, key_added, modality, copy=copy)
    refuse_labels_of_others(adata, key_added, groupby)
    graph = None if all_pairs else recorded_graph(adata, neighbors_key, obsp)
    given = _given_labels(adata, counts, groupby, graph, all_pairs, layer=layer, batch_key=batch_key, genes=genes)
    start = _begin("merging", groupby, given, graph, all_pairs=all_pairs)
    params = MergeParams(merge_small=merge_small, external=external, seed=seed)
    merging = merge_clusters(
        given.codes,
        given.data.rows,
        given.neighbours,
        params,
        batches=given.data.batches,
        observer=MergeLog(given.names),
        n_jobs=n_jobs,
    )
    target = adata.copy() if copy else adata
    asked = {
        **_asked(groupby, batch_key, layer, modality, graph, external=external, all_pairs=all_pairs),
        "merge_small": merge_small,
        "random_state": seed,
    }
    write_merging(target, key_added, groupby, given.names, given.data, params, merging, asked)
    warn(merging_warnings(merging, given.names, groupby), stacklevel=4)
    logging.info(
        "    finished",
        time=start,
        deep=(
            f"found {len(merging.members)} clusters and added\n"
            f"    {key_added!r}, the merged labels (adata.obs, categorical), and why (adata.uns)"
        ),
    )
    return target if copy else None


def test_adata(
    adata: AnnData,
    groupby: str,
    *,
    key_added: str = keys.PAIR_TESTS,
    external: bool = False,
    all_pairs: bool = False,
    batch_key: str | None = None,
    layer: str | None = None,
    genes: Sequence[str] | None = None,
    neighbors_key: str | None = None,
    obsp: str | None = None,
    modality: str | None = None,
    seed: int = 0,
    n_jobs: int | None = None,
    copy: bool = False,
) -> AnnData | None:
    """Test the labels of ``obs[groupby]``; see :func:`recall_py.tl.test_clusters`."""
    from scanpy import logging

    from recall_py.method.merging import test_clusters

    counts = _accepted(adata, key_added, modality, copy=copy)
    refuse_record_of_labels(adata, key_added)
    graph = None if all_pairs else recorded_graph(adata, neighbors_key, obsp)
    given = _given_labels(adata, counts, groupby, graph, all_pairs, layer=layer, batch_key=batch_key, genes=genes)
    params = MergeParams(merge_small=False, external=external, seed=seed)
    _refuse_no_pair(given, groupby, params.min_cells)
    start = _begin("testing", groupby, given, graph, all_pairs=all_pairs)
    tested = test_clusters(
        given.codes,
        given.data.rows,
        given.neighbours,
        params,
        batches=given.data.batches,
        observer=MergeLog(given.names),
        n_jobs=n_jobs,
    )
    target = adata.copy() if copy else adata
    asked = {
        **_asked(groupby, batch_key, layer, modality, graph, external=external, all_pairs=all_pairs),
        "random_state": seed,
    }
    write_tested(target, key_added, given.names, given.data, params, tested, np.bincount(given.codes), asked)
    warn(finding_warnings(tested, given.names), stacklevel=4)
    n_failing = sum(not outcome.stands for outcome in tested.outcomes)
    logging.info(
        "    finished",
        time=start,
        deep=f"{n_failing} of {len(tested.outcomes)} pairs are not supported; added uns[{key_added!r}]",
    )
    return target if copy else None


test_adata.__test__ = False  # type: ignore[attr-defined]  # not a test, though pytest takes it for one


def refuse_too_many(sizes: NDArray[np.int64], least: int, where: str) -> None:
    """Refuse labels of which nearly every cell has its own, and more clusters than can be compared."""
    n_large = int((sizes >= least).sum())
    if n_large > MAX_CLUSTERS:
        msg = (
            f"{where} has {n_large} labels of {least} cells or more; at most {MAX_CLUSTERS} can be compared. "
            "Is this the column of the clusters?"
        )
        raise ValueError(msg)
    if sizes.size > 2 and (sizes == 1).all():
        msg = f"{where} has a label of its own for each of the {sizes.size} cells: there are no clusters to compare."
        raise ValueError(msg)


def neighbours_on(graph: CellGraph | None, cells: NDArray[np.bool_] | None, codes: NDArray[np.int32]) -> Any:
    """Which clusters are neighbours on a graph; None without one."""
    from recall_py.method.pairs.neighbours import EdgeWeights

    return None if graph is None else EdgeWeights(sparse.csr_array(graph.among(cells)), codes)


def _accepted(adata: AnnData, key_added: str, modality: str | None, *, copy: bool) -> AnnData:
    """The object with the counts, once nothing speaks against the work."""
    keys.refuse_unusable(key_added)
    counts = with_counts(adata, modality)
    refuse_unusable(counts)
    refuse_copy_of_file(counts, copy=copy)
    refuse_occupied(adata, key_added)
    return counts


def _given_labels(
    adata: AnnData,
    counts: AnnData,
    groupby: str,
    graph: CellGraph | None,
    all_pairs: bool,
    *,
    layer: str | None,
    batch_key: str | None,
    genes: Sequence[str] | None,
) -> GivenLabels:
    from recall_py.method.pairs.neighbours import AllPairs

    labels = read_clusters(adata, groupby)
    codes = labels.cat.codes.to_numpy().astype(np.int32)
    refuse_too_many(np.bincount(codes), MergeParams.min_cells, f"obs[{groupby!r}]")
    neighbours = AllPairs() if all_pairs else neighbours_on(graph, None, codes)
    data = read_counts(counts, layer=layer, batch_key=batch_key, only=genes, by_rows=True)
    return GivenLabels(labels.cat.categories.tolist(), codes, data, neighbours)


def _refuse_no_pair(given: GivenLabels, groupby: str, least: int) -> None:
    if len(given.names) < 2:
        msg = f"obs[{groupby!r}] has one label; at least two are needed to test a pair."
        raise ValueError(msg)
    if (np.bincount(given.codes) >= least).sum() < 2:
        msg = (
            f"Fewer than two of the {len(given.names)} labels in obs[{groupby!r}] have {least} cells or more, so there "
            "is no pair to test. Is this the column of the clusters?"
        )
        raise ValueError(msg)


def _begin(doing: str, groupby: str, given: GivenLabels, graph: CellGraph | None, *, all_pairs: bool) -> Any:
    from scanpy import logging

    near_by = "all pairs" if all_pairs else f"neighbours by {'their counts' if graph is None else graph.name}"
    n_cells, n_genes = given.data.shape
    return logging.info(
        f"{doing} obs[{groupby!r}]: {len(given.names)} labels of {n_cells} cells, {n_genes} genes "
        f"({given.data.selection}), counts from {given.data.source}, {near_by}"
    )


def _asked(
    groupby: str,
    batch_key: str | None,
    layer: str | None,
    modality: str | None,
    graph: CellGraph | None,
    *,
    external: bool,
    all_pairs: bool,
) -> dict[str, Any]:
    return {
        "groupby": groupby,
        "batch_key": batch_key or "",
        "layer": layer or "",
        "modality": modality or "",
        "connectivities": "" if graph is None else graph.name,
        "external": external,
        "all_pairs": all_pairs,
    }
