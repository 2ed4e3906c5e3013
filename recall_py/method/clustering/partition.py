"""Community detection and other clusterers: a level of coarseness in, a partition out."""

from __future__ import annotations

import inspect
import math
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from recall_py.method.params import PartitionParams
from recall_py.method.results import Partition
from recall_py.method.threads import one_thread

if TYPE_CHECKING:
    import igraph


_IGRAPH_RANDOM = threading.Lock()
"""igraph has one generator for the whole process."""


class Clusterer(Protocol):
    """Clusters the cells of one embedding at any level: a resolution, or a number of clusters."""

    fewest: int
    """Clusters that are left at the coarsest level, above 1 where the graph falls into components."""

    def __call__(self, level: float) -> Partition:
        """Partition at `level`."""
        ...


_OWN_OPTIONS = ("graph", "partition_type", "seed", "weights", "resolution_parameter", "resolution", "n_iterations")
"""Arguments of the Leiden implementations that come from arguments of ours."""


def refuse_unfit_options(params: PartitionParams) -> None:
    """Refuse a partition type without a resolution, and arguments that the implementation of Leiden does not take.

    Raises
    ------
    ValueError
        If ``params.partition_type`` takes no resolution.
    TypeError
        For an unknown argument, as Python raises it.
    """
    if params.algorithm != "leiden":
        return
    import igraph
    import leidenalg

    kind = params.partition_type or leidenalg.RBConfigurationVertexPartition
    own = inspect.signature(kind).parameters
    if "resolution_parameter" not in own:
        msg = f"{kind.__name__} takes no resolution to lower. Use leidenalg.RBConfigurationVertexPartition."
        raise ValueError(msg)
    taken = {*inspect.signature(leidenalg.find_partition).parameters, *own} - {"self", "kwargs"}
    if params.flavor == "igraph":
        taken = {*inspect.signature(igraph.Graph.community_leiden).parameters}
    taken -= {*_OWN_OPTIONS}
    for name in params.options:
        if name not in taken:
            msg = (
                f"leiden() got an unexpected keyword argument {name!r}. Beside its own arguments it takes those of "
                f"{params.flavor}: {', '.join(sorted(taken))}."
            )
            raise TypeError(msg)


def by_decreasing_size(labels: ArrayLike) -> NDArray[np.int32]:
    """Codes 0..k-1 by decreasing size, ties by the first cell."""
    _, first, inverse, size = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    code = np.empty(size.size, dtype=np.int32)
    code[np.lexsort((first, -size))] = np.arange(size.size, dtype=np.int32)
    return code[inverse]


