"""Stored results as tidy data frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from recall_py.adata import keys
from recall_py.adata import methods as methods_of_paper
from recall_py.adata.comparison import read_comparison
from recall_py.adata.reasons import reason
from recall_py.adata.stored import find_record, holds_merging
from recall_py.arguments import ArgumentError
from recall_py.method.pairs.lead import p_value
from recall_py.words import in_one, percent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anndata import AnnData


_PAIR_COLUMNS = (
    "group", "reference", "n_group", "n_reference", "n_selected", "threshold", "evidence", "false_share", "passes",
)  # fmt: skip
_OUTCOME_COLUMNS = (
    "group", "reference", "n_group", "n_reference", "kind", "distance", "evidence", "p_value",
    "evidence_with_programmes", "threshold", "near", "passes", "group_start", "reference_start", "programmes",
)  # fmt: skip
_MAPPING_COLUMNS = (
    "name", "kind", "nearest", "n_query", "against", "n_against", "evidence", "evidence_with_platform", "near",
    "verdict",
)  # fmt: skip
_CHANGES_COLUMNS = ("update", "label", "kind", "verdict", "n_before", "n_added", "n_unlabelled")
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
    >>> recall_py.tl.leiden(adata, 4, method="knockoffs")
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
    >>> recall_py.tl.leiden(adata, 4, method="knockoffs")
    >>> recall_py.get.flow(adata).groupby("step")["n_cells"].sum().unique().tolist()
    [700]
    """
    stored = _record(adata, key, "flow")
    table = pd.DataFrame({name: stored[name] for name in ("step", "source", "target", "n_cells")})
    failing = _record(adata, key, "failing")
    among = set(zip(failing["step"], failing["cluster"], strict=True))
    return table.assign(fails=[found in among for found in zip(table["step"], table["target"], strict=True)])


def pairs(adata: AnnData, key: str = "leiden") -> pd.DataFrame:
    """Pairs of the final clusters, and what holds them apart.

    Parameters
    ----------
    adata
        With a calibrated clustering, merged labels, or the tests of given labels.
    key
        ``key_added`` of the call that wrote it.

    Returns
    -------
    One row for each pair of neighbours, with the columns of :func:`merges`, by the names of the final clusters;
    ``passes`` where the two stand. Of a search with knockoffs: every pair, as below.

    ``group``, ``reference``
        The two clusters; sizes are ``n_group`` and ``n_reference``.
    ``n_selected``, ``passes``
        Genes that the filter selects, and whether there are any.
    ``threshold``
        tau, ``inf`` where nothing is selected.
    ``evidence``
        The largest lead of real over null genes.
    ``false_share``
        The lowest share of false discoveries that the filter estimates at any threshold: at most ``fdr`` where the pair
        passes. Records of earlier versions have none.

    Examples
    --------
    >>> import anndata as ad, recall_py
    >>> adata = ad.read_h5ad("data/pbmc68k.h5ad")
    >>> recall_py.tl.leiden(adata, 4, method="knockoffs")
    >>> bool(recall_py.get.pairs(adata)["passes"].all())
    True
    """
    record = find_record(adata, key)
    if holds_merging(record):
        return _outcomes(record, merged=False)
    stored = _record(adata, key, "pairs")
    return pd.DataFrame({name: stored[name] for name in _PAIR_COLUMNS if name in stored})


