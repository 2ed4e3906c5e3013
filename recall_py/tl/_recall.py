"""Calibrated clusters under the names of the R package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from recall_py.adata import keys
from recall_py.method.params import PartitionParams, resolve_seed
from recall_py.run.calibration import Calibration
from recall_py.run.cluster import cluster_adata
from recall_py.run.options import with_option_docs
from recall_py.run.removed import refuse_removed_from_recall

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from anndata import AnnData

    from recall_py.method.params import Rng


@with_option_docs("recall")
def recall(
    adata: AnnData,
    resolution_start: float = 0.8,
    *,
    reduction_percentage: float = 0.2,
    num_clusters_start: int = 20,
    dims: int | Literal["auto"] | None = None,
    algorithm: Literal["louvain", "leiden", "kmeans", "ward"] = "louvain",
    graph: Literal["snn", "umap"] = "snn",
    neighbors_key: str | None = None,
    null_method: str = "ZIP",
    restrict_to: tuple[str, Sequence[str]] | None = None,
    random_state: int | np.random.RandomState | None = 0,
    rng: Rng | None = None,
    key_added: str = "recall_clusters",
    copy: bool = False,
    fdr: float = 0.05,
    offset: int = 1,
    strategy: Literal["resolution", "merge"] | None = None,
    n_draws: int | None = None,
    min_auc: float | None = None,
    exact_below: int | None = None,
    batch_key: str | None = None,
    sketch: int | None = None,
    layer: str | None = None,
    genes: Sequence[str] | None = None,
    n_top_genes: int = 2000,
    max_iterations: int = 50,
    raise_start: bool = False,
    bisect: bool = False,
    flavor: Literal["leidenalg", "igraph"] = "leidenalg",
    n_iterations: int = 10,
    directed: bool | None = None,
    use_weights: bool = True,
    partition_type: type | None = None,
    n_orders: int = 10,
    n_jobs: int | None = None,
    progress: bool = False,
    **clustering_args: Any,
) -> AnnData | None:
    """The published search with knockoff genes; in place of `leiden` to repeat the R package recall.

    Knockoff genes are drawn for the selected genes, and counts of both are normalised, embedded, joined into a
    neighbour graph and clustered together. Every pair of clusters is tested. While a pair has no gene that passes the
    knockoff filter, the resolution is lowered or the pair is merged. Names and defaults are those of the R package:
    Seurat's shared nearest neighbours (k = 20) on 10 components. A graph of yours cannot be used, since knockoffs have
    no part in it; for that see :func:`leiden`.

    Parameters
    ----------
    adata
        Cells x genes. Raw counts come from `layer`, ``layers["counts"]``, ``raw`` or ``X``, the first that applies.
    {options}
    **clustering_args
        Further arguments of :func:`leidenalg.find_partition` or :meth:`igraph.Graph.community_leiden`.

    {returns}

    {raises}

    {references}

    Examples
    --------
    >>> import anndata as ad, recall_py
    >>> adata = ad.read_h5ad("data/pbmc68k.h5ad")
    >>> recall_py.tl.recall(adata, 4)
    >>> recall_py.get.iterations(adata, "recall_clusters")["n_clusters"].is_monotonic_decreasing
    True
    """
    refuse_removed_from_recall(clustering_args)
    partition = PartitionParams(
        algorithm=algorithm,
        flavor=flavor,
        n_iterations=n_iterations if algorithm == "leiden" else -1,
        directed=directed,
        use_weights=use_weights,
        partition_type=partition_type,
        n_orders=n_orders,
        options=clustering_args,
    )
    return cluster_adata(
        adata,
        Calibration(
            start=resolution_start if partition.by_resolution else num_clusters_start,
            partition=partition,
            null_method=null_method,
            fdr=fdr,
            offset=offset,
            reduction=reduction_percentage,
            strategy=strategy,
            graph=graph,
            dims=10 if dims is None and graph == "snn" else dims,
            neighbors_key=neighbors_key,
            n_draws=n_draws,
            min_auc=min_auc,
            exact_below=exact_below,
            batch_key=batch_key,
            sketch=sketch,
            layer=layer,
            genes=genes,
            n_top_genes=n_top_genes,
            max_iterations=max_iterations,
            raise_start=raise_start,
            bisect=bisect,
            seed=resolve_seed(random_state, rng),
            n_jobs=n_jobs,
        ),
        key_added=keys.final_key(key_added, "recall_clusters", restricted=restrict_to is not None),
        restrict_to=restrict_to,
        copy=copy,
        progress=progress,
    )
