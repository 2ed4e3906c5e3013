"""What the commands print and write beside the .h5ad file: tables and the JSON summary."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from recall_py.adata.stored import read_run

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from rich.table import Table


def print_search(adata: AnnData, key: str) -> None:
    """Print the steps of the search and the sizes of the clusters."""
    import pandas as pd

    from recall_py import get

    steps = get.iterations(adata, key)
    steps.insert(0, "step", range(1, len(steps) + 1))
    shown = steps.rename(
        columns={"level": "resolution", "n_clusters": "clusters", "n_pairs": "pairs", "n_failing": "failing pairs"}
    ).drop(columns="min_selected")
    run = read_run(adata, key)
    if not run.by_resolution:
        shown = shown.rename(columns={"resolution": "asked for"})
    if not shown["merged"].any():
        shown = shown.drop(columns="merged")
    print_table(f"search (a pair needs at least {run.filter.min_selected} selected genes to pass)", shown)
    sizes = adata.obs[key].value_counts().reindex(adata.obs[key].cat.categories)
    print_table("clusters", pd.DataFrame({"cluster": sizes.index.astype(str), "cells": sizes.to_numpy()}))


def print_table(title: str, frame: pd.DataFrame) -> None:
    """Print a data frame."""
    from rich.console import Console
    from rich.table import Table

    table: Table = Table(title=title, title_justify="left")
    for column in frame:
        numeric = frame[column].dtype.kind in "if"
        table.add_column(str(column), justify="right" if numeric else "left", overflow="fold")
    for row in frame.itertuples(index=False):
        table.add_row(*(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row))
    Console().print(table)


def cluster_summary(adata: AnnData, key: str, source: Path, target: Path) -> dict[str, Any]:
    """Collect what a clustering found, for JSON."""
    from recall_py import get

    record = read_run(adata, key).record
    scalars = {name: value for name, value in record.items() if isinstance(value, bool | int | float | str)}
    return {
        "input": str(source),
        "output": str(target),
        "key": key,
        "n_cells": adata.n_obs,
        "n_genes": len(record["genes"]),
        **scalars,
        "sizes": {str(label): int(size) for label, size in adata.obs[key].value_counts().items()},
        "iterations": rows_of(get.iterations(adata, key)),
        "pairs": rows_of(get.pairs(adata, key)),
        "params": record["params"],
        "seconds": record["seconds"],
    }


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON values; an infinite threshold becomes null."""
    return json_format.loads(frame.to_json(orient="records", double_precision=15))


def write_json(path: Path, summary: dict[str, Any]) -> None:
    """Write a summary atomically."""
    from recall_py.files.atomic import write_atomically

    text = json_format.dumps(summary, indent=2) + "\n"
    if str(path) == "-":
        typer.echo(text, nl=False)
        return
    write_atomically(path, lambda partial: partial.write_text(text))