def merges(adata: AnnData, key: str = "leiden") -> pd.DataFrame:
    """Merges of clusters, and why: what their genes reach beside what those of null cells reach.

    Parameters
    ----------
    adata
        With a calibrated clustering, or merged labels.
    key
        ``key_added`` of :func:`recall_py.tl.leiden`, :func:`recall_py.tl.louvain` or
        :func:`recall_py.tl.merge_clusters`.

    Returns
    -------
    One row for each merge, in their order; :func:`pairs` gives the same of the neighbours that stand.

    ``group``, ``reference``
        The larger and the smaller of the two, by the labels at the start that each is made of.
    ``n_group``, ``n_reference``
        Their cells.
    ``reason``
        Why the two are one, or stand, in sentences.
    ``kind``
        ``"pair"``: compared with null cells. ``"small"``: one has too few cells for that, and joined its nearest.
        ``"batch"``: not compared, because the two have too few cells in the same batches, so that type or batch effect
        cannot be told apart; they stay.
    ``distance``
        Ward's, of their mean profiles: of the pairs that fail, the nearest is merged.
    ``evidence``
        How many times as far as needed the genes of the pair lead their own nulls, at the rank where that is most.
    ``p_value``
        The share of cuts of populations without clusters that reach this evidence, by the tail of those that
        ``benchmarks/null_cuts`` has measured; NaN where the two were not compared. For a pair alone, and no guarantee.
    ``evidence_with_programmes``
        The same with the genes of known programmes that do not count, such as those of the cell cycle, of pairs that
        fail and have such genes; NaN elsewhere.
    ``threshold``
        The pair stands where ``evidence`` is above it.
    ``near``
        Whether ``evidence`` is within 0.1 of it, so that another seed may turn the outcome.
    ``passes``
        Whether the pair stands.
    ``group_start``, ``reference_start``
        The labels at the start that each is made of.
    ``programmes``
        Where only genes of such programmes tell the two apart, by 0.2 of evidence or more: what the two are, such as
        ``"cycling and resting cells of one type"``; empty elsewhere.
    ``genes``, ``auc``, ``log2_fold_change``, ``log10_p``, ``log10_p_null``
        Lists of the genes that lead their nulls most: their names, the chance that a cell of the group has the larger
        value, log2 of the ratio of mean normalised counts plus 1, and p-values of the gene and of its null.
    ``ranks``, ``real``, ``null``, ``needed``
        Lists: places among the genes of the pair, the decades of p by which the gene there leads its null, those by
        which a null gene there leads itself in the other draws (the mean over draws), and what is needed: 0.9 + 1.1
        log10(cells of the smaller cluster, at most 300) times as much, a quarter of a decade added to both.
    ``batches``, ``group_batches``, ``reference_batches``
        Of a run with ``batch_key``: lists of the batches within which the two were compared, empty where there are
        none; and of those that have cells of each, the one with most cells first.

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
        msg = (
            f"uns[{key!r}] holds a result by the knockoff filter, of which there are no merges. "
            "Make them: recall_py.tl.leiden(adata) or recall_py.tl.merge_clusters(adata, ...)"
        )
        raise KeyError(msg)
    return _outcomes(record, merged=True)


def clusters(adata: AnnData, key: str = "leiden") -> pd.DataFrame:
    """The final clusters: what each is made of, and which neighbour comes nearest to being one with it.

    Parameters
    ----------
    adata
        With a calibrated clustering, merged labels, or the tests of given labels.
    key
        ``key_added`` of the call that wrote it.

    Returns
    -------
    One row for each cluster:

    ``cluster``, ``n_cells``
        Its name and size.
    ``start``
        List of the labels at the start that it holds.
    ``supported``
        Whether it stands against every neighbour that it could be compared with; False where it could be with none.
    ``merge_with``
        The cluster that it would be merged with, if it is not supported; empty elsewhere. Only tests leave such pairs.
    ``weakest``, ``evidence``, ``near``
        The neighbour against which it has least evidence, how much, and whether that is near the threshold.
    ``stability``
        Of clusters of ``resolution="auto"``: overlap with the best match in a run of Leiden, by Jaccard, the mean over
        the runs; 1 is the most.

    Labels that were tested by count splitting and have no cluster on the fold come last, with no cells, and
    ``merge_with`` is what most of theirs are called there.

    Examples
    --------
    >>> import anndata as ad, recall_py
    >>> adata = ad.read_h5ad("data/pbmc68k.h5ad")
    >>> adata = adata[adata.obs["annotation"].isin(["CD8+ Cytotoxic T", "CD56+ NK", "CD19+ B"])].copy()
    >>> recall_py.tl.merge_clusters(adata, "annotation")
    >>> recall_py.get.clusters(adata, "annotation_merged")["start"].tolist()
    [['CD19+ B'], ['CD8+ Cytotoxic T', 'CD56+ NK']]
    """
    record = find_record(adata, key)
    if not holds_merging(record):
        msg = f"uns[{key!r}] holds a result by the knockoff filter. Read it: recall_py.get.pairs(adata, {key!r})"
        raise KeyError(msg)
    compared = _outcomes(record, merged=False)
    start, into = np.asarray(record["start_labels"]).astype(str), np.asarray(record["merged_into"])
    untested = set(np.asarray(record["untested"]).astype(str).tolist())
    rows = []
    for code, (name, size) in enumerate(zip(np.asarray(record["labels"]).astype(str), record["sizes"], strict=True)):
        own = compared[(compared["group"] == name) | (compared["reference"] == name)]
        told = own["kind"].eq("pair").any() or own.empty
        failing, weakest = own[~own["passes"]].nsmallest(1, "distance"), own.nsmallest(1, "evidence")

        def other(pair: pd.DataFrame, name: str = name) -> str:
            return "".join(pair["reference"].where(pair["group"] == name, pair["group"]))

        rows.append(
            {
                "cluster": name,
                "n_cells": int(size),
                "start": start[into == code].tolist(),
                "supported": bool(failing.empty and told and name not in untested),
                "merge_with": other(failing),
                "weakest": other(weakest),
                "evidence": float(weakest["evidence"].iloc[0]) if len(weakest) else np.nan,
                "near": bool(weakest["near"].any()),
            }
        )
    found = pd.DataFrame(rows + _not_found_again(record))
    return found.assign(stability=record[keys.STABILITY]) if keys.STABILITY in record else found


def _not_found_again(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of labels that a fold of the counts has no cluster of."""
    found = record.get(keys.AGAIN, {"found": ()})
    return [
        {
            "cluster": str(found["label"][at]),
            "n_cells": 0,
            "start": [],
            "supported": False,
            "merge_with": str(found["most"][at]),
            "weakest": str(found["most"][at]),
            "evidence": np.nan,
            "near": False,
        }
        for at in np.flatnonzero(~np.asarray(found["found"], dtype=bool))
    ]


