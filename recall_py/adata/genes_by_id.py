"""Genes by their Ensembl ids, as other tools ask for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from recall_py.words import listed

if TYPE_CHECKING:
    from anndata import AnnData


def ensembl_ids(adata: AnnData, names: pd.Index, column: str | None) -> pd.Index:
    """The Ensembl id of each gene, without its version; missing where there is none.

    By a column of ``var``, by default ``ensembl_id``, ``gene_ids``, or the `names` of the genes.

    Raises
    ------
    KeyError
        If the column does not exist.
    ValueError
        If none is an Ensembl id.
    """
    if column is None:
        column = "ensembl_id" if "ensembl_id" in adata.var else "gene_ids" if "gene_ids" in adata.var else None
    elif column not in adata.var:
        msg = f"var[{column!r}] does not exist. Columns of var: {listed(adata.var.columns)}."
        raise KeyError(msg)
    ids = names.to_series() if column is None else adata.var[column].reindex(names)
    ids = ids.astype(object).where(ids.notna() & (ids.astype(str) != ""), None).astype("string")
    ids = ids.str.replace(r"^(ENS[A-Z]*G\d+)\.\d+$", r"\1", regex=True)
    is_id = ids.str.fullmatch(r"ENS[A-Z]*G\d+|FBgn\d+|WBGene\d+").fillna(value=False).astype(bool)
    if not is_id.any():
        where = "var_names" if column is None else f"var[{column!r}]"
        msg = f"{where} holds no Ensembl ids but {listed(ids.dropna().tolist())}. Write them into var['ensembl_id']."
        raise ValueError(msg)
    return pd.Index(ids.where(is_id))
