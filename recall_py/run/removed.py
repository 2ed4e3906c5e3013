"""Arguments that were taken once, and what to write today."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recall_py.arguments import RemovedError
from recall_py.run.options import GROUPS

_TO_RECALL = {
    "reduction": "reduction_percentage",
    **{name: name for name in (*GROUPS["Null genes and the search"], "graph", "dims", "sketch", "n_top_genes")},
}
"""Arguments of the search with knockoffs, and what :func:`recall_py.tl.recall` calls them."""
OF_OLD_TESTS = ("pair_test", "n_draws", "min_auc", "exact_below", "null_method", "fdr", "offset")


def refuse_removed_from_clustering(function: str, others: Mapping[str, Any]) -> None:
    """Refuse arguments of the search with knockoffs, which ``tl.leiden`` and ``tl.louvain`` took."""
    for name, value in others.items():
        if name in _TO_RECALL:
            text = (
                "tl.{function} takes no {name} any more: it belongs to the search with knockoff genes. "
                "Write: recall_py.tl.recall(adata, 1, algorithm={function!r}, graph='umap', {today}={value!r})"
            )
            raise RemovedError(text, function=function, name=name, today=_TO_RECALL[name], value=value)
        if name == "preset":
            text = (
                "tl.{function} takes no preset any more. What preset='calibrated' did is the default now, on the graph "
                "that adata has: leave it out. For preset='recall', write: "
                "recall_py.tl.recall(adata, 1, algorithm={function!r})"
            )
            raise RemovedError(text, function=function)
        if name == "pair_test":
            text = (
                "tl.{function} takes no pair_test any more. Null cells for each pair are the default: leave it out. "
                "For knockoff genes, write: recall_py.tl.{function}(adata, method='knockoffs')"
            )
            raise RemovedError(text, function=function)


def refuse_removed_from_recall(others: Mapping[str, Any]) -> None:
    """Refuse the presets and the pair test, which ``tl.recall`` took or was called through."""
    for name in ("preset", "pair_test"):
        if name in others:
            text = (
                "tl.recall takes no {name}: it tests with knockoff genes. For null cells of each pair, write: "
                "recall_py.tl.leiden(adata)"
            )
            raise RemovedError(text, name=name)


def refuse_removed_from_test(others: Mapping[str, Any]) -> None:
    """Refuse arguments of the tests with the filter, which ``tl.test_clusters`` took, and whatever it never took."""
    for name in others:
        if name in OF_OLD_TESTS:
            text = (
                "tl.test_clusters takes no {name} any more: pairs are compared with null cells, and stand by their "
                "lead over null cells. Leave {name} out; for labels that do not come from the counts, external=True"
            )
            raise RemovedError(text, name=name)
        if name == "n_top_genes":
            text = "tl.test_clusters takes no n_top_genes any more. Name the genes: genes=[...]"
            raise RemovedError(text)
        msg = f"test_clusters() got an unexpected keyword argument {name!r}"
        raise TypeError(msg)