def subclusters(adata: AnnData, key: str = "leiden_R") -> pd.DataFrame:
    """The tree of clusters inside clusters, from the labels it began with down to the last call.

    Parameters
    ----------
    adata
        After :func:`recall_py.tl.subcluster`.
    key
        ``key_added`` of the last call.

    Returns
    -------
    One row for each label that there was on the way, parents before children:

    ``label``, ``parent``, ``depth``
        Its name, the name of the label that it is inside of (empty at the root), and how many splits led to it. Several
        labels that were looked into as one have a row of their own, ``"3-4"``.
    ``n_cells``
        Its cells.
    ``key``
        The column of ``obs`` where it was made.
    ``evidence``
        Against the neighbour inside the same parent that it leads least, above 1 where it stands; NaN at the root, and
        where nothing was found inside.

    Examples
    --------
    >>> import recall_py
    >>> adata = recall_py.datasets.simulate(300, 200, group_shares=(0.4, 0.3, 0.3), n_markers=40, log2_fold_change=3)
    >>> adata.obs["coarse"] = adata.obs["group"].astype(str).replace("group2", "group1")
    >>> recall_py.tl.subcluster(adata, "coarse", "group1", flavor="igraph", n_iterations=2)
    >>> recall_py.get.subclusters(adata, "coarse_R")["depth"].tolist()
    [0, 0, 1, 1]
    """
    record = find_record(adata, key)
    if keys.HISTORY not in record:
        msg = f"uns[{key!r}] holds no clusters inside clusters. Make them: recall_py.tl.subcluster(adata, {key!r}, '0')"
        raise KeyError(msg)
    stored = record[keys.HISTORY]
    table = pd.DataFrame({name: np.asarray(stored[name]) for name in ("label", "parent", "n_cells", "key", "evidence")})
    table = table.astype(dict.fromkeys(("label", "parent", "key"), object))
    depth: dict[str, int] = {"": -1}
    for label, parent in zip(table["label"], table["parent"], strict=True):
        depth[label] = depth[parent] + 1
    table.insert(2, "depth", [depth[label] for label in table["label"]])
    return table


