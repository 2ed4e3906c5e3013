"""``recall-py report``: the page about a result that a file holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from recall_py.cli.paths import refuse_clashes, refuse_unwritable
from recall_py.cli.summary import of_result, write_json
from recall_py.files.containers import stored
from recall_py.files.store import in_memory, opened

if TYPE_CHECKING:
    from anndata import AnnData


def report_file(source: Path, target: Path, key: str | None, *, json: Path | None = None, quiet: bool) -> None:
    """Write the report of a result that a file holds."""
    from recall_py.adata.stored import results

    refuse_clashes(source, {"-o": target, "--json": json})
    refuse_unwritable(json)
    with stored(source, target) as held, opened(held, source) as adata:
        found = results(adata)
        if key is None:
            if len(found) != 1:
                told = (
                    f"{len(found)} results: {', '.join(found)}. Choose one: --key {found[0]}" if found else "no result"
                )
                make = (
                    "" if found else f". Make one first: recall-py cluster {source} -o labelled.h5ad --report {target}"
                )
                msg = f"{source} holds {told}{make}"
                raise ValueError(msg)
            key = found[0]
        write_page(adata, target, key, source, Path("labelled.h5ad"))
        if json is not None:
            write_json(json, "report", source, target, **of_result(adata, key))
    if not quiet:
        typer.echo(f"wrote {target}")


def write_page(adata: AnnData, page: Path, key: str, source: Path, target: Path) -> None:
    """Write a report beside the command that made the result."""
    from recall_py.report.page import write_report

    if "X_umap" in adata.obsm:
        adata.obsm["X_umap"] = in_memory(adata.obsm["X_umap"])
    write_report(adata, page, key, source=str(source), target=str(target))
