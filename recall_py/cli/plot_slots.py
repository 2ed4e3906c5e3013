"""What a plot of the cells needs: log-normalised values, components, neighbours and UMAP of the real genes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

from recall_py.adata import keys
from recall_py.files.store import LogLayer, in_memory
from recall_py.method.clustering.components import TARGET_TOTAL

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

    from recall_py.counts.matrix import CountMatrix


def log_layer(adata: AnnData, counts: CountMatrix) -> LogLayer | None:
    """The log-normalised layer, to be made from all counts while it is written; None if there is one."""
    if keys.LOG_LAYER in adata.layers:
        return None
    return LogLayer(keys.LOG_LAYER, counts.matrix, counts.survey.totals, TARGET_TOTAL)


def add_embedding(adata: AnnData, counts: CountMatrix, genes: NDArray[np.str_], seed: int) -> list[tuple[str, str]]:
    """Add what is missing for a plot of the cells; what is there is used and kept.

    Parameters
    ----------
    adata
        Changed in place.
    counts
        Raw counts of all cells and genes.
    genes
        Names of the genes for the components.
    seed
        Seed of components, neighbours and UMAP.

    Returns
    -------
    Slots and names of what was added, such as ``("obsm", "X_pca")``.
    """
    import anndata as ad
    import scanpy as sc

    positions = adata.var_names.get_indexer(genes)
    size = np.maximum(counts.survey.totals, 1.0) / TARGET_TOTAL
    values = counts.columns(positions).tocsr()
    values.data = np.log1p((values.data / np.repeat(size, np.diff(values.indptr))).astype(np.float32))
    holder = ad.AnnData(sparse.csr_matrix(values), obs=adata.obs[[]])
    added = []

    def add(slot: str, *names: str) -> None:
        for name in names:
            getattr(adata, slot)[name] = getattr(holder, slot)[name]
            added.append((slot, name))

    with threadpool_limits(1):
        if "X_pca" in adata.obsm:
            holder.obsm["X_pca"] = in_memory(adata.obsm["X_pca"])
        else:
            sc.pp.pca(holder, n_comps=min(50, holder.n_obs - 1, holder.n_vars - 1), random_state=seed)
            add("obsm", "X_pca")
            add("uns", "pca")
            loadings = np.zeros((adata.n_vars, holder.varm["PCs"].shape[1]))
            loadings[positions] = holder.varm["PCs"]
            adata.varm["PCs"] = loadings
            added.append(("varm", "PCs"))
        if keys.NEIGHBORS in adata.uns:
            holder.uns[keys.NEIGHBORS] = adata.uns[keys.NEIGHBORS]
            for name in adata.obsp:
                holder.obsp[name] = in_memory(adata.obsp[name])
        else:
            sc.pp.neighbors(holder, use_rep="X_pca", transformer="sklearn", random_state=seed)
            add("obsp", "distances", "connectivities")
            add("uns", keys.NEIGHBORS)
        sc.tl.umap(holder, random_state=seed)
        add("obsm", "X_umap")
        add("uns", "umap")
    return added
