"""What the commands print."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
                    "too few cells" if kind == "small" else shown_evidence(evidence, near)
                    for kind, evidence, near in zip(merges["kind"], merges["evidence"], merges["near"], strict=True)
                ],
                "best genes": [", ".join(genes[:_NAMED]) for genes in merges["genes"]],
            }
        )
        if merges["programmes"].any():
            shown.insert(3, "programmes", merges["programmes"])
        least = f"{merges['threshold'].iloc[0]:.3g}"
        print_table(f"merges (a pair stands above {least} times the lead that is needed)", shown)
    clusters = get.clusters(adata, result.key)
    shown = pd.DataFrame(
        {
            "cluster": clusters["cluster"],
            "cells": clusters["n_cells"],
            "made of": [" + ".join(start) for start in clusters["start"]],
            "nearest to being one with": clusters["weakest"],
            "evidence": [
                shown_evidence(value, near) for value, near in zip(clusters["evidence"], clusters["near"], strict=True)
            ],
        }
    )
    now = f"{len(clusters)} now" if len(merges) else "none merged"
    print_table(f"{len(result.start_names)} clusters at the start, {now}", shown)
    print_programmes(result.programmes)


def print_reasons(adata: AnnData, key: str) -> None:
    """Print why each merge was made."""
    from recall_py import get

    for reason in get.merges(adata, key)["reason"]:
        typer.echo(f"merged: {reason}")


def print_markers(adata: AnnData, key: str) -> None:
    """Print the strongest markers of each cluster."""
    import pandas as pd

    from recall_py import get

    genes = dict(iter(get.markers(adata, key, by="cluster").groupby("group")["gene"]))
    sizes = adata.obs[key].value_counts(sort=False)
    best = [", ".join(genes[name].head(_NAMED)) if name in genes else "-" for name in sizes.index]
    rows = {"cluster": sizes.index.astype(str), "cells": sizes.to_numpy(), "strongest markers": best}
    print_table("markers, the most pairs first", pd.DataFrame(rows))


def print_programmes(found: Sequence[Presence]) -> None:
    """Print which programmes do not count."""
    if found:
        typer.echo(f"programmes: {told(found)}")


def shown_evidence(evidence: float, near: bool) -> str:
    """The evidence of a pair, and whether it is near the threshold."""
    return "" if evidence != evidence else f"{evidence:.2f}{' near' if near else ''}"


def print_table(title: str, frame: pd.DataFrame) -> None:
    """Print a data frame."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table: Table = Table(title=Text(title), title_justify="left")
    for column in frame:
        numeric = frame[column].dtype.kind in "if"
        table.add_column(Text(str(column)), justify="right" if numeric else "left", overflow="fold")
    for row in frame.itertuples(index=False):
        table.add_row(*(Text(f"{value:.4g}" if isinstance(value, float) else str(value)) for value in row))
    Console().print(table)