def mapping(adata: AnnData, key: str = keys.MAPPED) -> pd.DataFrame:
    """The labels that cells of a query got, and whether these cells are what the label says.

    Parameters
    ----------
    adata
        The query, after :func:`recall_py.tl.map_query`.
    key
        Its ``key_added``.

    Returns
    -------
    One row for each label that query cells got, and for each group of 10 or more cells that fit no label:

    ``name``, ``kind``
        The label, ``"label"``; or the name of the group, ``"new"``. A group that does not stand the test is called
        ``"near"`` and the label that is nearest, which its cells have.
    ``nearest``, ``n_query``
        The label that is nearest, and how many query cells there are (of a label: those that fit).
    ``against``, ``n_against``
        Cells that they were compared with: those of the label in the ``"reference"``, or for a group those of the
        ``"query"`` that have the label and fit, where there are three.
    ``evidence``
        As in :func:`pairs`: above 1, the two differ as two clusters do. Genes that differ in the same way in several
        labels do not count; ``evidence_with_platform`` is with them, of pairs that fail without.
    ``near``
        Whether the evidence is so near to 1 that another seed may turn it.
    ``verdict``
        Of a label: ``"alike"``; ``"platform"``, differing only by genes that differ in several labels or are of a known
        programme, which do not count; or ``"differs"``, by others too: another state or type, or what the platform
        does to this type alone. Of a group: ``"new"`` or ``"not told apart"``. Fewer than three cells: ``"untested"``.
    ``genes``
        List of those that are higher in the query cells than in what they were compared with, the best first.

    Examples
    --------
    >>> import recall_py
    >>> cells = recall_py.datasets.simulate(300, 200, group_shares=(0.4, 0.3, 0.3), n_markers=40, log2_fold_change=3)
    >>> query, reference = cells[:60].copy(), cells[60:].copy()
    >>> recall_py.tl.map_query(query, reference, "group", same_platform=True)
    >>> recall_py.get.mapping(query)["verdict"].tolist()
    ['alike', 'alike', 'alike']
    """
    entry = adata.uns.get(key)
    if not hasattr(entry, "get") or keys.MAPPING not in entry:
        msg = f"uns[{key!r}] holds no mapping. Make one: recall_py.tl.map_query(query, reference, 'labels')"
        raise KeyError(msg)
    stored = entry[keys.MAPPING]
    table = pd.DataFrame({name: np.asarray(stored[name]) for name in _MAPPING_COLUMNS})
    texts = ("name", "kind", "nearest", "against", "verdict")
    table["genes"] = [str(names).split(",") if str(names) else [] for names in np.asarray(stored["genes"])]
    return table.astype(dict.fromkeys(texts, object))


def atlas_changes(adata: AnnData, key: str = keys.ATLAS_UPDATE) -> pd.DataFrame:
    """What updates of an atlas have changed.

    Parameters
    ----------
    adata
        What :func:`recall_py.tl.update_atlas` has returned.
    key
        Its ``key_added``.

    Returns
    -------
    One row for each update and each label that its query has cells of; labels without a row are as they were:

    ``update``, ``label``
        The number of the update, from 1 on, and the label.
    ``kind``
        ``"kept"``, or ``"new"`` if the update has added the label.
    ``verdict``
        What the test of :func:`recall_py.tl.map_query` said of its query cells, as in :func:`mapping`.
    ``n_before``, ``n_added``, ``n_unlabelled``
        Cells that had the label before, query cells that got it, and query cells that are nearest to it and were added
        without a label.

    Examples
    --------
    >>> import recall_py
    >>> cells = recall_py.datasets.simulate(300, 200, group_shares=(0.4, 0.3, 0.3), n_markers=40, log2_fold_change=3)
    >>> query, reference = cells[:60].copy(), cells[60:].copy()
    >>> recall_py.tl.map_query(query, reference, "group", same_platform=True)
    >>> atlas = recall_py.tl.update_atlas(reference, query)
    >>> recall_py.get.atlas_changes(atlas)["kind"].tolist()
    ['kept', 'kept', 'kept']
    """
    entry = adata.uns.get(key)
    if not hasattr(entry, "get") or keys.CHANGES not in entry:
        msg = f"uns[{key!r}] holds no update of an atlas. Make one: recall_py.tl.update_atlas(reference, query)"
        raise KeyError(msg)
    stored = {name: np.asarray(entry[keys.CHANGES][name]) for name in _CHANGES_COLUMNS}
    return pd.DataFrame(
        {name: column if column.dtype.kind == "i" else column.astype(str).tolist() for name, column in stored.items()}
    )


