"""The command that makes a result again."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import numpy as np

from recall_py.adata import keys

if TYPE_CHECKING:
    from recall_py.adata.stored import StoredRun

_USUAL: dict[str, Any] = {
    "null_method": "ZIP",
    "search_strategy": "resolution",
    "filter_n_draws": 1,
    "filter_min_auc": 0.5,
    "filter_exact_below": 0,
    "filter_fdr": 0.05,
    "filter_offset": 1,
    "search_reduction": 0.2,
    "search_max_iterations": 50,
    "graph_kind": "snn",
    "partition_flavor": "leidenalg",
    "partition_n_iterations": 10,
    "partition_n_orders": 10,
}
"""What ``recall-py recall`` takes where an option is left out."""
_LEIDEN_ONLY = ("partition_flavor", "partition_n_iterations")


def reproduce(run: StoredRun, source: str, target: str) -> str:
    """The command that makes this result from `source`."""
    if not run.searched:
        return f"recall_py.tl.test_clusters(adata, {run.column!r})  # tests by the filter are made no more"
    if not run.takes_knockoffs:
        return "recall_py.tl.leiden(adata)  # the search with null cells and the filter is made no more"
    command = shlex.join(["recall-py", "recall", source, "-o", target, *_search_options(run)])
    named = f"  # genes.txt: the names in uns[{run.key!r}]['recall']['genes'], one a line"
    return command + named if "--genes" in command else command


def _search_options(run: StoredRun) -> list[str]:
    params = run.params
    algorithm, by_resolution = run.algorithm, run.by_resolution
    words = [] if algorithm == "louvain" else ["--algorithm", algorithm]
    words += ["--resolution" if by_resolution else "--num-clusters-start", f"{params['search_start']:g}"]
    for name, value in _USUAL.items():
        pointless = (name in _LEIDEN_ONLY and algorithm != "leiden") or (name == "graph_kind" and not by_resolution)
        if name in params and params[name] != value and not pointless:
            option = {"graph_kind": "graph", "null_method": "null_method"}.get(name)
            words += [_option(option or name.partition("_")[2]), _text(params[name])]
    words += ["--dims", _text(params.get("dims", "auto"))]
    words += _flags(params)
    return words + _shared_options(run)


def _flags(params: Any) -> list[str]:
    words = [f"--{name}" for name in ("raise-start", "bisect") if params.get(f"search_{name.replace('-', '_')}", False)]
    if not bool(params["partition_use_weights"]):
        words += ["--no-use-weights"]
    if "partition_directed" in params:
        words += ["--directed" if bool(params["partition_directed"]) else "--no-directed"]
    if "partition_partition_type" in params:
        words += ["--partition-type", str(params["partition_partition_type"])]
    return words


def _shared_options(run: StoredRun) -> list[str]:
    words = []
    around = run.around
    restricted = str(around.get("restrict_to", ""))
    key = run.key.removesuffix("_R") if restricted else run.key
    if key != "recall_clusters":
        words += ["--key-added", key]
    if restricted:
        words += ["--restrict-to", restricted]
    if run.batch_key:
        words += ["--batch-key", run.batch_key]
    if keys.SKETCH in run.record:
        words += ["--sketch", str(run.record[keys.SKETCH])]
    if str(around.get("neighbors_key", "")):
        words += ["--neighbors-key", str(around["neighbors_key"])]
    if str(run.record["selection"]) == "genes by name":
        words += ["--genes", "genes.txt"]
    layer = run.layer
    if layer not in (None, "counts"):
        words += ["--layer", str(layer)]
    if str(run.record["selection"]).startswith("seurat_v3") and len(run.record["genes"]) != 2000:
        words += ["--n-top-genes", str(len(run.record["genes"]))]
    return [*words, "--seed", str(run.seed)]


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float | np.floating) else str(value)
