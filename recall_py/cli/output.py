"""What the commands print and write beside the .h5ad file: tables and the JSON summary."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer

from recall_py.adata.programmes import told
from recall_py.adata.stored import StoredMerging, StoredRun, read_result

_NAMED = 5
"""Genes of a pair that are named in a table."""

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from anndata import AnnData
    from rich.table import Table

    from recall_py.adata.programmes import Presence


def print_result(adata: AnnData, key: str) -> None:
    """Print how the clusters came about, and their sizes."""
    result = read_result(adata, key)
    if isinstance(result, StoredRun):
        print_search(adata, result)
    else:
        print_merges(adata, result)


def print_search(adata: AnnData, run: StoredRun) -> None:
    """Print the steps of the search and the sizes of the clusters."""
    import pandas as pd

    from recall_py import get

    steps = get.iterations(adata, run.key)
    steps.insert(0, "step", range(1, len(steps) + 1))
    shown = steps.rename(
        columns={"level": "resolution", "n_clusters": "clusters", "n_pairs": "pairs", "n_failing": "failing pairs"}
    ).drop(columns="min_selected")
    if not run.by_resolution:
        shown = shown.rename(columns={"resolution": "asked for"})
    if not shown["merged"].any():
        shown = shown.drop(columns="merged")
    print_table(f"search (a pair needs at least {run.filter.min_selected} selected genes to pass)", shown)
    sizes = adata.obs[run.key].value_counts().reindex(adata.obs[run.key].cat.categories)
    print_table("clusters", pd.DataFrame({"cluster": sizes.index.astype(str), "cells": sizes.to_numpy()}))


def print_merges(adata: AnnData, result: StoredMerging) -> None:
    """Print the merges with their reasons, and the clusters with what they are made of."""
    import pandas as pd

    from recall_py import get

    merges = get.merges(adata, result.key)
    if len(merges):
        shown = pd.DataFrame(
            {
                "clusters": merges["group"] + " and " + merges["reference"],
                "cells": merges["n_group"].astype(str) + " and " + merges["n_reference"].astype(str),
                "evidence": [
                    "too few cells" if kind == "small" else _evidence(evidence, near)
                    for kind, evidence, near in zip(merges["kind"], merges["evidence"], merges["near"], strict=True)
                ],
                "best genes": [", ".join(genes[:_NAMED]) for genes in merges["genes"]],
            }
        )
        if merges["reason"].any():
            shown.insert(3, "reason", merges["reason"])
        least = f"{merges['threshold'].iloc[0]:g}"
        print_table(f"merges (a pair stands above {least} times the lead that is needed)", shown)
    clusters = get.clusters(adata, result.key)
    shown = pd.DataFrame(
        {
            "cluster": clusters["cluster"],
            "cells": clusters["n_cells"],
            "made of": [" + ".join(start) for start in clusters["start"]],
            "nearest to being one with": clusters["weakest"],
            "evidence": [
                _evidence(value, near) for value, near in zip(clusters["evidence"], clusters["near"], strict=True)
            ],
        }
    )
    print_table(f"{len(result.start_names)} clusters at the start, {len(clusters)} now", shown)
    print_programmes(result.programmes)


def print_programmes(found: Sequence[Presence]) -> None:
    """Print which programmes do not count."""
    if found:
        typer.echo(f"programmes: {told(found)}")


def _evidence(evidence: float, near: bool) -> str:
    return "" if evidence != evidence else f"{evidence:.2f}{' near' if near else ''}"


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


def result_summary(adata: AnnData, key: str, source: Path, target: Path) -> dict[str, Any]:
    """Collect what a clustering found, for JSON."""
    from recall_py import get

    result = read_result(adata, key)
    record = result.record
    scalars = {name: value for name, value in record.items() if isinstance(value, bool | int | float | str)}
    summary = {
        "input": str(source),
        "output": str(target),
        "key": key,
        "n_cells": adata.n_obs,
        "n_genes": len(record["genes"]),
        **scalars,
        "sizes": {str(label): int(size) for label, size in adata.obs[key].value_counts().items()},
        "pairs": rows_of(get.pairs(adata, key)),
        "params": record["params"],
    }
    if isinstance(result, StoredRun):
        return {**summary, "iterations": rows_of(get.iterations(adata, key)), "seconds": record["seconds"]}
    start = adata.obs[result.start_column].value_counts()
    return {
        **summary,
        "n_clusters": result.n_clusters,
        "start_sizes": {str(label): int(size) for label, size in start.items()},
        "clusters": rows_of(get.clusters(adata, key)),
        "merges": rows_of(get.merges(adata, key)),
        "clustering": {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in result.clustering.items()
        },
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
