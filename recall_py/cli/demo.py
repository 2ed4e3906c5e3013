"""The command ``recall-py demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from recall_py.adata import keys
from recall_py.cli.output import print_result, print_table
from recall_py.cli.paths import refuse_clashes
from recall_py.cli.plot_slots import add_plot_slots
from recall_py.files.store import opened, write_result


def demo_file(source: Path, folder: Path, *, resolution: float, seed: int) -> None:
    """Cluster one file, print clusters and markers, and draw plain Leiden beside calibrated Leiden."""
    import matplotlib as mpl

    mpl.use("Agg")
    import pandas as pd

    from recall_py import get, pl, tl
    from recall_py.files.atomic import write_atomically

    key = "leiden"
    labelled, picture = folder / f"{source.stem}_labelled{source.suffix}", folder / f"{source.stem}_umap.png"
    refuse_clashes(source, {"-o": labelled, "the picture": picture})
    folder.mkdir(parents=True, exist_ok=True)
    with opened(source) as adata:
        slots = add_plot_slots(adata, None, seed=seed, quiet=True)
        tl.leiden(adata, resolution, key_added=key, random_state=seed, progress=True)
        write_result(adata, source, labelled, [("obs", None), ("uns", key), *slots.added], slots.layer)
    print_result(adata, key)
    markers = get.markers(adata, key, by="cluster").groupby("group", sort=False)["gene"]
    sizes = adata.obs[key].value_counts()
    rows: dict[str, list[Any]] = {"cluster": [], "cells": [], "strongest markers": []}
    for label in adata.obs[key].cat.categories:
        rows["cluster"].append(label)
        rows["cells"].append(sizes[label])
        rows["strongest markers"].append(
            ", ".join(markers.get_group(label).head(5)) if label in markers.groups else "-"
        )
    print_table("markers, the most pairs first", pd.DataFrame(rows))
    write_atomically(picture, lambda partial: pl.umap_compare(adata, key + keys.START_SUFFIX, key, save=partial))
    typer.echo(f"wrote {labelled}\nwrote {picture}")
