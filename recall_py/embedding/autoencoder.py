"""The conditional variational autoencoder on the counts of an AnnData."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from recall_py.adata.read import read_counts
from recall_py.counts.matrix import as_positions
from recall_py.counts.paged import by_cell
from recall_py.embedding.conditions import Conditions
from recall_py.embedding.cvae import Cvae, CvaeParams, new_cvae
from recall_py.embedding.loaders import HandedLoader
from recall_py.words import listed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from anndata import AnnData


def cvae(
    adata: AnnData,
    batch_key: str,
    seed: int,
    *,
    covariates: Sequence[str] = (),
    layer: str | None = None,
    n_top_genes: int = 2000,
    model: str | Path | None = None,
    save: str | Path | None = None,
    loader: Any = None,
    **shape: Any,
) -> NDArray[np.float32]:
    """(n_obs, n_latent) means of the latent positions; see :func:`recall_py.pp.embed`.

    Raises
    ------
    ValueError
        If a trained model knows other covariates or genes, or is given a shape; if a loader has other cells or genes,
        or nothing is trained.
    """
    columns = [batch_key, *covariates]
    _refuse_unknown(shape)
    if model is None:
        conditions = Conditions.of(adata, columns)
        genes, counts = _counts(adata, layer, n_top_genes, batch_key, None)
        fitted = new_cvae(genes, conditions, CvaeParams(**shape), seed)
    else:
        fitted = Cvae.load(model)
        _refuse_others(fitted, model, columns, shape, adata)
        genes, counts = _counts(adata, layer, n_top_genes, batch_key, fitted.genes)
        conditions = fitted.conditions.with_new(adata)
    one_hot = conditions.one_hot(adata)
    handed = None if loader is None else HandedLoader(loader, genes, adata.obs_names)
    if model is None:
        fitted.fit(counts, one_hot, seed=seed, loader=handed)
    elif conditions != fitted.conditions:
        fitted.fit_new(conditions, counts, one_hot, seed=seed, loader=handed)
    elif loader is not None:
        msg = f"loader is of no use: the model knows every value of {listed(columns)}, so nothing is trained."
        raise ValueError(msg)
    if save is not None:
        fitted.save(save)
    return fitted.embed(counts, one_hot)


def _counts(
    adata: AnnData, layer: str | None, n_top_genes: int, batch_key: str, known: NDArray[np.str_] | None
) -> tuple[NDArray[np.str_], sparse.csr_array]:
    """Names and raw counts of the genes that take part: those that are `known`, in their order."""
    only = None if known is None else known.tolist()
    data = read_counts(adata, layer=layer, n_top_genes=n_top_genes, batch_key=batch_key, only=only)
    genes = data.genes if known is None else known
    in_order = pd.Index(data.genes).get_indexer(pd.Index(genes))
    return genes, by_cell(data.matrix, as_positions(data.chosen)[in_order])


def _refuse_others(fitted: Cvae, path: str | Path, columns: list[str], shape: dict[str, Any], adata: AnnData) -> None:
    """Refuse what does not go with a trained model."""
    known = list(fitted.conditions.values)
    if columns != known:
        covariates = f", covariates={known[1:]!r}" if known[1:] else ""
        msg = f"{path} was trained on {listed(known)}, not {listed(columns)}. Pass batch_key={known[0]!r}{covariates}"
        raise ValueError(msg)
    if shape:
        named = listed(list(shape))
        msg = f"{named} cannot be changed in a trained model: leave it out, or leave out model={str(path)!r}"
        raise ValueError(msg)
    absent = [gene for gene in fitted.genes.tolist() if gene not in adata.var_names]
    if absent:
        msg = f"adata lacks {len(absent)} of the {fitted.genes.size} genes of {path}, such as {listed(absent[:3])}."
        raise ValueError(msg)


def _refuse_unknown(shape: dict[str, Any]) -> None:
    """Refuse a misspelt option before anything is read."""
    known = [field.name for field in fields(CvaeParams)]
    if unknown := [name for name in shape if name not in known]:
        options = ["covariates", "layer", "n_top_genes", "model", "save", "loader", *known]
        msg = f"embed(adata, 'cvae') has no option {listed(unknown)}. It has: {', '.join(options)}"
        raise TypeError(msg)