def cluster_cards(adata: AnnData, key: str = "leiden", *, n_genes: int = 5) -> list[dict[str, Any]]:
    """What is known of each cluster, as plain values that JSON takes: for annotation tools and programs that read text.

    ``recall_py/cluster_cards.schema.json`` says what is in it. No model is called, and nothing is computed anew.

    Parameters
    ----------
    adata
        With a calibrated clustering, merged labels, or the tests of given labels.
    key
        ``key_added`` of the call that wrote it.
    n_genes
        Markers at most, of each list.

    Returns
    -------
    One dictionary for each cluster:

    ``cluster``, ``n_cells``, ``share``
        Its name, its cells, and their share of all that were clustered.
    ``supported``
        Whether it stands against every neighbour that it could be compared with.
    ``markers``
        Genes that are higher in it than in neighbours, as :func:`markers` orders them by cluster: ``gene``, the least
        ``auc`` and ``log2_fold_change``, and ``n_pairs``, the number of neighbours.
    ``nearest``
        The nearest cluster that it was compared with, None where there is none: its name ``cluster``, the ``evidence``
        and the ``threshold`` above which two clusters stand, whether they do, ``stands``, whether that is ``near``, and
        the genes that are ``higher`` and ``lower`` in this cluster than in that.
    ``text``
        The same in sentences.

    Examples
    --------
    >>> import anndata as ad, recall_py
    >>> adata = ad.read_h5ad("data/pbmc68k.h5ad")
    >>> adata = adata[adata.obs["annotation"].isin(["CD8+ Cytotoxic T", "CD56+ NK", "CD19+ B"])].copy()
    >>> recall_py.tl.merge_clusters(adata, "annotation")
    >>> cards = recall_py.get.cluster_cards(adata, "annotation_merged")
    >>> [(card["cluster"], card["nearest"]["cluster"]) for card in cards]
    [('CD19+ B', 'CD8+ Cytotoxic T + CD56+ NK'), ('CD8+ Cytotoxic T + CD56+ NK', 'CD19+ B')]
    """
    if n_genes < 1:
        text = "{n_genes} is {found}; at least 1 is needed."
        raise ArgumentError(text, found=n_genes)
    table, compared, best = clusters(adata, key), pairs(adata, key), markers(adata, key, by="cluster")
    compared = compared[compared["kind"] == "pair"]
    n_cells = int(table["n_cells"].sum())
    cards = []
    for row in table.to_dict("records"):
        name = str(row["cluster"])
        own = best[best["group"] == name].head(n_genes)
        card: dict[str, Any] = {
            "cluster": name,
            "n_cells": int(row["n_cells"]),
            "share": int(row["n_cells"]) / n_cells,
            "supported": bool(row["supported"]),
            "markers": [
                {
                    "gene": str(gene["gene"]),
                    "auc": float(gene["auc"]),
                    "log2_fold_change": float(gene["log2_fold_change"]),
                    "n_pairs": int(gene["n_pairs"]),
                }
                for gene in own.to_dict("records")
            ],
            "nearest": _nearest_card(compared, name, n_genes),
        }
        cards.append({**card, "text": _card_text(card)})
    return cards


