"""Calibrated Louvain clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from recall_py._docs import with_common_docs
from recall_py.adata import keys
from recall_py.arguments import ArgumentError
from recall_py.method.params import PartitionParams, resolve_seed
from recall_py.run.cluster import cluster_adata
from recall_py.run.options import Calibration

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from anndata import AnnData

    from recall_py.method.params import Rng


@with_common_docs
def louvain(
    adata: AnnData,
    resolution: float = 1,
    *,
    restrict_to: tuple[str, Sequence[str]] | None = None,
    random_state: int | np.random.RandomState | None = 0,
    rng: Rng | None = None,
    key_added: str = "louvain",
    use_weights: bool = True,
    n_orders: int = 10,
    neighbors_key: str | None = None,
    copy: bool = False,
    flavor: Literal["igraph"] = "igraph",
    null_method: str = "ZIP",
    fdr: float = 0.05,
    offset: int = 1,
    reduction: float = 0.2,
    strategy: Literal["resolution", "merge"] | None = None,
    graph: Literal["umap", "snn"] | None = None,
    dims: int | Literal["auto"] | None = None,
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
    preset: Literal["recall", "calibrated"] | None = None,
    n_jobs: int | None = None,
    progress: bool = False,
) -> AnnData | None:
    """Louvain clusters that all have markers which beat knockoff genes.

    As :func:`leiden`, with igraph's multilevel algorithm, from several random vertex orders of which the best by
    modularity is kept.

    Parameters
    ----------
    adata
        Cells x genes. Raw counts come from `layer`, ``layers["counts"]``, ``raw`` or ``X``, the first that applies.
    resolution
        Where the search starts: higher values start with more clusters.
    {restrict_to}
    {seed}
    key_added
        Slot of ``obs`` and ``uns`` to write to; ``"louvain_R"`` when left alone with `restrict_to`.
    use_weights
        Whether edge weights count.
    n_orders
        Random vertex orders.
    {neighbors_key}
    {copy}
    flavor
        ``"igraph"``. scanpy's ``"vtraag"`` is refused: it needs the package louvain, which is no longer kept.
    {calibration}

    {returns}

    {raises}

    {references}

    Examples
    --------
    >>> import anndata as ad, recall_py
    >>> adata = ad.read_h5ad("data/pbmc68k.h5ad")
    >>> recall_py.tl.louvain(adata, resolution=2)
    >>> adata.uns["louvain"]["recall"]["converged"]
    True
    """
    if flavor != "igraph":
        text = (
            "{flavor:{found!r}} is not available: scanpy's 'vtraag' needs the package louvain, which is no longer "
            "maintained. Use {flavor:'igraph'}; 'rapids' needs a GPU and has no counterpart here."
        )
        raise ArgumentError(text, found=flavor)
    return cluster_adata(
        adata,
        Calibration(
            start=resolution,
            partition=PartitionParams(algorithm="louvain", use_weights=use_weights, n_orders=n_orders),
            null_method=null_method,
            fdr=fdr,
            offset=offset,
            reduction=reduction,
            strategy=strategy,
            graph=graph,
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
            preset=preset,
            seed=resolve_seed(random_state, rng),
            n_jobs=n_jobs,
            neighbors_key=neighbors_key,
        ),
        key_added=keys.final_key(key_added, "louvain", restricted=restrict_to is not None),
        restrict_to=restrict_to,
        copy=copy,
        progress=progress,
    )
