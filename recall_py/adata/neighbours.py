"""The recorded neighbour graph: its parameters, and one like it made anew by scanpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recall_py.adata import keys
from recall_py.arguments import ArgumentError
from recall_py.counts.structure import refuse_damaged
from recall_py.method.clustering.components import MAX_COMPONENTS
from recall_py.method.clustering.graph import descent_options, searched_exactly
from recall_py.method.params import GraphParams
from recall_py.method.threads import one_blas_thread
from recall_py.words import listed, shortened

if TYPE_CHECKING:
    from anndata import AnnData

_PCA = ("X_pca", "pca")
_CONNECTIVITIES = "connectivities"


class CellGraph(NamedTuple):
    """A graph of the cells, whoever made it."""

    stored: Any
    """(n_obs, n_obs) weights as they were given, in memory."""
    name: str
    """Where it was found, such as ``obsp['connectivities']``."""

    def among(self, cells: NDArray[np.bool_] | None) -> CellGraph:
        """The graph of some of the cells, or of all."""
        return self if cells is None else self._replace(stored=sparse.csr_matrix(self.stored)[cells][:, cells])


def recorded_graph(
    adata: AnnData, neighbors_key: str | None = None, obsp: str | None = None, adjacency: Any = None
) -> CellGraph | None:
    """The graph of the cells that is given, named or recorded; None where none is.

    Of what is recorded beside the graph nothing but its name is read.

    Raises
    ------
    KeyError
        If `neighbors_key`, `obsp` or the graph that is recorded does not exist.
    ValueError
        If more than one graph is given, or one of another size.
    """
    given = [name for name, value in (("neighbors_key", neighbors_key), ("obsp", obsp)) if value is not None]
    given += [] if adjacency is None else ["adjacency"]
    if len(given) > 1:
        msg = f"Both {given[0]} and {given[1]} give a graph; pass one of them."
        raise ValueError(msg)
    if adjacency is not None:
        return _of_these_cells(CellGraph(adjacency, "adjacency"), adata.n_obs)
    slot = obsp or _recorded_slot(adata, neighbors_key)
    if slot is None:
        return None
    if slot not in adata.obsp:
        named = "" if obsp else f", which uns[{neighbors_key or keys.NEIGHBORS!r}] names,"
        msg = (
            f"The neighbour graph obsp[{slot!r}]{named} does not exist; obsp has: {listed(list(adata.obsp))}. "
            "Make one: sc.pp.neighbors(adata)"
        )
        raise KeyError(msg)
    stored = adata.obsp[slot]
    if hasattr(stored, "to_memory"):
        stored = stored.to_memory()
    if hasattr(stored, "indptr"):
        refuse_damaged(stored, f"obsp[{slot!r}]")
    return _of_these_cells(CellGraph(stored, f"obsp[{slot!r}]"), adata.n_obs)


def _of_these_cells(graph: CellGraph, n_cells: int) -> CellGraph:
    shape = np.shape(graph.stored)
    if shape != (n_cells, n_cells):
        msg = (
            f"{graph.name} is {' x '.join(map(str, shape))}, but there are {n_cells} cells. "
            "Make the graph anew on these cells: sc.pp.neighbors(adata)"
        )
        raise ValueError(msg)
    weights = graph.stored.data if sparse.issparse(graph.stored) else np.asarray(graph.stored)
    if weights.size and not (np.isfinite(weights).all() and weights.min() >= 0):
        msg = (
            f"{graph.name} has weights that are negative, infinite or NaN; those of a neighbour graph are 0 or more. "
            "Make the graph anew: sc.pp.neighbors(adata)"
        )
        raise ValueError(msg)
    return graph


def _recorded_slot(adata: AnnData, neighbors_key: str | None) -> str | None:
    """The name of the graph in ``obsp`` that an entry of ``uns`` records."""
    entry = _recorded_entry(adata, neighbors_key)
    if entry is None:
        return None
    named = entry.get("connectivities_key", _CONNECTIVITIES) if hasattr(entry, "get") else _CONNECTIVITIES
    return str(np.ravel(named)[0])  # older h5ad files hold one-element arrays


def _recorded_entry(adata: AnnData, neighbors_key: str | None) -> Any:
    """What ``uns`` has of a neighbour graph; None where nothing is recorded and nothing was asked for."""
    if neighbors_key is not None and neighbors_key not in adata.uns:
        msg = f"uns[{neighbors_key!r}] does not exist. Run sc.pp.neighbors(adata, key_added={neighbors_key!r}) first."
        raise KeyError(msg)
    return adata.uns.get(neighbors_key or keys.NEIGHBORS)


def read_graph_params(adata: AnnData, neighbors_key: str | None) -> tuple[GraphParams, int | None]:
    """Graph parameters that ``sc.pp.neighbors`` recorded, and the number of components if one was recorded.

    Raises
    ------
    KeyError
        If `neighbors_key` is given and ``uns`` has no such entry.
    ValueError
        If the recorded graph is not one of principal components: knockoff genes cannot be sent through it.
    """
    text = (
        "The recorded neighbour graph was made by {corrected}. Knockoff genes did not pass through it, so "
        "clusters on it cannot be calibrated. To cluster on uncorrected principal components instead: "
        "sc.pp.neighbors(adata, use_rep='X_pca'), and to keep batches apart then: {restrict_to:('batch', ['...'])}."
    )
    return _params_of_components(adata, neighbors_key, text)


def recorded_graph_params(adata: AnnData, neighbors_key: str | None) -> tuple[GraphParams, int | None]:
    """The same, to make such a graph of other counts."""
    text = (
        "The recorded neighbour graph was made by {corrected}, which cannot be made of a fold of the counts. Leave "
        "{method:'countsplit'} out."
    )
    return _params_of_components(adata, neighbors_key, text)


def _params_of_components(
    adata: AnnData, neighbors_key: str | None, if_corrected: str
) -> tuple[GraphParams, int | None]:
    entry = _recorded_entry(adata, neighbors_key)
    recorded = entry.get(keys.PARAMS, {}) if hasattr(entry, "get") else {}
    of_modalities = hasattr(recorded.get("n_pcs"), "items")
    n_pcs = None if recorded.get("n_pcs") is None or of_modalities else int(_parameter(recorded, "n_pcs", int | float))
    representation = "X" if n_pcs == 0 else "several" if of_modalities else recorded.get("use_rep", _PCA[0])
    if representation not in _PCA or "bbknn" in recorded:
        corrected = "bbknn" if "bbknn" in recorded else f"the representation {representation!r}"
        raise ArgumentError(if_corrected, corrected=corrected)
    kinds = {"n_neighbors": int | float, "metric": object, "method": object, "random_state": object}
    given = {name: _parameter(recorded, name, kind) for name, kind in kinds.items() if name in recorded}
    if not isinstance(given.get("random_state", 0), int):
        given.pop("random_state")
    return GraphParams(**given), n_pcs


def _parameter(recorded: Any, name: str, kind: Any) -> Any:
    """A parameter as a plain scalar; older h5ad files hold one-element arrays and NumPy strings."""
    value = recorded[name]
    if isinstance(value, np.ndarray | np.generic) and np.size(value) == 1:
        value = np.ravel(value).tolist()[0]
    if not isinstance(value, kind):
        msg = (
            f"The recorded neighbour graph has {name} = {shortened(str(value))!r}, which is none. Make the graph anew: "
            "sc.pp.neighbors(adata)"
        )
        raise ValueError(msg)
    return value


def scanpy_components(values: sparse.csc_array, seed: int) -> NDArray[np.float64]:
    """Scores of ``scanpy.pp.pca`` on (n_cells, n_genes) log-normalised values: 50, or as many as there can be."""
    import anndata as ad
    import scanpy as sc

    holder = ad.AnnData(sparse.csr_matrix(values))
    with one_blas_thread(), sc.settings.verbosity.override("warning"):
        sc.pp.pca(holder, n_comps=min(MAX_COMPONENTS, min(values.shape) - 1), random_state=seed)
    return np.asarray(holder.obsm["X_pca"], dtype=np.float64)


def scanpy_graph(scores: NDArray[np.float64], params: GraphParams) -> sparse.csr_array:
    """Connectivities of ``scanpy.pp.neighbors``, with exact neighbours up to 20,000 cells.

    scanpy's own choice below 8,192 cells is exact too. Above, it searches as here, but with random numbers that are
    split by thread, so its graph would depend on the machine.
    """
    import anndata as ad
    import scanpy as sc

    holder = ad.AnnData(sparse.csr_matrix((len(scores), 1), dtype=np.float32), obsm={"X_pca": scores})
    with one_blas_thread(), sc.settings.verbosity.override("warning"):
        sc.pp.neighbors(
            holder,
            n_neighbors=params.n_neighbors,
            use_rep="X_pca",
            metric=params.metric,
            method=params.method,
            transformer=neighbour_search(params, len(scores)),
            random_state=params.random_state,
        )
    return sparse.csr_array(holder.obsp["connectivities"])


def neighbour_search(params: GraphParams, n_cells: int) -> Any:
    """What ``scanpy.pp.neighbors`` is to search with: exactly up to 20,000 cells, by descent above."""
    return "sklearn" if searched_exactly(n_cells) else _descent_transformer(params, n_cells)


def _descent_transformer(params: GraphParams, n_cells: int) -> Any:
    """The approximate search in the form that scanpy takes."""
    from pynndescent import PyNNDescentTransformer

    class Descent(PyNNDescentTransformer):  # type: ignore[misc]
        def fit_transform(self, x: NDArray[np.float64]) -> sparse.csr_matrix:
            """Distances; pynndescent 0.7 gives a sparse array, which scanpy 1.11 and 1.12 cannot read."""
            return sparse.csr_matrix(super().fit_transform(x))

    return Descent(params.n_neighbors, params.metric, random_state=params.random_state, **descent_options(n_cells))
