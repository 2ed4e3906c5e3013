"""``recall-py cluster``: read a file, call one library function, write, and print what was found."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer

from recall_py.adata import keys
from recall_py.cli.output import cluster_summary, print_search, write_json
from recall_py.cli.paths import refuse_unfit_outputs
from recall_py.cli.plot_slots import add_plot_slots
from recall_py.cli.report import write_page
from recall_py.counts.source import count_matrix
from recall_py.files.atomic import remove
from recall_py.files.store import opened, rewrite, write_result
from recall_py.method.params import CLUSTERERS, given, one_of

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class ClusterRequest:
    """Arguments of ``recall-py cluster``."""

    algorithm: str
    key_added: str
    resolution: float | None
    num_clusters_start: int | None
    reduction: float
    graph: Any
    dims: Any
    preset: Any
    neighbors_key: str | None
    restrict_to: str | None
    drop_empty_cells: bool
    leiden: dict[str, Any]
    louvain: dict[str, Any]
    shared: dict[str, Any]

    def __post_init__(self) -> None:
        one_of("algorithm", self.algorithm, CLUSTERERS)
        keys.refuse_unusable(self.key_added)
        by_number = self.algorithm in ("kmeans", "ward")
        unused = ("resolution", "graph", "preset", "neighbors_key") if by_number else ("num_clusters_start",)
        for name in unused:
            if getattr(self, name) is not None:
                msg = f"--{name.replace('_', '-')} means nothing to --algorithm {self.algorithm}. Leave it out."
                raise ValueError(msg)

    @property
    def final_key(self) -> str:
        """Slot that the library function writes to."""
        default = self.algorithm if self.algorithm in ("leiden", "louvain") else "recall_clusters"
        return keys.final_key(self.key_added, default, restricted=self.restrict_to is not None)

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
                reduction_percentage=self.reduction,
                **given(num_clusters_start=self.num_clusters_start, dims=self.dims),
                **common,
            )
            return
        function, own = (tl.leiden, self.leiden) if self.algorithm == "leiden" else (tl.louvain, self.louvain)
        function(
            adata,
            reduction=self.reduction,
            graph=self.graph,
            dims=self.dims,
            preset=self.preset,
            neighbors_key=self.neighbors_key,
            **given(resolution=self.resolution),
            **own,
            **common,
        )

    def _categories(self) -> tuple[str, list[str]] | None:
        if self.restrict_to is None:
            return None
        column, separator, categories = self.restrict_to.partition(":")
        if not separator or not all(categories.split(",")):
            msg = f"--restrict-to is {self.restrict_to!r}; it must be a column and its labels, such as leiden:0,3."
            raise ValueError(msg)
        return column, categories.split(",")


def components(text: str | None) -> int | Any:
    """The number of components, or ``"auto"``."""
    if text is None or text == "auto":
        return text
    if not text.isdigit():
        msg = f"--dims is {text!r}; pass a number of components, or auto."
        raise ValueError(msg)
    return int(text)


def partition_class(name: str | None) -> type | None:
    """The partition type of leidenalg called `name`."""
    if name is None:
        return None
    import leidenalg

    one_of("partition_type", name, tuple(found for found in dir(leidenalg) if found.endswith("VertexPartition")))
    return getattr(leidenalg, name)


def cluster_file(
    source: Path, target: Path, request: ClusterRequest, *, json: Path | None, report: Path | None, quiet: bool
) -> None:
    """Cluster one file and write the labelled file: .h5ad, .zarr, or .rds with a Seurat object."""
    refuse_unfit_outputs(source, target, json, report)
    key = request.final_key
    with ExitStack() as stack:
        if ".rds" in (source.suffix.lower(), target.suffix.lower()):
            adata = _cluster_seurat(source, target, request, quiet=quiet)
        else:
            adata = stack.enter_context(opened(source))
            _refuse_labels_of_others(adata, key)
            held = source
            if request.drop_empty_cells:
                adata, held = _without_empty_cells(stack, adata, source, target, quiet=quiet)
            request.apply(adata, progress=not quiet)
            added, layer = add_plot_slots(adata, key, request.shared, quiet=quiet)
            write_result(adata, held, target, [("obs", None), ("uns", key), *added], layer)
        if json is not None:
            write_json(json, cluster_summary(adata, key, source, target))
        if report is not None:
            write_page(adata, report, key, source, target)
        if not quiet:
            print_search(adata, key)
            typer.echo(f"wrote {target}")
            if report is not None:
                typer.echo(f"wrote {report}")


def _cluster_seurat(source: Path, target: Path, request: ClusterRequest, *, quiet: bool) -> AnnData:
    """Cluster the Seurat object of an .rds file and write it with its labels."""
    from recall_py import seurat

    robj = _read_seurat(source, target)
    adata = seurat.to_anndata(robj)
    if request.drop_empty_cells:
        adata = adata[_cells_with_counts(adata, quiet=quiet)].copy()
    _refuse_labels_of_others(adata, request.final_key)
    request.apply(adata, progress=not quiet)
    seurat.write_rds(seurat.labels_to_seurat(adata, robj, request.final_key), target)
    return adata


def _refuse_labels_of_others(adata: AnnData, column: str) -> None:
    """Refuse to replace a column that is not, or no longer, what a run of recall_py has left there."""
    from recall_py.adata.stored import read_run

    if column not in adata.obs:
        return
    try:
        read_run(adata, column)
    except (KeyError, ValueError) as error:
        msg = (
            f"obs[{column!r}] is there already and is no result of recall-py, or was changed since; it would be lost. "
            f"Write beside it: --key-added {column}_recall."
        )
        raise ValueError(msg) from error


def _read_seurat(source: Path, target: Path) -> Any:
    """The Seurat object of an .rds file that is to be written to another."""
    from recall_py import seurat

    if not source.suffix.lower() == target.suffix.lower() == ".rds":
        msg = f"{source.name} and {target.name} are of different kinds. Labels go to the kind of file they came from."
        raise ValueError(msg)
    return seurat.read_rds(source)


def _without_empty_cells(
    stack: ExitStack, adata: AnnData, source: Path, target: Path, *, quiet: bool
) -> tuple[AnnData, Path]:
    """The contents without the cells that have no counts in X, and the file that holds them."""
    kept = _cells_with_counts(adata, quiet=quiet)
    if kept.all():
        return adata, source
    without = target.resolve().with_name(f".{target.stem}-kept.{os.getpid()}.partial{target.suffix}")
    stack.callback(remove, without)
    rewrite(adata, without, kept)
    return stack.enter_context(opened(without)), without


def _cells_with_counts(adata: AnnData, *, quiet: bool) -> NDArray[np.bool_]:
    totals = np.zeros(adata.n_obs)
    for cells, _, values in count_matrix(adata.X).entries():
        totals += np.bincount(cells, values, adata.n_obs)
    if not quiet:
        typer.echo(f"dropped {np.count_nonzero(totals <= 0)} cells without counts")
    return totals > 0
