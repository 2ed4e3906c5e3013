"""Folds of the counts, as layers of AnnData."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recall_py.adata import keys
from recall_py.adata.read import find_counts
from recall_py.arguments import ArgumentError
from recall_py.counts.matrix import CountMatrix

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from anndata import AnnData

_SIZE_SUFFIX = "_size"
"""Added to the name of the folds: the column of ``var`` with the size of the negative binomial."""


def whole_counts(adata: AnnData, layer: str | None) -> tuple[CountMatrix, str]:
    """The counts of all features, and where they are.

    Raises
    ------
    ValueError
        If they are in a file, in a dask array or in ``raw``, or features that are no genes have no counts.
    """
    if adata.isbacked:
        msg = "adata is backed by a file, and the folds are layers in memory. Read it: adata = adata.to_memory()"
        raise ValueError(msg)
    found = find_counts(adata, layer)
    if found.source == "raw.X":
        msg = (
            "The counts are in adata.raw, which may have other genes than adata. Put them in a layer, "
            "adata.layers['counts'] = adata.raw[:, adata.var_names].X"
        )
        raise ValueError(msg)
    if found.counts.kind == "dask":
        msg = f"{found.source} is a dask array, and the folds are layers in memory. Load it: adata = adata.to_memory()"
        raise ValueError(msg)
    counts = found.counts if found.counts.genes is None else CountMatrix(found.counts.matrix)
    if counts.survey.problem is not None:
        msg = f"{found.source} holds {counts.survey.problem} in features that are no genes. Leave those out first."
        raise ValueError(msg)
    return counts, found.source


def refuse_slots_of_others(adata: AnnData, key_added: str, n_folds: int) -> None:
    """Refuse to write over layers that no earlier split has left there."""
    own = fold_layers(adata, key_added)
    taken = [name for name in _names(key_added, n_folds) if name in adata.layers and name not in own]
    if taken or (key_added in adata.uns and not own):
        where = f"layers[{taken[0]!r}]" if taken else f"uns[{key_added!r}]"
        text = "{where} is there already and is no fold of counts; it would be lost. Pass another {key_added}."
        raise ArgumentError(text, where=where)


def write_folds(
    adata: AnnData,
    key_added: str,
    folds: Iterable[sparse.csc_array],
    size: NDArray[np.float64] | None,
    asked: Mapping[str, Any],
) -> list[str]:
    """Write each fold to a layer, in the place of those of an earlier split; give their names."""
    earlier = fold_layers(adata, key_added)
    for name in earlier:
        adata.layers.pop(name, None)
    if earlier and key_added + _SIZE_SUFFIX in adata.var:
        del adata.var[key_added + _SIZE_SUFFIX]
    names = []
    for number, fold in enumerate(folds, 1):
        names.append(f"{key_added}_{number}")
        adata.layers[names[-1]] = sparse.csr_matrix(fold)
    if size is not None:
        adata.var[key_added + _SIZE_SUFFIX] = size
    adata.uns[key_added] = {keys.PARAMS: dict(asked), keys.FOLDS: np.array(names, dtype=np.str_)}
    return names


def _names(key_added: str, n_folds: int) -> list[str]:
    return [f"{key_added}_{number}" for number in range(1, n_folds + 1)]


def fold_layers(adata: AnnData, key_added: str) -> list[str]:
    """The layers that an earlier split has left."""
    entry = adata.uns.get(key_added, {})
    return [str(name) for name in entry.get(keys.FOLDS, ())] if hasattr(entry, "get") else []
