"""Objects as other tools ask for them: raw counts and labels alone, with no entry that they cannot read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from recall_py.adata.genes_by_id import ensembl_ids, var_of
from recall_py.adata.labels import read_labels
from recall_py.adata.read import find_counts
from recall_py.adata.stored import results
from recall_py.words import listed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anndata import AnnData

_SYMBOLS = ("gene_name", "gene_symbols", "gene_symbol", "feature_name", "symbol", "name")
"""Columns of ``var`` that may hold the names of the genes, the first that is there."""
_UNKNOWN = "unknown"
_OF_THE_FILE = ("title", "organism_ontology_term_id")
_OF_CELLS = (
    *("assay_ontology_term_id", "cell_type_ontology_term_id", "development_stage_ontology_term_id"),
    *("disease_ontology_term_id", "donor_id", "is_primary_data", "self_reported_ethnicity_ontology_term_id"),
    *("sex_ontology_term_id", "suspension_type", "tissue_ontology_term_id", "tissue_type"),
)
"""What the schema 7.1.0 of CELLxGENE asks for in ``uns`` and ``obs``."""


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
    described = var_of(adata, found)
    symbols = next((described[name] for name in _SYMBOLS if name in described), None)
    names = found.names if symbols is None else symbols.astype(str)
    var = pd.DataFrame({"gene_name": np.asarray(names, dtype=object)}, index=_unique(found.names))
    obsm = {} if "X_umap" not in adata.obsm else {"X_umap": np.asarray(adata.obsm["X_umap"], dtype=np.float32)}
    made = ad.AnnData(counts, obs=columns, var=var, obsm=obsm, uns={"cluster_fields": np.array(fields, dtype=np.str_)})
    said = [f"labels: {listed(fields)}; counts from {found.source}"]
    said += [f"left out, for numbers that are missing or infinite: obs {listed(dropped)}"] if dropped else []
    return Exported(made, said)


def for_cellxgene(adata: AnnData, layer: str | None, terms: Mapping[str, Any]) -> Exported:
    """What the schema of CELLxGENE asks for, of what is there, and the names of what is missing.

    Raw counts as float32 in ``X``, genes by Ensembl id without version, the two-dimensional embeddings, and the columns
    of ``obs``; `terms` are the user's.

    Parameters
    ----------
    adata
        Annotated data.
    layer
        Layer with the counts, looked for as everywhere by default.
    terms
        By name of a column of ``obs``: a text for all cells, or ``{column: {label: text}}`` by the labels of another
        column. ``title`` and ``organism_ontology_term_id`` go into ``uns``.

    Raises
    ------
    ValueError
        If there are no raw counts or no Ensembl ids, or a label of a column has no term.
    """
    import anndata as ad

    found = find_counts(adata, layer)
    ids = ensembl_ids(adata, found, None)
    known = np.asarray(ids.notna()) & ~np.asarray(ids.duplicated())
    counts = sparse.csr_matrix(found.counts.columns(known)).astype(np.float32)
    columns, dropped = _without_gaps(adata.obs)
    columns.index = _unique(adata.obs_names)
    uns = {name: text for name, text in terms.items() if name in _OF_THE_FILE}
    for name, given in terms.items():
        if name not in _OF_THE_FILE:
            columns[name] = _as_column(name, given, adata)
    missing = [*(f"uns {name}" for name in _OF_THE_FILE if name not in uns)]
    missing += [f"obs {name}" for name in _OF_CELLS if name not in columns]
    embeddings = {
        name: np.asarray(values, dtype=np.float32)
        for name, values in adata.obsm.items()
        if str(name).startswith("X_") and getattr(values, "ndim", 0) == 2 and values.shape[1] == 2
    }
    missing += [] if embeddings else ["an embedding in two dimensions, such as obsm X_umap"]
    var = pd.DataFrame({"feature_is_filtered": np.zeros(int(known.sum()), dtype=bool)}, index=ids[known].astype(object))
    made = ad.AnnData(counts, obs=columns, var=var, obsm=embeddings, uns=uns)
    said = [f"counts from {found.source}; {int(known.sum())} of {known.size} genes have an Ensembl id of their own"]
    said += [f"left out, for numbers that are missing or infinite: obs {listed(dropped)}"] if dropped else []
    said += [f"missing, pass them by --terms: {', '.join(missing)}"] if missing else []
    return Exported(made, said)


def _as_column(name: str, given: Any, adata: AnnData) -> Any:
    """(n_obs,) a term for all cells, or by the labels of a column."""
    if not hasattr(given, "items"):
        values = np.full(adata.n_obs, given)
        return values if isinstance(given, bool) else pd.Categorical(values)
    if len(given) != 1 or not hasattr(by_label := next(iter(given.values())), "items"):
        msg = f"The terms of {name!r} are {given!r}, where a text or {{'leiden': {{'0': '...', ...}}}} is expected."
        raise ValueError(msg)
    column = next(iter(given))
    labels = read_labels(adata, column).astype(str)
    if absent := sorted(set(labels) - set(by_label)):
        msg = f"The terms of {name!r} have none for {listed(absent)} of obs[{column!r}]."
        raise ValueError(msg)
    return pd.Categorical(labels.map(by_label).to_numpy(dtype=object))


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
