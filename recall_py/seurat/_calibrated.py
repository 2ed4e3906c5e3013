"""Clusters of a Seurat object's own graph, and labels that it has, merged or tested by pairs; over rpy2."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from recall_py.adata.programmes import USUAL
from recall_py.method.params import ALPHA
from recall_py.run.observe import CalibrationWarning
from recall_py.seurat._clusters import kind_of
from recall_py.seurat._values import array, in_r, robjects, to_r, view

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from anndata import AnnData


class Calibrated(NamedTuple):
    """A Seurat object with its labels, and the record of the run."""

    robj: Any
    record: AnnData
    """Cells and labels alone, with the record in ``uns``."""
    key: str


def find_clusters_calibrated(
    robj: Any,
    *,
    graph_name: str | None = None,
    resolution: float = 0.8,
    algorithm: int | str = 1,
    random_state: int = 0,
    cluster_name: str | None = None,
    batch: str | None = None,
    features: Sequence[str] | None = None,
    assay: str | None = None,
    layer: str = "counts",
    programmes: Sequence[str] = USUAL,
    alpha: float = ALPHA,
    n_jobs: int | None = None,
    say: Callable[[str], object] | None = None,
) -> Any:
    """Seurat's own clusters of a Seurat object's graph, merged until all stand: ``FindClustersCalibrated`` of R.

    Parameters
    ----------
    robj
        Seurat v5 object held by rpy2, with a neighbour graph. Not changed.
    graph_name
        Its graph, such as ``"wsnn"``; by default that of the default assay, ``"RNA_snn"``.
    resolution, algorithm
        Of Seurat's ``FindClusters``; algorithms by number (1 to 4) or name (``"louvain"``, ``"leiden"``, ...).
    random_state
        Seed of the clustering and of the null cells.
    cluster_name
        Column of the metadata; by default ``"RNA_snn_res.0.8_calibrated"``, beside Seurat's ``"RNA_snn_res.0.8"``.
    batch
        Column of the metadata: null cells keep the means of each batch, so that batches alone hold no pair apart.
    features
        Genes to compare; by default the variable features.
    assay, layer
        Where the raw counts are; by default the assay of the graph, and ``RNA`` where that has none.
    programmes
        Known programmes whose genes do not count, as in :func:`recall_py.tl.leiden`.
    alpha
        Share of runs on one population that may end with more than one cluster.
    n_jobs
        Threads, by default all cores.
    say
        Called with a line of text for each merge, such as ``print``.

    Returns
    -------
    A new object with the labels as identities, in ``seurat_clusters`` and in the column, and the record of the run in
    ``Misc(obj, "recall_merges")``.

    Raises
    ------
    ImportError
        Without rpy2, R or Seurat, with what to install.
    ValueError
        For an object without that graph or raw counts, or options that are refused.
    """
    found = calibrated(
        robj,
        {
            "graph.name": graph_name,
            "resolution": resolution,
            "algorithm": algorithm,
            "cluster.name": cluster_name,
            **_reading(batch, features, assay, layer),
        },
        {"random.seed": random_state, "cores": n_jobs, "programmes": programmes, "alpha": alpha},
        say=say,
    )
    return found.robj


def merge_clusters(
    robj: Any,
    group_by: str = "ident",
    *,
    graph_name: str | None = None,
    random_state: int = 0,
    cluster_name: str | None = None,
    batch: str | None = None,
    features: Sequence[str] | None = None,
    assay: str | None = None,
    layer: str = "counts",
    programmes: Sequence[str] = USUAL,
    alpha: float = ALPHA,
    external: bool = False,
    all_pairs: bool = False,
    merge_small: bool = False,
    n_jobs: int | None = None,
    say: Callable[[str], object] | None = None,
) -> Any:
    """Labels of a Seurat object, merged as :func:`recall_py.tl.merge_clusters` does: ``MergeClusters`` of R.

    Parameters
    ----------
    robj
        Seurat v5 object or SingleCellExperiment held by rpy2. Not changed.
    group_by
        Column of the metadata with the labels; ``"ident"`` for the identities of a Seurat object.
    graph_name
        Graph that says which labels are neighbours; by default that of the default assay, if it has these cells. A
        SingleCellExperiment has none.
    cluster_name
        Column of the metadata to write to; by default `group_by` with ``"_merged"`` added.
    random_state, batch, features, assay, layer, programmes, alpha, n_jobs, say
        As in :func:`find_clusters_calibrated`.
    external, all_pairs, merge_small
        As in :func:`recall_py.tl.merge_clusters`.

    Returns
    -------
    A new object with the merged labels in the column and as identities, and the record of the run in
    ``Misc(obj, "recall_merges")``; in a SingleCellExperiment in ``colData`` and ``metadata``.

    Raises
    ------
    ImportError
        Without rpy2, R or SeuratObject, with what to install.
    ValueError
        For an object without such labels, that graph or raw counts, or options that are refused.
    """
    labels = {"group.by": group_by, "graph.name": graph_name, "cluster.name": cluster_name}
    options = {"external": external, "all.pairs": all_pairs, "merge.small": merge_small}
    found = merged(
        robj,
        {**labels, **_reading(batch, features, assay, layer)},
        {"random.seed": random_state, "cores": n_jobs, "programmes": programmes, "alpha": alpha, **options},
        say=say,
    )
    return found.robj


def test_clusters(
    robj: Any,
    group_by: str = "ident",
    *,
    external: bool = False,
    graph_name: str | None = None,
    random_state: int = 0,
    batch: str | None = None,
    features: Sequence[str] | None = None,
    assay: str | None = None,
    layer: str = "counts",
    programmes: Sequence[str] = USUAL,
    alpha: float = ALPHA,
    all_pairs: bool = False,
    n_jobs: int | None = None,
) -> pd.DataFrame:
    """Which labels of a Seurat object are told apart: ``TestClusters`` of R. The object is not changed.

    Parameters
    ----------
    robj, group_by, graph_name, random_state, batch, features, assay, layer
        As in :func:`merge_clusters`.
    programmes, alpha, external, all_pairs, n_jobs
        As in :func:`merge_clusters`.

    Returns
    -------
    One row for each pair that was compared, as :func:`recall_py.get.pairs` gives.

    Raises
    ------
    ImportError
        Without rpy2, R or SeuratObject, with what to install.
    ValueError
        For an object without such labels, that graph or raw counts, or options that are refused.
    """
    from recall_py import get

    found = tested(
        robj,
        {"group.by": group_by, "graph.name": graph_name, **_reading(batch, features, assay, layer)},
        {
            "random.seed": random_state,
            "cores": n_jobs,
            "programmes": programmes,
            "alpha": alpha,
            "external": external,
            "all.pairs": all_pairs,
        },
    )
    return get.pairs(found.record, found.key)


test_clusters.__test__ = False  # type: ignore[attr-defined]  # not a test, though pytest takes it for one


def calibrated(
    robj: Any,
    asked: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    only_column: bool = False,
    say: Callable[[str], object] | None = None,
) -> Calibrated:
    """Cluster the graph of a Seurat object and merge; the labels go to ``seurat_clusters`` too, or to one column."""
    from recall_py.seurat import pairs_from_r as entry

    with in_r() as r:
        checked = _checked(r, options)
        own = {name: options[name] for name in ("random.seed", "programmes", "alpha")}
        given = _call(r, "graph_clusters", robj, {**asked, **own, "verbose": False})
        _tell(given.rx2("notes"), say)
        record = _compared(r, given, checked, entry.merged_adata, say)
        columns = _columns(given.rx2("column")[0], only_column=only_column)
        return _stored(r, robj, given, record, "FindClustersCalibrated", {**asked, **options}, columns)


def merged(
    robj: Any, asked: Mapping[str, Any], options: Mapping[str, Any], *, say: Callable[[str], object] | None = None
) -> Calibrated:
    """Merge labels of a Seurat object or SingleCellExperiment."""
    from recall_py.seurat import pairs_from_r as entry

    with in_r() as r:
        checked = _checked(r, options)
        given = _labels(r, robj, asked)
        _tell(given.rx2("notes"), say)
        record = _compared(r, given, checked, entry.merged_adata, say)
        if kind_of(robj) != "Seurat":
            made = r("store_merges_in_sce")(robj, given, to_r(entry.found_of(record)))
            return Calibrated(made, _with_cells(record, given), str(record.uns["key"]))
        return _stored(r, robj, given, record, "MergeClusters", {**asked, **options}, [given.rx2("column")[0]])


def tested(
    robj: Any, asked: Mapping[str, Any], options: Mapping[str, Any], *, say: Callable[[str], object] | None = None
) -> Calibrated:
    """Test labels of a Seurat object or SingleCellExperiment."""
    from recall_py.seurat import pairs_from_r as entry

    with in_r() as r:
        checked = _checked(r, options)
        given = _labels(r, robj, asked)
        _tell(given.rx2("notes"), say)
        record = _compared(r, given, checked, entry.tested_adata)
        return Calibrated(robj, record, str(record.uns["key"]))


def calibrated_with_graph(
    robj: Any,
    asked: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    only_column: bool = False,
    say: Callable[[str], object] | None = None,
) -> Calibrated:
    """As :func:`calibrated`; where the object has no graph, as a SingleCellExperiment, Seurat's own steps make one."""
    if kind_of(robj) == "Seurat":
        made, note = with_a_graph(robj)
        _tell([note] if note else [], say)
        return calibrated(made, asked, options, only_column=only_column, say=say)
    with in_r() as r:
        made = r("seurat_of")(robj, asked["layer"])
    found = calibrated_with_graph(made, {**asked, "layer": "counts"}, options, only_column=only_column, say=say)
    with in_r() as r:
        columns = _columns(found.key, only_column=only_column)
        return found._replace(robj=r("clusters_to_sce")(robj, found.robj, to_r(columns)))