def methods_text(adata: AnnData, key: str = "leiden") -> str:
    """A paragraph for the methods of a paper, filled in from the record: what was done, with which settings.

    Method and resolution, graph, genes, programmes that do not count, ``alpha``, batches, numbers of clusters before
    and after, near decisions, seed, versions and what to cite. The version of recall_py is the one of the run; those of
    other packages are the ones that are installed now.

    Parameters
    ----------
    adata
        With a calibrated clustering, merged labels, the tests of given labels, or a search with knockoffs.
    key
        ``key_added`` of the call that wrote it.

    Returns
    -------
    Plain text. Cells may have been taken out since the run: nothing but the record is read, and what
    ``uns["neighbors"]`` says of the graph.

    Examples
    --------
    >>> import anndata as ad, recall_py
    >>> adata = ad.read_h5ad("data/pbmc68k.h5ad")
    >>> adata = adata[adata.obs["annotation"].isin(["CD8+ Cytotoxic T", "CD56+ NK", "CD19+ B"])].copy()
    >>> recall_py.tl.merge_clusters(adata, "annotation")
    >>> "After 1 merge, 2 clusters are left." in recall_py.get.methods_text(adata, "annotation_merged")
    True
    """
    return methods_of_paper.methods_text(adata, key)


def _nearest_card(compared: pd.DataFrame, name: str, n_genes: int) -> dict[str, Any] | None:
    """The nearest cluster that one was compared with, and by which genes they differ."""
    own = compared[(compared["group"] == name) | (compared["reference"] == name)].nsmallest(1, "distance")
    if own.empty:
        return None
    pair = own.iloc[0]
    is_group = pair["group"] == name
    sides: dict[bool, list[str]] = {True: [], False: []}
    for gene, auc, log10_p, log10_p_null in zip(
        pair["genes"], pair["auc"], pair["log10_p"], pair["log10_p_null"], strict=True
    ):
        if log10_p < log10_p_null and auc != 0.5:
            sides[(auc > 0.5) == is_group].append(str(gene))
    return {
        "cluster": str(pair["reference"] if is_group else pair["group"]),
        "evidence": float(pair["evidence"]),
        "threshold": float(pair["threshold"]),
        "stands": bool(pair["passes"]),
        "near": bool(pair["near"]),
        "higher": sides[True][:n_genes],
        "lower": sides[False][:n_genes],
    }


def _card_text(card: Mapping[str, Any]) -> str:
    """A card in sentences."""
    said = [f"Cluster {card['cluster']} has {card['n_cells']} cells ({percent(card['share'])})."]
    if card["markers"]:
        told = [
            f"{gene['gene']} (AUC {gene['auc']:.2f}, log2 fold change {gene['log2_fold_change']:.1f})"
            for gene in card["markers"]
        ]
        said.append(f"Higher than in its neighbours: {in_one(told)}.")
    nearest = card["nearest"]
    if nearest is None:
        said.append("It was compared with no other cluster.")
        return " ".join(said)
    why = (
        f"the two are told apart by {nearest['evidence']:.2f} times what null cells of one population need"
        if nearest["stands"]
        else f"the two are not told apart: {nearest['evidence']:.2f} times what is needed"
    )
    said.append(f"Nearest is cluster {nearest['cluster']}; {why}{', near the threshold' if nearest['near'] else ''}.")
    said += [f"Than there, {side} here: {in_one(nearest[side])}." for side in ("higher", "lower") if nearest[side]]
    return " ".join(said)


