"""Calibrated Louvain clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import scanpy as sc

from recall_py.adata import keys
from recall_py.adata.programmes import USUAL, accepted
from recall_py.arguments import ArgumentError, Named
from recall_py.method.clustering.partition import GraphClusterer
from recall_py.method.params import ALPHA, PartitionParams, one_of, resolve_seed
from recall_py.run.calibration import Calibration
from recall_py.run.cluster import cluster_adata
from recall_py.run.graph_clusters import GraphClustering, calibrate_graph_clusters, cluster_by, refuse_no_resolution
from recall_py.run.options import with_option_docs
from recall_py.run.removed import refuse_removed_from_clustering
from recall_py.tl._leiden import METHODS, recorded, refuse_for_knockoffs

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from anndata import AnnData

    from recall_py.method.params import Rng

_FLAVORS = ("igraph", "vtraag", "rapids")
_BY_SCANPY_ALONE = ("directed", "partition_type", "partition_kwargs")
_scanpy_louvain = sc.tl.louvain
"""scanpy's own, taken once: a user may put ours in its place."""


@with_option_docs()
def louvain(
    adata: AnnData,
    resolution: float | None = 1,
    *,
    restrict_to: tuple[str, Sequence[str]] | None = None,
    random_state: int | np.random.RandomState | None = 0,
    rng: Rng | None = None,
    key_added: str = "louvain",
    adjacency: Any = None,
    flavor: Literal["igraph", "vtraag", "rapids"] = "igraph",
    use_weights: bool = True,
    neighbors_key: str | None = None,
    obsp: str | None = None,
    copy: bool = False,
    n_orders: int = 10,
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
    """Louvain clusters of your own graph, merged until all stand; in place of `leiden` where a script uses Louvain.

    As :func:`leiden`, with igraph's multilevel algorithm at the given resolution, from several random vertex orders of
    which the best by modularity is kept. scanpy's igraph flavour takes no resolution, and its default needs the package
    louvain, which is no longer kept.

    Parameters
    ----------
    adata
        Cells x genes with a neighbour graph, or a MuData (see `modality`). Raw counts come from `layer`,
        ``layers["counts"]``, ``raw`` or ``X``, the first that applies.
    {options}
    **clustering_args
        With ``flavor="vtraag"``: what else :func:`scanpy.tl.louvain` takes, such as ``directed`` and
        ``partition_type``.

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
    >>> recall_py.tl.louvain(adata, 4)
    >>> adata.obs["louvain"].nunique() < adata.obs["louvain_start"].nunique()
    True
    """
    one_of("method", method, METHODS)
    if isinstance(resolution, str):
        text = "{resolution:{found!r}} is no number; one is needed here. {resolution:'auto'} is of Leiden."
        raise ArgumentError(text, found=resolution)
    refuse_no_resolution(resolution)
    programmes = accepted(programmes)
    one_of("flavor", flavor, _FLAVORS)
    refuse_removed_from_clustering("louvain", clustering_args)
    if flavor == "igraph":
        _refuse_others(clustering_args)
    key = keys.final_key(key_added, "louvain", restricted=restrict_to is not None)
    level = 1 if resolution is None else resolution
    seed = resolve_seed(random_state, rng)
    partition = PartitionParams(algorithm="louvain", use_weights=use_weights, n_orders=n_orders)
    if method == "knockoffs":
        refuse_for_knockoffs(programmes, alpha, adjacency=adjacency, obsp=obsp, modality=modality)
        if flavor != "igraph":
            text = "{flavor:{found!r}} cannot be used with {method:'knockoffs'}, which clusters by igraph alone."
            raise ArgumentError(text, found=flavor)
        return cluster_adata(
            adata,
            Calibration(
                start=level,
                partition=partition,
                batch_key=batch_key,
                layer=layer,
                genes=genes,
                seed=seed,
                n_jobs=n_jobs,
                neighbors_key=neighbors_key,
            ),
            key_added=key,
            restrict_to=restrict_to,
            copy=copy,
            progress=progress,
        )

    by_igraph = cluster_by(
        lambda adjacency: (GraphClusterer(adjacency, partition, seed)(level).labels, None),
        {"resolution": level, "random_state": seed},
    )

    def by_scanpy(cells: AnnData, key: str) -> None:
        how = {"random_state": seed, "flavor": flavor, "use_weights": use_weights, **clustering_args}
        try:
            _scanpy_louvain(cells, resolution, key_added=key, **how)
        except ImportError as error:
            text = "{flavor:{found!r}} needs a package that is absent ({error}). Use {flavor:'igraph'}, or install it."
            raise ArgumentError(text, found=flavor, error=error) from error

    how = {"flavor": flavor, "use_weights": use_weights, "n_orders": n_orders, **clustering_args}
    return calibrate_graph_clusters(
        adata,
        by_igraph if flavor == "igraph" else by_scanpy,
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
            recorded=recorded("louvain", level, how),
        ),
    )


def _refuse_others(others: dict[str, Any]) -> None:
    """Refuse what igraph's algorithm has no use for."""
    for name in others:
        if name in _BY_SCANPY_ALONE:
            text = "{name} means nothing to {flavor:'igraph'}; leave it out, or pass {flavor:'vtraag'}."
            raise ArgumentError(text, name=Named(name))
        msg = f"louvain() got an unexpected keyword argument {name!r}"
        raise TypeError(msg)