def with_a_graph(robj: Any) -> tuple[Any, str]:
    """A Seurat object as it is if it has a neighbour graph; else with one made by Seurat's steps, and which they were.

    The object is called by a name: Seurat writes its calls out, and would write out the object that rpy2 puts in them.
    """
    with in_r() as r:
        if any(r("function(object) vapply(names(object), function(n) is(object[[n]], 'Graph'), TRUE)")(robj)):
            return robj, ""
        r("function(object) assign('without_graph', object, envir = parent.env(environment()))")(robj)
        try:
            made = r("make_graph(without_graph)")
        finally:
            r("rm(without_graph)")
        return made.rx2("object"), str(made.rx2("note")[0])


def _reading(
    batch: str | None, features: Sequence[str] | None, assay: str | None, layer: str
) -> dict[str, str | list[str] | None]:
    chosen = None if features is None else list(features)
    return {"batch": batch, "features": chosen, "assay": assay, "layer": layer}


def _labels(r: Callable[[str], Any], robj: Any, asked: Mapping[str, Any]) -> Any:
    """Labels of an object, with what is compared of them."""
    if kind_of(robj) == "Seurat":
        return _call(r, "object_labels", robj, asked)
    if asked.get("graph.name") is not None:
        msg = "A SingleCellExperiment holds no neighbour graph: name none. Labels are neighbours by their profiles."
        raise ValueError(msg)
    names = ("group.by", "features", "batch", "cluster.name")
    assay = asked.get("assay") or asked["layer"]
    return _call(r, "sce_labels", robj, {**{name: asked.get(name) for name in names}, "assay": assay})


