"""Calibrated Leiden clusters."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import scanpy as sc

from recall_py.adata import keys
from recall_py.adata.programmes import USUAL, accepted
from recall_py.arguments import ArgumentError, Named
from recall_py.method.clustering.sweep import Sweep
from recall_py.method.params import ALPHA, PartitionParams, one_of, resolve_seed
from recall_py.run.calibration import Calibration
from recall_py.run.cluster import cluster_adata
from recall_py.run.graph_clusters import (
    AUTO,
    GraphClustering,
    calibrate_graph_clusters,
    cluster_by,
    refuse_no_resolution,
)
from recall_py.run.options import with_option_docs
from recall_py.run.removed import refuse_removed_from_clustering

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData
    from numpy.typing import NDArray
    from scipy import sparse

    from recall_py.method.params import Rng
    from recall_py.run.graph_clusters import Cluster

METHODS = ("pairs", "knockoffs")
scanpy_leiden = sc.tl.leiden
"""scanpy's own, taken once: a user may put ours in its place."""


@with_option_docs("leiden")
def leiden(
    adata: AnnData,
    resolution: float | Literal["auto"] | None = 1,
    *,
    restrict_to: tuple[str, Sequence[str]] | None = None,
    random_state: int | np.random.RandomState | None = 0,
    rng: Rng | None = None,
    key_added: str = "leiden",
    adjacency: Any = None,
    neighbors_key: str | None = None,
    obsp: str | None = None,
    copy: bool = False,
    method: Literal["pairs", "knockoffs"] = "pairs",
    layer: str | None = None,
    batch_key: str | None = None,
    genes: Sequence[str] | None = None,
    programmes: Sequence[str] = USUAL,
    alpha: float = ALPHA,
    modality: str | None = None,
    n_jobs: int | None = None,
    progress: bool = False,
    **clustering_args: Any,
) -> AnnData | None:
    """Leiden clusters of your own graph, merged until all of them stand. Start here: ``tl.leiden(adata, "auto")``.

    Takes the place of :func:`scanpy.tl.leiden`. Runs scanpy's own function, with the arguments given, on the neighbour
    graph that `adata` has, whoever made it
    (:func:`scanpy.pp.neighbors`, Harmony, BBKNN, scVI, weighted nearest neighbours, a GPU); with ``"auto"`` as the
    `resolution` many runs of igraph's Leiden. Then neighbouring clusters are compared by their raw counts: one
    population is fitted to the cells of both, null cells are drawn from it and cut in two as a clustering would cut
    them. Two clusters stand if their genes lead their own nulls far enough, else they are merged. So each cluster is a
    union of clusters of the start, which a number makes scanpy's own. What the calibration costs depends on the number
    of clusters, not of cells.

    Parameters
    ----------
    adata
        Cells x genes with a neighbour graph, or a MuData (see `modality`). Raw counts come from `layer`,
        ``layers["counts"]``, ``raw`` or ``X``, the first that applies.
    {options}
    **clustering_args
        Whatever else :func:`scanpy.tl.leiden` takes: ``flavor``, ``n_iterations``, ``directed``, ``use_weights``, ...;
        with ``"auto"`` ``n_iterations`` (2) and ``use_weights``.

    {calibrated_returns}

    {calibrated_raises}

    Examples
    --------
    >>> import scanpy as sc, recall_py
    >>> adata = recall_py.datasets.pbmc68k()
    >>> adata.layers["counts"] = adata.X.copy()
    >>> sc.pp.normalize_total(adata)
    >>> sc.pp.log1p(adata)
    >>> sc.pp.neighbors(adata, use_rep="X")
    >>> recall_py.tl.leiden(adata, 4, flavor="igraph", n_iterations=2)
    >>> adata.obs["leiden"].nunique() < adata.obs["leiden_start"].nunique()
    True
    >>> recall_py.tl.leiden(adata, "auto")
    >>> bool(recall_py.get.clusters(adata)["supported"].all())
    True
    """
    one_of("method", method, METHODS)
    if isinstance(resolution, str):
        one_of("resolution", resolution, (AUTO,))
    refuse_no_resolution(resolution)
    programmes = accepted(programmes)
    refuse_removed_from_clustering("leiden", clustering_args)
    key = keys.final_key(key_added, "leiden", restricted=restrict_to is not None)
    if method == "knockoffs":
        if isinstance(resolution, str):
            text = (
                "{resolution:'auto'} cannot be used with {method:'knockoffs'}, which searches from a number downwards."
            )
            raise ArgumentError(text)
        refuse_for_knockoffs(programmes, alpha, adjacency=adjacency, obsp=obsp, modality=modality)
        own = {
            name: clustering_args.pop(name)
            for name in ("flavor", "n_iterations", "directed", "use_weights", "partition_type")
            if name in clustering_args
        }
        return cluster_adata(
            adata,
            Calibration(
                start=resolution,
                partition=PartitionParams(algorithm="leiden", options=clustering_args, **own),
                batch_key=batch_key,
                layer=layer,
                genes=genes,
                seed=resolve_seed(random_state, rng),
                n_jobs=n_jobs,
                neighbors_key=neighbors_key,
            ),
            key_added=key,
            restrict_to=restrict_to,
            copy=copy,
            progress=progress,
        )
    seed = resolve_seed(random_state, rng)
    takes_rng = rng is not None and "rng" in inspect.signature(scanpy_leiden).parameters
    by_scanpy: dict[str, Any] = {"rng" if takes_rng else "random_state": seed}

    def by_scanpy_once(cells: AnnData, key: str) -> None:
        scanpy_leiden(cells, resolution, key_added=key, **by_scanpy, **clustering_args)

    return calibrate_graph_clusters(
        adata,
        _lasting_clusters(seed, **clustering_args) if resolution == AUTO else by_scanpy_once,
        GraphClustering(
            key_added=key,
            restrict_to=restrict_to,
            neighbors_key=neighbors_key,
            obsp=obsp,
            adjacency=adjacency,
            layer=layer,
            batch_key=batch_key,
            genes=genes,
            programmes=programmes,
            alpha=alpha,
            modality=modality,
            seed=seed,
            n_jobs=n_jobs,
            progress=progress,
            copy=copy,
            recorded=recorded("leiden", resolution, clustering_args),
        ),
    )


