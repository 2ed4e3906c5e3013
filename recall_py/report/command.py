"""The command that makes the result of a search again."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from recall_py.adata import keys
from recall_py.run.options import words

if TYPE_CHECKING:
    from recall_py.adata.stored import StoredRun

_RECORDED = {
    "null_method": "null_method",
    "search_strategy": "strategy",
    "filter_n_draws": "n_draws",
    "filter_min_auc": "min_auc",
    "filter_exact_below": "exact_below",
    "filter_fdr": "fdr",
    "filter_offset": "offset",
    "search_reduction": "reduction_percentage",
    "search_max_iterations": "max_iterations",
    "graph_kind": "graph",
    "partition_flavor": "flavor",
    "partition_n_iterations": "n_iterations",
    "partition_n_orders": "n_orders",
    "search_raise_start": "raise_start",
    "search_bisect": "bisect",
    "partition_use_weights": "use_weights",
    "partition_directed": "directed",
    "partition_partition_type": "partition_type",
}
"""Parameters of a record, and the options of ``recall-py recall`` that set them."""
_LEIDEN_ONLY = ("flavor", "n_iterations")
_ALWAYS = ("resolution_start", "num_clusters_start", "dims", "random_state")
"""Options that are told even where they are at their defaults."""


def reproduce(run: StoredRun, source: str, target: str) -> str:
    """The command that makes this result from `source`."""
    if not run.searched:
        return f"recall_py.tl.test_clusters(adata, {run.column!r})  # tests by the filter are made no more"
    if not run.takes_knockoffs:
        return "recall_py.tl.leiden(adata)  # the search with null cells and the filter is made no more"
    told = words(_asked(run), "recall", always=_ALWAYS)
    command = shlex.join(["recall-py", "recall", source, "-o", target, *told])
    named = f"  # genes.txt: the names in uns[{run.key!r}]['recall']['genes'], one a line"
    return command + named if "--genes" in command else command


def _asked(run: StoredRun) -> dict[str, Any]:
    """Arguments of the search, by name."""
    params, around, record = run.params, run.around, run.record
    asked = {name: params[recorded] for recorded, name in _RECORDED.items() if recorded in params}
    pointless = (*(() if run.algorithm == "leiden" else _LEIDEN_ONLY), *(() if run.by_resolution else ("graph",)))
    restricted = str(around.get("restrict_to", ""))
    selection = str(record["selection"])
    return {
        "algorithm": run.algorithm,
        "resolution_start" if run.by_resolution else "num_clusters_start": params["search_start"],
        **{name: value for name, value in asked.items() if name not in pointless},
        "dims": params.get("dims", "auto"),
        "key_added": run.key.removesuffix(keys.RESTRICTED_SUFFIX) if restricted else run.key,
        "restrict_to": restricted or None,
        "batch_key": run.batch_key or None,
        "sketch": record.get(keys.SKETCH),
        "neighbors_key": str(around.get("neighbors_key", "")) or None,
        "genes": "genes.txt" if selection.startswith("genes by name") else None,
        "layer": None if run.layer == "counts" else run.layer,
        "n_top_genes": len(record["genes"]) if selection.startswith("seurat_v3") else None,
        "random_state": run.seed,
    }
