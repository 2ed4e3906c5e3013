"""What a plot of the cells needs: log-normalised values, components, neighbours and UMAP of the real genes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import typer
from scipy import sparse

from recall_py.adata import keys
from recall_py.adata.stored import read_run
from recall_py.counts.source import count_matrix
from recall_py.files.store import MadeLayer, in_memory
from recall_py.method.normalisation import log_normalised_block
from recall_py.method.threads import one_thread

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

    from recall_py.counts.matrix import CountMatrix


def log_layer(adata: AnnData, counts: CountMatrix) -> MadeLayer | None:
    """The log-normalised layer, to be made from all counts while it is written; None if there is one."""
    if keys.LOG_LAYER in adata.layers:
        return None
    totals = counts.survey.totals
    return MadeLayer(keys.LOG_LAYER, counts.matrix, lambda block, rows: log_normalised_block(block, totals[rows]))


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
    values = log_normalised_block(counts.columns(positions).tocsr(), counts.survey.totals)
    holder = ad.AnnData(sparse.csr_matrix(values), obs=adata.obs[[]])
    added = []

    def add(slot: str, *names: str) -> None:
        for name in names:
            getattr(adata, slot)[name] = getattr(holder, slot)[name]
            added.append((slot, name))

    with one_thread():
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


def add_plot_slots(
    adata: AnnData, key: str, options: dict[str, Any], *, quiet: bool
) -> tuple[list[tuple[str, str]], MadeLayer | None]:
    """On raw counts, add what a plot needs; a file that came with an embedding keeps its own.

    Returns the slots that were added, and the layer that is made while the file is written.
    """
    record = read_run(adata, key).record
    if record["source"] == "raw.X" or "X_umap" in adata.obsm:
        if not quiet:
            reason = "it is there" if "X_umap" in adata.obsm else "the counts are in raw"
            typer.echo(f"no embedding was added: {reason}")
        return [], None
    layer = options.get("layer") or keys.COUNTS_LAYER
    counts = count_matrix(adata.X if record["source"] == "X" else adata.layers[layer])
    added, log = add_embedding(adata, counts, record["genes"], options["random_state"]), log_layer(adata, counts)
    if not quiet:
        named = [*([] if log is None else [("layers", log.name)]), *added]
        typer.echo(
            f"added for plotting: {', '.join(f'{slot}[{name!r}]' for slot, name in named)}. X still holds counts."
        )
    return added, log
