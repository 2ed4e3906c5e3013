"""Writing a tree of tested splits into AnnData, once."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recall_py.adata import keys
from recall_py.adata.merged import carry_colours, names_told_apart
from recall_py.adata.read import CountData
from recall_py.arguments import ArgumentError
from recall_py.method.results import SplitTree

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anndata import AnnData


def refuse_column_of_others(adata: AnnData, key_added: str) -> None:
    """Refuse to write labels over a column of ``obs`` that no tree of splits has left there."""
    entry = adata.uns.get(key_added, {})
    if key_added in adata.obs and not (hasattr(entry, "get") and keys.TREE in entry):
        text = (
            "obs[{column!r}] is there already and is no cut of a tested tree; it would be lost. "
            "Pass another {key_added}."
        )
        raise ArgumentError(text, column=key_added)


def write_tree(
    adata: AnnData,
    key_added: str,
    cells: NDArray[np.bool_],
    given: tuple[str, Sequence[str], NDArray[np.int32]] | None,
    data: CountData,
    tree: SplitTree,
    asked: Mapping[str, Any],
) -> list[str]:
    """Write labels to ``obs[key_added]`` and the tested splits to ``uns[key_added]``; give the names of the clusters.

    Parameters
    ----------
    adata
        Changed in place.
    key_added
        Slot of ``obs`` and ``uns``.
    cells
        (n_obs,) those that took part.
    given
        The column with given labels, their names, and the (n_cells,) code of each cell; None where the cells
        themselves were clustered.
    data, tree
        The counts that were read, and what was found.
    asked
        Arguments of the call.
    """
    if given is None:
        adata.uns.pop(key_added + keys.COLORS_SUFFIX, None)
        names = [str(code) for code in range(tree.labels.max() + 1)]
        codes = tree.labels.astype(np.int64)
    else:
        column, start_names, start = given
        of_start = np.empty(len(start_names), dtype=np.int64)
        of_start[start] = tree.labels
        in_order = list(dict.fromkeys(of_start.tolist()))
        members = [np.flatnonzero(of_start == code).tolist() for code in in_order]
        names = names_told_apart(start_names, members)
        codes = np.argsort(in_order)[tree.labels]
        carry_colours(adata, key_added, column, [np.asarray(start_names)[own] for own in members])
    everywhere = np.full(cells.size, -1)
    everywhere[cells] = codes
    adata.obs[key_added] = pd.Categorical.from_codes(everywhere, pd.Index(names))
    adata.uns[key_added] = {
        keys.PARAMS: dict(asked),
        keys.TREE: {
            "version": version("recall-py"),
            "source": data.source,
            "selection": data.rule,
            "genes": data.genes,
            "labels": np.asarray(names, dtype=np.str_),
            "n_untested": tree.n_untested,
            "splits": _columns(tree),
        },
    }
    return names


def _columns(tree: SplitTree) -> dict[str, NDArray[Any]]:
    """Columns of the table of splits; arrays alone, which every version of h5ad can hold."""
    of_split = {
        "parent": np.int64,
        "n_left": np.int64,
        "n_right": np.int64,
        "statistic": np.float64,
        "p": np.float64,
        "level": np.float64,
        "stands": np.bool_,
    }
    return {
        name: np.array([getattr(split, name) for split in tree.splits], dtype=kind) for name, kind in of_split.items()
    }