def _outcomes(record: Mapping[str, Any], *, merged: bool) -> pd.DataFrame:
    """Merges, or the pairs that stand, with lists of their best genes and of the ranks that decided."""
    stored, best, ranks = (record[name] for name in (keys.OUTCOMES, "best_genes", "ranks"))
    told = {**stored, "programmes": stored["reason"], "p_value": p_value(np.asarray(stored["evidence"]))}
    table = pd.DataFrame({name: told[name] for name in _OUTCOME_COLUMNS})
    lists = {"genes": (best, np.asarray(record["genes"])[best["gene"]] if "gene" in best else ())}
    lists |= {name: (best, best.get(name, ())) for name in _BEST_GENE_COLUMNS}
    lists |= {
        title: (ranks, ranks.get(name, ()))
        for title, name in (("ranks", "rank"), ("real", "real"), ("null", "null"), ("needed", "needed"))
    }
    for title, (rows, values) in lists.items():
        of_outcome: list[list[Any]] = [[] for _ in range(len(table))]
        for outcome, value in zip(rows["outcome"], np.asarray(values).tolist(), strict=True):
            of_outcome[outcome].append(value)
        table[title] = of_outcome
    if keys.BATCHES in record:
        batches = record[keys.BATCHES]
        names = np.asarray(batches["name"]).astype(str)
        for title, column in (
            ("batches", "told_in"),
            ("group_batches", "n_group"),
            ("reference_batches", "n_reference"),
        ):
            in_batches = np.asarray(batches[column]).astype(int)
            order = np.argsort(-in_batches, axis=1, kind="stable")
            table[title] = [names[at[: np.count_nonzero(n)]].tolist() for at, n in zip(order, in_batches, strict=True)]
    table = table[np.asarray(stored["merged"]) == merged].reset_index(drop=True)
    reasons = [reason(pair, record) for pair in table.to_dict("records")]
    table.insert(4, "reason", pd.Series(reasons, dtype=object))
    return table


def tree(adata: AnnData, key: str = "sc_shc") -> pd.DataFrame:
    """Tested splits of the tree of :func:`recall_py.tl.sc_shc`, the root first.

    Parameters
    ----------
    adata
        With a tree of tested splits.
    key
        ``key_added`` of :func:`recall_py.tl.sc_shc`.

    Returns
    -------
    One row for each split that was tested:

    ``node``, ``parent``
        Its number, from 0, and that of the split above it; -1 for the root.
    ``n_left``, ``n_right``
        Cells on its two sides.
    ``statistic``
        What the split takes from the sum of squares of the cells, divided by their number.
    ``p``, ``level``, ``split``
        The p-value, the level at this node, and whether the one is below the other, so that the two sides are kept
        apart.

    Examples
    --------
    >>> import recall_py
    >>> adata = recall_py.datasets.simulate(200, 300, group_shares=(0.5, 0.5), log2_fold_change=3)
    >>> recall_py.tl.sc_shc(adata)
    >>> tree = recall_py.get.tree(adata)
    >>> tree["n_left"].tolist()[0], tree["split"].tolist()[0]
    (100, True)
    """
    entry = adata.uns.get(key, {})
    if not (hasattr(entry, "get") and keys.TREE in entry):
        msg = f"uns[{key!r}] holds no tree of tested splits. Make one: recall_py.tl.sc_shc(adata, key_added={key!r})"
        raise KeyError(msg)
    columns = entry[keys.TREE]["splits"]
    names = ("parent", "n_left", "n_right", "statistic", "p", "level")
    table = pd.DataFrame({name: columns[name] for name in names}).assign(split=columns["stands"])
    table.insert(0, "node", np.arange(len(table)))
    return table


def comparison(adata: AnnData, key: str = "compare") -> pd.DataFrame:
    """The table of :func:`recall_py.tl.compare`.

    Parameters
    ----------
    adata
        With a comparison of methods.
    key
        ``key_added`` of :func:`recall_py.tl.compare`.

    Returns
    -------
    As it was returned there, one row for each method.

    Examples
    --------
    >>> import recall_py, scanpy as sc
    >>> adata = recall_py.datasets.simulate(200, 300, group_shares=(0.5, 0.5), log2_fold_change=3)
    >>> sc.pp.neighbors(adata, use_rep="X")
    >>> table = recall_py.tl.compare(adata, ["plain", "sc_shc"])
    >>> recall_py.get.comparison(adata)["method"].tolist()
    ['plain', 'sc_shc']
    """
    return read_comparison(adata, key)


