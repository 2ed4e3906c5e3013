"""The command ``recall-py demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from recall_py.cli.output import print_search, print_table
from recall_py.cli.paths import refuse_clashes
from recall_py.cli.plot_slots import add_plot_slots
from recall_py.files.store import opened, write_result


def demo_file(source: Path, folder: Path, *, resolution: float, seed: int) -> None:
    """Cluster one file, print clusters and markers, and draw plain Leiden beside calibrated Leiden."""
    import matplotlib as mpl

    mpl.use("Agg")
    import pandas as pd
    import scanpy as sc

    from recall_py import get, pl, tl
    from recall_py.files.atomic import write_atomically

    plain, calibrated = "leiden", "leiden_calibrated"
    labelled, picture = folder / f"{source.stem}_labelled{source.suffix}", folder / f"{source.stem}_umap.png"
    refuse_clashes(source, {"-o": labelled, "the picture": picture})
    folder.mkdir(parents=True, exist_ok=True)
    with opened(source) as adata:
        tl.leiden(adata, resolution, key_added=calibrated, random_state=seed, progress=True)
        added, layer = add_plot_slots(adata, calibrated, {"random_state": seed}, quiet=True)
        sc.tl.leiden(adata, resolution, key_added=plain, random_state=seed)
        write_result(adata, source, labelled, [("obs", None), ("uns", calibrated), ("uns", plain), *added], layer)
    print_search(adata, calibrated)
    markers = get.markers(adata, calibrated, by="cluster").groupby("group", sort=False)["gene"]
    sizes = adata.obs[calibrated].value_counts()
    rows: dict[str, list[Any]] = {"cluster": [], "cells": [], "strongest markers": []}
    for label in adata.obs[calibrated].cat.categories:
        rows["cluster"].append(label)
        rows["cells"].append(sizes[label])
        rows["strongest markers"].append(
            ", ".join(markers.get_group(label).head(5)) if label in markers.groups else "-"
        )
    print_table("markers, the most pairs first", pd.DataFrame(rows))
    write_atomically(picture, lambda partial: pl.umap_compare(adata, plain, calibrated, save=partial))
    typer.echo(f"wrote {labelled}\nwrote {picture}")
