"""Genes by their Ensembl ids, as other tools ask for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from recall_py.words import listed

if TYPE_CHECKING:
    from anndata import AnnData

    from recall_py.adata.read import Found


def var_of(adata: AnnData, found: Found) -> pd.DataFrame:
    """The table that describes the genes of counts that were found, one row for each, whatever they are called."""
    table = adata.raw.var if found.source == "raw.X" else adata.var
    if len(table) == len(found.names):
        return table
    return table[~table.index.duplicated()].loc[found.names]


def ensembl_ids(adata: AnnData, found: Found, column: str | None) -> pd.Index:
    """The Ensembl id of each gene with counts, without its version; missing where there is none.

    By a column of ``var``, by default ``ensembl_id``, ``gene_ids``, or the names of the genes.

    Raises
    ------
    KeyError
        If the column does not exist.
    ValueError
        If none is an Ensembl id.
    """
    var = var_of(adata, found)
    if column is None:
        column = next((name for name in ("ensembl_id", "gene_ids") if name in var), None)
    elif column not in var:
        msg = f"var[{column!r}] does not exist. Columns of var: {listed(var.columns)}."
        raise KeyError(msg)
    ids = found.names.to_series() if column is None else var[column]
    ids = ids.astype(object).where(ids.notna() & (ids.astype(str) != ""), None).astype("string")
    ids = ids.str.replace(r"^(ENS[A-Z]*G\d+)\.\d+$", r"\1", regex=True)
    is_id = ids.str.fullmatch(r"ENS[A-Z]*G\d+|FBgn\d+|WBGene\d+").fillna(value=False).astype(bool)
    if not is_id.any():
        where = "var_names" if column is None else f"var[{column!r}]"
        msg = f"{where} holds no Ensembl ids but {listed(ids.dropna().tolist())}. Write them into var['ensembl_id']."
        raise ValueError(msg)
    return pd.Index(ids.where(is_id))
