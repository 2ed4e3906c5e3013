"""Clusterings of one object side by side, as they are stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

from recall_py.adata import keys
from recall_py.adata.labels import read_labels
from recall_py.arguments import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anndata import AnnData

AGREEMENT = "ari_"
"""What the names of the columns with the agreement begin with."""
LABEL = "ari_label"


def refuse_slots_of_others(adata: AnnData, key_added: str, columns: Sequence[str]) -> None:
    """Refuse to write over what no earlier comparison has left there."""
    entry = adata.uns.get(key_added, {})
    known = [str(name) for name in entry[keys.COMPARISON]["key"]] if _holds_comparison(entry) else []
    taken = [f"obs[{name!r}]" for name in columns if name in adata.obs and name not in known]
    if key_added in adata.uns and not _holds_comparison(entry):
        taken.append(f"uns[{key_added!r}]")
    if taken:
        text = "{where} is there already and is of no comparison; it would be lost. Pass another {key_added}."
        raise ArgumentError(text, where=taken[0])


def agreement(adata: AnnData, column: str, other: str) -> float:
    """Adjusted Rand index of two columns of labels, over the cells that have both."""
    first, second = (read_labels(adata, name) for name in (column, other))
    both = (first.notna() & second.notna()).to_numpy()
    return float(adjusted_rand_score(first[both].astype(str), second[both].astype(str)))


def write_comparison(adata: AnnData, key_added: str, table: pd.DataFrame, asked: Mapping[str, Any]) -> None:
    """Write the table to ``uns[key_added]``; arrays alone, which every version of h5ad can hold."""
    columns = {
        str(name): column.to_numpy() if pd.api.types.is_numeric_dtype(column) else column.to_numpy(dtype=np.str_)
        for name, column in table.items()
    }
    adata.uns[key_added] = {keys.PARAMS: dict(asked), keys.COMPARISON: columns}


def read_comparison(adata: AnnData, key: str) -> pd.DataFrame:
    """The table that is stored under `key`.

    Raises
    ------
    KeyError
        If there is none.
    """
    entry = adata.uns.get(key, {})
    if not _holds_comparison(entry):
        msg = f"uns[{key!r}] holds no comparison. Make one: recall_py.tl.compare(adata, key_added={key!r})"
        raise KeyError(msg)
    stored = {name: np.asarray(column) for name, column in entry[keys.COMPARISON].items()}
    return pd.DataFrame(
        {name: column if column.dtype.kind in "if" else column.astype(str).tolist() for name, column in stored.items()}
    )[_ordered(stored)]


def _holds_comparison(entry: Any) -> bool:
    return hasattr(entry, "get") and keys.COMPARISON in entry


def _ordered(columns: Mapping[str, Any]) -> list[str]:
    """The columns in the order of :func:`recall_py.tl.compare`; a file has them in alphabetical order."""
    first = ["method", "key", "n_clusters", LABEL, "seconds", "cpu_seconds"]
    of_methods = [f"{AGREEMENT}{method}" for method in np.asarray(columns["method"]).astype(str)]
    return [name for name in [*first, *of_methods, "warning"] if name in columns]
