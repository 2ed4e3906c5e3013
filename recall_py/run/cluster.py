"""From AnnData to AnnData: read once, run on plain arrays, write once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recall_py.adata import keys
from recall_py.adata.read import (
    read_counts,
    read_graph_params,
    read_labels,
    refuse_copy_of_file,
    refuse_small_batches,
    refuse_unusable,
    restricted_cells,
)
from recall_py.adata.write import refuse_occupied, write_clusters
from recall_py.method.clustering.partition import refuse_unfit_options
from recall_py.method.params import (
    GRAPHS,
    FilterParams,
    GraphParams,
    PartitionParams,
    RunParams,
    SearchParams,
    given,
    one_of,
)
from recall_py.method.threads import resolve_n_jobs
from recall_py.run.observe import ScanpyLog, warn_about

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

    from recall_py.adata.read import CountData
    from recall_py.counts.dask_array import DaskCounts
    from recall_py.method.pipeline import Observer
    from recall_py.method.results import RecallResult

PRESETS: dict[str, dict[str, Any]] = {
    "recall": {"graph": "snn", "dims": 10},
    "calibrated": {
        "graph": "snn",
        "dims": "auto",
        "pair_test": "synthetic",
        "strategy": "merge",
        "n_starts": 5,
        "n_draws": 7,
        "exact_below": 10,
    },
}


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The arguments that all calibrated clusterings share, as given; None leaves it to preset and data."""

    start: float
    partition: PartitionParams
    null_method: str
    fdr: float
    offset: int
    reduction: float
    strategy: str | None
    layer: str | None
    n_top_genes: int
    max_iterations: int
    raise_start: bool
    preset: str | None
    seed: int
    n_jobs: int | None
    graph: str | None = None
    dims: int | str | None = None
    neighbors_key: str | None = None
    pair_test: str | None = None
    n_draws: int | None = None
    min_auc: float | None = None
    exact_below: int | None = None
    batch_key: str | None = None
    sketch: int | None = None
    bisect: bool = False

    def __post_init__(self) -> None:
        from recall_py.method.nulls import null_model

        null_model(self.null_method)
        resolve_n_jobs(self.n_jobs)
        if self.preset is not None:
            one_of("preset", self.preset, tuple(PRESETS))
        if self.start is None:
            msg = "resolution is None, but the search needs a resolution to start from, for example resolution=1."
            raise ValueError(msg)
        if self.sketch is not None and (not isinstance(self.sketch, Integral) or self.sketch < 2):
            msg = f"sketch is {self.sketch!r}; a number of cells is needed, for example sketch=20_000."
            raise ValueError(msg)

    def run_params(self, adata: AnnData) -> RunParams:
        """Everything that decides the labels, with what `adata` records about its neighbours filled in."""
        from scanpy import logging

        asked = PRESETS.get(self.preset or "", {}) | given(
            strategy=self.strategy,
            pair_test=self.pair_test,
            n_draws=self.n_draws,
            min_auc=self.min_auc,
            exact_below=self.exact_below,
            graph=self.graph,
            dims=self.dims,
        )
        kind = asked.get("graph", GraphParams.kind)
        one_of("graph", kind, GRAPHS)
        refuse_unfit_options(self.partition)
        graph, n_pcs = GraphParams(kind="snn", n_neighbors=20), None
        if kind == "umap" and self.partition.by_resolution:
            graph, n_pcs = read_graph_params(adata, self.neighbors_key)
            if keys.NEIGHBORS not in adata.uns and self.neighbors_key is None:
                logging.info("no neighbours are recorded: the graph takes scanpy's defaults")
        dims: Any = asked.get("dims", RunParams.dims if n_pcs is None else n_pcs)
        if isinstance(dims, str) and dims != "auto":
            msg = f"dims is {dims!r}; pass a number of components, or 'auto' for those above the noise."
            raise ValueError(msg)

        def set_of(*names: str) -> dict[str, Any]:
            return {name: asked[name] for name in names if name in asked}

        return RunParams(
            search=SearchParams(
                start=self.start,
                reduction=self.reduction,
                max_iterations=self.max_iterations,
                raise_start=self.raise_start,
                bisect=self.bisect,
                **set_of("strategy"),
            ),
            null_method=self.null_method,
            dims=None if dims == "auto" else dims,
            filter=FilterParams(fdr=self.fdr, offset=self.offset, **set_of("min_auc", "exact_below", "n_draws")),
            graph=graph,
            partition=replace(self.partition, **set_of("n_starts")),
            seed=self.seed,
            n_jobs=self.n_jobs,
            **set_of("pair_test"),
        )


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
    from scanpy import logging

    refuse_unusable(adata)
    refuse_copy_of_file(adata, copy=copy)
    refuse_occupied(adata, key_added, sketch=calibration.sketch is not None)
    params = calibration.run_params(adata)
    cells = None if restrict_to is None else restricted_cells(adata, restrict_to)
    data = read_counts(
        adata,
        layer=calibration.layer,
        n_top_genes=calibration.n_top_genes,
        batch_key=calibration.batch_key,
        cells=cells,
    )
    if params.pair_test == "knockoff":
        refuse_small_batches(data)
    n_cells, n_genes = data.shape
    start = logging.info(
        f"calibrating {params.partition.algorithm} clusters: {n_cells} cells, {n_genes} genes ({data.selection}), "
        f"counts from {data.source}; graph {params.graph.kind}, {params.graph.n_neighbors} neighbours, "
        f"{params.dims or 'automatic'} components; a pair needs {params.filter.min_selected} selected genes or more"
    )
    with ExitStack() as stack:
        observer = _observer(stack, params, progress=progress)
        if calibration.sketch is not None and calibration.sketch < n_cells:
            data, sketched, result, codes = _cluster_sketch(data, int(calibration.sketch), params, observer)
        else:
            result, sketched = _cluster(data, params, observer), None
            codes = result.search.partition.labels
    search = result.search
    names = [str(code) for code in range(search.partition.n_clusters)]
    labels = np.asarray(names)[codes]
    if restrict_to is not None:
        column, categories = restrict_to
        names = [f"{'-'.join(categories)},{name}" for name in names]
        everywhere = read_labels(adata, column).astype(str).to_numpy(dtype=object)
        everywhere[cells] = np.asarray(names, dtype=object)[codes]
        labels = everywhere.astype(np.str_)
    target = adata.copy() if copy else adata
    start_name = "resolution" if params.partition.by_resolution else "num_clusters_start"
    recorded: dict[str, Any] = {start_name: params.search.start, "random_state": params.seed}
    if params.partition.algorithm == "leiden":
        recorded["n_iterations"] = params.partition.n_iterations
    if calibration.batch_key is not None:
        recorded["batch_key"] = calibration.batch_key
    if calibration.neighbors_key is not None:
        recorded["neighbors_key"] = calibration.neighbors_key
    if restrict_to is not None:
        recorded["restrict_to"] = f"{restrict_to[0]}:{','.join(restrict_to[1])}"
    if sketched is not None and cells is not None:
        among_all = cells.copy()
        among_all[cells] = sketched
        sketched = among_all
    write_clusters(target, key_added, names, labels, data, params, result, recorded, sketched)
    logging.info(
        "    finished",
        time=start,
        deep=(
            f"found {search.partition.n_clusters} clusters ({search.reason}) and added\n"
            f"    {key_added!r}, the cluster labels (adata.obs, categorical), and the record of the search (adata.uns)"
        ),
    )
    warn_about(search, params)
    return target if copy else None


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
    if params.pair_test == "knockoff":
        with _about_sketch(n_sketched):
            refuse_small_batches(part)
    logging.info(f"    {n_sketched} cells are drawn as a sketch, by their leverage")
    drawn = time.perf_counter()
    result = _cluster(part, params, observer)
    found = time.perf_counter()
    where = scores[:, : result.n_components]
    codes = carry_labels(where, sketched, result.search.partition.labels, n_jobs=resolve_n_jobs(params.n_jobs))
    seconds = {"sketch": drawn - begun, **result.seconds, "carry": time.perf_counter() - found}
    return part, sketched, replace(result, seconds=seconds), codes


