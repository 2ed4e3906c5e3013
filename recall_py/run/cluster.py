"""From AnnData to AnnData: read once, run on plain arrays, write once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recall_py.adata import keys
from recall_py.adata.labels import labels_everywhere, restricted_cells, restricted_prefix, told_restriction
from recall_py.adata.neighbours import scanpy_graph
from recall_py.adata.read import read_counts, refuse_copy_of_file, refuse_small_batches, refuse_unusable
from recall_py.adata.write import refuse_occupied, write_clusters
from recall_py.arguments import ArgumentError, Named
from recall_py.method.pairs import pair_test_named
from recall_py.method.params import RunParams, given
from recall_py.method.results import Augmented
from recall_py.run.calibration import Calibration
from recall_py.run.observe import CalibrationWarning, ScanpyLog, tell_others, warn, warn_about

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

    from recall_py.adata.read import CountData
    from recall_py.counts.dask_array import DaskCounts
    from recall_py.method.results import RecallResult, Search
    from recall_py.method.stages import Observer


def cluster_adata(
    adata: AnnData,
    calibration: Calibration,
    *,
    key_added: str,
    restrict_to: tuple[str, Sequence[str]] | None,
    copy: bool,
    progress: bool,
) -> AnnData | None:
    """Cluster the cells of `adata` and write labels and record under `key_added`."""
    keys.refuse_unusable(key_added)
    refuse_unusable(adata)
    refuse_copy_of_file(adata, copy=copy)
    refuse_occupied(adata, key_added, sketch=calibration.sketch is not None)
    params = calibration.run_params(adata)
    with ExitStack() as stack:
        observer = _observer(stack, params, progress=progress)
        target, search = read_cluster_write(
            adata, calibration, params, observer, key_added=key_added, restrict_to=restrict_to, copy=copy
        )
    warn_about(search, params)
    return target if copy else None


def read_cluster_write(
    adata: AnnData,
    calibration: Calibration,
    params: RunParams,
    observer: Observer,
    *,
    key_added: str,
    restrict_to: tuple[str, Sequence[str]] | None = None,
    copy: bool = False,
    knockoffs: sparse.csr_array | None = None,
) -> tuple[AnnData, Search]:
    """Cluster the cells of `adata`; see :func:`cluster_adata`. `knockoffs` are drawn where they are not given."""
    from scanpy import logging

    cells = None if restrict_to is None else restricted_cells(adata, restrict_to)
    data = read_counts(
        adata,
        layer=calibration.layer,
        n_top_genes=calibration.n_top_genes,
        batch_key=calibration.batch_key,
        cells=cells,
        only=calibration.genes,
    )
    tell_others(data)
    empty = data.empty
    if empty.any():
        data, cells = _without_empty(data, empty, cells)
    if pair_test_named(params.pair_test).takes_knockoffs:
        refuse_small_batches(data)
    n_cells, n_genes = data.shape
    start = logging.info(
        f"calibrating {params.partition.algorithm} clusters: {n_cells} cells, {n_genes} genes ({data.selection}), "
        f"counts from {data.source}; graph {params.graph.kind}, {params.graph.n_neighbors} neighbours, "
        f"{params.dims or 'automatic'} components; a pair needs {params.filter.min_selected} selected genes or more"
    )
    if calibration.sketch is not None and calibration.sketch < n_cells:
        data, sketched, result, codes = _cluster_sketch(data, int(calibration.sketch), params, observer)
    else:
        result, sketched = cluster_data(data, params, observer, knockoffs), None
        codes = result.search.partition.labels
    search = result.search
    prefix = restricted_prefix(restrict_to)
    names = [f"{prefix}{code}" for code in range(search.partition.n_clusters)]
    labels = np.asarray(names, dtype=object)[codes]
    if cells is not None:
        labels = _everywhere(adata, restrict_to, cells, labels)
        if sketched is not None:
            among_all = cells.copy()
            among_all[cells] = sketched
            sketched = among_all
    target = adata.copy() if copy else adata
    recorded = _scanpy_params(calibration, params, restrict_to)
    write_clusters(target, key_added, names, labels, data, params, result, recorded, sketched)
    logging.info(
        "    finished",
        time=start,
        deep=(
            f"found {search.partition.n_clusters} clusters ({search.reason}) and added\n"
            f"    {key_added!r}, the cluster labels (adata.obs, categorical), and the record of the search (adata.uns)"
        ),
    )
    return target, search


def _without_empty(
    data: CountData, empty: NDArray[np.bool_], cells: NDArray[np.bool_] | None
) -> tuple[CountData, NDArray[np.bool_]]:
    """The cells that have counts in the genes that take part, and where those are among all."""
    if (~empty).sum() < 2:
        msg = f"{int(empty.sum())} of {empty.size} cells have no counts in the {data.genes.size} genes that take part."
        raise ValueError(msg)
    text = (
        "{n_empty} cells have no counts in the {n_genes} genes that take part ({selection}): they were left out and "
        "have no label."
    )
    n_empty, selection = int(empty.sum()), Named(data.selection)
    warn([CalibrationWarning(text, n_empty=n_empty, n_genes=data.genes.size, selection=selection)], stacklevel=5)
    taking_part = np.ones(empty.size, dtype=np.bool_) if cells is None else cells.copy()
    taking_part[taking_part] = ~empty
    return data.of_cells(~empty), taking_part


def _everywhere(
    adata: AnnData,
    restrict_to: tuple[str, Sequence[str]] | None,
    cells: NDArray[np.bool_],
    labels: NDArray[np.object_],
) -> NDArray[np.object_]:
    """(n_obs,) labels of all cells, given those of the `cells` that were clustered; NaN for empty cells."""
    if restrict_to is None:
        everywhere = np.full(cells.size, np.nan, dtype=object)
        everywhere[cells] = labels
        return everywhere
    everywhere = labels_everywhere(adata, restrict_to, cells, labels)
    everywhere[restricted_cells(adata, restrict_to) & ~cells] = np.nan
    return everywhere


def cluster_data(
    data: CountData, params: RunParams, observer: Observer, knockoffs: sparse.csr_array | None = None
) -> RecallResult:
    """Cluster where the counts are: in memory, or on the workers of dask. `knockoffs` are drawn if not given."""
    from recall_py.method.pipeline import cluster_augmented, cluster_counts

    if knockoffs is not None:
        if knockoffs.shape != data.shape:
            text = "{knockoffs} are {found[0]} cells x {found[1]} genes; one for each of {expected}."
            raise ArgumentError(text, found=knockoffs.shape, expected=data.shape)
        counts = data.read().counts
        both = sparse.hstack([counts, knockoffs.astype(counts.dtype)], format="csc")
        return cluster_augmented(Augmented(sparse.csc_array(both), ()), params, observer, scanpy_graph)
    in_dask = _in_dask(data)
    if in_dask is not None:
        from scanpy import logging

        from recall_py.run.workers import cluster_distributed, fits_workers

        if fits_workers(params, data.shape[0]):
            return cluster_distributed(
                in_dask, data.chosen, params, observer, depth=data.depth, batches=data.batches, make_graph=scanpy_graph
            )
        logging.info("the counts of the selected genes are gathered from dask into memory")
    return cluster_counts(data.read(), params, observer, scanpy_graph)


def _scanpy_params(
    calibration: Calibration, params: RunParams, restrict_to: tuple[str, Sequence[str]] | None
) -> dict[str, Any]:
    """What ``uns[key]["params"]`` holds, as scanpy keeps it."""
    start = "resolution" if params.partition.by_resolution else "num_clusters_start"
    recorded: dict[str, Any] = {start: params.search.start, "random_state": params.seed}
    if params.partition.algorithm == "leiden":
        recorded["n_iterations"] = params.partition.n_iterations
    recorded |= told_restriction(restrict_to)
    return recorded | given(batch_key=calibration.batch_key, neighbors_key=calibration.neighbors_key)


def _cluster_sketch(
    data: CountData, n_sketched: int, params: RunParams, observer: Observer
) -> tuple[CountData, NDArray[np.bool_], RecallResult, NDArray[np.int32]]:
    """The cells of a sketch, their mask among all cells, what was found on them, and the codes of all cells."""
    from scanpy import logging

    from recall_py.method.clustering.sketch import carry_labels, leverage_sample
    from recall_py.method.pipeline import refuse_too_small

    observer.stage("sketch")
    begun = time.perf_counter()
    with _about_sketch(n_sketched):
        refuse_too_small((n_sketched, data.shape[1]), params)
    scores = _components_of_real_genes(data, params)
    sketched = leverage_sample(scores, n_sketched, params.seed)
    part = data.of_cells(sketched)
    if pair_test_named(params.pair_test).takes_knockoffs:
        with _about_sketch(n_sketched):
            refuse_small_batches(part)
    logging.info(f"    {n_sketched} cells are drawn as a sketch, by their leverage")
    drawn = time.perf_counter()
    result = cluster_data(part, params, observer)
    clustered = time.perf_counter()
    where = scores[:, : result.n_components]
    codes = carry_labels(where, sketched, result.search.partition.labels, n_jobs=params.n_jobs)
    seconds = {"sketch": drawn - begun, **result.seconds, "carry": time.perf_counter() - clustered}
    return part, sketched, replace(result, seconds=seconds), codes


@contextmanager
def _about_sketch(n_sketched: int) -> Iterator[None]:
    """Say that it is the sketch which is too small."""
    try:
        yield
    except ValueError as error:
        text = "A sketch of {n_sketched} cells does not do: {error} Or take a larger {sketch}."
        raise ArgumentError(text, n_sketched=n_sketched, error=error) from error


def _in_dask(data: CountData) -> DaskCounts | None:
    """The counts, if workers of dask have them."""
    if data.matrix.kind != "dask":
        return None
    from recall_py.counts.dask_array import DaskCounts

    assert isinstance(data.matrix, DaskCounts)
    return data.matrix


def _components_of_real_genes(data: CountData, params: RunParams) -> NDArray[np.float64]:
    from recall_py.method.clustering.components import MANY_CELLS
    from recall_py.method.pipeline import components_of_real_genes

    counts = _in_dask(data)
    if counts is None or data.shape[0] <= MANY_CELLS:
        return components_of_real_genes(data.read().counts, params)
    from recall_py.run import workers

    return workers.components_of_real_genes(counts, data.chosen, params)


def _observer(stack: ExitStack, params: RunParams, *, progress: bool) -> Observer:
    from scanpy import settings

    if not progress or settings.verbosity <= 0:
        return ScanpyLog(by_resolution=params.partition.by_resolution)
    from rich.console import Console

    from recall_py.run.progress import ConsoleProgress

    return stack.enter_context(ConsoleProgress(Console(stderr=True), params))
