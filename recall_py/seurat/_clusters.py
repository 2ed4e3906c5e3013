"""Calibrated clusters of Seurat objects that rpy2 holds, and their .rds files."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Literal

from recall_py.adata.stored import find_record, holds_merging, results
from recall_py.arguments import RemovedError
from recall_py.files.atomic import write_atomically
from recall_py.run.observe import CalibrationWarning
from recall_py.seurat._values import column_to_r, in_r, robjects, to_r, view

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from anndata import AnnData


def find_clusters(
    robj: Any,
    resolution_start: float = 0.8,
    *,
    reduction_percentage: float = 0.2,
    num_clusters_start: int = 20,
    dims: int | Literal["auto"] = 10,
    algorithm: Literal["louvain", "leiden", "kmeans", "ward"] = "louvain",
    null_method: str = "ZIP",
    assay: str = "RNA",
    layer: str = "counts",
    features: Sequence[str] | None = None,
    batch: str | None = None,
    strategy: Literal["resolution", "merge"] | None = None,
    fdr: float = 0.05,
    offset: int = 1,
    n_draws: int | None = None,
    min_auc: float | None = None,
    exact_below: int | None = None,
    n_top_genes: int = 2000,
    max_iterations: int = 50,
    raise_start: bool = False,
    random_state: int = 0,
    n_jobs: int | None = None,
    say: Callable[[str], object] | None = None,
    **removed: Any,
) -> Any:
    """The original's clusters of a Seurat object, as ``FindClustersRecall`` of the R package recallpy finds them.

    :func:`find_clusters_calibrated` is the recommended call, on the graph that the object has.

    Parameters
    ----------
    robj
        Seurat v5 object held by rpy2. Not changed.
    assay, layer
        Where the raw counts are; a layer that is split (``counts.1``, ``counts.2``) is read part by part.
    features
        Genes that take part; by default the variable features, and where there are none, `n_top_genes` by ``vst``.
    batch
        Column of the metadata: null genes are drawn within its labels.
    dims
        Principal components used; ``"auto"`` for those above the noise.
    say
        Called with a line of text for each step of the search, such as ``print``.
    resolution_start, reduction_percentage, num_clusters_start, algorithm, null_method
        As in :func:`recall_py.tl.recall`.
    strategy, fdr, offset, n_draws, min_auc, exact_below, n_top_genes, max_iterations, raise_start
        As in :func:`recall_py.tl.recall`.
    random_state, n_jobs
        As in :func:`recall_py.tl.recall`.
    **removed
        Arguments that were taken once; each is refused with what to write today.

    Returns
    -------
    A new object with the labels in ``meta.data$recall_clusters`` and as identities, the record of the run in
    ``Misc(obj, "recall")`` and a logged command.

    Raises
    ------
    ImportError
        Without rpy2, R or SeuratObject, with what to install.
    ValueError
        For an object without raw counts, or options that the engine refuses.
    TypeError
        For an argument that was taken once, with what to write today.
    """
    from recall_py.seurat import from_r as r_entry

    _refuse_removed(removed)
    asked: dict[str, Any] = {
        "start": resolution_start if algorithm in ("leiden", "louvain") else num_clusters_start,
        "algorithm": algorithm,
        "reduction": reduction_percentage,
        "dims": dims,
        "null_method": null_method,
        "fdr": fdr,
        "offset": offset,
        "strategy": strategy,
        "n_draws": n_draws,
        "min_auc": min_auc,
        "exact_below": exact_below,
        "max_iterations": max_iterations,
        "raise_start": raise_start,
        "seed": random_state,
        "n_jobs": n_jobs,
    }
    chosen = None if features is None else list(features)
    with in_r() as r:
        warn_of_integration(robj)
        read = r("seurat_input")(robj, assay, layer, to_r(chosen), to_r(batch))
        for note in read.rx2("notes"):
            warnings.warn(note, UserWarning, stacklevel=2)
        clustered = r_entry.calibrated_clusters(_matrix(read), asked, n_top_genes=n_top_genes, say=say)
        for message in clustered.pop("messages"):
            warnings.warn(message, stacklevel=2)
        returned = to_r({name: value for name, value in clustered.items() if name != "labels"})
        labels = r("labels_of")(to_r(clustered["labels"]), read.rx2("cells"))
        result = robjects().ListVector({"labels": labels, "record": r("record_of")(returned, read)})
        logged = {name: value for name, value in asked.items() if value is not None}
        return r("store_in_seurat")(robj, result, read, to_r(logged), "recall_py.seurat.find_clusters()")


def labels_to_seurat(adata: AnnData, robj: Any, key: str = "recall_clusters") -> Any:
    """Labels of an AnnData in the Seurat object that it came from.

    Parameters
    ----------
    adata
        With labels in ``obs[key]``.
    robj
        Seurat object or SingleCellExperiment held by rpy2, with these cells. Not changed.
    key
        Column of ``obs``, and of the metadata that the labels go to.

    Returns
    -------
    A new object with the labels in ``meta.data[[key]]`` and as identities; cells that `adata` has not have none. Where
    ``tl.recall`` made the labels, the record of the search is in ``Misc(obj, "recall")``. In a SingleCellExperiment
    they are in ``colData`` and ``metadata``.

    Raises
    ------
    KeyError
        If ``obs`` has no such column.
    ValueError
        If `adata` has cells that the object has not.
    """
    from recall_py.seurat import from_r as r_entry

    if key not in adata.obs:
        msg = f"obs[{key!r}] does not exist. Columns of obs: {', '.join(map(str, adata.obs.columns)) or 'none'}."
        raise KeyError(msg)
    with in_r() as r:
        cells = [str(cell) for cell in r("cells_of")(robj)]
        unknown = adata.obs_names.difference(cells)
        if len(unknown):
            msg = f"{len(unknown)} cells of adata are not in the object of R, such as {unknown[0]!r}."
            raise ValueError(msg)
        labels = adata.obs[key].astype("category").reindex(cells)
        record = robjects().NULL
        if key in results(adata) and not holds_merging(find_record(adata, key)):
            nothing_read = robjects().ListVector({})
            record = r("record_of")(to_r(r_entry.record_of(adata, key)), nothing_read)
        add = """function(object, key, labels, record) {
            if (kind_of(object) != "Seurat") return(store_in_sce(object, list(labels = labels, record = record), key))
            names(labels) <- colnames(object)
            object[[key]] <- labels
            SeuratObject::Idents(object) <- key
            if (!is.null(record)) object@misc[["recall"]] <- record
            object
        }"""
        return r(add)(robj, key, column_to_r(labels), record)


def read_rds(path: Path) -> Any:
    """A Seurat object or SingleCellExperiment from an .rds file.

    Raises
    ------
    ImportError
        Without rpy2, R or SeuratObject, with what to install.
    ValueError
        If the file does not exist, is not an .rds file or holds another object.
    """
    if not path.is_file():
        msg = f"{path} does not exist or is not a file."
        raise ValueError(msg)
    try:
        with in_r() as r:
            robj = r("readRDS")(str(path))
    except ValueError as error:
        msg = f"{path} is not a readable .rds file ({error})."
        raise ValueError(msg) from error
    kind = kind_of(robj)
    if kind not in ("Seurat", "SingleCellExperiment"):
        msg = f"{path} holds an object of class {kind}, neither a Seurat object nor a SingleCellExperiment."
        raise ValueError(msg)
    return robj


def warn_of_integration(robj: Any) -> None:
    """Warn where samples were integrated, which knockoff genes cannot pass through."""
    with in_r() as r:
        for text in r("integration_in")(robj):
            warnings.warn(CalibrationWarning("{text}", text=str(text)), stacklevel=3)


def kind_of(robj: Any) -> str:
    """``"Seurat"``, ``"SingleCellExperiment"``, also for what is derived from them, or the class of another object."""
    with in_r() as r:
        return str(r("kind_of")(robj)[0])


def write_rds(robj: Any, path: Path) -> None:
    """Write an object of R atomically."""
    with in_r() as r:
        write_atomically(path, lambda partial: r("saveRDS")(robj, str(partial)))


def _refuse_removed(others: Mapping[str, Any]) -> None:
    for name in others:
        if name in ("preset", "pair_test"):
            text = (
                "find_clusters takes no {name}: it is the original, with knockoff genes. For null cells of each pair "
                "of clusters (FindClustersCalibrated in R), write: recall_py.seurat.find_clusters_calibrated(robj)"
            )
            raise RemovedError(text, name=name)
        msg = f"find_clusters() got an unexpected keyword argument {name!r}"
        raise TypeError(msg)


def _matrix(read: Any) -> dict[str, Any]:
    """What :func:`recall_py.seurat.from_r.cluster` takes, over R's own vectors."""
    ro = robjects()
    optional = {name: read.rx2(name) for name in ("totals", "batch")}
    return {
        **{name: view(read.rx2(name)) for name in ("x", "i", "p")},
        "genes": list(read.rx2("genes")),
        "totals": None if optional["totals"] == ro.NULL else view(optional["totals"]),
        "batch": None if optional["batch"] == ro.NULL else list(optional["batch"]),
    }
