"""Writing a result into AnnData, once."""

from __future__ import annotations

import dataclasses
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recall_py.adata import keys
from recall_py.adata.labels import in_natural_order
from recall_py.adata.read import CountData
from recall_py.arguments import ArgumentError, Named
from recall_py.method.pairs import pair_test_named
from recall_py.method.params import RunParams
from recall_py.method.results import Iteration, Markers, PairTable, RecallResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anndata import AnnData


def write_clusters(
    adata: AnnData,
    key_added: str,
    names: Sequence[str],
    labels: NDArray[np.object_],
    data: CountData,
    params: RunParams,
    result: RecallResult,
    scanpy_params: Mapping[str, Any],
    sketched: NDArray[np.bool_] | None = None,
) -> None:
    """Write labels to ``obs[key_added]`` and the record of the run to ``uns[key_added]``.

    Parameters
    ----------
    adata
        Changed in place.
    key_added
        Slot name in ``obs`` and ``uns``.
    names
        (n_clusters,) label of each code of the result.
    labels
        (n_obs,) label of every cell, those left out of a restricted clustering included; NaN for empty cells.
    data
        What was clustered.
    params, result
        What was asked and found.
    scanpy_params
        The entries that scanpy keeps in ``uns[key]["params"]``.
    sketched
        (n_obs,) cells of the sketch that was clustered, written to a column of its own; None where all cells were.
    """
    before = _record_of(adata, key_added)
    if sketched is not None:
        adata.obs[key_added + keys.SKETCH_SUFFIX] = sketched
    elif keys.SKETCH in before and key_added + keys.SKETCH_SUFFIX in adata.obs:
        del adata.obs[key_added + keys.SKETCH_SUFFIX]
    drop_columns_beside(adata, key_added)
    adata.obs[key_added] = in_natural_order(labels)
    search = result.search
    adata.uns[key_added] = {
        keys.PARAMS: dict(scanpy_params),
        keys.MODULARITY: search.partition.modularity,
        keys.RECORD: {
            "version": version("recall-py"),
            "converged": search.converged,
            "reason": search.reason,
            "first_passed": search.first_passed,
            "level": search.level,
            "n_clusters": search.partition.n_clusters,
            "n_components": result.n_components,
            "required_selected": params.filter.min_selected,
            **({} if sketched is None else {keys.SKETCH: int(sketched.sum())}),
            "source": data.source,
            "selection": data.rule,
            "genes": data.genes,
            "labels": np.asarray(names, dtype=np.str_),
            "params": _recorded(params),
            "seconds": dict(result.seconds),
            "iterations": _iteration_columns(search.iterations),
            "flow": _flow_columns(search.iterations),
            "failing": _failing_columns(search.iterations),
            "start": search.start.astype(np.min_scalar_type(int(search.start.max()))),
            "pairs": pair_columns(search.pairs, names),
            "untested": np.asarray(names, dtype=np.str_)[search.pairs.untested],
            "markers": marker_columns(result.markers),
        },
    }


def refuse_occupied(adata: AnnData, key_added: str, *, sketch: bool = False) -> None:
    """Refuse a key whose entry in ``uns`` is something else than a clustering, such as ``"neighbors"``.

    With `sketch`, also one whose column for the cells of the sketch is another's.
    """
    entry = adata.uns.get(key_added)
    column = key_added + keys.SKETCH_SUFFIX
    if sketch and column in adata.obs and keys.SKETCH not in _record_of(adata, key_added):
        text = "obs[{column!r}] is taken, and the cells of the sketch would be marked there. Pass another {key_added}."
        raise ArgumentError(text, column=column)
    if entry is None or (
        hasattr(entry, "get")
        and (keys.RECORD in entry or keys.TREE in entry or "resolution" in entry.get(keys.PARAMS, {}))
    ):
        return
    text = "uns[{key!r}] holds something that is not a clustering. Pass another {key_added}; it would be lost."
    raise ArgumentError(text, key=key_added)


_BESIDE = (
    (keys.START_SUFFIX, keys.CLUSTERING, "the labels at the start"),
    (keys.STABILITY_SUFFIX, keys.STABILITY, "the stability of the cells"),
)
"""Columns beside calibrated labels: what is added to the name, what the record has of it, and what it holds."""


def drop_columns_beside(adata: AnnData, key_added: str) -> None:
    """Remove the columns that an earlier run has left beside its labels."""
    record = _record_of(adata, key_added)
    for suffix, entry, _ in _BESIDE:
        if entry in record and key_added + suffix in adata.obs:
            del adata.obs[key_added + suffix]


def refuse_columns_of_others(adata: AnnData, key_added: str, *, stability: bool) -> None:
    """Refuse a key beside which what goes with the labels would be written over a column of another's.

    Also a key that is such a column of other labels. The `stability` of cells is not always written.
    """
    record = _record_of(adata, key_added)
    for suffix, entry, what in _BESIDE:
        owner = key_added.removesuffix(suffix)
        if owner != key_added and entry in _record_of(adata, owner):
            text = "obs[{key!r}] holds {what} of {owner!r}; it would be lost. Pass another {key_added}."
            raise ArgumentError(text, key=key_added, what=Named(what), owner=owner)
        column = key_added + suffix
        if column in adata.obs and entry not in record and (stability or entry != keys.STABILITY):
            text = (
                "obs[{column!r}] is there already, and uns[{key!r}] does not say that recall_py wrote it; {what} "
                "would be written over it. Pass another {key_added}, or remove it: {line}"
            )
            line = Named(f"del adata.obs[{column!r}]")
            raise ArgumentError(text, column=column, key=key_added, what=Named(what), line=line)


