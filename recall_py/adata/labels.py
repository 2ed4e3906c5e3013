"""Columns of ``obs`` with labels: clusters, batches, and the cells that a clustering is restricted to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from natsort import natsorted
from numpy.typing import NDArray

from recall_py.arguments import ArgumentError
from recall_py.words import listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from anndata import AnnData


def restricted_cells(adata: AnnData, restrict_to: tuple[str, Sequence[str]]) -> NDArray[np.bool_]:
    """Cells of the categories that a clustering is restricted to.

    Raises
    ------
    KeyError
        If the column does not exist.
    ValueError
        If the categories are no list of strings, or one does not exist.
    """
    column, categories = restrict_to
    labels = read_labels(adata, column)
    if isinstance(categories, str) or not len(categories) or any(not isinstance(name, str) for name in categories):
        text = "{restrict_to} names {found!r}; pass a list of strings, such as {example}."
        raise ArgumentError(text, found=categories, example=(column, [labels.iloc[0]]))
    missing = [name for name in categories if name not in labels.cat.categories]
    if missing:
        msg = f"obs[{column!r}] has no category {listed(missing)}. It has: {listed(labels.cat.categories)}."
        raise ValueError(msg)
    return labels.isin(list(categories)).to_numpy()


def restricted_prefix(restrict_to: tuple[str, Sequence[str]] | None) -> str:
    """What the names of a restricted clustering begin with, as in scanpy; nothing where all cells are clustered."""
    return "" if restrict_to is None else f"{'-'.join(restrict_to[1])},"


def labels_everywhere(
    adata: AnnData, restrict_to: tuple[str, Sequence[str]], cells: NDArray[np.bool_], labels: NDArray[Any]
) -> NDArray[np.object_]:
    """(n_obs,) the new labels of the `cells` that a clustering is restricted to; those of the others stay.

    Raises
    ------
    ValueError
        If a label of the others is called as a new one.
    """
    column, _ = restrict_to
    everywhere = read_labels(adata, column).to_numpy(dtype=object, copy=True)
    taken = set(labels.tolist()) & set(everywhere[~cells].tolist())
    if taken:
        msg = (
            f"obs[{column!r}] has cells outside the restriction that are called {listed(sorted(taken))}, as the new "
            "clusters would be. Rename them first."
        )
        raise ValueError(msg)
    everywhere[cells] = labels
    return everywhere


def told_restriction(restrict_to: tuple[str, Sequence[str]] | None) -> dict[str, str]:
    """The entry ``restrict_to`` of ``uns[key]["params"]``, where there is one."""
    return {} if restrict_to is None else {"restrict_to": f"{restrict_to[0]}:{','.join(restrict_to[1])}"}


def read_batches(adata: AnnData, column: str | None, cells: NDArray[np.bool_] | None) -> pd.Series[Any] | None:
    """The batches of some or all cells.

    Raises
    ------
    ValueError
        If a cell has none.
    """
    if column is None:
        return None
    batches = read_labels(adata, column, cells).cat.remove_unused_categories()
    refuse_missing(batches, column)
    return batches


def batch_codes(adata: AnnData, column: str | None, cells: NDArray[np.bool_] | None) -> NDArray[np.int32] | None:
    """The codes of :func:`read_batches`."""
    batches = read_batches(adata, column, cells)
    return None if batches is None else batches.cat.codes.to_numpy().astype(np.int32)


_NAMES_OF_BATCHES = frozenset(
    {
        "batch", "batch_id", "sample", "sample_id", "sample_name", "donor", "donor_id", "patient", "patient_id",
        "subject", "subject_id", "individual", "library", "library_id", "orig.ident", "replicate", "lane", "dataset",
        "study", "protocol",
    }
)  # fmt: skip
_MOST_BATCHES = 200


def batch_like_columns(adata: AnnData, cells: NDArray[np.bool_] | None) -> Iterator[tuple[str, NDArray[np.integer]]]:
    """Columns that by their names may hold batches, and their codes; -1 where there is none."""
    for column in adata.obs.columns:
        if str(column).lower() not in _NAMES_OF_BATCHES or pd.api.types.is_float_dtype(adata.obs[column]):
            continue
        values = adata.obs[column] if cells is None else adata.obs[column][cells]
        codes, found = pd.factorize(values)
        if 2 <= len(found) <= _MOST_BATCHES:
            yield str(column), codes


def refuse_missing(labels: pd.Series[Any], column: str) -> None:
    """Refuse labels of which some cells have none."""
    if labels.isna().any():
        msg = f"obs[{column!r}] has no label for {int(labels.isna().sum())} cells. Leave those cells out first."
        raise ValueError(msg)


def read_clusters(adata: AnnData, column: str) -> pd.Series[Any]:
    """The labels of all cells, those that occur alone, in the order of their categories or else in natural order."""
    labels = read_labels(adata, column).cat.remove_unused_categories()
    given = adata.obs[column].dtype
    if isinstance(given, pd.CategoricalDtype) or pd.api.types.is_numeric_dtype(given):
        return labels
    return labels.cat.reorder_categories(natsorted(labels.cat.categories))


def read_labels(adata: AnnData, column: str, cells: NDArray[np.bool_] | None = None) -> pd.Series[Any]:
    """A column of ``obs`` as categories that are strings, of all cells or of some; NaN where there is none.

    Raises
    ------
    KeyError
        If it does not exist, with the list of those that do.
    ValueError
        If two labels differ in nothing but their type, or no cell has a label.
    """
    if column not in adata.obs:
        msg = f"obs[{column!r}] does not exist. Columns of obs: {listed(list(adata.obs))}."
        raise KeyError(msg)
    labels = (adata.obs[column] if cells is None else adata.obs[column][cells]).astype("category")
    if labels.isna().all() and len(labels):
        msg = f"obs[{column!r}] has no label for any cell."
        raise ValueError(msg)
    names = pd.Index([str(name) for name in labels.cat.categories])
    if not names.is_unique:
        msg = (
            f"obs[{column!r}] has {names[names.duplicated()][0]!r} both as text and as a number. Make all text: "
            f"adata.obs[{column!r}] = adata.obs[{column!r}].astype(str)"
        )
        raise ValueError(msg)
    return labels.cat.rename_categories(names)


def in_natural_order(labels: NDArray[np.object_]) -> pd.Categorical:
    """Labels as categories; what is missing stays so."""
    return pd.Categorical(labels, categories=natsorted({label for label in labels if not pd.isna(label)}))
