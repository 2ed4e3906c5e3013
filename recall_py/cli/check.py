"""``recall-py test``: the labels of one file, tested."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import typer

from recall_py.adata import keys
from recall_py.adata.programmes import whole_reason
from recall_py.adata.stored import find_record, programmes_of
from recall_py.cli.cluster import alone_with, refuse_changed, round_counts
from recall_py.cli.output import print_programmes, print_table, rows_of, write_json
from recall_py.cli.paths import refuse_unfit_outputs
from recall_py.cli.report import write_page
from recall_py.files.store import opened, refuse_unwritable_tables, state_of, write_result


def test_file(
    source: Path,
    groupby: str,
    target: Path | None,
    options: dict[str, Any],
    *,
    rounded: bool,
    json: Path | None,
    report: Path | None,
    quiet: bool,
) -> None:
    """Test the labels of one file."""
    from recall_py import get, tl

    refuse_unfit_outputs(source, target, json, report)
    keys.refuse_unusable(options["key_added"])
    with ExitStack() as stack:
        if source == target:
            stack.enter_context(alone_with(source))
        before = state_of(source) if source.exists() else ()
        adata = stack.enter_context(opened(source))
        if target is not None:
            refuse_unwritable_tables(adata, source, target)
        added = []
        if rounded:
            added = round_counts(adata, options["layer"])
            options = {**options, "layer": None}
        tl.test_clusters(adata, groupby, **options)
        pairs, clusters = (table(adata, options["key_added"]) for table in (get.pairs, get.clusters))
        programmes = programmes_of(find_record(adata, options["key_added"]))
        if target is not None:
            refuse_changed(source, before)
            write_result(adata, source, target, [("uns", options["key_added"]), *added], None)
        if json is not None:
            found = {"clusters": rows_of(clusters), "pairs": rows_of(pairs)}
            write_json(json, {"input": str(source), "groupby": groupby, **found})
        if report is not None:
            write_page(adata, report, options["key_added"], source, target or source)
    if quiet:
        return
    shown = pairs[["group", "reference", "n_group", "n_reference", "evidence", "threshold", "near", "passes"]]
    print_table(f"pairs of {groupby}, by how many times as far as needed their genes lead", shown)
    compared = pairs[pairs["kind"] == "pair"]
    passing = int(compared["passes"].sum())
    typer.echo(f"{passing} of {len(compared)} pairs are supported by their genes, {len(compared) - passing} are not")
    for row in clusters[clusters["merge_with"] != ""].itertuples():
        typer.echo(f"{row.cluster} is not supported: it would be merged with {row.merge_with}")
    for pair in pairs[pairs["reason"] != ""].to_dict("records"):
        why = whole_reason(programmes, pair["evidence_with_programmes"])
        typer.echo(f"{pair['group']} and {pair['reference']}: {why}")
    print_programmes(programmes)
