"""Null genes beside the real ones, as AnnData."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from recall_py import keys
from recall_py.read import read_counts
from recall_py.seeds import resolve_seed

if TYPE_CHECKING:
    from anndata import AnnData

    from recall_py.seeds import Rng

__all__ = ["knockoffs"]


def knockoffs(
    adata: AnnData,
    *,
    null_method: str = "ZIP",
    layer: str | None = None,
    n_top_genes: int = 2000,
    random_state: int | np.random.RandomState | None = 0,
    rng: Rng | None = None,
    n_jobs: int | None = None,
) -> AnnData:
    """Selected genes and one knockoff for each, as raw counts: what :func:`recall_py.tl.leiden` clusters.

    The same seed gives the knockoffs that the clustering functions draw.

    Parameters
    ----------
    adata
        Cells x genes with raw counts, found as :func:`recall_py.tl.leiden` finds them. Not changed.
    null_method
        Null model, ``"ZIP"`` or ``"NB"``.
    layer
        Layer with raw counts.
    n_top_genes
        Genes to select (``seurat_v3``) where ``var["highly_variable"]`` is missing and there are more.
    random_state, rng
        Seed; `rng` wins if given.
    n_jobs
        Number of threads.

    Returns
    -------
    A new AnnData of n_obs x 2 n_genes with raw counts in ``X`` and ``obs`` of `adata`. Columns 0..p-1 are the real
    genes, column p + j is the knockoff of column j. ``var["knockoff"]`` tells them apart, ``var["real_gene"]`` names
    the real gene, and ``var`` holds the fitted parameters. Names of knockoffs are for reading only: nulls are known
    by position.

    Raises
    ------
    ValueError
        For input without raw counts or an unknown `null_method`.

    Examples
    --------
    >>> import anndata as ad, recall_py
    >>> augmented = recall_py.pp.knockoffs(ad.read_h5ad("data/pbmc68k.h5ad"))
    >>> augmented.shape, int(augmented.var["knockoff"].sum())
    ((700, 1530), 765)
    """
    import anndata as ad

    from recall_py.nulls import null_model
    from recall_py.pipeline import draw_knockoffs

    null_model(null_method)
    data = read_counts(adata, layer=layer, n_top_genes=n_top_genes)
    augmented = draw_knockoffs(data.counts, null_method, resolve_seed(random_state, rng), n_jobs)
    names = [*data.genes, *_knockoff_names(data.genes)]
    fitted = {f"{null_method}_{name}": np.tile(value, 2) for name, value in augmented.fit.parameters.items()}
    var = pd.DataFrame(
        {
            keys.KNOCKOFF: np.repeat([False, True], data.genes.size),
            keys.REAL_GENE: np.tile(data.genes, 2).astype(object),
            **fitted,
        },
        index=pd.Index(names, dtype=object),
    )
    return ad.AnnData(augmented.counts.tocsr(), obs=adata.obs.copy(), var=var)


def _knockoff_names(genes: np.ndarray[Any, Any]) -> list[str]:
    """``knockoff_<gene>``, lengthened until no real gene has that name."""
    prefix = "knockoff_"
    while any(f"{prefix}{gene}" in set(genes) for gene in genes):
        prefix = f"_{prefix}"
    return [f"{prefix}{gene}" for gene in genes]
