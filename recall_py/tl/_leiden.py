"""Calibrated Leiden clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from recall_py._docs import with_common_docs
from recall_py.adata import keys
from recall_py.arguments import ArgumentError, Named
from recall_py.method.params import PartitionParams, resolve_seed
from recall_py.run.cluster import cluster_adata
from recall_py.run.options import Calibration

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from anndata import AnnData

    from recall_py.method.params import Rng


@with_common_docs
def leiden(
    adata: AnnData,
    resolution: float = 1,
    *,
    restrict_to: tuple[str, Sequence[str]] | None = None,
    random_state: int | np.random.RandomState | None = 0,
    rng: Rng | None = None,
    key_added: str = "leiden",
    adjacency: Any = None,
    directed: bool | None = None,
    use_weights: bool = True,
    n_iterations: int = -1,
    partition_type: type | None = None,
    neighbors_key: str | None = None,
    obsp: str | None = None,
    copy: bool = False,
    flavor: Literal["leidenalg", "igraph"] | None = None,
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
    **clustering_args: Any,
) -> AnnData | None:
    """Leiden clusters that all have markers which beat knockoff genes; stands in for :func:`scanpy.tl.leiden`.

    Knockoff genes are drawn for the selected genes, and counts of both are normalised, embedded, joined into a
    neighbour graph and clustered together. Every pair of clusters is tested. While a pair has no gene that passes the
    knockoff filter, the resolution is lowered or the pair is merged. The graph is built anew, on real genes and
    knockoffs, with the parameters that :func:`scanpy.pp.neighbors` recorded in `adata` (``n_neighbors, metric, method,
    n_pcs, random_state``), else scanpy's defaults.

    Parameters
    ----------
    adata
        Cells x genes. Raw counts come from `layer`, ``layers["counts"]``, ``raw`` or ``X``, the first that applies.
    resolution
        Where the search starts: higher values start with more clusters.
    {restrict_to}
    {seed}
    key_added
        Slot of ``obs`` and ``uns`` to write to; ``"leiden_R"`` when left alone with `restrict_to`.
    adjacency, obsp
        Refused: a given graph does not hold the knockoff genes.
    directed
        Whether leidenalg sees a directed graph; it does unless this is False, as in scanpy.
    use_weights
        Whether edge weights count.
    n_iterations
        Iterations of the Leiden algorithm, -1 to go on until nothing improves.
    partition_type
        Type of partition for leidenalg, :class:`~leidenalg.RBConfigurationVertexPartition` by default.
    {neighbors_key}
    {copy}
    flavor
        Implementation: ``"leidenalg"`` (also for None) or ``"igraph"``, which is faster.
    {calibration}
    **clustering_args
        Further arguments of :func:`leidenalg.find_partition` or :meth:`igraph.Graph.community_leiden`.

    {returns}

    {raises}

    {references}

    Examples
    --------
    >>> import anndata as ad, recall_py
    >>> adata = ad.read_h5ad("data/pbmc68k.h5ad")
    >>> recall_py.tl.leiden(adata, resolution=2)
    >>> adata.uns["leiden"]["recall"]["converged"]
    True
    """
    _refuse_given_graph(adjacency=adjacency, obsp=obsp)
    partition = PartitionParams(
        algorithm="leiden",
        flavor=flavor or "leidenalg",
        n_iterations=n_iterations,
        directed=directed,
        use_weights=use_weights,
        partition_type=partition_type,
        options=clustering_args,
    )
    return cluster_adata(
        adata,
        Calibration(
            start=resolution,
            partition=partition,
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
        key_added=keys.final_key(key_added, "leiden", restricted=restrict_to is not None),
        restrict_to=restrict_to,
        copy=copy,
        progress=progress,
    )


def _refuse_given_graph(**given: object) -> None:
    for name, value in given.items():
        if value is not None:
            text = (
                "{name} cannot be used: that graph was built without knockoff genes, so clusters on it cannot be "
                "calibrated. Leave {name} out; the graph is rebuilt with the parameters that sc.pp.neighbors recorded."
            )
            raise ArgumentError(text, name=Named(name))
