"""The page of a search with null genes beside the real ones, and of tests by the filter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recall_py import pl
from recall_py.report.command import reproduce
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
from recall_py.report.sentences import explained, summary, warnings_of
from recall_py.report.tables import clusters_table, markers_table, pairs_table, parameters_table, steps_table
from recall_py.words import counted

if TYPE_CHECKING:
    from anndata import AnnData

    from recall_py.adata.stored import StoredRun


def page_of_run(adata: AnnData, run: StoredRun, source: str, target: str) -> Page:
    """What is said and shown of a run."""
    return Page(
        title=f"{counted(run.n_clusters)} in {run.column}" if run.searched else f"Pairs of {run.column}",
        lead=summary(run),
        warnings=warnings_of(run),
        explained=explained(run),
        sections=[*_pictures_and_tables(adata, run), *_how_it_was_made(adata, run, source, target)],
    )


def _pictures_and_tables(adata: AnnData, run: StoredRun) -> list[Section]:
    key = run.key
    no_counts = why_no_counts(adata, run)
    no_umap = why_no_umap(adata)
    first: list[Section] = []
    search: list[Section] = []
    if run.searched:
        steps = picture(
            lambda: pl.search(adata, key, return_fig=True),
            "Number of clusters at each step of the search. Open marks are steps with failing pairs.",
        )
        river = picture(
            lambda: pl.tree(adata, key, return_fig=True),
            "Which clusters of each step became which, from the start on the left to the result on the right.",
        )
        umap = picture(
            lambda: pl.umap_compare(adata, None, key, return_fig=True),
            "The cells before and after, on the UMAP of the file. A cluster at the start has a shade of the colour of "
            "the one that holds most of its cells now.",
            missing=no_umap,
        )
        first = [Section("umap", "Before and after", umap)]
        search = [
            Section("search", "Search", steps + table_part(steps_table(adata, run))),
            Section("tree", "What became of the clusters", river),
        ]
    matrix = picture(
        lambda: pl.pairs(adata, key, return_fig=True),
        "Genes that tell each pair of clusters apart better than null genes do. The fewer, the less sure. Clusters "
        "that few genes tell apart stand side by side.",
    )
    dots = marker_dots(adata, run, no_counts)
    nulls = picture(
        lambda: pl.knockoffs(adata, key, return_fig=True),
        "The weakest pair: every gene against its null gene, and how well the null counts fit the real ones. Sound "
        "nulls lie on the real genes, apart from what sets the clusters apart.",
        missing=no_counts,
    )
    table = reason(no_counts) if no_counts else table_part(markers_table(adata, run))
    return [
        *first,
        Section("clusters", "Clusters", table_part(clusters_table(adata, run))),
        Section("markers", "Markers", dots + table),
        Section("pairs", "Pairs", matrix + table_part(pairs_table(adata, run))),
        *search,
        Section("nulls", "Null genes", nulls),
    ]


def _how_it_was_made(adata: AnnData, run: StoredRun, source: str, target: str) -> list[Section]:
    return [
        Section("reproduce", "Command to reproduce", how_to_repeat(reproduce(run, source, target))),
        for_a_paper(adata, run.key),
        Section("parameters", "Parameters", table_part(parameters_table(run))),
        *made_with(run),
    ]