@contextmanager
def _about_sketch(n_sketched: int) -> Iterator[None]:
    """Say that it is the sketch which is too small."""
    try:
        yield
    except ValueError as error:
        msg = f"A sketch of {n_sketched} cells does not do: {error} Or take a larger sketch."
        raise ValueError(msg) from error


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
        return components_of_real_genes(data.counts, params)
    from recall_py.run import workers as distributed

    return distributed.components_of_real_genes(counts, data.chosen, params)


def _cluster(data: CountData, params: RunParams, observer: Observer) -> RecallResult:
    """Cluster where the counts are: in memory, or on the workers of dask."""
    from recall_py.method.pipeline import cluster_counts

    counts = _in_dask(data)
    if counts is not None:
        from scanpy import logging

        from recall_py.run.workers import cluster_distributed, fits_workers

        if fits_workers(params, data.shape[0]):
            return cluster_distributed(counts, data.chosen, params, observer, depth=data.depth, batches=data.batches)
        logging.info("the counts of the selected genes are gathered from dask into memory")
    return cluster_counts(data.counts, params, observer, depth=data.depth, batches=data.batches)


def _observer(stack: ExitStack, params: RunParams, *, progress: bool) -> Observer:
    from scanpy import settings

    if not progress or settings.verbosity <= 0:
        return ScanpyLog(by_resolution=params.partition.by_resolution)
    from rich.console import Console

    from recall_py.run.progress import ConsoleProgress

    return stack.enter_context(ConsoleProgress(Console(stderr=True), params))
