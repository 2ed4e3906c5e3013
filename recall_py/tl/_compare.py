"""Rival methods on one object, in one table."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from recall_py.adata import keys
from recall_py.adata.comparison import AGREEMENT, LABEL, agreement, refuse_slots_of_others, write_comparison
from recall_py.adata.folds import whole_counts
from recall_py.adata.labels import read_labels
from recall_py.adata.neighbours import recorded_graph
from recall_py.arguments import ArgumentError
from recall_py.method.clustering.partition import by_decreasing_size
from recall_py.method.params import GraphParams, resolve_seed
from recall_py.run.observe import CalibrationWarning
from recall_py.run.options import with_option_docs
from recall_py.run.second_opinion import Clustering, clusters_of, graph_of_fold, two_folds
from recall_py.tl._leiden import leiden, scanpy_leiden
from recall_py.tl._merge_clusters import merge_clusters
from recall_py.tl._recall import recall
from recall_py.tl._sc_shc import sc_shc

if TYPE_CHECKING:
    from anndata import AnnData

    from recall_py.method.params import Rng

_LEIDEN: dict[str, Any] = {"flavor": "igraph", "n_iterations": 2, "directed": False}
_RESOLUTIONS = (0.2, 0.4, 0.8, 1.2, 1.6)
"""Of scstability, as its documentation has them."""


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What every method is given."""

    resolution: float
    batch_key: str | None
    layer: str | None
    seed: int
    n_jobs: int | None

    @property
    def of_counts(self) -> dict[str, Any]:
        return {
            "layer": self.layer,
            "batch_key": self.batch_key,
            "random_state": self.seed,
            "n_jobs": self.n_jobs,
        }


@with_option_docs("compare")
def compare(
    adata: AnnData,
    methods: Sequence[str] | None = None,
    *,
    label: str | None = None,
    resolution: float = 1.0,
    key_added: str = "compare",
    batch_key: str | None = None,
    layer: str | None = None,
    random_state: int | np.random.RandomState | None = 0,
    rng: Rng | None = None,
    n_jobs: int | None = None,
) -> pd.DataFrame:
    """Cluster by this package and by its rivals, in one table; beside `leiden`, to see what others say of your cells.

    ``"plain"``
        scanpy's Leiden on the graph at hand.
    ``"default"``
        :func:`leiden`: the same clusters, calibrated.
    ``"recall"``
        :func:`recall`, the original method, with its defaults.
    ``"sc_shc"``
        :func:`sc_shc` with its defaults.
    ``"countsplit"``
        Counts split in two by :func:`countsplit` (Poisson); Leiden on a graph of the first fold; clusters that the
        second fold does not support are merged by :func:`merge_clusters`, with ``external=True``.
    ``"scstability"``
        The finest resolution of .2, .4, .8, 1.2 and 1.6 at which every cluster is found again in subsamples, where the
        package scstability is installed; it takes ``obsm["X_pca"]``.

    Parameters
    ----------
    adata
        Cells x genes with a neighbour graph, and with raw counts as for :func:`leiden`.
    {options}

    Returns
    -------
    One row for each method, also written to ``adata.uns[key_added]``: :func:`recall_py.get.comparison` reads it,
    :func:`recall_py.pl.compare` draws it.

    ``method``, ``key``, ``n_clusters``
        Its name, the column of ``obs`` with its labels, and how many there are.
    ``ari_label``
        Adjusted Rand index with `label`, over the cells that have one; only where it is given.
    ``seconds``, ``cpu_seconds``
        What it took by the clock, and of the processor. The graph that is at hand is not counted.
    ``ari_plain``, ``ari_default``, ...
        Adjusted Rand index with each method.
    ``warning``
        What the method warned of.

    The labels are in ``adata.obs[key_added + "_" + method]``; the results of this package can be read there by
    :mod:`recall_py.get`.

    Raises
    ------
    ValueError
        For unknown methods, no neighbour graph, no raw counts (for countsplit: in memory), or slots that hold something
        else.
    KeyError
        If `label`, `batch_key` or `layer` does not exist.
    ImportError
        If scstability is asked for and is not installed.

    Examples
    --------
    >>> import recall_py, scanpy as sc
    >>> adata = recall_py.datasets.simulate(200, 300, group_shares=(0.5, 0.5), log2_fold_change=3)
    >>> adata.layers["counts"] = adata.X.copy()
    >>> sc.pp.log1p(adata)
    >>> sc.pp.neighbors(adata, use_rep="X")
    >>> table = recall_py.tl.compare(adata, ["plain", "default"], label="group", resolution=2)
    >>> table.set_index("method")["n_clusters"].loc["default"].item()
    2
    """
    from scanpy import logging

    asked = _Asked(
        resolution=resolution, batch_key=batch_key, layer=layer, seed=resolve_seed(random_state, rng), n_jobs=n_jobs
    )
    keys.refuse_unusable(key_added)
    names = _accepted(methods)
    columns = [f"{key_added}_{name}" for name in names]
    refuse_slots_of_others(adata, key_added, columns)
    if label is not None:
        read_labels(adata, label)
    if "countsplit" in names:
        whole_counts(adata, layer)
    if recorded_graph(adata, None, None) is None:
        msg = (
            "adata records no neighbour graph (uns['neighbors']), which plain Leiden clusters. Make one: "
            "sc.pp.pca(adata) and sc.pp.neighbors(adata), on log-normalised values"
        )
        raise ValueError(msg)
    rows = []
    for name, column in zip(names, columns, strict=True):
        start = logging.info(f"comparing: {name}")
        clock, processor = time.perf_counter(), time.process_time()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", CalibrationWarning)
            _METHODS[name](adata, column, asked)
        row: dict[str, Any] = {"method": name, "key": column, "n_clusters": int(adata.obs[column].nunique())}
        if label is not None:
            row[LABEL] = agreement(adata, column, label)
        row |= {"seconds": time.perf_counter() - clock, "cpu_seconds": time.process_time() - processor}
        rows.append({**row, "warning": " ".join(str(each.message) for each in caught)})
        logging.info(f"    {row['n_clusters']} clusters", time=start)
    table = pd.DataFrame(rows)
    for name, column in zip(names, columns, strict=True):
        values = [agreement(adata, column, other) for other in columns]
        table.insert(len(table.columns) - 1, f"{AGREEMENT}{name}", values)
    write_comparison(
        adata,
        key_added,
        table,
        {
            "label": label or "",
            "resolution": resolution,
            "batch_key": batch_key or "",
            "layer": layer or "",
            "random_state": asked.seed,
        },
    )
    return table


