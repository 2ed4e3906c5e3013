"""What a run is asked to do, checked when it is made."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recall_py.arguments import ArgumentError, Named
from recall_py.method.threads import resolve_n_jobs

Rng = np.random.Generator | np.random.SeedSequence | int | Sequence[int]
"""What scanpy 1.13 takes as ``rng``."""
_BOUND = 2**31 - 1
"""leidenalg and igraph take seeds of 31 bits."""


RESOLUTION_CLUSTERERS = ("leiden", "louvain")
CLUSTERERS = (*RESOLUTION_CLUSTERERS, "kmeans", "ward")
STRATEGIES = ("resolution", "merge")
GRAPHS = ("umap", "snn")
LEIDEN_FLAVORS = ("leidenalg", "igraph")
PAIR_TESTS = ("knockoff", "synthetic")


def one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    """Refuse a `value` that is not among those `allowed` for the argument `name`."""
    if value not in allowed:
        text = "Unknown {name} {value!r}. Available: {allowed}."
        raise ArgumentError(text, name=Named(name), value=value, allowed=", ".join(allowed))


def given(**options: Any) -> dict[str, Any]:
    """The options that were given; for the others a default stands elsewhere."""
    return {name: value for name, value in options.items() if value is not None}


def _in_open_unit_interval(name: str, value: float) -> None:
    if not 0.0 < value < 1.0:
        text = "{name} is {value}; it must be between 0 and 1, both excluded."
        raise ArgumentError(text, name=Named(name), value=value)


@dataclass(frozen=True, kw_only=True)
class FilterParams:
    """The knockoff filter."""

    fdr: float = 0.05
    """Target share of false discoveries among the selected genes, q."""
    offset: int = 1
    """1 for "knockoff+", 0 for the plain filter."""
    min_auc: float = 0.5
    """Genes count only if their AUC is at least this or at most 1 minus this; 0.5 lets all count."""
    min_cells: int = 3
    """Clusters with fewer cells are not tested; they stay and are named in the result."""
    exact_below: int = 0
    """Pairs with a cluster of fewer cells have exact p-values, others the normal approximation."""
    n_draws: int = 1
    """Independent null draws; the filter compares counts that are averaged over them."""

    def __post_init__(self) -> None:
        _in_open_unit_interval("fdr", self.fdr)
        if not 0.5 <= self.min_auc < 1.0:
            text = "{min_auc} is {value}; it must be from 0.5 (off) to below 1."
            raise ArgumentError(text, value=self.min_auc)
        for name in ("min_cells", "exact_below"):
            if getattr(self, name) < 0:
                text = "{name} is {value}; a number of cells from 0 on is needed."
                raise ArgumentError(text, name=Named(name), value=getattr(self, name))
        if not isinstance(self.n_draws, int) or self.n_draws < 1:
            text = "{n_draws} is {value!r}; a whole number from 1 on is needed."
            raise ArgumentError(text, value=self.n_draws)
        if self.offset not in (0, 1):
            text = "{offset} is {value}; it must be 0 (knockoff) or 1 (knockoff+)."
            raise ArgumentError(text, value=self.offset)

    @property
    def min_selected(self) -> int:
        """The fewest genes that the filter can select in a pair: fewer genes never pass."""
        return max(1, math.ceil(self.offset / self.fdr - 1e-9))


@dataclass(frozen=True, kw_only=True)
class SearchParams:
    """The search for a partition in which every pair of clusters has markers."""

    start: float
    """Resolution, or number of clusters for k-means and Ward, where the search starts."""
    strategy: str = "resolution"
    reduction: float = 0.2
    """Share by which the resolution is lowered at each step."""
    max_iterations: int = 50
    raise_start: bool = False
    """Raise the start until some pair fails, where the first partition has none that does."""
    bisect: bool = False
    """Go down in strides that double, then halve the last one."""

    def __post_init__(self) -> None:
        one_of("strategy", self.strategy, STRATEGIES)
        _in_open_unit_interval("reduction", self.reduction)
        if not (self.start > 0 and math.isfinite(self.start)):
            text = "The search starts at {start}; a {resolution} or {num_clusters_start} above 0 is needed."
            raise ArgumentError(text, start=self.start)
        if self.bisect and self.strategy == "merge":
            text = "{bisect:True} is for {strategy:'resolution'}; merging takes one pair at a time. Leave {bisect} out."
            raise ArgumentError(text)
        if self.max_iterations < 1:
            text = "{max_iterations} is {value}; at least 1 is needed."
            raise ArgumentError(text, value=self.max_iterations)


@dataclass(frozen=True, kw_only=True)
class GraphParams:
    """The neighbour graph."""

    kind: str = "umap"
    """``"umap"``: scanpy's neighbours; ``"snn"``: Seurat's shared nearest neighbours."""
    n_neighbors: int = 15
    """Neighbours of each cell, itself included."""
    metric: str = "euclidean"
    method: str = "umap"
    """Weights of the ``"umap"`` graph: ``"umap"`` or ``"gauss"``."""
    random_state: int = 0

    def __post_init__(self) -> None:
        one_of("graph", self.kind, GRAPHS)
        if self.n_neighbors < 2:
            text = "{n_neighbors} is {value}; at least 2 are needed (a cell counts as its own neighbour)."
            raise ArgumentError(text, value=self.n_neighbors)


@dataclass(frozen=True, kw_only=True)
class PartitionParams:
    """The clustering algorithm."""

    algorithm: str = "leiden"
    flavor: str = "leidenalg"
    n_iterations: int = -1
    directed: bool | None = None
    use_weights: bool = True
    partition_type: type | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of the Leiden implementation."""
    n_starts: int = 1
    """Runs of Leiden with seeds of their own, of which the best by its quality at the resolution is kept."""
    n_orders: int = 10
    """Random vertex orders of Louvain, of which the best by modularity is kept."""

    def __post_init__(self) -> None:
        one_of("algorithm", self.algorithm, CLUSTERERS)
        one_of("flavor", self.flavor, LEIDEN_FLAVORS)
        for name in ("n_starts", "n_orders"):
            if getattr(self, name) < 1:
                text = "{name} is {value}; at least 1 is needed."
                raise ArgumentError(text, name=Named(name), value=getattr(self, name))
        if self.flavor == "igraph" and self.directed:
            text = (
                "{flavor:'igraph'} clusters undirected graphs only; leave {directed} unset or use {flavor:'leidenalg'}."
            )
            raise ArgumentError(text)
        if self.flavor == "igraph" and self.partition_type is not None:
            text = "{partition_type} belongs to {flavor:'leidenalg'}; igraph has no use for it."
            raise ArgumentError(text)

    @property
    def by_resolution(self) -> bool:
        """Whether the level of the search is a resolution rather than a number of clusters."""
        return self.algorithm in RESOLUTION_CLUSTERERS


