"""Writing merged labels into AnnData, once: names, colours, and what became of each pair."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recall_py.adata import keys
from recall_py.adata.read import CountData
from recall_py.adata.write import flat_params
from recall_py.method.params import MergeParams
from recall_py.method.results import Comparison, Merging, PairOutcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anndata import AnnData


def write_merging(
    adata: AnnData,
    key_added: str,
    groupby: str,
    names: Sequence[str],
    data: CountData,
    params: MergeParams,
    merging: Merging,
    asked: Mapping[str, Any],
) -> None:
    """Write merged labels to ``obs[key_added]``, their colours, and what became of each pair to ``uns[key_added]``.

    Parameters
    ----------
    adata
        Changed in place.
    key_added, groupby
        Columns of ``obs``: to write to, and the labels at the start.
    names
        (n_start,) label of each code at the start, in the order of the categories.
    data
        The counts that were read.
    params, merging
        What was asked and found.
    asked
        Arguments of the call, for ``uns[key_added]["params"]``.
    """
    of_start = np.empty(len(names), dtype=np.int64)
    for code, members in enumerate(merging.members):
        of_start[list(members)] = code
    in_order = list(dict.fromkeys(of_start.tolist()))
    labels = _names_told_apart(names, [merging.members[code] for code in in_order])
    place = np.argsort(in_order)
    adata.obs[key_added] = pd.Categorical.from_codes(place[merging.labels], pd.Index(labels))
    _carry_colours(adata, key_added, groupby, [np.asarray(names)[list(merging.members[code])] for code in in_order])
    outcomes = [*merging.merges, *merging.standing]
    adata.uns[key_added] = {
        keys.PARAMS: dict(asked),
        keys.RECORD: {
            "version": version("recall-py"),
            "source": data.source,
            "selection": data.selection,
            "genes": data.genes,
            "params": flat_params(params),
            "start_labels": np.asarray(names, dtype=np.str_),
            "labels": np.asarray(labels, dtype=np.str_),
            "merged_into": place[of_start],
            "untested": np.asarray(labels, dtype=np.str_)[place[list(merging.untested)]],
            keys.OUTCOMES: _outcome_columns(outcomes, len(merging.merges), names),
            "best_genes": _best_gene_columns(outcomes),
            "ranks": _rank_columns(outcomes),
        },
    }


def joined_name(names: Sequence[str], members: Sequence[int]) -> str:
    """The name of a union of clusters."""
    return " + ".join(names[code] for code in members)


def _names_told_apart(names: Sequence[str], members: Sequence[Sequence[int]]) -> list[str]:
    """A name for each cluster; a union gives way to a cluster that was called so from the start."""
    taken = {names[parts[0]] for parts in members if len(parts) == 1}
    labels = []
    for parts in members:
        label = joined_name(names, parts)
        if len(parts) > 1:
            number = 1
            while label in taken:
                number += 1
                label = f"{joined_name(names, parts)} ({number})"
            taken.add(label)
        labels.append(label)
    return labels


def _carry_colours(adata: AnnData, key_added: str, groupby: str, members: Sequence[NDArray[np.str_]]) -> None:
    """Give each cluster the colour of its largest part; colours of earlier labels are dropped."""
    adata.uns.pop(key_added + keys.COLORS_SUFFIX, None)
    labels = adata.obs[groupby].astype("category")
    colours = adata.uns.get(groupby + keys.COLORS_SUFFIX, ())
    if len(colours) != labels.cat.categories.size:
        return
    of_label = dict(zip(labels.cat.categories.astype(str), colours, strict=True))
    size = labels.astype(str).value_counts()
    adata.uns[key_added + keys.COLORS_SUFFIX] = np.array(
        [of_label[max(parts.tolist(), key=size.__getitem__)] for parts in members], dtype=np.str_
    )


def _outcome_columns(outcomes: Sequence[PairOutcome], n_merges: int, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """One entry for each merge, in their order, and then for each pair that stands."""
    sizes = np.array([outcome.sizes for outcome in outcomes], dtype=np.int64).reshape(-1, 2)
    return {
        "group": np.array([joined_name(names, outcome.first) for outcome in outcomes], dtype=np.str_),
        "reference": np.array([joined_name(names, outcome.second) for outcome in outcomes], dtype=np.str_),
        "n_group": sizes[:, 0],
        "n_reference": sizes[:, 1],
        "kind": np.array([outcome.kind for outcome in outcomes], dtype=np.str_),
        "distance": np.array([outcome.distance for outcome in outcomes], dtype=np.float64),
        "evidence": np.array([outcome.excess for outcome in outcomes], dtype=np.float64),
        "threshold": np.array([outcome.threshold for outcome in outcomes], dtype=np.float64),
        "near": np.array([outcome.near for outcome in outcomes], dtype=np.bool_),
        "merged": np.arange(len(outcomes)) < n_merges,
    }


def _best_gene_columns(outcomes: Sequence[PairOutcome]) -> dict[str, NDArray[Any]]:
    """The best genes of each outcome."""
    return _stacked(
        [
            {
                "gene": found.genes,
                "auc": found.auc,
                "log2_fold_change": found.log2_fold_change,
                "log10_p": found.log10_p,
                "log10_p_null": found.log10_p_null,
            }
            for found in _comparisons(outcomes)
        ],
        outcomes,
    )


def _rank_columns(outcomes: Sequence[PairOutcome]) -> dict[str, NDArray[Any]]:
    """-log10 p at the ranks that decide."""
    found = [comparison.excess for comparison in _comparisons(outcomes)]
    return _stacked([{"rank": one.ranks, "real": one.real, "null": one.null} for one in found], outcomes)


def _comparisons(outcomes: Sequence[PairOutcome]) -> list[Comparison]:
    return [outcome.comparison for outcome in outcomes if outcome.comparison is not None]


def _stacked(tables: Sequence[Mapping[str, NDArray[Any]]], outcomes: Sequence[PairOutcome]) -> dict[str, NDArray[Any]]:
    """Tables of the outcomes that have one below each other, with the number of the ``outcome`` of each row."""
    numbers = [number for number, outcome in enumerate(outcomes) if outcome.comparison is not None]
    lengths = [next(iter(table.values())).size for table in tables]
    columns = {name: np.concatenate([table[name] for table in tables]) for name in (tables[0] if tables else ())}
    return {"outcome": np.repeat(np.array(numbers, dtype=np.int64), lengths), **columns}
