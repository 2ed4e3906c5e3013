"""The page of clusters that were merged or tested by null cells of each pair."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from recall_py import get, pl
from recall_py.adata import keys
from recall_py.report.merging_command import repeat
from recall_py.report.merging_sentences import explained, summary, warnings_of
from recall_py.report.merging_tables import (
    clusters_table,
    marker_genes_table,
    merges_table,
    pairs_table,
    parameters_table,
)
from recall_py.report.parts import (
    Page,
    Section,
    for_a_paper,
    how_to_repeat,
    made_with,
    marker_dots,
    picture,
    reason,
    table_part,
    why_no_counts,
    why_no_umap,
)
from recall_py.words import counted, shortened_inside

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from recall_py.adata.stored import StoredMerging

_LONGEST = 60
"""Letters of a name in a heading at most."""
_TOLD = 60
"""Pairs at most that have a heading and a sentence of their own."""


def page_of_merging(adata: AnnData, result: StoredMerging, source: str, target: str) -> Page:
    """What is said and shown of merged or tested clusters."""
    key = result.key
    pairs, clusters = get.pairs(adata, key), get.clusters(adata, key)
    merges = get.merges(adata, key)
    return Page(
        title=f"{counted(result.n_clusters)} in {result.column}"
        if result.merges_clusters
        else f"Pairs of {result.column}",
        lead=summary(result, merges, pairs),
        warnings=warnings_of(result, merges, pairs),
        explained=explained(result, clusters),
        sections=[
            *_cells(adata, result),
            _reasons(adata, result, merges, pairs),
            *_tables(adata, result, pairs, clusters),
            *_how_it_was_made(adata, result, source, target),
        ],
    )


def _reasons(adata: AnnData, result: StoredMerging, merges: pd.DataFrame, pairs: pd.DataFrame) -> Section:
    """Why clusters were joined, or would be: the tree, a sentence for each, and the strength of markers."""
    near = pairs[pairs["near"] & pairs["passes"]]
    apart = _told(pairs[pairs["kind"] == "batch"], "were not compared")
    one = merges if result.merges_clusters else pairs[~pairs["passes"]]
    strength = ""
    if len(near) or one["kind"].eq("pair").any():
        strength = picture(
            lambda: pl.evidence(adata, result.key, return_fig=True),
            "Strength of the best genes between two clusters and among null cells, for the pairs that are nearest to "
            "the threshold. The shaded gap, on average, is the evidence.",
        )
    if not result.merges_clusters:
        told = _told(one, "are not told apart") + _told(near, "stay apart") + apart
        return Section("reasons", "Why labels are not supported", (told or "<p>Every pair stands.</p>\n") + strength)
    tree, table = "<p>No clusters were joined.</p>\n", ""
    if len(merges):
        tree = picture(
            lambda: pl.merges(adata, result.key, return_fig=True),
            "Clusters at the start on the left, those of the result on the right. Each bracket is a merge, with its "
            "evidence.",
        )
        table = table_part(merges_table(merges))
    told = _told(merges, "are one") + _told(near, "stay apart") + apart
    return Section("reasons", "Why clusters were joined", tree + told + strength + table)


def _told(table: pd.DataFrame, became: str) -> str:
    """A heading and a sentence for each pair."""
    parts = [_heading(table.iloc[row], became) + _paragraph(table.iloc[row]["reason"]) for row in range(len(table))]
    if len(parts) > _TOLD:
        parts[_TOLD:] = [_paragraph(f"{len(parts) - _TOLD} more are in the tables.")]
    return "".join(parts)


def _heading(pair: pd.Series[Any], became: str) -> str:
    first, second = (shortened_inside(str(name), _LONGEST) for name in (pair["group"], pair["reference"]))
    flag = ' <span class="flag">near</span>' if pair["near"] else ""
    return f"<h3>{escape(f'Why clusters {first} and {second} {became}')}{flag}</h3>\n"


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>\n"


def _cells(adata: AnnData, result: StoredMerging) -> list[Section]:
    if not result.merges_clusters:
        return []
    umap = picture(
        lambda: pl.umap_compare(adata, None, result.key, return_fig=True),
        "The cells before and after merging, on the UMAP of the file. Clusters that became one have shades of one "
        "colour before, unless the file has colours of its own.",
        missing=why_no_umap(adata),
    )
    if keys.STABILITY in result.record and "X_umap" in adata.obsm:
        umap += picture(
            lambda: pl.support(adata, result.key, return_fig=True),
            "How certain the cluster of each cell is: the share of the runs of Leiden in which it is with its cluster.",
        )
    return [Section("umap", "Before and after", umap)]


def _tables(adata: AnnData, result: StoredMerging, pairs: pd.DataFrame, clusters: pd.DataFrame) -> list[Section]:
    key, no_counts = result.key, why_no_counts(adata, result)
    matrix = picture(
        lambda: pl.pairs(adata, key, return_fig=True),
        "What holds each pair of neighbours apart. Clusters that little holds apart stand side by side.",
    )
    dots = marker_dots(adata, result, no_counts)
    markers = reason(no_counts) if no_counts else table_part(marker_genes_table(adata, result))
    return [
        Section("clusters", "Clusters", table_part(clusters_table(adata, result, clusters))),
        Section("markers", "Markers", dots + markers),
        Section("pairs", "Pairs", matrix + table_part(pairs_table(pairs))),
    ]


def _how_it_was_made(adata: AnnData, result: StoredMerging, source: str, target: str) -> list[Section]:
    return [
        Section("parameters", "Parameters", table_part(parameters_table(result))),
        Section("reproduce", "How to repeat it", how_to_repeat(repeat(result, source, target))),
        for_a_paper(adata, result.key),
        *made_with(result),
    ]
