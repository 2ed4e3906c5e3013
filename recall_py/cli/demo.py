"""The command ``recall-py demo``."""

from __future__ import annotations

from pathlib import Path

import typer

from recall_py.cli.beside import Beside
from recall_py.cli.cluster import Request, cluster_file
from recall_py.cli.output import print_markers, print_reasons
from recall_py.cli.paths import DATA, refuse_clashes, refuse_unwritable
from recall_py.files.atomic import write_atomically
from recall_py.files.store import opened


def demo_file(source: Path, folder: Path, request: Request, *, json: Path | None) -> None:
    """Cluster one file as ``recall-py cluster`` does, print the markers too, and draw the UMAP before and after."""
    import matplotlib as mpl

    mpl.use("Agg")
    from recall_py import pl

    suffix = source.suffix if source.suffix.lower() in DATA else DATA[0]
    labelled, picture = folder / f"{source.stem}_labelled{suffix}", folder / f"{source.stem}_umap.png"
    refuse_clashes(source, {"-o": labelled, "the picture": picture, "--json": json})
    refuse_unwritable(json)
    folder.mkdir(parents=True, exist_ok=True)
    cluster_file(source, labelled, request, Beside(json=json), command="demo", quiet=False)
    with opened(labelled) as adata:
        print_reasons(adata, request.final_key)
        print_markers(adata, request.final_key)
        write_atomically(picture, lambda partial: pl.umap_compare(adata, None, request.final_key, save=partial))
    typer.echo(f"wrote {picture}")
