"""Objects as other tools ask for them: raw counts and labels alone, with no entry that they cannot read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from recall_py.adata.read import find_counts
from recall_py.adata.stored import results
from recall_py.words import listed

if TYPE_CHECKING:
    from anndata import AnnData

_SYMBOLS = ("gene_name", "gene_symbols", "gene_symbol", "feature_name", "symbol", "name")
"""Columns of ``var`` that may hold the names of the genes, the first that is there."""
_UNKNOWN = "unknown"


class Exported(NamedTuple):
    """What is to be written, and what the user should know."""

    adata: AnnData
    said: list[str]


def for_cellwhisperer(adata: AnnData, layer: str | None) -> Exported:
    """Raw counts as int32 in ``X``, columns without gaps, and the names of the calibrated labels.

    Raises
    ------
    ValueError
        If there are no calibrated labels, or no raw counts.
    """
    import anndata as ad

    fields = [key for key in results(adata) if key in adata.obs]
    if not fields:
        msg = "The file holds no calibrated labels. Make them first: recall-py cluster IN -o labelled.h5ad"
        raise ValueError(msg)
    found = find_counts(adata, layer)
    counts = sparse.csr_matrix(found.counts.columns(np.ones(found.counts.shape[1], dtype=np.bool_)))
    counts = counts.astype(np.int32)
    columns, dropped = _without_gaps(adata.obs)
    columns.index = _unique(adata.obs_names)
    of_genes = adata.raw.var if found.source == "raw.X" else adata.var
    symbols = next((of_genes[name] for name in _SYMBOLS if name in of_genes), None)
    names = found.names if symbols is None else symbols.loc[found.names].astype(str)
    var = pd.DataFrame({"gene_name": np.asarray(names, dtype=object)}, index=_unique(found.names))
    obsm = {} if "X_umap" not in adata.obsm else {"X_umap": np.asarray(adata.obsm["X_umap"], dtype=np.float32)}
    made = ad.AnnData(counts, obs=columns, var=var, obsm=obsm, uns={"cluster_fields": np.array(fields, dtype=np.str_)})
    said = [f"labels: {listed(fields)}; counts from {found.source}"]
    said += [f"left out, for numbers that are missing or infinite: obs {listed(dropped)}"] if dropped else []
    return Exported(made, said)


def _without_gaps(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The columns with text for labels that are missing, and the names of numeric columns that have gaps."""
    kept: dict[str, pd.Series[Any]] = {}
    dropped = []
    for name, column in table.items():
        if pd.api.types.is_bool_dtype(column) and not column.isna().any():
            kept[str(name)] = column.astype(bool)
        elif pd.api.types.is_numeric_dtype(column):
            values = column.to_numpy(dtype=np.float64, na_value=np.nan)
            if np.isfinite(values).all():
                kept[str(name)] = column.astype(np.int64) if (values == np.rint(values)).all() else column.astype(float)
            else:
                dropped.append(str(name))
        else:
            kept[str(name)] = column.astype(object).where(column.notna(), _UNKNOWN).astype(str).astype("category")
    return pd.DataFrame(kept, index=table.index), dropped


def _unique(names: pd.Index) -> pd.Index:
    from anndata.utils import make_index_unique

    return make_index_unique(pd.Index(names.astype(str), dtype=object))
