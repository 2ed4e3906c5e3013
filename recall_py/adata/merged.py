"""Writing merged labels into AnnData, once: names, colours, and what became of each pair."""

from __future__ import annotations

import math
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recall_py.adata import keys
from recall_py.adata.labels import in_natural_order
from recall_py.adata.programmes import LeftOut, Presence, reason
from recall_py.adata.read import CountData
from recall_py.adata.write import drop_columns_beside, flat_params
from recall_py.method.params import MergeParams
from recall_py.method.results import Comparison, Merging, PairOutcome, Tested

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anndata import AnnData

    from recall_py.method.clustering.sweep import Stability


def write_merging(
    adata: AnnData,
    key_added: str,
    groupby: str,
    names: Sequence[str],
    cells: NDArray[np.bool_],
    data: CountData,
    left_out: LeftOut,
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
    cells
        (n_obs,) those that have a label.
    data, left_out
        The counts that were read, and which genes do not count.
    params, merging
        What was asked and found.
    asked
        Arguments of the call, for ``uns[key_added]["params"]``.
    """
    of_start = _final_codes(merging)
    in_order = list(dict.fromkeys(of_start.tolist()))
    labels = names_told_apart(names, [merging.members[code] for code in in_order])
    place = np.argsort(in_order)
    codes = np.full(cells.size, -1)
    codes[cells] = place[merging.labels]
    adata.obs[key_added] = pd.Categorical.from_codes(codes, pd.Index(labels))
    carry_colours(adata, key_added, groupby, [np.asarray(names)[list(merging.members[code])] for code in in_order])
    record = _record(data, left_out, params, merging, names, [labels[at] for at in place], np.bincount(merging.labels))
    adata.uns[key_added] = {keys.PARAMS: dict(asked), keys.RECORD: record}


def write_calibrated(
    adata: AnnData,
    key_added: str,
    start: pd.Series[Any],
    cells: NDArray[np.bool_] | None,
    names: Sequence[str],
    prefix: str,
    data: CountData,
    left_out: LeftOut,
    params: MergeParams,
    merging: Merging,
    entry: Mapping[str, Any],
    clustering: Mapping[str, Any],
    stability: Stability | None = None,
    *,
    first: int = 0,
) -> None:
    """Write calibrated labels to ``obs[key_added]``, those at the start beside them, and why to ``uns[key_added]``.

    Where nothing was merged, the labels are those of the start, names and all; else numbers from `first` on, by
    decreasing size.

    Parameters
    ----------
    adata
        Changed in place.
    key_added
        Slot of ``obs`` and ``uns``.
    start
        (n_obs,) labels at the start, as categories; of cells that were left out of a restricted clustering too.
    cells
        (n_obs,) those that were clustered; None for all.
    names
        (n_start,) label of each code at the start.
    prefix
        Of the names of a restricted clustering.
    data, left_out
        The counts that were read, and which genes do not count.
    params, merging
        What was asked and found.
    entry
        What the clustering has left in ``uns``.
    clustering
        What clustered, and with which arguments.
    stability
        Of the labels at the end, where they come from many runs. What an earlier run has left beside them is removed.
    first
        The number of the largest cluster.
    """
    entry = dict(entry)
    final = [names[members[0]] for members in merging.members]
    labels = start
    if merging.merges:
        final = [f"{prefix}{code + first}" for code in range(len(merging.members))]
        everywhere = start.to_numpy(dtype=object, copy=True)
        everywhere[slice(None) if cells is None else cells] = np.asarray(final, dtype=object)[merging.labels]
        labels = pd.Series(in_natural_order(everywhere), index=start.index)
        entry.pop(keys.MODULARITY, None)  # it is that of the start
    drop_columns_beside(adata, key_added)
    adata.obs[key_added + keys.START_SUFFIX] = start
    adata.obs[key_added] = labels
    record = _record(data, left_out, params, merging, names, final, np.bincount(merging.labels))
    record[keys.CLUSTERING] = dict(clustering)
    if stability is not None:
        of_cells = np.full(adata.n_obs, np.nan)
        of_cells[slice(None) if cells is None else cells] = stability.of_cells
        adata.obs[key_added + keys.STABILITY_SUFFIX] = of_cells
        record[keys.STABILITY] = stability.of_clusters
    adata.uns[key_added] = {**entry, keys.RECORD: record}


def write_tested(
    adata: AnnData,
    key_added: str,
    names: Sequence[str],
    data: CountData,
    left_out: LeftOut,
    params: MergeParams,
    tested: Tested,
    sizes: NDArray[np.int64],
    asked: Mapping[str, Any],
) -> None:
    """Write what became of the pairs of given labels to ``uns[key_added]``; see :func:`write_merging`."""
    record = _record(data, left_out, params, tested, names, names, sizes)
    adata.uns[key_added] = {keys.PARAMS: dict(asked), keys.RECORD: record}


def _record(
    data: CountData,
    left_out: LeftOut,
    params: MergeParams,
    found: Merging | Tested,
    names: Sequence[str],
    final: Sequence[str],
    sizes: NDArray[np.int64],
) -> dict[str, Any]:
    """What was read, asked and found; arrays and scalars alone, which every version of h5ad can hold.

    `names` are those of the codes at the start, `final` and `sizes` those of the codes at the end.
    """
    if isinstance(found, Merging):
        merged_into, n_merges = _final_codes(found), len(found.merges)
        outcomes = [*found.merges, *found.standing]
    else:
        merged_into, n_merges, outcomes = np.arange(len(names)), 0, list(found.outcomes)
    final_name = np.asarray(final, dtype=np.str_)

    def told(side: Sequence[int], number: int) -> str:
        """The name of a cluster; clusters that are left have their own, those that were merged that of their parts."""
        return joined_name(names, side) if number < n_merges else str(final_name[merged_into[side[0]]])

    return {
        "version": version("recall-py"),
        "source": data.source,
        "selection": data.rule,
        "genes": data.genes,
        "programmes": _programme_columns(left_out.presence),
        "params": flat_params(params),
        "start_labels": np.asarray(names, dtype=np.str_),
        "labels": final_name,
        "sizes": sizes,
        "merged_into": merged_into,
        "untested": final_name[list(found.untested)],
        keys.OUTCOMES: {
            "group": np.array([told(one.first, i) for i, one in enumerate(outcomes)], dtype=np.str_),
            "reference": np.array([told(one.second, i) for i, one in enumerate(outcomes)], dtype=np.str_),
            "group_start": np.array([joined_name(names, one.first) for one in outcomes], dtype=np.str_),
            "reference_start": np.array([joined_name(names, one.second) for one in outcomes], dtype=np.str_),
            **_outcome_columns(outcomes),
            "reason": np.array([_reason(one, left_out.presence) for one in outcomes], dtype=np.str_),
            "merged": np.arange(len(outcomes)) < n_merges,
        },
        **({keys.BATCHES: _batch_columns(outcomes, data.batch_names)} if data.batch_names else {}),
        "best_genes": _best_gene_columns(outcomes),
        "ranks": _rank_columns(outcomes),
    }


def _final_codes(merging: Merging) -> NDArray[np.int64]:
    """(n_start,) the code at the end of each code at the start."""
    of_start = np.empty(sum(map(len, merging.members)), dtype=np.int64)
    for code, members in enumerate(merging.members):
        of_start[list(members)] = code
    return of_start


def joined_name(names: Sequence[str], members: Sequence[int]) -> str:
    """The name of a union of clusters."""
    return " + ".join(names[code] for code in members)


def names_told_apart(names: Sequence[str], members: Sequence[Sequence[int]]) -> list[str]:
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


def carry_colours(adata: AnnData, key_added: str, groupby: str, members: Sequence[NDArray[np.str_]]) -> None:
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


def _reason(outcome: PairOutcome, presence: Sequence[Presence]) -> str:
    return reason([presence[number - 1].programme for number in outcome.told_by])


def _programme_columns(found: Sequence[Presence]) -> dict[str, NDArray[Any]]:
    return {
        "programme": np.array([each.programme for each in found], dtype=np.str_),
        "n_genes": np.array([each.n_genes for each in found], dtype=np.int64),
        "left_out": np.array([each.assessable for each in found], dtype=np.bool_),
    }


def _outcome_columns(outcomes: Sequence[PairOutcome]) -> dict[str, NDArray[Any]]:
    sizes = np.array([outcome.sizes for outcome in outcomes], dtype=np.int64).reshape(-1, 2)
    return {
        "n_group": sizes[:, 0],
        "n_reference": sizes[:, 1],
        "kind": np.array([outcome.kind for outcome in outcomes], dtype=np.str_),
        "distance": np.array([outcome.distance for outcome in outcomes], dtype=np.float64),
        "evidence": np.array([outcome.lead for outcome in outcomes], dtype=np.float64),
        "evidence_with_programmes": np.array(
            [math.nan if outcome.with_left_out is None else outcome.with_left_out for outcome in outcomes],
            dtype=np.float64,
        ),
        "threshold": np.array([outcome.threshold for outcome in outcomes], dtype=np.float64),
        "near": np.array([outcome.near for outcome in outcomes], dtype=np.bool_),
        "passes": np.array([outcome.stands for outcome in outcomes], dtype=np.bool_),
    }


def _batch_columns(outcomes: Sequence[PairOutcome], names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """The batches, (n_outcomes, n_batches) cells of the two in each, and whether they were compared in it."""
    shape = (len(outcomes), len(names))
    group, reference = (
        np.array([outcome.in_batches[side] for outcome in outcomes], dtype=np.int64).reshape(shape) for side in (0, 1)
    )
    told_in = np.zeros(shape, dtype=np.bool_)
    for number, outcome in enumerate(outcomes):
        told_in[number, list(outcome.told_in or ())] = True
    return {"name": np.array(names, dtype=np.str_), "n_group": group, "n_reference": reference, "told_in": told_in}


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
    """Leads at the ranks that decide."""
    found = [comparison.lead for comparison in _comparisons(outcomes)]
    return _stacked(
        [{"rank": one.ranks, "real": one.real, "null": one.null, "needed": one.needed} for one in found], outcomes
    )


def _comparisons(outcomes: Sequence[PairOutcome]) -> list[Comparison]:
    return [outcome.comparison for outcome in outcomes if outcome.comparison is not None]


def _stacked(tables: Sequence[Mapping[str, NDArray[Any]]], outcomes: Sequence[PairOutcome]) -> dict[str, NDArray[Any]]:
    """Tables of the outcomes that have one below each other, with the number of the ``outcome`` of each row."""
    numbers = [number for number, outcome in enumerate(outcomes) if outcome.comparison is not None]
    lengths = [next(iter(table.values())).size for table in tables]
    columns = {name: np.concatenate([table[name] for table in tables]) for name in (tables[0] if tables else ())}
    return {"outcome": np.repeat(np.array(numbers, dtype=np.int64), lengths), **columns}
