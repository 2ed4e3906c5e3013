"""A stored result read back: its record, the labels that it belongs to, and the counts that it was made from."""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recall_py.adata import keys
from recall_py.adata.labels import read_batches, read_labels
from recall_py.adata.modality import with_counts
from recall_py.adata.programmes import Presence
from recall_py.adata.read import CountData, count_data, counts_in, find_counts
from recall_py.method.pairs import pair_test_named
from recall_py.method.params import RESOLUTION_CLUSTERERS, FilterParams

if TYPE_CHECKING:
    from anndata import AnnData


class ChangedError(ValueError):
    """Labels or counts are no longer those that a result was made from."""


@dataclass(frozen=True)
class StoredResult:
    """What one call of the library has left in an AnnData."""

    key: str
    column: str
    """Column of ``obs`` with the labels."""
    record: Mapping[str, Any]
    params: Mapping[str, Any]
    """As recorded."""
    around: Mapping[str, Any]
    """``uns[key]["params"]``, as scanpy keeps it."""
    names: NDArray[np.str_]
    """(n_clusters,) label of each code."""
    codes: NDArray[np.int32]
    """(n_obs,) code of each cell, -1 for those left out of a restricted clustering or of a sketch."""
    seed: int
    batch_key: str | None

    @property
    def n_clusters(self) -> int:
        """Number of clusters."""
        return len(self.names)

    @property
    def layer(self) -> str | None:
        """The layer with the counts; None where they are in ``X`` or ``raw``."""
        source = str(self.record["source"])
        return None if source in ("X", "raw.X") else literal_eval(source.removeprefix("layers[").removesuffix("]"))

    @property
    def modality(self) -> str | None:
        """Of a MuData: the modality with the counts."""
        return str({**self.around, **self.record.get(keys.CLUSTERING, {})}.get("modality", "")) or None

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(n_clusters,) cells."""
        return np.bincount(self.codes[self.codes >= 0], minlength=self.n_clusters)

    def matrix_of(self, pairs: Mapping[str, Any], column: str) -> NDArray[np.float64]:
        """(n_clusters, n_clusters) of a column of a table of pairs, NaN where a pair was not compared."""
        matrix = np.full((self.n_clusters, self.n_clusters), np.nan)
        first, second = (
            np.array([self.code(name) for name in pairs[side]], dtype=np.int64) for side in ("group", "reference")
        )
        matrix[first, second] = matrix[second, first] = pairs.get(column, np.nan)  # earlier versions recorded less
        return matrix

    def code(self, label: str) -> int:
        """The code of a label.

        Raises
        ------
        KeyError
            If there is no such label.
        """
        at = np.flatnonzero(self.names == str(label))
        if not at.size:
            msg = f"obs[{self.column!r}] has no cluster {label!r}. It has: {', '.join(self.names[:30])}."
            raise KeyError(msg)
        return int(at[0])


@dataclass(frozen=True)
class StoredMerging(StoredResult):
    """Clusters that were merged or tested by null cells of each pair."""

    start_column: str
    """Column of ``obs`` with the labels at the start."""
    merges_clusters: bool
    """Whether clusters were to be merged, rather than tested alone."""

    @property
    def start_names(self) -> NDArray[np.str_]:
        """(n_start,) labels at the start."""
        return np.asarray(self.record["start_labels"]).astype(str)

    @property
    def programmes(self) -> tuple[Presence, ...]:
        """The programmes whose genes were not to count."""
        return programmes_of(self.record)

    @property
    def merged_into(self) -> NDArray[np.int64]:
        """(n_start,) code at the end of each code at the start."""
        return np.asarray(self.record["merged_into"]).astype(np.int64)

    @property
    def pairs(self) -> dict[str, NDArray[Any]]:
        """The pairs that were compared last, by the labels at the end."""
        table = self.record[keys.OUTCOMES]
        last = ~np.asarray(table["merged"], dtype=bool)
        return {name: np.asarray(column)[last] for name, column in table.items()}

    @property
    def clustering(self) -> Mapping[str, Any]:
        """What made the clusters at the start, and its arguments; empty for given labels."""
        found: Mapping[str, Any] = self.record.get(keys.CLUSTERING, {})
        return found


@dataclass(frozen=True)
class StoredRun(StoredResult):
    """A search with null genes beside the real ones, or tests of given labels by the filter."""

    filter: FilterParams
    pair_test: str

    @property
    def searched(self) -> bool:
        """Whether there was a search, rather than tests of given labels."""
        return "iterations" in self.record

    def pair_matrix(self, column: str = "n_selected") -> NDArray[np.float64]:
        """(n_clusters, n_clusters) of what is recorded of each pair, NaN where a pair was not tested."""
        return self.matrix_of(self.record["pairs"], column)

    @property
    def takes_knockoffs(self) -> bool:
        """Whether genes were compared with knockoffs, rather than with null cells of each pair."""
        return pair_test_named(self.pair_test).takes_knockoffs

    @property
    def algorithm(self) -> str:
        """What clustered: ``"leiden"``, ``"louvain"``, ``"kmeans"`` or ``"ward"``."""
        return str(self.params["partition_algorithm"])

    @property
    def by_resolution(self) -> bool:
        """Whether the level of the search is a resolution rather than a number of clusters."""
        return self.algorithm in RESOLUTION_CLUSTERERS

    @property
    def standing_step(self) -> int:
        """The step of the search whose partition stands: the last, or the one before a raised start failed."""
        steps = self.record["iterations"]
        matching = (steps["level"] == self.record["level"]) & (steps["n_clusters"] == self.record["n_clusters"])
        return int(np.flatnonzero(matching)[-1])


def read_result(adata: AnnData, key: str) -> StoredMerging | StoredRun:
    """The result stored under `key`, together with its labels.

    Raises
    ------
    KeyError
        If there is no result, or its labels are gone.
    ChangedError
        If the labels are no longer those of the result.
    """
    record = find_record(adata, key)
    return _merging_of(adata, key, record) if holds_merging(record) else _run_of(adata, key, record)


def read_merging(adata: AnnData, key: str) -> StoredMerging:
    """A result by null cells of each pair; see :func:`read_result`."""
    record = find_record(adata, key)
    if holds_merging(record):
        return _merging_of(adata, key, record)
    what = "a search with knockoff genes" if "iterations" in record else "tests by the filter"
    msg = f"uns[{key!r}] holds {what}, of which there are no merges. recall_py.get.pairs(adata, {key!r}) has its pairs."
    raise KeyError(msg)


def read_run(adata: AnnData, key: str) -> StoredRun:
    """A result by the knockoff filter; see :func:`read_result`."""
    record = find_record(adata, key)
    if holds_merging(record):
        msg = (
            f"uns[{key!r}] holds clusters that were compared by null cells of each pair, of which there is no search. "
            f"Look at: recall_py.pl.merges(adata, {key!r}), recall_py.get.merges(adata, {key!r}), "
            f"recall_py.get.pairs(adata, {key!r})"
        )
        raise KeyError(msg)
    return _run_of(adata, key, record)


def _merging_of(adata: AnnData, key: str, record: Mapping[str, Any]) -> StoredMerging:
    around = adata.uns[key][keys.PARAMS]
    merges = merges_clusters(record, around)
    column = key if merges else str(around["groupby"])
    start = key + keys.START_SUFFIX if keys.CLUSTERING in record else str(around["groupby"])
    names = np.asarray(record["labels"]).astype(str)
    codes = _codes_of(adata, column, names)
    asked = {**around, **record.get(keys.CLUSTERING, {})}
    result = StoredMerging(
        key=key,
        column=column,
        record=record,
        params=record[keys.PARAMS],
        around=around,
        names=names,
        codes=codes,
        seed=int(record[keys.PARAMS]["seed"]),
        batch_key=str(asked.get("batch_key", "")) or None,
        start_column=start,
        merges_clusters=merges,
    )
    recorded = np.asarray(record["sizes"])
    for name, size, before in zip(names, result.sizes, recorded, strict=True):
        _refuse_other_size(result, str(name), int(size), int(before), adata.n_obs)
    return result


def _run_of(adata: AnnData, key: str, record: Mapping[str, Any]) -> StoredRun:
    if "labels" not in record:
        msg = f"uns[{key!r}] was written by a version that kept too little for this. Run the clustering again."
        raise KeyError(msg)
    around = adata.uns[key][keys.PARAMS]
    params = record.get(keys.PARAMS, around)
    column = key if keys.PARAMS in record else str(around["groupby"])
    names = np.asarray(record["labels"]).astype(str)
    codes = _codes_of(adata, column, names)
    if keys.SKETCH in record:
        codes[~_sketched(adata, column + keys.SKETCH_SUFFIX)] = -1
    run = StoredRun(
        key=key,
        column=column,
        record=record,
        params=params,
        around=around,
        names=names,
        codes=codes,
        filter=_filter(params, "filter_" if keys.PARAMS in record else ""),
        pair_test=str(params["pair_test"]),
        seed=int(params["seed"] if "seed" in params else params["random_state"]),
        batch_key=str(around.get("batch_key", "")) or None,
    )
    _refuse_changed(run, adata.n_obs)
    return run


def _codes_of(adata: AnnData, column: str, names: NDArray[np.str_]) -> NDArray[np.int32]:
    """(n_obs,) which of the `names` each cell has, -1 for others and for none."""
    labels = read_labels(adata, column)
    of_category = np.append(pd.Index(names).get_indexer(labels.cat.categories), -1)
    return of_category[labels.cat.codes].astype(np.int32)


def _sketched(adata: AnnData, column: str) -> NDArray[np.bool_]:
    if column not in adata.obs:
        msg = f"obs[{column!r}], which says what cells were in the sketch, is gone. Run the clustering again."
        raise KeyError(msg)
    return adata.obs[column].to_numpy(dtype=np.bool_)


def find_record(adata: AnnData, key: str) -> Mapping[str, Any]:
    """The record under ``uns[key]``.

    Raises
    ------
    KeyError
        If there is none, with the names of those that exist.
    """
    entry = adata.uns.get(key, {})
    if hasattr(entry, "get") and keys.RECORD in entry:
        return _with_plain_text(entry[keys.RECORD])
    if hasattr(entry, "get") and keys.TREE in entry:
        msg = f"uns[{key!r}] holds a tree of tested splits. Read it: recall_py.get.tree(adata, {key!r})"
        raise KeyError(msg)
    stored = ", ".join(results(adata))
    there = f"Results are stored under: {stored}." if stored else "Make one: recall_py.tl.leiden(adata, 'auto')"
    msg = f"uns[{key!r}] holds no result of recall_py. {there}"
    raise KeyError(msg)


def holds_merging(record: Mapping[str, Any]) -> bool:
    """Whether a record is of pairs that were compared by null cells of their own, rather than by the filter."""
    return keys.OUTCOMES in record


def merges_clusters(record: Mapping[str, Any], around: Mapping[str, Any]) -> bool:
    """Whether such a record is of clusters that were to be merged, rather than of tests; `around` is what was asked."""
    return keys.CLUSTERING in record or "merge_small" in around


def programmes_of(record: Mapping[str, Any]) -> tuple[Presence, ...]:
    """The programmes whose genes were not to count in such a record."""
    stored = record["programmes"]
    names = np.asarray(stored["programme"]).astype(str).tolist()
    return tuple(map(Presence, names, np.asarray(stored["n_genes"], dtype=int).tolist()))


def _with_plain_text(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The same record; text from a .zarr store has NumPy's newer type of strings, which few functions take."""
    return {
        name: _with_plain_text(value)
        if hasattr(value, "items")
        else value.astype(object)
        if isinstance(value, np.ndarray) and value.dtype.kind == "T"
        else value
        for name, value in stored.items()
    }