def refuse_record_of_labels(adata: AnnData, key_added: str) -> None:
    """Refuse to write tests over the record of a clustering, whose labels would be left without it."""
    record = _record_of(adata, key_added)
    entry = adata.uns.get(key_added, {})
    if key_added in adata.obs and (record or "resolution" in entry.get(keys.PARAMS, {})):
        text = "uns[{key!r}] holds the record of the labels obs[{key!r}]; it would be lost. Pass another {key_added}."
        raise ArgumentError(text, key=key_added)


def refuse_labels_of_others(adata: AnnData, key_added: str, groupby: str) -> None:
    """Refuse to write labels over a column of ``obs`` that no call of the library has left there."""
    if key_added == groupby:
        msg = f"key_added is {key_added!r}, as is groupby: the labels to start from would be lost. Pass another."
        raise ValueError(msg)
    if key_added in adata.obs and keys.PARAMS not in _record_of(adata, key_added):
        msg = (
            f"obs[{key_added!r}] is there already and is no result of recall_py; it would be lost. "
            f"Pass another name: key_added={key_added + '_2'!r}"
        )
        raise ValueError(msg)


def _record_of(adata: AnnData, key: str) -> Mapping[str, Any]:
    entry = adata.uns.get(key)
    record: Mapping[str, Any] = entry.get(keys.RECORD, {}) if hasattr(entry, "get") else {}
    return record


def write_pair_tests(
    adata: AnnData,
    key_added: str,
    names: Sequence[str],
    data: CountData,
    params: Mapping[str, Any],
    pairs: PairTable,
    markers: Markers,
) -> None:
    """Write the tests of given labels to ``uns[key_added]``."""
    adata.uns[key_added] = {
        keys.PARAMS: dict(params),
        keys.RECORD: {
            "version": version("recall-py"),
            "source": data.source,
            "selection": data.rule,
            "genes": data.genes,
            "labels": np.asarray(names, dtype=np.str_),
            "pairs": pair_columns(pairs, names),
            "untested": np.asarray(names, dtype=np.str_)[pairs.untested],
            "markers": marker_columns(markers),
        },
    }


def pair_columns(pairs: PairTable, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Columns of the table of pairs; arrays alone, which every version of h5ad can hold."""
    label = np.asarray(names, dtype=np.str_)
    return {
        "group": label[pairs.pairs[:, 0]],
        "reference": label[pairs.pairs[:, 1]],
        "n_group": pairs.sizes[:, 0],
        "n_reference": pairs.sizes[:, 1],
        "n_selected": pairs.n_selected,
        "threshold": pairs.threshold,
        "evidence": pairs.evidence,
        "false_share": pairs.false_share,
        "passes": ~pairs.failing,
    }


def marker_columns(markers: Markers) -> dict[str, NDArray[Any]]:
    """Columns of the table of selected genes."""
    return {field.name: getattr(markers, field.name) for field in dataclasses.fields(markers)}


def _iteration_columns(iterations: Sequence[Iteration]) -> dict[str, NDArray[Any]]:
    columns: dict[str, NDArray[Any]] = {
        name: np.array([getattr(iteration, name) for iteration in iterations])
        for name in ("level", "n_clusters", "n_pairs", "n_failing", "min_selected")
    }
    merged = [iteration.merged or (-1, -1) for iteration in iterations]
    return {**columns, "merged_a": np.array([a for a, _ in merged]), "merged_b": np.array([b for _, b in merged])}


def _flow_columns(iterations: Sequence[Iteration]) -> dict[str, NDArray[Any]]:
    """Which clusters of a step became which of the next; the first step comes from -1."""
    rows = np.concatenate([iteration.flow for iteration in iterations])
    step = np.repeat(np.arange(len(iterations)), [len(iteration.flow) for iteration in iterations])
    return {"step": step, "source": rows[:, 0], "target": rows[:, 1], "n_cells": rows[:, 2]}


def _failing_columns(iterations: Sequence[Iteration]) -> dict[str, NDArray[Any]]:
    """The clusters of each step that take part in a failing pair."""
    step = np.repeat(np.arange(len(iterations)), [iteration.failing.size for iteration in iterations])
    return {"step": step, "cluster": np.concatenate([iteration.failing for iteration in iterations])}


def _recorded(params: RunParams) -> dict[str, Any]:
    """The parameters that had a say: null cells of a pair are drawn without the null model of the knockoffs."""
    flat = flat_params(params)
    del flat["n_jobs"]
    if not pair_test_named(params.pair_test).takes_knockoffs:
        del flat["null_method"]
    return flat


def flat_params(params: Any, prefix: str = "") -> dict[str, Any]:
    """Nested parameters as one flat dictionary of scalars and strings; what is not set is left out."""
    flat: dict[str, Any] = {}
    for field in dataclasses.fields(params):
        value = getattr(params, field.name)
        if dataclasses.is_dataclass(value):
            flat |= flat_params(value, f"{prefix}{field.name}_")
        elif isinstance(value, bool | int | float | str):
            flat[prefix + field.name] = value
        elif value is not None and value != {}:
            flat[prefix + field.name] = getattr(value, "__name__", repr(value))
    return flat
