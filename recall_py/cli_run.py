"""What the commands do: read a file, call one library function, write, and print what was found."""

from __future__ import annotations

import json as json_format
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from recall_py import keys
from recall_py.observe import CalibrationWarning
from recall_py.params import CLUSTERERS, one_of

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from rich.table import Table


@dataclass(frozen=True, kw_only=True)
class ClusterRequest:
    """Arguments of ``recall-py cluster``."""

    algorithm: str
    key_added: str
    resolution: float
    num_clusters_start: int
    reduction: float
    graph: Any
    dims: int | None
    preset: Any
    neighbors_key: str | None
    restrict_to: str | None
    leiden: dict[str, Any]
    louvain: dict[str, Any]
    shared: dict[str, Any]

    def __post_init__(self) -> None:
        one_of("algorithm", self.algorithm, CLUSTERERS)

    def apply(self, adata: AnnData, *, progress: bool) -> None:
        """Call the library function that does this."""
        from recall_py import tl

        common = {
            **self.shared,
            "key_added": self.key_added,
            "restrict_to": self._categories(),
            "progress": progress,
        }
        if self.algorithm in ("kmeans", "ward"):
            tl.recall(
                adata,
                algorithm=self.algorithm,  # type: ignore[arg-type]
                num_clusters_start=self.num_clusters_start,
                dims=self.dims or 10,
                **common,
            )
            return
        function, own = (tl.leiden, self.leiden) if self.algorithm == "leiden" else (tl.louvain, self.louvain)
        function(
            adata,
            self.resolution,
            reduction=self.reduction,
            graph=self.graph,
            dims=self.dims,
            preset=self.preset,
            neighbors_key=self.neighbors_key,
            **own,
            **common,
        )

    def _categories(self) -> tuple[str, list[str]] | None:
        if self.restrict_to is None:
            return None
        column, separator, categories = self.restrict_to.partition(":")
        if not separator:
            msg = f"--restrict-to is {self.restrict_to!r}; it must be a column and its labels, such as leiden:0,3."
            raise ValueError(msg)
        return column, categories.split(",")


