"""Null genes beside the real ones, as AnnData, and how well they fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from recall_py.adata import keys
from recall_py.adata.read import read_counts, refuse_empty_cells, refuse_small_batches
from recall_py.method.params import resolve_seed
from recall_py.method.threads import resolve_n_jobs
from recall_py.run.options import with_option_docs

if TYPE_CHECKING:
    from anndata import AnnData

    from recall_py.method.params import Rng
    from recall_py.method.results import NullFit

__all__ = ["knockoffs", "null_misfit"]


@with_option_docs("recall")
def knockoffs(
    adata: AnnData,
    *,
    null_method: str = "ZIP",
    batch_key: str | None = None,
    layer: str | None = None,
    n_top_genes: int = 2000,
    random_state: int | np.random.RandomState | None = 0,
    rng: Rng | None = None,
    n_jobs: int | None = None,
) -> AnnData:
    """Selected genes and one knockoff for each, as raw counts: what :func:`recall_py.tl.recall` clusters.

    The same seed gives the knockoffs that the clustering functions draw.

    Parameters
    ----------
    {adata}
    {options}

    Returns
    -------
    A new AnnData of n_obs x 2 n_genes with raw counts in ``X`` and ``obs`` of `adata`. Columns 0..p-1 are the real
    genes, column p + j is the knockoff of column j. ``var["knockoff"]`` tells them apart, ``var["real_gene"]`` names
    the real gene, and ``var`` holds the fitted parameters, such as ``var["ZIP_lambda"]``, or
    ``var["ZIP_lambda_<batch>"]`` for each batch. Names of knockoffs are for reading only: nulls are known by position.

    {null_raises}

    Examples
    --------
    >>> import anndata as ad, recall_py
    >>> augmented = recall_py.pp.knockoffs(ad.read_h5ad("data/pbmc68k.h5ad"))
    >>> augmented.shape, int(augmented.var["knockoff"].sum())
    ((700, 1530), 765)
    """
    import anndata as ad

    from recall_py.method.nulls import null_model
    from recall_py.method.pipeline import draw_knockoffs

    null_model(null_method)
    data = read_counts(adata, layer=layer, n_top_genes=n_top_genes, batch_key=batch_key)
    refuse_empty_cells(data, adata.obs_names)
    refuse_small_batches(data)
    augmented = draw_knockoffs(data.read(), null_method, resolve_seed(random_state, rng), resolve_n_jobs(n_jobs))
    names = [*data.genes, *_knockoff_names(data.genes)]
    var = pd.DataFrame(
        {
            keys.KNOCKOFF: np.repeat([False, True], data.genes.size),
            keys.REAL_GENE: np.tile(data.genes, 2).astype(object),
            **_fitted_columns(augmented.fits, data.batch_names if batch_key is not None else None),
        },
        index=pd.Index(names, dtype=object),
    )
    return ad.AnnData(sparse.csr_matrix(augmented.counts), obs=adata.obs.copy(), var=var)


@with_option_docs("recall")
def null_misfit(
    adata: AnnData,
    *,
    null_method: str = "ZIP",
    batch_key: str | None = None,
    layer: str | None = None,
    n_top_genes: int = 2000,
) -> pd.DataFrame:
    """Compare each selected gene with the null distribution fitted to it.

    Nothing is drawn: the moments are those of the distribution that :func:`knockoffs` draws from. A knockoff that
    varies less than its real gene is beaten too easily, and clusters without markers may pass.

    Parameters
    ----------
    {adata}
    {options}

    Returns
    -------
    One row for each selected gene, by name: ``observed_mean``, ``fitted_mean``, ``observed_variance``,
    ``fitted_variance`` (ddof 0), ``variance_ratio`` (fitted over observed, NaN for a constant gene), ``observed_zeros``
    and ``fitted_zeros`` (shares).

    {null_raises}

    Examples
    --------
    >>> import anndata as ad, recall_py
    >>> misfit = recall_py.pp.null_misfit(ad.read_h5ad("data/pbmc68k.h5ad"))
    >>> round(float(misfit["variance_ratio"].median()), 2)
    0.92
    """
    from recall_py.method.nulls import null_model
    from recall_py.method.nulls.batches import cells_of_batches, fit_within, moments_within
    from recall_py.method.nulls.moments import observed_moments

    model = null_model(null_method)
    data = read_counts(adata, layer=layer, n_top_genes=n_top_genes, batch_key=batch_key)
    refuse_empty_cells(data, adata.obs_names)
    refuse_small_batches(data)
    counts, depth = data.read().counts, data.depth
    members = cells_of_batches(data.batches, counts.shape[0])
    fitted = moments_within(model, fit_within(model, counts, depth, members), depth, members)
    observed = observed_moments(counts)
    variance = np.where(observed.variance > 0, observed.variance, np.nan)
    return pd.DataFrame(
        {
            "observed_mean": observed.mean,
            "fitted_mean": fitted.mean,
            "observed_variance": observed.variance,
            "fitted_variance": fitted.variance,
            "variance_ratio": fitted.variance / variance,
            "observed_zeros": observed.zeros,
            "fitted_zeros": fitted.zeros,
        },
        index=pd.Index(data.genes, dtype=object),
    )


def _fitted_columns(fits: tuple[NullFit, ...], batch_names: tuple[str, ...] | None) -> dict[str, Any]:
    """Parameters of real genes and knockoffs alike, with the name of the batch if there are any."""
    suffixes = [""] if batch_names is None else [f"_{name}" for name in batch_names]
    return {
        f"{fit.family}_{name}{suffix}": np.tile(value, 2)
        for fit, suffix in zip(fits, suffixes, strict=True)
        for name, value in fit.parameters.items()
    }


def _knockoff_names(genes: np.ndarray[Any, Any]) -> list[str]:
    """``knockoff_<gene>``, lengthened until no real gene has that name."""
    prefix = "knockoff_"
    while any(f"{prefix}{gene}" in set(genes) for gene in genes):
        prefix = f"_{prefix}"
    return [f"{prefix}{gene}" for gene in genes]
