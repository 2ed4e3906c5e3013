"""Calibrated clusters under the names of the R package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from recall_py._docs import with_common_docs
from recall_py.adata import keys
from recall_py.method.params import PartitionParams, resolve_seed
from recall_py.run.cluster import cluster_adata
from recall_py.run.options import Calibration

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from anndata import AnnData

    from recall_py.method.params import Rng


@with_common_docs
def recall(
    adata: AnnData,
    resolution_start: float = 0.8,
    *,
    reduction_percentage: float = 0.2,
    num_clusters_start: int = 20,
    dims: int | Literal["auto"] | None = None,
    algorithm: Literal["louvain", "leiden", "kmeans", "ward"] = "louvain",
    null_method: str = "ZIP",
    restrict_to: tuple[str, Sequence[str]] | None = None,
    random_state: int | np.random.RandomState | None = 0,
    rng: Rng | None = None,
    key_added: str = "recall_clusters",
    copy: bool = False,
    fdr: float = 0.05,
    offset: int = 1,
    strategy: Literal["resolution", "merge"] | None = None,
    pair_test: Literal["knockoff", "synthetic"] | None = None,
    n_draws: int | None = None,
    min_auc: float | None = None,
    exact_below: int | None = None,
    batch_key: str | None = None,
    sketch: int | None = None,
    layer: str | None = None,
    n_top_genes: int = 2000,
    max_iterations: int = 50,
    raise_start: bool = False,
    bisect: bool = False,
    n_jobs: int | None = None,
    progress: bool = False,
) -> AnnData | None:
    """Calibrated clusters under the names and defaults of the R package recall.

    The engine of :func:`leiden` with ``preset="recall"``: Seurat's shared nearest neighbours (k = 20) on 10 components.

    Parameters
    ----------
    adata
        Cells x genes. Raw counts come from `layer`, ``layers["counts"]``, ``raw`` or ``X``, the first that applies.
    resolution_start
        Resolution where the search starts, for Louvain and Leiden.
    reduction_percentage
        Share by which the resolution is lowered at each step.
    num_clusters_start
        Number of clusters where the search starts, for k-means and Ward; one fewer at each step.
    dims
        Principal components used, 10 by default; ``"auto"`` for those above the noise.
    algorithm
        ``"louvain"``, ``"leiden"``, ``"kmeans"`` or ``"ward"``.
    null_method
        Null model of the knockoff genes, as in :func:`leiden`.
    {restrict_to}
    {seed}
    key_added
        Slot of ``obs`` and ``uns`` to write to; ``"recall_clusters_R"`` when left alone with `restrict_to`.
    {copy}
    fdr, offset, strategy, pair_test, n_draws, min_auc, exact_below, batch_key, sketch
        As in :func:`leiden`.
    layer, n_top_genes, max_iterations, raise_start, bisect, n_jobs, progress
        As in :func:`leiden`.

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
    partition = PartitionParams(algorithm=algorithm, n_iterations=10 if algorithm == "leiden" else -1)
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
            dims=dims,
            pair_test=pair_test,
            n_draws=n_draws,
            min_auc=min_auc,
            exact_below=exact_below,
            batch_key=batch_key,
            sketch=sketch,
            layer=layer,
            n_top_genes=n_top_genes,
            max_iterations=max_iterations,
            raise_start=raise_start,
            bisect=bisect,
            preset="recall",
            seed=resolve_seed(random_state, rng),
            n_jobs=n_jobs,
        ),
        key_added=keys.final_key(key_added, "recall_clusters", restricted=restrict_to is not None),
        restrict_to=restrict_to,
        copy=copy,
        progress=progress,
    )