def markers(adata: AnnData, key: str = "leiden", *, by: Literal["pair", "cluster"] = "pair") -> pd.DataFrame:
    """Genes that tell clusters apart better than their nulls do.

    Of a calibrated clustering: the ten best genes of each side of each pair of neighbours that stands, as far as they
    beat their nulls. Of a search with knockoffs: all genes that the filter selected.

    Parameters
    ----------
    adata
        With a calibrated clustering, merged labels, or the tests of given labels.
    key
        ``key_added`` of the call that wrote it.
    by
        ``"pair"``: one row for each pair and gene. ``"cluster"``: one row for each cluster and gene that is higher in
        the cluster than in at least one other, the strongest first.

    Returns
    -------
    By pair: ``group``, ``reference``, ``gene``, ``w``, ``log10_p``, ``log10_p_knockoff`` (of its null), ``auc`` (chance
    that a cell of the group has the larger value, ties counting 1/2) and ``log2_fold_change`` (of mean normalised
    counts plus 1).

    By cluster: ``group``, ``gene``, ``n_pairs`` in which the gene is among those and higher, the smallest of their
    ``w`` and ``log2_fold_change``, and the smallest ``auc``; ordered by ``n_pairs``, then ``w``.

    Examples
    --------
    >>> import anndata as ad, recall_py
    >>> adata = ad.read_h5ad("data/pbmc68k.h5ad")
    >>> recall_py.tl.leiden(adata, 4, method="knockoffs")
    >>> recall_py.get.markers(adata, by="cluster").columns[:2].tolist()
    ['group', 'gene']
    """
    record = find_record(adata, key)
    table = _best_genes(record) if holds_merging(record) else _selected_genes(adata, key)
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


def _selected_genes(adata: AnnData, key: str) -> pd.DataFrame:
    """Genes that the filter selected, by pair."""
    stored = _record(adata, key, "markers")
    compared = pairs(adata, key).iloc[np.asarray(stored["pair"])]
    return pd.DataFrame(
        {
            "group": compared["group"].to_numpy(),
            "reference": compared["reference"].to_numpy(),
            "gene": np.asarray(_record(adata, key, "genes"))[stored["gene"]],
            **{name: stored[name] for name in _MARKER_COLUMNS},
        }
    )


def _best_genes(record: Mapping[str, Any]) -> pd.DataFrame:
    """The best genes of each pair that stands, as far as they beat their nulls."""
    outcomes, best = record[keys.OUTCOMES], record["best_genes"]
    at = np.asarray(best["outcome"])
    if not at.size:
        return pd.DataFrame({name: [] for name in ("group", "reference", "gene", *_MARKER_COLUMNS)})
    w = np.asarray(best["log10_p_null"]) - np.asarray(best["log10_p"])
    stands = ~np.asarray(outcomes["merged"], dtype=bool) & np.asarray(outcomes["passes"], dtype=bool)
    table = pd.DataFrame(
        {
            "group": np.asarray(outcomes["group"]).astype(str)[at],
            "reference": np.asarray(outcomes["reference"]).astype(str)[at],
            "gene": np.asarray(record["genes"]).astype(str)[best["gene"]],
            "w": w,
            "log10_p": best["log10_p"],
            "log10_p_knockoff": best["log10_p_null"],
            "auc": best["auc"],
            "log2_fold_change": best["log2_fold_change"],
        }
    )
    return table[stands[at] & (w > 0)].reset_index(drop=True)


def _natural(labels: pd.Series[Any]) -> pd.Series[Any]:
    """Sort keys that put label "2" before label "10"."""
    from natsort import natsorted

    rank = {label: i for i, label in enumerate(natsorted(labels.unique()))}
    return labels.map(rank)


def _record(adata: AnnData, key: str, name: str) -> Any:
    record = find_record(adata, key)
    if name not in record:
        why = (
            f"clusters were compared by null cells of each pair. Read them: recall_py.get.merges(adata, {key!r})"
            if holds_merging(record)
            else "test_clusters makes no search."
        )
        msg = f"uns[{key!r}] holds no {name}: {why}"
        raise KeyError(msg)
    return record[name]