def _tell(notes: Iterable[Any], say: Callable[[str], object] | None) -> None:
    """Notes about what is read, where lines of text go; else as warnings."""
    for note in notes:
        if say is None:
            warnings.warn(str(note), UserWarning, stacklevel=5)
        else:
            say(str(note))


def _columns(key: str, *, only_column: bool) -> list[str]:
    return [key, *([] if only_column else ["seurat_clusters"])]


def _call(r: Callable[[str], Any], name: str, robj: Any, asked: Mapping[str, Any]) -> Any:
    return r(name)(robj, **{argument: to_r(value) for argument, value in asked.items()})


def _checked(r: Callable[[str], Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as R's checks accept them."""
    names = [options["programmes"]] if isinstance(options["programmes"], str) else list(options["programmes"])
    r("pair_options")(**{name: to_r(value) for name, value in {**options, "programmes": names}.items()})
    return {
        "seed": options["random.seed"],
        "n_jobs": options["cores"],
        "programmes": names,
        "alpha": options["alpha"],
        "external": options.get("external", False),
        "all_pairs": options.get("all.pairs", False),
        "merge_small": options.get("merge.small", True),
    }


def _compared(
    r: Callable[[str], Any],
    given: Any,
    options: Mapping[str, Any],
    compare: Callable[..., AnnData],
    say: Callable[[str], object] | None = None,
) -> AnnData:
    """What the engine finds of the labels."""
    from recall_py.seurat.pairs_from_r import sampled

    codes = array(given.rx2("codes"))
    graph, clustering, batches = (_or_none(given.rx2(name)) for name in ("graph", "clustering", "batches"))
    in_batches = None if batches is None else array(batches)
    counts = given.rx2("read")(to_r(sampled(codes, in_batches)))
    plain = {
        "codes": codes,
        "names": _texts(given.rx2("names")),
        "graph": None if graph is None else _vectors(graph),
        "clustering": None if clustering is None else {name: clustering.rx2(name)[0] for name in clustering.names},
        "batches": in_batches,
        **{name: _one_text(given, name) for name in ("column", "start_column", "graph_name", "batch_key")},
    }
    read = {
        **_vectors(counts),
        **{name: _texts(counts.rx2(name)) for name in ("genes", "cells")},
        **{name: _one_text(counts, name) for name in ("selection", "source")},
    }
    record = compare(plain, read, options, say=say)
    for message in record.uns["messages"]:
        warnings.warn(CalibrationWarning("{message}", message=message), stacklevel=4)
    return record


def _stored(
    r: Callable[[str], Any],
    robj: Any,
    given: Any,
    record: AnnData,
    command: str,
    logged: Mapping[str, Any],
    columns: Sequence[str],
) -> Calibrated:
    """The object with the labels and what R keeps of the record."""
    from recall_py.seurat.pairs_from_r import found_of

    params = to_r({name: value for name, value in logged.items() if value is not None})
    call = f"recall_py.seurat.{'merge_clusters' if command == 'MergeClusters' else 'find_clusters_calibrated'}()"
    found = to_r(found_of(record))
    stored = r("store_clusters")(robj, given, found, command, params, call, to_r(list(columns)))
    return Calibrated(stored, _with_cells(record, given), str(record.uns["key"]))


def _with_cells(record: AnnData, given: Any) -> AnnData:
    record.obs_names = pd.Index(_texts(given.rx2("cells")), dtype=object)
    return record


def _or_none(value: Any) -> Any:
    return None if value == robjects().NULL else value


def _one_text(values: Any, name: str) -> str | None:
    value = _or_none(values.rx2(name))
    return None if value is None else str(value[0])


def _texts(values: Any) -> list[str]:
    return [str(value[0]) if not isinstance(value, str) else value for value in values]


def _vectors(values: Any) -> dict[str, np.ndarray]:
    return {name: view(values.rx2(name)) for name in ("x", "i", "p")}
