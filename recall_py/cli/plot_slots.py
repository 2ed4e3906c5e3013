"""What a plot of the cells needs: log-normalised values, components, neighbours and UMAP of the real genes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import typer
from scipy import sparse
from threadpoolctl import threadpool_limits

from recall_py.adata import keys
from recall_py.counts.source import count_matrix
from recall_py.files.store import in_memory
from recall_py.method.normalisation import TARGET_TOTAL

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


def add_plot_slots(
    adata: AnnData, key: str, options: dict[str, Any], *, quiet: bool
) -> tuple[list[tuple[str, str]], LogLayer | None]:
    """On raw counts, add what a plot needs; a file that came with an embedding keeps its own.

    Returns the slots that were added, and the layer that is made while the file is written.
    """
    record = adata.uns[key][keys.RECORD]
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


class LogLayer:
    """Counts as ln(1 + count / total * target), made block by block."""

    def __init__(self, name: str, counts: Any, totals: NDArray[np.float64], target: float) -> None:
        self.name = name
        self.counts = counts
        self._size = np.maximum(totals, 1.0) / target

    def change(self, block: Any, rows: slice) -> Any:
        """The values of a block."""
        size = self._size[rows]
        if isinstance(block, np.ndarray):
            return np.log1p((block / size[:, None]).astype(np.float32))
        per_value = np.repeat(size, np.diff(block.indptr)) if block.format == "csr" else size[block.indices]
        block.data = np.log1p((block.data / per_value).astype(np.float32))
        return block
