"""``recall-py test``: the labels of one file, tested."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from recall_py.adata import keys
from recall_py.adata.stored import read_run
from recall_py.cli.output import print_table, rows_of, write_json
from recall_py.cli.paths import refuse_unfit_outputs
from recall_py.cli.report import write_page
from recall_py.files.store import opened, write_result


def test_file(
    source: Path,
    groupby: str,
    target: Path | None,
    options: dict[str, Any],
    *,
    json: Path | None,
    report: Path | None,
    quiet: bool,
) -> None:
    """Test the labels of one file."""
    from recall_py import get, tl

    refuse_unfit_outputs(source, target, json, report)
    keys.refuse_unusable(options["key_added"])
    with opened(source) as adata:
        tl.test_clusters(adata, groupby, **options)
        pairs = get.pairs(adata, options["key_added"])
        if target is not None:
            write_result(adata, source, target, [("uns", options["key_added"])], None)
        if json is not None:
            write_json(json, {"input": str(source), "groupby": groupby, "pairs": rows_of(pairs)})
        if report is not None:
            write_page(adata, report, options["key_added"], source, target or source)
    if not quiet:
        columns = ["group", "reference", "n_group", "n_reference", "n_selected", "false_share", "passes"]
        print_table(f"pairs of {groupby}", pairs[columns])
        supported = int(pairs["passes"].sum())
        typer.echo(f"{supported} of {len(pairs)} pairs are supported by markers, {len(pairs) - supported} are not")
        untested = read_run(adata, options["key_added"]).record["untested"]
        if len(untested):
            typer.echo(f"too small to be tested: {', '.join(untested)}")