@dataclass(frozen=True, kw_only=True)
class RunParams:
    """Everything that decides the labels, apart from the counts."""

    search: SearchParams
    pair_test: str = "knockoff"
    """``"knockoff"``: null genes take part in the clustering; ``"synthetic"``: each pair has null cells of its own."""
    null_method: str = "ZIP"
    """Null model of the knockoff genes."""
    dims: int | None = 50
    """Principal components used; None for those above the noise."""
    filter: FilterParams = FilterParams()
    graph: GraphParams = GraphParams()
    partition: PartitionParams = PartitionParams()
    seed: int = 0
    n_jobs: int = -1
    """Threads, -1 for all cores, of which the number takes its place; decides only the speed."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_jobs", resolve_n_jobs(self.n_jobs))
        one_of("pair_test", self.pair_test, PAIR_TESTS)
        if self.dims is not None and (not isinstance(self.dims, int) or self.dims < 2):
            text = "{dims} is {value!r}; a number of components from 2 on is needed (10 for the 1:10 of R)."
            raise ArgumentError(text, value=self.dims)


def resolve_seed(random_state: int | np.random.RandomState | None, rng: Rng | None = None) -> int:
    """Seed of a run, 0 <= seed < 2^31 - 1.

    `rng` wins if given (the argument of scanpy from 1.13 on): an int is the seed itself, a generator is advanced. None
    for both draws a new seed, which the record of the run holds.
    """
    source = random_state if rng is None else rng
    if isinstance(source, np.random.RandomState):
        return int(source.randint(_BOUND))
    if isinstance(source, int | np.integer):
        if source < 0:
            msg = f"The seed {source} is negative; 0 or more is needed."
            raise ValueError(msg)
        return int(source) if source < _BOUND else int(np.random.default_rng(source).integers(_BOUND))
    return int(np.random.default_rng(source).integers(_BOUND))


ALPHA = 0.05
"""Share of runs on one population that may end with more than one cluster."""


@dataclass(frozen=True, kw_only=True)
class MergeParams:
    """What decides which clusters are merged; see :func:`recall_py.method.merging.merge_clusters`."""

    alpha: float = ALPHA
    """Share of runs on one population that may end with more than one cluster; from it follows the lead above which a
    pair stands, see :func:`recall_py.method.pairs.lead.threshold`."""
    near: float = 0.1
    """Difference to the threshold within which an outcome is called near."""
    n_draws: int = 7
    """Null draws; fewer where the first few leave no doubt."""
    min_cells: int = 3
    """Clusters with fewer cells are not tested."""
    merge_small: bool = True
    """Whether those join the nearest cluster; else they stay, and are named in the result."""
    exact_below: int = 10
    """Pairs with a cluster of fewer cells have exact p-values, others the normal approximation."""
    external: bool = False
    """Whether the clusters come from elsewhere than these counts: null cells then keep the cut of the real ones, since
    nothing was cut to make it look sharp."""
    n_best: int = 10
    """Genes of a pair that are told of, of each side."""
    seed: int = 0
    """Of the null draws; each pair of sets of cells draws from its own generator."""

    def __post_init__(self) -> None:
        for name, least in (("n_draws", 2), ("min_cells", 0), ("exact_below", 0), ("n_best", 0), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                msg = f"{name} is {value!r}; a whole number from {least} on is needed."
                raise ValueError(msg)
        if not isinstance(self.alpha, float) or not 0.0 < self.alpha < 1.0:
            text = "{alpha} is {value!r}; a share between 0 and 1 is needed, such as 0.05."
            raise ArgumentError(text, value=self.alpha)
        if not self.near >= 0.0:
            msg = f"near is {self.near}; a difference from 0 on is needed."
            raise ValueError(msg)
