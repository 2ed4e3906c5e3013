"""Calibrated clustering of an AnnData object.

:func:`leiden` stands in for ``scanpy.tl.leiden``; :func:`recall` takes the names and defaults of the R package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from recall_py import keys
from recall_py._docs import with_common_docs
from recall_py.anndata_run import Calibration, cluster_adata
from recall_py.params import FilterParams, PartitionParams
from recall_py.read import read_counts, read_labels
from recall_py.seeds import resolve_seed
from recall_py.write import write_pair_tests

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

    Rng = np.random.Generator | np.random.SeedSequence | int | Sequence[int]

__all__ = ["leiden", "louvain", "recall", "test_clusters"]


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
    strategy: Literal["resolution", "merge"] = "resolution",
    graph: Literal["umap", "snn"] | None = None,
    dims: int | None = None,
    layer: str | None = None,
    n_top_genes: int = 2000,
    max_iterations: int = 50,
    raise_start: bool = False,
    preset: Literal["recall"] | None = None,
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
            layer=layer,
            n_top_genes=n_top_genes,
            max_iterations=max_iterations,
            raise_start=raise_start,
            preset=preset,
            seed=resolve_seed(random_state, rng),
            n_jobs=n_jobs,
            neighbors_key=neighbors_key,
        ),
        key_added="leiden_R" if restrict_to is not None and key_added == "leiden" else key_added,
        restrict_to=restrict_to,
        scanpy_params={"n_iterations": n_iterations},
        copy=copy,
        progress=progress,
    )


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
    strategy: Literal["resolution", "merge"] = "resolution",
    graph: Literal["umap", "snn"] | None = None,
    dims: int | None = None,
    layer: str | None = None,
    n_top_genes: int = 2000,
    max_iterations: int = 50,
    raise_start: bool = False,
    preset: Literal["recall"] | None = None,
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
        msg = (
            f"flavor={flavor!r} is not available: scanpy's 'vtraag' needs the package louvain, which is no longer "
            "maintained. Use flavor='igraph'; 'rapids' needs a GPU and has no counterpart here."
        )
        raise ValueError(msg)
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
            layer=layer,
            n_top_genes=n_top_genes,
            max_iterations=max_iterations,
            raise_start=raise_start,
            preset=preset,
            seed=resolve_seed(random_state, rng),
            n_jobs=n_jobs,
            neighbors_key=neighbors_key,
        ),
        key_added="louvain_R" if restrict_to is not None and key_added == "louvain" else key_added,
        restrict_to=restrict_to,
        copy=copy,
        progress=progress,
    )


@with_common_docs
def recall(
    adata: AnnData,
    resolution_start: float = 0.8,
    *,
    reduction_percentage: float = 0.2,
    num_clusters_start: int = 20,
    dims: int = 10,
    algorithm: Literal["louvain", "leiden", "kmeans", "ward"] = "louvain",
    null_method: str = "ZIP",
    restrict_to: tuple[str, Sequence[str]] | None = None,
    random_state: int | np.random.RandomState | None = 0,
    rng: Rng | None = None,
    key_added: str = "recall_clusters",
    copy: bool = False,
    fdr: float = 0.05,
    offset: int = 1,
    strategy: Literal["resolution", "merge"] = "resolution",
    layer: str | None = None,
    n_top_genes: int = 2000,
    max_iterations: int = 50,
    raise_start: bool = False,
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
        Principal components used.
    algorithm
        ``"louvain"``, ``"leiden"``, ``"kmeans"`` or ``"ward"``.
    null_method
        Null model, ``"ZIP"`` or ``"NB"``.
    {restrict_to}
    {seed}
    key_added
        Slot of ``obs`` and ``uns`` to write to.
    {copy}
    fdr, offset, strategy, layer, n_top_genes, max_iterations, raise_start, n_jobs, progress
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
            layer=layer,
            n_top_genes=n_top_genes,
            max_iterations=max_iterations,
            raise_start=raise_start,
            preset="recall",
            seed=resolve_seed(random_state, rng),
            n_jobs=n_jobs,
        ),
        key_added=key_added,
        restrict_to=restrict_to,
        copy=copy,
        progress=progress,
    )


def test_clusters(
    adata: AnnData,
    groupby: str,
    *,
    external: bool = False,
    key_added: str = keys.PAIR_TESTS,
    random_state: int | np.random.RandomState | None = 0,
    rng: Rng | None = None,
    null_method: str = "ZIP",
    fdr: float = 0.05,
    offset: int = 1,
    layer: str | None = None,
    n_top_genes: int = 2000,
    n_jobs: int | None = None,
    copy: bool = False,
) -> AnnData | None:
    """Which pairs of given labels are told apart by genes that beat their knockoffs, and by how many.

    For labels that did not come from the expression data: sorting, genotype, hashtags. Labels that were formed on the
    same expression data need more: knockoffs calibrate only what they helped to form (Poisson noise cut in two by
    2-means on the real genes has up to 84 "supported" genes; cut on real genes and knockoffs together, none).

    Parameters
    ----------
    adata
        Cells x genes, with raw counts as for :func:`leiden`.
    groupby
        Column of ``obs`` with the labels.
    external
        Say True to state that the labels did not come from the expression data.
    key_added
        Slot of ``uns`` to write to.
    random_state, rng
        Seed of everything random; `rng` wins if given.
    null_method, fdr, offset, layer, n_top_genes, n_jobs, copy
        As in :func:`leiden`.

    Returns
    -------
    None, or the changed copy. Read the result with :func:`recall_py.get.pairs` and :func:`recall_py.get.markers`. Sets:

    ``adata.uns[key_added]["params"]`` : dict
        ``groupby``, ``null_method``, ``fdr``, ``offset``, ``random_state``.
    ``adata.uns[key_added]["recall"]`` : dict of arrays
        Pairs and markers.

    Raises
    ------
    ValueError
        Without ``external=True``; for input without raw counts; for fewer than two labels.
    KeyError
        If `groupby` or `layer` does not exist.

    Examples
    --------
    >>> import anndata as ad, recall_py
    >>> adata = ad.read_h5ad("data/pbmc68k.h5ad")
    >>> recall_py.tl.test_clusters(adata, "annotation", external=True)
    >>> recall_py.get.pairs(adata, "recall_test").columns[:2].tolist()
    ['group', 'reference']
    """
    if not external:
        msg = (
            "Knockoff genes can calibrate only labels that they helped to form: labels found on the same expression "
            f"data keep all of its double dipping. If obs[{groupby!r}] comes from elsewhere (sorting, genotype, "
            "hashtags), pass external=True; to calibrate a clustering, run recall_py.tl.leiden(adata)."
        )
        raise ValueError(msg)
    from recall_py.pipeline import refuse_below_floor, test_labels

    filter_params = FilterParams(fdr=fdr, offset=offset)
    labels = read_labels(adata, groupby).cat.remove_unused_categories()
    if labels.cat.categories.size < 2:
        msg = f"obs[{groupby!r}] has one label; at least two are needed to test a pair."
        raise ValueError(msg)
    data = read_counts(adata, layer=layer, n_top_genes=n_top_genes)
    refuse_below_floor(data.counts.shape[1], filter_params)
    seed = resolve_seed(random_state, rng)
    codes = labels.cat.codes.to_numpy().astype(np.int32)
    pairs, markers = test_labels(data.counts, codes, null_method, filter_params, seed=seed, n_jobs=n_jobs)
    target = adata.copy() if copy else adata
    asked = {"groupby": groupby, "null_method": null_method, "fdr": fdr, "offset": offset, "random_state": seed}
    write_pair_tests(target, key_added, [str(name) for name in labels.cat.categories], data, asked, pairs, markers)
    return target if copy else None


test_clusters.__test__ = False  # type: ignore[attr-defined]  # not a test, though pytest takes it for one


def _refuse_given_graph(**given: object) -> None:
    for name, value in given.items():
        if value is not None:
            msg = (
                f"{name} cannot be used: that graph was built without knockoff genes, so clusters on it cannot be "
                f"calibrated. Leave {name} out; the graph is rebuilt with the parameters that sc.pp.neighbors recorded."
            )
            raise ValueError(msg)