@contextmanager
def reported_errors(*, debug: bool) -> Iterator[None]:
    """Print warnings about the outcome and errors in one line each; exit code 2 for bad input."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        typer.echo(f"warning: {message}", err=True)

    try:
        with warnings.catch_warnings():
            if not debug:
                warnings.simplefilter("ignore")
                warnings.simplefilter("always", CalibrationWarning)
                warnings.showwarning = show
            yield
    except (ValueError, KeyError, OSError, ImportError) as error:
        if debug:
            raise
        text = error.args[0] if isinstance(error, KeyError) and error.args else str(error)
        typer.echo(f"error: {' '.join(str(text).split())}", err=True)
        raise typer.Exit(2) from error


def target_file(source: Path, output: Path | None, *, in_place: bool) -> Path:
    """The file to write; IN itself only where that was asked for."""
    if output is None and not in_place:
        msg = "No output file. Pass -o OUT, or --in-place to write the result over IN."
        raise ValueError(msg)
    target = source if output is None else output
    if target.resolve() == source.resolve() and not in_place:
        msg = f"-o {target} is the input file itself. Pass another name, or --in-place to overwrite it."
        raise ValueError(msg)
    if not target.parent.is_dir():
        msg = f"The folder {target.parent} does not exist."
        raise ValueError(msg)
    return target


def cluster_file(source: Path, target: Path, request: ClusterRequest, *, json: Path | None, quiet: bool) -> None:
    """Cluster one file and write the labelled file."""
    from recall_py.files import read_h5ad, write_h5ad

    adata = read_h5ad(source)
    request.apply(adata, progress=not quiet)
    key = request.key_added
    _add_embedding(adata, key, request.shared, quiet=quiet)
    write_h5ad(adata, target)
    if json is not None:
        _write_json(json, _cluster_summary(adata, key, source, target))
    if not quiet:
        _print_search(adata, key)
        typer.echo(f"wrote {target}")


def test_file(
    source: Path, groupby: str, target: Path | None, options: dict[str, Any], *, json: Path | None, quiet: bool
) -> None:
    """Test the labels of one file."""
    from recall_py import get, tl
    from recall_py.files import read_h5ad, write_h5ad

    adata = read_h5ad(source)
    tl.test_clusters(adata, groupby, **options)
    pairs = get.pairs(adata, options["key_added"])
    if target is not None:
        write_h5ad(adata, target)
    if json is not None:
        _write_json(json, {"input": str(source), "groupby": groupby, "pairs": _rows(pairs)})
    if not quiet:
        columns = ["group", "reference", "n_group", "n_reference", "n_selected", "passes"]
        _print_table(f"pairs of {groupby}", pairs[columns])
        typer.echo(f"{int((~pairs['passes']).sum())} of {len(pairs)} pairs have no markers that beat their knockoffs")


def knockoffs_file(source: Path, target: Path, options: dict[str, Any], *, quiet: bool) -> None:
    """Write the augmented counts of one file."""
    from recall_py import pp
    from recall_py.files import read_h5ad, write_h5ad

    augmented = pp.knockoffs(read_h5ad(source), **options)
    write_h5ad(augmented, target)
    if not quiet:
        typer.echo(f"wrote {target}: {augmented.n_obs} cells, {augmented.n_vars // 2} genes and as many knockoffs")


def demo_file(source: Path, folder: Path, *, resolution: float, seed: int) -> None:
    """Cluster one file, print clusters and markers, and draw plain Leiden beside calibrated Leiden."""
    import matplotlib as mpl

    mpl.use("Agg")
    import scanpy as sc

    from recall_py import get, pl, tl
    from recall_py.files import read_h5ad, write_atomically, write_h5ad

    folder.mkdir(parents=True, exist_ok=True)
    adata = read_h5ad(source)
    plain, calibrated = "leiden", "leiden_calibrated"
    tl.leiden(adata, resolution, key_added=calibrated, random_state=seed, progress=True)
    _add_embedding(adata, calibrated, {"random_state": seed}, quiet=True)
    sc.tl.leiden(adata, resolution, key_added=plain, random_state=seed)
    _print_search(adata, calibrated)
    markers = get.markers(adata, calibrated, by="cluster").groupby("group", sort=False)["gene"]
    sizes = adata.obs[calibrated].value_counts()
    rows: dict[str, list[Any]] = {"cluster": [], "cells": [], "strongest markers": []}
    for label in adata.obs[calibrated].cat.categories:
        rows["cluster"].append(label)
        rows["cells"].append(sizes[label])
        rows["strongest markers"].append(
            ", ".join(markers.get_group(label).head(5)) if label in markers.groups else "-"
        )
    import pandas as pd

    _print_table("markers, the most pairs first", pd.DataFrame(rows))
    labelled, picture = folder / f"{source.stem}_labelled.h5ad", folder / f"{source.stem}_umap.png"
    write_h5ad(adata, labelled)
    write_atomically(picture, lambda partial: pl.umap_compare(adata, plain, calibrated, save=partial))
    typer.echo(f"wrote {labelled}\nwrote {picture}")


def _add_embedding(adata: AnnData, key: str, options: dict[str, Any], *, quiet: bool) -> None:
    """On raw counts, add what a plot needs; a file that came with an embedding keeps its own."""
    from recall_py.plot_ready import add_embedding

    record = adata.uns[key][keys.RECORD]
    if record["source"] == "raw.X" or "X_umap" in adata.obsm:
        return
    layer = None if record["source"] == "X" else options.get("layer") or keys.COUNTS_LAYER
    added = add_embedding(adata, record["genes"], layer, options["random_state"])
    if not quiet:
        typer.echo(f"added for plotting: {', '.join(added)}")


def _print_search(adata: AnnData, key: str) -> None:
    import pandas as pd

    from recall_py import get

    steps = get.iterations(adata, key)
    steps.insert(0, "step", range(1, len(steps) + 1))
    shown = steps.rename(
        columns={"level": "resolution", "n_clusters": "clusters", "n_pairs": "pairs", "n_failing": "failing pairs"}
    ).drop(columns="min_selected")
    by_resolution = adata.uns[key][keys.RECORD]["params"]["partition_algorithm"] in ("leiden", "louvain")
    if not by_resolution:
        shown = shown.rename(columns={"resolution": "asked for"})
    if not shown["merged"].any():
        shown = shown.drop(columns="merged")
    _print_table("search", shown)
    sizes = adata.obs[key].value_counts().reindex(adata.obs[key].cat.categories)
    _print_table("clusters", pd.DataFrame({"cluster": sizes.index.astype(str), "cells": sizes.to_numpy()}))


def _print_table(title: str, frame: pd.DataFrame) -> None:
    from rich.console import Console
    from rich.table import Table

    table: Table = Table(title=title, title_justify="left")
    for column in frame:
        numeric = frame[column].dtype.kind in "if"
        table.add_column(str(column), justify="right" if numeric else "left", overflow="fold")
    for row in frame.itertuples(index=False):
        table.add_row(*(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row))
    Console().print(table)


def _cluster_summary(adata: AnnData, key: str, source: Path, target: Path) -> dict[str, Any]:
    from recall_py import get

    record = adata.uns[key][keys.RECORD]
    scalars = {name: value for name, value in record.items() if isinstance(value, bool | int | float | str)}
    return {
        "input": str(source),
        "output": str(target),
        "key": key,
        "n_cells": adata.n_obs,
        "n_genes": len(record["genes"]),
        **scalars,
        "sizes": {str(label): int(size) for label, size in adata.obs[key].value_counts().items()},
        "iterations": _rows(get.iterations(adata, key)),
        "pairs": _rows(get.pairs(adata, key)),
        "params": record["params"],
        "seconds": record["seconds"],
    }


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON values; an infinite threshold becomes null."""
    return json_format.loads(frame.to_json(orient="records"))


def _write_json(path: Path, summary: dict[str, Any]) -> None:
    from recall_py.files import write_atomically

    write_atomically(path, lambda partial: partial.write_text(json_format.dumps(summary, indent=2) + "\n"))
