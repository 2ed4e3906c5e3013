"""Writing what became of a query on a reference: labels, what is known of each cell, and the tests."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recall_py.adata import keys
from recall_py.arguments import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anndata import AnnData

    from recall_py.method.mapping import Placed
    from recall_py.method.results import PairOutcome

Cells = tuple[str, int]
"""``"query"`` or ``"reference"`` and the code of a label, or ``"new"`` and the code of a group."""
_SUFFIXES = (keys.CONFIDENCE_SUFFIX, keys.DISTANCE_SUFFIX, keys.P_SUFFIX, keys.FITS_SUFFIX)


class Compared(NamedTuple):
    """What became of query cells and those they were compared with."""

    outcome: PairOutcome
    query_first: bool
    """Whether the query cells are the first of the two."""


@dataclass(frozen=True, kw_only=True)
class MappedTable:
    """One row for each label that query cells got, and for each group that fits no label."""

    name: NDArray[np.str_]
    kind: NDArray[np.str_]
    """``"label"`` or ``"new"``."""
    nearest: NDArray[np.str_]
    """The label; of a group, that of the nearest cells."""
    n_query: NDArray[np.int64]
    against: NDArray[np.str_]
    """``"reference"`` or ``"query"``: whose cells of the label they were compared with."""
    n_against: NDArray[np.int64]
    evidence: NDArray[np.float64]
    evidence_with_platform: NDArray[np.float64]
    near: NDArray[np.bool_]
    verdict: NDArray[np.str_]
    genes: NDArray[np.str_]
    """The best that are higher in the query cells, with commas."""
    group: NDArray[np.int64]
    """Code of the group; -1 for labels."""

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        genes: pd.Index,
        sides: Sequence[tuple[Cells, Cells]],
        sizes: Mapping[Cells, int],
        compared: Sequence[Compared | None],
    ) -> MappedTable:
        """Rows of pairs that were to be compared, the query cells first; None where one side is too small."""
        rows: list[dict[str, Any]] = []
        for (own, other), found in zip(sides, compared, strict=True):
            lead = None if found is None else found.outcome.lead
            with_all = None if found is None else found.outcome.with_left_out
            rows.append(
                {
                    "name": "" if own[0] == "new" else names[own[1]],
                    "kind": "new" if own[0] == "new" else "label",
                    "nearest": names[other[1]],
                    "n_query": sizes[own],
                    "against": other[0],
                    "n_against": sizes[other],
                    "evidence": math.nan if lead is None else lead,
                    "evidence_with_platform": math.nan if with_all is None else with_all,
                    "near": False if found is None else found.outcome.near,
                    "verdict": _verdict(own[0], found),
                    "genes": "" if found is None else ",".join(_higher(found, genes)),
                    "group": own[1] if own[0] == "new" else -1,
                }
            )
        new = sorted(
            (row for row in rows if row["verdict"] == "new"), key=lambda row: (-int(row["n_query"]), row["group"])
        )
        taken = set(names)
        number = 0
        for row in new:
            while f"new {number}" in taken:
                number += 1
            row["name"] = f"new {number}"
            taken.add(row["name"])
        for row in rows:
            row["name"] = row["name"] or f"near {row['nearest']}"
        kinds = {"n_query": int, "n_against": int, "group": int, "evidence": float, "evidence_with_platform": float}
        kinds["near"] = bool
        return cls(
            **{
                name: np.array([row[name] for row in rows], dtype=kinds.get(name, str))
                for name in cls.__dataclass_fields__
            }
        )


def _verdict(kind: str, found: Compared | None) -> str:
    if found is None:
        return "untested"
    if kind == "new":
        return "new" if found.outcome.stands else "not told apart"
    if found.outcome.stands:
        return "differs"
    with_all = found.outcome.with_left_out
    return "platform" if with_all is not None and with_all > found.outcome.threshold else "alike"


def _higher(found: Compared, genes: pd.Index) -> list[str]:
    comparison = found.outcome.comparison
    if comparison is None:
        return []
    higher = comparison.auc > 0.5 if found.query_first else comparison.auc < 0.5
    return genes[comparison.genes[higher]].tolist()


def refuse_taken(query: AnnData, key_added: str) -> None:
    """Refuse a key under which something else than an earlier mapping would be lost."""
    keys.refuse_unusable(key_added)
    entry = query.uns.get(key_added)
    if hasattr(entry, "get") and keys.MAPPING in entry:
        return
    if entry is not None:
        text = "uns[{key!r}] holds something that is not a mapping; it would be lost. Pass another {key_added}."
        raise ArgumentError(text, key=key_added)
    for column in (key_added, *(key_added + suffix for suffix in _SUFFIXES)):
        if column in query.obs:
            text = (
                "obs[{column!r}] of the query is there already and is no mapping; it would be lost. Pass another "
                "{key_added}."
            )
            raise ArgumentError(text, column=column)


def write_mapping(
    query: AnnData,
    key_added: str,
    names: Sequence[str],
    placed: Placed,
    unfit: NDArray[np.bool_],
    groups: NDArray[np.int64],
    table: MappedTable,
    platform: pd.Index,
    asked: Mapping[str, Any],
) -> None:
    """Write labels and what is known of each cell to ``obs``, and the tests to ``uns[key_added]``."""
    labels = np.asarray(names, dtype=object)[placed.labels]
    is_new = table.verdict == "new"
    for name, group in zip(table.name[is_new].tolist(), table.group[is_new].tolist(), strict=True):
        labels[groups == group] = name
    order = [*names, *table.name[is_new].tolist()]
    present = set(labels.tolist())
    query.obs[key_added] = pd.Categorical(labels, categories=[name for name in order if name in present])
    columns = (placed.confidence, placed.distance, placed.p, ~unfit)
    for suffix, values in zip(_SUFFIXES, columns, strict=True):
        query.obs[key_added + suffix] = values
    query.uns.pop(key_added + keys.COLORS_SUFFIX, None)
    query.uns[key_added] = {
        keys.PARAMS: dict(asked),
        keys.MAPPING: {
            **{name: values for name, values in asdict(table).items() if name != "group"},
            "shift": placed.shift,
            "n_alike": placed.n_alike,
            "platform_genes": platform.to_numpy(dtype=np.str_),
        },
    }