def results(adata: AnnData) -> list[str]:
    """Keys of ``uns`` that hold a result."""
    return [slot for slot, value in adata.uns.items() if hasattr(value, "get") and keys.RECORD in value]


def recorded_counts(adata: AnnData, run: StoredResult) -> CountData:
    """Raw counts of the cells of a run, read from where it has read them.

    Raises
    ------
    KeyError
        If the layer, a gene or the column of batches is gone.
    ValueError
        If what is there holds no raw counts.
    """
    adata = with_counts(adata, run.modality)
    cells = run.codes >= 0
    source, genes = str(run.record["source"]), np.asarray(run.record["genes"]).astype(str)
    if source == "raw.X" and adata.raw is None:
        msg = f"The counts of uns[{run.key!r}] were read from adata.raw, which is gone."
        raise KeyError(msg)
    if source in ("X", "raw.X"):
        found = counts_in(adata, (adata if source == "X" else adata.raw).X, source, cells)
    else:
        found = find_counts(adata, run.layer, cells)
    columns = found.names.get_indexer(pd.Index(genes))
    if (columns < 0).any():
        missing = genes[columns < 0]
        msg = (
            f"{missing.size} of the {genes.size} genes of uns[{run.key!r}], such as {missing[0]}, are not in {source} "
            "any more. Keep all genes, or run the clustering again."
        )
        raise KeyError(msg)
    return count_data(found, columns, "as recorded", read_batches(adata, run.batch_key, cells))


def _filter(params: Mapping[str, Any], prefix: str) -> FilterParams:
    kinds = {"fdr": float, "offset": int, "min_auc": float, "exact_below": int, "n_draws": int}
    return FilterParams(**{name: kind(params[prefix + name]) for name, kind in kinds.items()})


def _refuse_changed(run: StoredRun, n_obs: int) -> None:
    """Refuse labels that are not those of the record: cells taken out since, or another clustering written over it."""
    pairs = run.record["pairs"]
    sizes = dict(zip(run.names.tolist(), run.sizes.tolist(), strict=True))
    for side in ("group", "reference"):
        for name, size in zip(pairs[side], pairs[f"n_{side}"], strict=True):
            _refuse_other_size(run, str(name), sizes[str(name)], int(size), n_obs)


def _refuse_other_size(result: StoredResult, name: str, size: int, recorded: int, n_obs: int) -> None:
    if size != recorded:
        msg = (
            f"obs[{result.column!r}] is not what uns[{result.key!r}] was recorded for: cluster {name} has "
            f"{size} of {n_obs} cells, and had {recorded}. Run the clustering again on these cells."
        )
        raise ChangedError(msg)
