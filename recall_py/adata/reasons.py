"""Why two clusters became one, would, or stand: in sentences, from the record of a result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from recall_py.adata import keys
from recall_py.adata.programmes import whole_reason
from recall_py.method.pairs.lead import ADDED
from recall_py.words import in_one, ordinal, percent, shortened_inside

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAMED_GENES = 5
_LONGEST = 80
"""Letters of a name at most: unions of many clusters have all their names."""


def reason(pair: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    """Why the two clusters of a row of :func:`recall_py.get.merges` or :func:`recall_py.get.pairs` are one or stand."""
    first, second = (f"{short_name(pair[side])} ({pair[f'n_{side}']:,} cells)" for side in ("group", "reference"))
    if pair["kind"] == "small":
        return f"{second} has too few cells to be compared, so it joined its nearest, {first}."
    if pair["kind"] == "batch":
        text = (
            f"{first} and {second} have too few cells in the same batches, so they were not compared, and stay: "
            "type or batch effect cannot be told apart."
        )
        if keys.BATCHES in record:
            sides = [
                f"{short_name(pair[side])} has cells of {in_one(pair[f'{side}_batches'])}"
                for side in ("group", "reference")
            ]
            text += f" {', '.join(sides)}."
        return text
    rank, real, null, needed = _best_rank(pair)
    params = record[keys.PARAMS]
    text = (
        f"{first} and {second}: their genes lead their own nulls {pair['evidence']:.2f} times as far as needed; above "
        f"{pair['threshold']:.3g} two clusters stand. {percent(pair['p_value'])} of cuts of one population reach as "
        f"much."
    )
    if pair["near"]:
        text += f" That is within {params['near']:g} of the threshold: another seed may turn it."
    if keys.BATCHES in record:
        text += f" They were compared within {in_one(pair['batches'])} alone."
    if pair["programmes"]:
        only = whole_reason(pair["programmes"], pair["evidence_with_programmes"])
        text += f" {only[0].upper()}{only[1:]}."
    if pair["genes"]:
        text += f" The best genes are {in_one(pair['genes'][:_NAMED_GENES])}."
    place = "best" if rank == 1 else f"{ordinal(rank)} best"
    return (
        f"{text} The {place} gene decides: it leads by {real:.1f} decades of p, and {needed:.1f} are needed of so many "
        f"cells, {ADDED:g} added to both; a draw of null cells, {cut(params)}, leads the others there by {null:.1f} on "
        "average."
    )


def short_name(name: object) -> str:
    """The name of a cluster in a sentence."""
    return shortened_inside(str(name), _LONGEST)


def cut(params: Mapping[str, Any]) -> str:
    """How null cells were cut in two."""
    return "cut as the labels are" if bool(params["external"]) else "cut in two as a clustering would"


def _best_rank(pair: Mapping[str, Any]) -> tuple[int, float, float, float]:
    """The rank at which two clusters lead most; the leads there of their genes, of null cells, and what is needed."""
    real, null, needed = (np.asarray(pair[name], dtype=float) for name in ("real", "null", "needed"))
    at = int(np.argmax((real + ADDED) / (needed + ADDED)))
    return int(pair["ranks"][at]), float(real[at]), float(null[at]), float(needed[at])