def _lasting_clusters(
    seed: int,
    *,
    flavor: str = "igraph",
    n_iterations: int = 2,
    use_weights: bool = True,
    directed: bool | None = False,
    **others: Any,
) -> Cluster:
    """Clusters that last over a range of resolutions, by igraph."""
    if n_iterations == 0:
        text = "{n_iterations} is 0, which moves no cell. Pass 2, or -1 for as many as improve."
        raise ArgumentError(text)
    unfit = {"flavor": flavor != "igraph", "directed": bool(directed)} | dict.fromkeys(others, True)
    for name in (name for name, is_unfit in unfit.items() if is_unfit):
        text = (
            "{name} cannot be used with {resolution:'auto'}, which runs Leiden many times by igraph on the undirected "
            "graph. Leave {name} out, or pass a number as {resolution}."
        )
        raise ArgumentError(text, name=Named(name))

    def find(adjacency: sparse.csr_array) -> tuple[NDArray[np.int32], Sweep]:
        sweep = Sweep.of(adjacency if use_weights else (adjacency != 0).astype(float), seed, n_iterations=n_iterations)
        return sweep.lasting(), sweep

    return cluster_by(find, {"resolution": AUTO, "random_state": seed, "n_iterations": n_iterations})


def refuse_for_knockoffs(programmes: Sequence[str], alpha: float, **given: object) -> None:
    """Refuse what knockoff genes cannot be used with."""
    if programmes != USUAL:
        text = (
            "{programmes} cannot be used with {method:'knockoffs'}, which lets all genes count as the original does. "
            "Leave {programmes} out, or leave out {method}."
        )
        raise ArgumentError(text)
    if alpha != ALPHA:
        text = (
            "{alpha} cannot be used with {method:'knockoffs'}, which asks for a share of false genes. Leave {alpha} "
            "out, or leave out {method}."
        )
        raise ArgumentError(text)
    for name, value in given.items():
        if value is None:
            continue
        text = (
            "{name} cannot be used with {method:'knockoffs'}: that graph was built without knockoff genes, so clusters "
            "on it cannot be calibrated by them. Leave {name} out, or leave out {method}."
        )
        if name == "modality":
            text = "{name} cannot be used with {method:'knockoffs'}: pass the AnnData of the modality, mdata['rna']."
        raise ArgumentError(text, name=Named(name))


def recorded(algorithm: str, resolution: float | str | None, others: dict[str, Any]) -> dict[str, Any]:
    """What clusters and its arguments, as scalars and names that a file can hold."""
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in others.items()}
    told = {
        name: value if isinstance(value, bool | int | float | str) else getattr(value, "__name__", repr(value))
        for name, value in plain.items()
        if value is not None
    }
    return {
        "algorithm": algorithm,
        **({} if resolution is None else {"resolution": AUTO if resolution == AUTO else float(resolution)}),
        **told,
    }
