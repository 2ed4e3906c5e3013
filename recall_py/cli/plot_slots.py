"""What a graph and a plot of the cells need: log-normalised values, components, neighbours and UMAP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recall_py.adata import keys
from recall_py.adata.neighbours import neighbour_search
from recall_py.adata.read import read_counts
from recall_py.files.store import MadeLayer, in_memory
from recall_py.method.normalisation import TARGET_TOTAL, log_normalised_block
from recall_py.method.params import GraphParams
from recall_py.method.threads import one_thread

if TYPE_CHECKING:
    from anndata import AnnData

    from recall_py.adata.read import CountData
    from recall_py.counts.matrix import CountMatrix
    from recall_py.run.waiting import Waiting

_MOST_COMPONENTS = 50
_FEWEST = 3
"""Cells and genes that have components."""


class PlotSlots(NamedTuple):
    """What was added to an AnnData."""

    said: str = ""
    """What was made, in a line."""
    added: tuple[tuple[str, str], ...] = ()
    """Slots and names, such as ``("obsm", "X_pca")``."""
    layer: MadeLayer | None = None
    """The layer that is made while the file is written."""


def add_plot_slots(
    adata: AnnData, layer: str | None, wait: Waiting, *, seed: int, n_top_genes: int = 2000
) -> PlotSlots:
    """Add components, a neighbour graph, a UMAP and a log-normalised layer, as far as they are missing.

    As scanpy's tutorials make them: totals to 10,000, log1p, no scaling, at most 50 components, 15 neighbours. A file
    that came with a graph, or with any other, keeps its own, and nothing is added to it.
    """
    if keys.NEIGHBORS in adata.uns or len(adata.obsp):
        return PlotSlots("the neighbour graph of the file is used, and nothing is added for plots")
    wait.doing("reading counts")
    data = read_counts(adata, layer=layer, n_top_genes=n_top_genes)
    own = "X_pca" in adata.obsm
    added = _add_embedding(adata, data, wait, seed)
    log = None if data.source == "raw.X" else log_layer(adata, data.matrix)
    made = f"{data.genes.size:,} genes ({data.selection}), totals to {TARGET_TOTAL:,.0f}, log1p"
    of_pca = "obsm['X_pca'] of the file" if own else f"{made}, {adata.obsm['X_pca'].shape[1]} components"
    named = [*([] if log is None else [("layers", log.name)]), *added]
    stored = ", ".join(f"{slot}[{name!r}]" for slot, name in named if slot in ("layers", "obsm"))
    return PlotSlots(
        f"the file has no neighbour graph, so one was made: {of_pca}, {GraphParams.n_neighbors} neighbours; "
        f"it is stored with a UMAP ({stored})",
        tuple(added),
        log,
    )


def log_layer(adata: AnnData, counts: CountMatrix) -> MadeLayer | None:
    """The log-normalised layer, to be made from all counts while it is written; None if there is one."""
    if keys.LOG_LAYER in adata.layers:
        return None
    totals, genes = counts.totals, counts.genes

    def change(block: Any, rows: slice) -> Any:
        values = log_normalised_block(block, totals[rows])
        return values if genes is None else _only(values, genes)

    return MadeLayer(keys.LOG_LAYER, counts.matrix, change)


def _only(values: Any, genes: NDArray[np.bool_]) -> Any:
    """The values of genes, and zero for other features, which no depth of theirs is known for."""
    if not sparse.issparse(values):
        return np.where(genes, values, values.dtype.type(0))
    kept = values @ sparse.diags_array(genes.astype(values.dtype))
    kept.eliminate_zeros()
    return type(values)(kept)


def refuse_too_few(n_cells: int, n_genes: int) -> None:
    """Refuse what has no components."""
    if min(n_cells, n_genes) < _FEWEST:
        msg = (
            f"{n_cells:,} cells and {n_genes:,} genes are too few for a graph, which needs {_FEWEST} of each. "
            "Name the layer with the counts, or bring a graph."
        )
        raise ValueError(msg)


def _add_embedding(adata: AnnData, data: CountData, wait: Waiting, seed: int) -> list[tuple[str, str]]:
    """Add what is missing for a plot of the cells; what is there is used and kept."""
    wait.doing("loading scanpy")
    import anndata as ad
    import scanpy as sc

    counts = sparse.csr_array(data.matrix.columns(data.chosen))
    holder = ad.AnnData(sparse.csr_matrix(log_normalised_block(counts, data.totals)), obs=adata.obs[[]])
    added = []

    def add(slot: str, *names: str) -> None:
        for name in names:
            getattr(adata, slot)[name] = getattr(holder, slot)[name]
            added.append((slot, name))

    with one_thread():
        if "X_pca" in adata.obsm:
            holder.obsm["X_pca"] = in_memory(adata.obsm["X_pca"])
            if not np.isfinite(holder.obsm["X_pca"]).all():
                msg = "obsm['X_pca'] has values that are infinite or NaN. Make it anew: sc.pp.pca(adata)"
                raise ValueError(msg)
        else:
            refuse_too_few(*counts.shape)
            if not counts.count_nonzero():
                msg = "There are no counts to make a graph of. Name the layer with the counts, or bring a graph."
                raise ValueError(msg)
            wait.doing("finding components")
            sc.pp.pca(holder, n_comps=min(_MOST_COMPONENTS, holder.n_obs - 1, holder.n_vars - 1), random_state=seed)
            add("obsm", "X_pca")
            add("uns", "pca")
            at = adata.var_names.get_indexer(data.genes)
            loadings = np.zeros((adata.n_vars, holder.varm["PCs"].shape[1]))
            loadings[at[at >= 0]] = holder.varm["PCs"][at >= 0]
            adata.varm["PCs"] = loadings
            added.append(("varm", "PCs"))
        wait.doing("finding neighbours, for which umap is compiled first")
        params = GraphParams(random_state=seed)
        sc.pp.neighbors(holder, use_rep="X_pca", transformer=neighbour_search(params, holder.n_obs), random_state=seed)
        add("obsp", "distances", "connectivities")
        add("uns", keys.NEIGHBORS)
        if "X_umap" not in adata.obsm:
            wait.doing("making the UMAP")
            sc.tl.umap(holder, random_state=seed)
            add("obsm", "X_umap")
            add("uns", "umap")
    return added
