"""Stored results as tidy data frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from recall_py.adata import keys
from recall_py.adata.stored import find_record, holds_merging
from recall_py.arguments import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anndata import AnnData


_PAIR_COLUMNS = (
    "group", "reference", "n_group", "n_reference", "n_selected", "threshold", "evidence", "false_share", "passes",
)  # fmt: skip
_OUTCOME_COLUMNS = (
    "group", "reference", "n_group", "n_reference", "kind", "distance", "evidence", "threshold", "near",
)  # fmt: skip
_BEST_GENE_COLUMNS = ("auc", "log2_fold_change", "log10_p", "log10_p_null")
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
        With a calibrated clustering, the tests of given labels, or merged labels.
    key
        ``key_added`` of the call that wrote it.

    Returns
    -------
    One row for each pair: ``group``, ``reference``, their sizes ``n_group`` and ``n_reference``, ``n_selected`` genes,
    ``threshold`` tau (``inf`` where nothing is selected), ``evidence`` (the largest lead of real over null genes),
    ``false_share`` (the lowest share of false discoveries that the filter estimates at any threshold: at most ``fdr``
    where the pair passes) and whether the pair ``passes``. Records of earlier versions have no ``false_share``.

    Of merged labels: the neighbours that stand, with the columns of :func:`merges`.

    Examples
    --------
    >>> import anndata as ad, recall_py
    >>> adata = ad.read_h5ad("data/pbmc68k.h5ad")
    >>> recall_py.tl.leiden(adata, 4)
    >>> bool(recall_py.get.pairs(adata)["passes"].all())
    True
    """
    record = find_record(adata, key)
    if holds_merging(record):
        return _outcomes(record, merged=False)
    stored = _record(adata, key, "pairs")
    return pd.DataFrame({name: stored[name] for name in _PAIR_COLUMNS if name in stored})


def merges(adata: AnnData, key: str) -> pd.DataFrame:
    """Merges of given labels, and why: what their genes reach beside what those of null cells reach.

    Parameters
    ----------
    adata
        With merged labels.
    key
        ``key_added`` of :func:`recall_py.tl.merge_clusters`.

    Returns
    -------
    One row for each merge, in their order; :func:`pairs` gives the same of the neighbours that stand.

    ``group``, ``reference``
        The larger and the smaller of the two, by the labels at the start that each is made of.
    ``n_group``, ``n_reference``
        Their cells.
    ``kind``
        ``"pair"``: compared with null cells. ``"small"``: one has too few cells for that, and joined its nearest.
    ``distance``
        Ward's, of their mean profiles: of the pairs that fail, the nearest is merged.
    ``evidence``
        Decades of p by which the best genes exceed those of null cells, a mean over ``ranks``.
    ``threshold``
        The pair stands where ``evidence`` is above it.
    ``near``
        Whether ``evidence`` is so near to it that another seed may turn the outcome.
    ``genes``, ``auc``, ``log2_fold_change``, ``log10_p``, ``log10_p_null``
        Lists of the best genes: their names, the chance that a cell of the group has the larger value, log2 of the
        ratio of mean normalised counts plus 1, and p-values of the gene and of its null.
    ``ranks``, ``real``, ``null``
        Lists: places among the genes of the pair, and -log10 p there of its genes and of the best null draw.

    Examples
    --------
    >>> import anndata as ad, recall_py
    >>> adata = ad.read_h5ad("data/pbmc68k.h5ad")
    >>> adata = adata[adata.obs["annotation"].isin(["CD8+ Cytotoxic T", "CD56+ NK", "CD19+ B"])].copy()
    >>> recall_py.tl.merge_clusters(adata, "annotation")
    >>> recall_py.get.merges(adata, "annotation_merged")["group"].tolist()
    ['CD8+ Cytotoxic T']
    """
    record = find_record(adata, key)
    if not holds_merging(record):
        msg = f"uns[{key!r}] holds no merged labels. Make them: recall_py.tl.merge_clusters(adata, ...)"
        raise KeyError(msg)
    return _outcomes(record, merged=True)


def _outcomes(record: Mapping[str, Any], *, merged: bool) -> pd.DataFrame:
    """Merges, or the pairs that stand, with lists of their best genes and of the ranks that decided."""
    stored, best, ranks = (record[name] for name in (keys.OUTCOMES, "best_genes", "ranks"))
    table = pd.DataFrame({name: stored[name] for name in _OUTCOME_COLUMNS})
    lists = {"genes": (best, np.asarray(record["genes"])[best["gene"]] if "gene" in best else ())}
    lists |= {name: (best, best.get(name, ())) for name in _BEST_GENE_COLUMNS}
    lists |= {
        title: (ranks, ranks.get(name, ())) for title, name in (("ranks", "rank"), ("real", "real"), ("null", "null"))
    }
    for title, (rows, values) in lists.items():
        of_outcome: list[list[Any]] = [[] for _ in range(len(table))]
        for outcome, value in zip(rows["outcome"], np.asarray(values).tolist(), strict=True):
            of_outcome[outcome].append(value)
        table[title] = of_outcome
    return table[np.asarray(stored["merged"]) == merged].reset_index(drop=True)


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
        why = (
            f"it has merged labels. Read them: recall_py.get.merges(adata, {key!r})"
            if holds_merging(record)
            else "test_clusters makes no search."
        )
        msg = f"uns[{key!r}] holds no {name}: {why}"
        raise KeyError(msg)
    return record[name]
