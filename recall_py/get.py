"""Stored results as tidy data frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from recall_py.adata.stored import find_record
from recall_py.arguments import ArgumentError

if TYPE_CHECKING:
    from anndata import AnnData


_PAIR_COLUMNS = (
    "group", "reference", "n_group", "n_reference", "n_selected", "threshold", "evidence", "false_share", "passes",
)  # fmt: skip
_MARKER_COLUMNS = ("w", "log10_p", "log10_p_knockoff", "auc", "log2_fold_change")


def iterations(adata: AnnData, key: str = "leiden") -> pd.DataFrame:
    """Steps of the search.

    Parameters
    ----------
    adata
        With a calibrated clustering.
    key
        Where it was written, ``key_added``.

    Returns
    -------
    One row for each step: ``level`` (resolution, or number of clusters asked for), ``n_clusters``, ``n_pairs``,
    ``n_failing``, ``min_selected`` (selected genes of the pair with the fewest) and ``merged`` (codes of the pair
    merged after this step, empty elsewhere).

    Examples
    --------
    >>> import anndata as ad, recall_py
    >>> adata = ad.read_h5ad("data/pbmc68k.h5ad")
    >>> recall_py.tl.leiden(adata, 4)
    >>> recall_py.get.iterations(adata)["n_failing"].iloc[-1].item()
    0
    """
    stored = _record(adata, key, "iterations")
    table = pd.DataFrame(
        {name: stored[name] for name in ("level", "n_clusters", "n_pairs", "n_failing", "min_selected")}
    )
    merged = zip(stored["merged_a"], stored["merged_b"], strict=True)
    return table.assign(merged=["" if a < 0 else f"{a} + {b}" for a, b in merged])


def flow(adata: AnnData, key: str = "leiden") -> pd.DataFrame:
    """Which clusters of each step of the search became which of the next.

    Parameters
    ----------
    adata
        With a calibrated clustering.
    key
        Where it was written, ``key_added``.

    Returns
    -------
    One row for each cluster of a step and each cluster of the step before that it has cells of: ``step`` (from 0, a row
    of :func:`iterations`), ``source`` (code in the step before, -1 in the first), ``target`` (code in this step),
    ``n_cells`` that both have, and whether ``target`` takes part in a failing pair, ``fails``. Codes of the final step
    are the labels.

    Examples
    --------
    >>> import anndata as ad, recall_py
    >>> adata = ad.read_h5ad("data/pbmc68k.h5ad")
    >>> recall_py.tl.leiden(adata, 4)
    >>> recall_py.get.flow(adata).groupby("step")["n_cells"].sum().unique().tolist()
    [700]
    """
    stored = _record(adata, key, "flow")
    table = pd.DataFrame({name: stored[name] for name in ("step", "source", "target", "n_cells")})
    failing = _record(adata, key, "failing")
    among = set(zip(failing["step"], failing["cluster"], strict=True))
    return table.assign(fails=[found in among for found in zip(table["step"], table["target"], strict=True)])


def pairs(adata: AnnData, key: str = "leiden") -> pd.DataFrame:
    """Pairs of the final clusters.

    Parameters
    ----------
    adata
        With a calibrated clustering, or the tests of given labels.
    key
        ``key_added`` of the call that wrote it.

    Returns
    -------
    One row for each pair: ``group``, ``reference``, their sizes ``n_group`` and ``n_reference``, ``n_selected`` genes,
    ``threshold`` tau (``inf`` where nothing is selected), ``evidence`` (the largest lead of real over null genes),
    ``false_share`` (the lowest share of false discoveries that the filter estimates at any threshold: at most ``fdr``
    where the pair passes) and whether the pair ``passes``. Records of earlier versions have no ``false_share``.

    Examples
    --------
    >>> import anndata as ad, recall_py
    >>> adata = ad.read_h5ad("data/pbmc68k.h5ad")
    >>> recall_py.tl.leiden(adata, 4)
    >>> bool(recall_py.get.pairs(adata)["passes"].all())
    True
    """
    stored = _record(adata, key, "pairs")
    return pd.DataFrame({name: stored[name] for name in _PAIR_COLUMNS if name in stored})


def markers(adata: AnnData, key: str = "leiden", *, by: Literal["pair", "cluster"] = "pair") -> pd.DataFrame:
    """Genes that the knockoff filter selected.

    Parameters
    ----------
    adata
        With a calibrated clustering, or the tests of given labels.
    key
        ``key_added`` of the call that wrote it.
    by
        ``"pair"``: one row for each pair and gene. ``"cluster"``: one row for each cluster and gene that is higher in
        the cluster than in at least one other, the strongest first.

    Returns
    -------
    By pair: ``group``, ``reference``, ``gene``, ``w``, ``log10_p``, ``log10_p_knockoff``, ``auc`` (chance that a cell
    of the group has the larger value, ties counting 1/2) and ``log2_fold_change`` (of mean normalised counts plus 1).

    By cluster: ``group``, ``gene``, ``n_pairs`` in which the gene is selected and higher, the smallest of their ``w``
    and ``log2_fold_change``, and the smallest ``auc``; ordered by ``n_pairs``, then ``w``.

    Examples
    --------
    >>> import anndata as ad, recall_py
    >>> adata = ad.read_h5ad("data/pbmc68k.h5ad")
    >>> recall_py.tl.leiden(adata, 4)
    >>> recall_py.get.markers(adata, by="cluster").columns[:2].tolist()
    ['group', 'gene']
    """
    stored = _record(adata, key, "markers")
    compared = pairs(adata, key).iloc[np.asarray(stored["pair"])]
    table = pd.DataFrame(
        {
            "group": compared["group"].to_numpy(),
            "reference": compared["reference"].to_numpy(),
            "gene": np.asarray(_record(adata, key, "genes"))[stored["gene"]],
            **{name: stored[name] for name in _MARKER_COLUMNS},
        }
    )
    if by == "pair":
        return table
    if by != "cluster":
        text = "Unknown {by:{found!r}}. Available: pair, cluster."
        raise ArgumentError(text, found=by)
    reverse = table.rename(columns={"group": "reference", "reference": "group"})
    reverse["auc"] = 1.0 - reverse["auc"]
    reverse["log2_fold_change"] = -reverse["log2_fold_change"]
    directed = pd.concat([table, reverse], ignore_index=True)
    higher = directed[directed["auc"] > 0.5]
    grouped = higher.groupby(["group", "gene"], as_index=False).agg(
        n_pairs=("w", "size"), w=("w", "min"), auc=("auc", "min"), log2_fold_change=("log2_fold_change", "min")
    )
    order = grouped.sort_values(["n_pairs", "w"], ascending=False, kind="stable")
    return order.sort_values("group", kind="stable", key=_natural).reset_index(drop=True)


def _natural(labels: pd.Series[Any]) -> pd.Series[Any]:
    """Sort keys that put label "2" before label "10"."""
    from natsort import natsorted

    rank = {label: i for i, label in enumerate(natsorted(labels.unique()))}
    return labels.map(rank)


def _record(adata: AnnData, key: str, name: str) -> Any:
    record = find_record(adata, key)
    if name not in record:
        msg = f"uns[{key!r}] holds no {name}: test_clusters makes no search."
        raise KeyError(msg)
    return record[name]
