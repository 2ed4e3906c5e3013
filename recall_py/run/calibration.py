"""The arguments of a calibrated clustering, and what they come to on the data at hand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Integral
from typing import TYPE_CHECKING, Any

from recall_py.adata import keys
from recall_py.adata.neighbours import read_graph_params
from recall_py.arguments import ArgumentError
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

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

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

    start: float | None
    partition: PartitionParams
    seed: int
    n_jobs: int | None
    null_method: str = "ZIP"
    fdr: float = 0.05
    offset: int = 1
    reduction: float = 0.2
    strategy: str | None = None
    layer: str | None = None
    genes: Sequence[str] | None = None
    n_top_genes: int = 2000
    max_iterations: int = 50
    raise_start: bool = False
    preset: str | None = None
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
            text = "{resolution} is None, but the search needs a resolution to start from, for example {resolution:1}."
            raise ArgumentError(text)
        if self.sketch is not None and (not isinstance(self.sketch, Integral) or self.sketch < 2):
            text = "{sketch} is {value!r}; a number of cells is needed, for example {sketch:20_000}."
            raise ArgumentError(text, value=self.sketch)

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
        assert self.start is not None  # refused when this was made
        graph, n_pcs = GraphParams(kind="snn", n_neighbors=20), None
        if kind == "umap" and self.partition.by_resolution:
            graph, n_pcs = read_graph_params(adata, self.neighbors_key)
            if keys.NEIGHBORS not in adata.uns and self.neighbors_key is None:
                logging.info("no neighbours are recorded: the graph takes scanpy's defaults")
        dims: Any = asked.get("dims", RunParams.dims if n_pcs is None else n_pcs)
        if isinstance(dims, str) and dims != "auto":
            text = "{dims} is {value!r}; pass a number of components, or 'auto' for those above the noise."
            raise ArgumentError(text, value=dims)

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
            n_jobs=-1 if self.n_jobs is None else self.n_jobs,
            **set_of("pair_test"),
        )