class GraphClusterer:
    """Leiden or Louvain on a graph that is built once."""

    def __init__(self, adjacency: sparse.csr_array, params: PartitionParams, seed: int) -> None:
        self._params = params
        self._seed = seed
        self._graph = _to_igraph(adjacency, directed=self._is_directed())
        self.fewest = int(sparse.csgraph.connected_components(adjacency, directed=False, return_labels=False))

    def _is_directed(self) -> bool:
        """scanpy's rule: leidenalg sees a directed graph unless told otherwise, igraph an undirected one."""
        if self._params.algorithm == "louvain" or self._params.flavor == "igraph":
            return False
        return self._params.directed is not False

    def __call__(self, level: float) -> Partition:
        """Partition at the resolution `level`."""
        if self._params.algorithm == "louvain":
            partition = self._louvain(level)
        else:
            find = self._leiden_igraph if self._params.flavor == "igraph" else self._leiden_leidenalg
            partition, _ = max((find(level, seed) for seed in self._start_seeds()), key=itemgetter(1))
        labels = by_decreasing_size(partition)
        return Partition(labels, self.modularity(labels))

    def _start_seeds(self) -> list[int]:
        """The seed itself, and as many more as there are further starts."""
        rng = np.random.default_rng(self._seed)
        return [self._seed, *rng.integers(2**31, size=self._params.n_starts - 1).tolist()]

    def modularity(self, labels: NDArray[np.int32]) -> float:
        """Modularity (resolution 1) of any labels on this graph."""
        return float(self._graph.modularity(labels.tolist(), weights=self._weights()))

    def _weights(self) -> str | None:
        return "weight" if self._params.use_weights else None

    def _leiden_leidenalg(self, resolution: float, seed: int) -> tuple[list[int], float]:
        """Labels and their quality."""
        import leidenalg

        kind = self._params.partition_type or leidenalg.RBConfigurationVertexPartition
        options: dict[str, Any] = {"n_iterations": self._params.n_iterations, "seed": seed, **self._params.options}
        if self._params.use_weights:
            options["weights"] = self._graph.es["weight"]
        partition = leidenalg.find_partition(self._graph, kind, resolution_parameter=resolution, **options)
        return list(partition.membership), float(partition.quality())

    def _leiden_igraph(self, resolution: float, seed: int) -> tuple[list[int], float]:
        """Labels and their quality."""
        options = {
            "objective_function": "modularity",
            "n_iterations": self._params.n_iterations,
            **self._params.options,
        }
        with igraph_seed(seed):
            partition = self._graph.community_leiden(weights=self._weights(), resolution=resolution, **options)
        return list(partition.membership), float(partition.quality)

    def _louvain(self, resolution: float) -> list[int]:
        """Multilevel optimisation from several vertex orders, the best by modularity at this resolution."""
        rng = np.random.default_rng(self._seed)
        best: list[int] = []
        best_quality = -math.inf
        for _ in range(self._params.n_orders):
            order = rng.permutation(self._graph.vcount()).tolist()
            shuffled = self._graph.permute_vertices(order)
            with igraph_seed(self._seed):
                partition = shuffled.community_multilevel(weights=self._weights(), resolution=resolution)
            quality = shuffled.modularity(partition.membership, weights=self._weights(), resolution=resolution)
            if quality > best_quality + 1e-12:
                best_quality = quality
                best = np.asarray(partition.membership)[np.argsort(shuffled.vs["cell"])].tolist()
        return best


class SpaceClusterer:
    """k-means or Ward on the principal components; the level is the number of clusters."""

    fewest = 1

    def __init__(self, scores: NDArray[np.float64], params: PartitionParams, seed: int) -> None:
        self._scores = scores
        self._algorithm = params.algorithm
        self._seed = seed

    def __call__(self, level: float) -> Partition:
        """Partition into `level` clusters."""
        from sklearn.cluster import AgglomerativeClustering, KMeans

        n_clusters = int(level)
        method = (
            KMeans(n_clusters, n_init=10, random_state=self._seed)
            if self._algorithm == "kmeans"
            else AgglomerativeClustering(n_clusters, linkage="ward")
        )
        with one_thread():
            labels = method.fit_predict(self._scores)
        return Partition(by_decreasing_size(labels), math.nan)


def _to_igraph(adjacency: sparse.csr_array, *, directed: bool) -> igraph.Graph:
    """The graph of a symmetric adjacency; a directed one has both directions of each edge, as in scanpy."""
    import igraph

    entries = sparse.coo_array(adjacency if directed else sparse.triu(adjacency, k=1))
    graph = igraph.Graph(n=adjacency.shape[0], edges=np.column_stack(entries.coords), directed=directed)
    graph.vs["cell"] = range(adjacency.shape[0])
    graph.es["weight"] = entries.data.astype(np.float64).tolist()
    return graph


@contextmanager
def igraph_seed(seed: int) -> Iterator[None]:
    """Let igraph draw from its own seeded generator, then give it Python's again (igraph's default)."""
    import igraph

    with _IGRAPH_RANDOM:
        igraph.set_random_number_generator(random.Random(seed))
        try:
            yield
        finally:
            igraph.set_random_number_generator(random)