def _accepted(methods: Sequence[str] | None) -> list[str]:
    """The methods to run."""
    if methods is None:
        return [name for name in _METHODS if name != "scstability" or find_spec(name) is not None]
    names = [methods] if isinstance(methods, str) else list(dict.fromkeys(methods))
    unknown = [name for name in names if name not in _METHODS]
    if unknown or not names:
        text = "{methods} has {found}. Available: {available}."
        found = f"no method {unknown[0]!r}" if unknown else "no method"
        raise ArgumentError(text, found=found, available=", ".join(_METHODS))
    if "scstability" in names and find_spec("scstability") is None:
        msg = "scstability is not installed. Install it: pip install scstability (Python 3.12 or newer)"
        raise ImportError(msg)
    return names


def _plain(adata: AnnData, key: str, asked: _Asked) -> None:
    scanpy_leiden(adata, asked.resolution, key_added=key, random_state=asked.seed, **_LEIDEN)


def _default(adata: AnnData, key: str, asked: _Asked) -> None:
    leiden(adata, asked.resolution, key_added=key, **asked.of_counts, **_LEIDEN)


def _recall(adata: AnnData, key: str, asked: _Asked) -> None:
    recall(adata, key_added=key, **asked.of_counts)


def _sc_shc(adata: AnnData, key: str, asked: _Asked) -> None:
    sc_shc(adata, key_added=key, **asked.of_counts)


def _countsplit(adata: AnnData, key: str, asked: _Asked) -> None:
    """Clusters of a graph of one fold, merged by what the other fold says of them."""
    folds, first, second = two_folds(adata, asked.layer, asked.batch_key, asked.seed)
    graph = graph_of_fold(folds, first, GraphParams(random_state=asked.seed), None, None, asked.seed)
    codes = clusters_of(graph, Clustering("leiden", asked.resolution), asked.seed)
    folds.obs["start"] = pd.Categorical(codes.astype(str))
    folds.obsp["connectivities"] = sparse.csr_matrix(graph)
    where = {**asked.of_counts, "layer": second, "obsp": "connectivities"}
    merge_clusters(folds, "start", key_added="merged", external=True, **where)
    codes = by_decreasing_size(folds.obs["merged"].cat.codes.to_numpy())
    adata.obs[key] = pd.Categorical.from_codes(codes, pd.Index([str(code) for code in range(codes.max() + 1)]))


def _scstability(adata: AnnData, key: str, asked: _Asked) -> None:
    import scstability

    found = scstability.stability_sweep(adata, _RESOLUTIONS, random_state=asked.seed, progress=False)
    adata.obs[key] = found.reference_labels[found.recommend()].cat.rename_categories(str)


_METHODS: dict[str, Callable[[AnnData, str, _Asked], None]] = {
    "plain": _plain,
    "default": _default,
    "recall": _recall,
    "sc_shc": _sc_shc,
    "countsplit": _countsplit,
    "scstability": _scstability,
}
