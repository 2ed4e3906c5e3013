"""What benchmarks and tests run: plain scanpy up to the graph, and the search with knockoffs on scanpy's graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import scanpy as sc

from recall_py import tl
from recall_py.adata import keys
from recall_py.method.params import PartitionParams
from recall_py.run.calibration import Calibration
from recall_py.run.check import check_adata
from recall_py.run.cluster import cluster_adata

if TYPE_CHECKING:
    from anndata import AnnData

KEY = "found"
"""Where every clustering writes its labels, in ``obs``."""


def tutorial_graph(adata, n_components, *, seed=0, genes=None, scaled=True):
    """The scanpy tutorial up to the neighbour graph; components of the genes in the mask `genes`, of all if None."""
    values = adata.copy()
    sc.pp.normalize_total(values, target_sum=1e4)
    sc.pp.log1p(values)
    if genes is not None:
        values = values[:, genes].copy()
    if scaled:
        sc.pp.scale(values, max_value=10)
    sc.pp.pca(values, n_comps=n_components, random_state=seed)
    sc.pp.neighbors(values, random_state=seed)
    return values


def search(adata: AnnData, resolution: float = 1, *, key_added: str = "leiden", **options: Any) -> AnnData | None:
    """``tl.recall`` with Leiden on the graph that scanpy's parameters give.

    With a `preset` or a `pair_test`, the search that ``FindClustersRecall`` of the R package runs by those names.
    """
    key_added = keys.final_key(key_added, "leiden", restricted=options.get("restrict_to") is not None)
    if "preset" in options or "pair_test" in options:
        return _as_from_r(adata, resolution, key_added=key_added, **options)
    named = {{"reduction": "reduction_percentage"}.get(name, name): value for name, value in options.items()}
    defaults: dict[str, Any] = {"algorithm": "leiden", "graph": "umap", "n_iterations": -1}
    return tl.recall(adata, resolution, key_added=key_added, **(defaults | named))


def _as_from_r(
    adata: AnnData,
    resolution: float,
    *,
    key_added: str,
    restrict_to: Any = None,
    copy: bool = False,
    random_state: int = 0,
    progress: bool = False,
    **options: Any,
) -> AnnData | None:
    of_leiden = {name: options.pop(name) for name in ("flavor", "n_iterations", "directed") if name in options}
    calibration = Calibration(
        start=resolution,
        partition=PartitionParams(algorithm="leiden", **of_leiden),
        seed=random_state,
        **{"n_jobs": None, **options},
    )
    return cluster_adata(adata, calibration, key_added=key_added, restrict_to=restrict_to, copy=copy, progress=progress)


def filter_tested(
    adata: AnnData, groupby: str, *, key_added: str = keys.PAIR_TESTS, random_state: int = 0, **options: Any
) -> AnnData | None:
    """Tests of given labels by the filter, which ``TestClusters`` of the R package runs."""
    return check_adata(adata, groupby, key_added=key_added, seed=random_state, **options)


def calibrated(adata, seed, *, call="leiden", **options):
    """Write the labels of the search, or of ``tl.recall`` at its defaults, to ``obs[KEY]``."""
    {"leiden": search, "recall": tl.recall}[call](adata, random_state=seed, key_added=KEY, **options)
