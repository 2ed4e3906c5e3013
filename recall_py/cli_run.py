"""What the commands do: read a file, call one library function, write, and print what was found."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer

from recall_py import keys
from recall_py.cli_output import cluster_summary, print_search, print_table, rows_of, write_json
from recall_py.params import CLUSTERERS, given, one_of

if TYPE_CHECKING:
    from anndata import AnnData


DATA = (".h5ad", ".rds")
"""How the names of files of data end; of reports, below."""
PAGE = (".html", ".htm")


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


def target_file(
    source: Path, output: Path | None, *, in_place: bool | None = None, suffixes: tuple[str, ...] = DATA
) -> Path:
    """The file to write; IN itself only where that was asked for, and never by a command without ``--in-place``."""
    if output is None and not in_place:
        other = "" if in_place is None else ", or --in-place to write the result over IN"
        msg = f"No output file. Pass -o OUT{other}."
        raise ValueError(msg)
    target = source if output is None else output
    if target.resolve() == source.resolve() and not in_place:
        other = "" if in_place is None else ", or --in-place to overwrite it"
        msg = f"-o {target} is the input file itself. Pass another name{other}."
        raise ValueError(msg)
    refuse_unwritable(target, () if output is None else suffixes)
    return target


def refuse_unwritable(path: Path | None, suffixes: tuple[str, ...] = ()) -> None:
    """Refuse a file that cannot be written or has the name of another kind, before anything is computed."""
    if path is None:
        return
    if not path.parent.is_dir():
        msg = f"The folder {path.parent} does not exist."
        raise ValueError(msg)
    if path.is_dir():
        msg = f"{path} is a folder; a file name is needed."
        raise ValueError(msg)
    if not os.access(path.parent, os.W_OK):
        msg = f"The folder {path.parent} cannot be written to."
        raise ValueError(msg)
    if suffixes and path.suffix.lower() not in suffixes:
        msg = f"{path} is to be an {suffixes[0]} file. Name it so: {path.with_suffix(suffixes[0])}."
        raise ValueError(msg)


def cluster_file(
    source: Path, target: Path, request: ClusterRequest, *, json: Path | None, report: Path | None, quiet: bool
) -> None:
    """Cluster one file and write the labelled file: .h5ad, or .rds with a Seurat object."""
    refuse_unwritable(json)
    _refuse_data_as_page(report, source, target)
    robj = None
    if ".rds" in (source.suffix.lower(), target.suffix.lower()):
        from recall_py import seurat

        robj = _read_seurat(source, target)
        adata = seurat.to_anndata(robj)
    else:
        from recall_py.files import read_h5ad, write_h5ad

        adata = read_h5ad(source)
    if request.drop_empty_cells:
        adata = _without_empty_cells(adata, quiet=quiet)
    _refuse_labels_of_others(adata, request.final_key)
    request.apply(adata, progress=not quiet)
    key = request.final_key
    if robj is None:
        add_plot_slots(adata, key, request.shared, quiet=quiet)
        write_h5ad(adata, target)
    else:
        seurat.write_rds(seurat.labels_to_seurat(adata, robj, key), target)
    if json is not None:
        write_json(json, cluster_summary(adata, key, source, target))
    if report is not None:
        _write_report(adata, report, key, source, target)
    if not quiet:
        print_search(adata, key)
        typer.echo(f"wrote {target}")
        if report is not None:
            typer.echo(f"wrote {report}")


def _refuse_labels_of_others(adata: AnnData, column: str) -> None:
    """Refuse to replace a column that is not, or no longer, what a run of recall_py has left there."""
    from recall_py.stored import read_run

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
    from recall_py.files import read_h5ad, write_h5ad

    refuse_unwritable(json)
    _refuse_data_as_page(report, source, target)
    adata = read_h5ad(source)
    tl.test_clusters(adata, groupby, **options)
    pairs = get.pairs(adata, options["key_added"])
    if target is not None:
        write_h5ad(adata, target)
    if json is not None:
        write_json(json, {"input": str(source), "groupby": groupby, "pairs": rows_of(pairs)})
    if report is not None:
        _write_report(adata, report, options["key_added"], source, target or source)
    if not quiet:
        columns = ["group", "reference", "n_group", "n_reference", "n_selected", "false_share", "passes"]
        print_table(f"pairs of {groupby}", pairs[columns])
        supported = int(pairs["passes"].sum())
        typer.echo(f"{supported} of {len(pairs)} pairs are supported by markers, {len(pairs) - supported} are not")
        untested = adata.uns[options["key_added"]][keys.RECORD]["untested"]
        if len(untested):
            typer.echo(f"too small to be tested: {', '.join(untested)}")


def report_file(source: Path, target: Path, key: str | None, *, quiet: bool) -> None:
    """Write the report of a result that a file holds."""
    from recall_py.files import read_h5ad
    from recall_py.stored import results

    _refuse_data_as_page(target, source, None)
    adata = read_h5ad(source)
    stored = results(adata)
    if key is None:
        if len(stored) != 1:
            found = (
                f"{len(stored)} results: {', '.join(stored)}. Choose one: --key {stored[0]}" if stored else "no result"
            )
            make = "" if stored else f". Make one first: recall-py cluster {source} -o labelled.h5ad --report {target}"
            msg = f"{source} holds {found}{make}"
            raise ValueError(msg)
        key = stored[0]
    _write_report(adata, target, key, source, Path("labelled.h5ad"))
    if not quiet:
        typer.echo(f"wrote {target}")


def _refuse_data_as_page(page: Path | None, source: Path, target: Path | None) -> None:
    """Refuse a report in the place of data, before anything is computed."""
    if page is not None and page.resolve() in {path.resolve() for path in (source, target) if path is not None}:
        msg = f"The report {page} is the .h5ad file itself. Pass another name, such as {page.with_suffix('.html')}."
        raise ValueError(msg)
    refuse_unwritable(page, PAGE)


def _write_report(adata: AnnData, page: Path, key: str, source: Path, target: Path) -> None:
    from recall_py.report import write_report

    write_report(adata, page, key, source=str(source), target=str(target))


def knockoffs_file(source: Path, target: Path, options: dict[str, Any], *, quiet: bool) -> None:
    """Write the augmented counts of one file."""
    from recall_py import pp
    from recall_py.files import read_h5ad, write_h5ad

    augmented = pp.knockoffs(read_h5ad(source), **options)
    write_h5ad(augmented, target)
    if not quiet:
        typer.echo(f"wrote {target}: {augmented.n_obs} cells, {augmented.n_vars // 2} genes and as many knockoffs")


def _without_empty_cells(adata: AnnData, *, quiet: bool) -> AnnData:
    """The cells that have counts in X."""
    kept = np.asarray(adata.X.sum(axis=1)).ravel() > 0
    if not quiet:
        typer.echo(f"dropped {int((~kept).sum())} cells without counts")
    return adata[kept].copy()


def add_plot_slots(adata: AnnData, key: str, options: dict[str, Any], *, quiet: bool) -> None:
    """On raw counts, add what a plot needs; a file that came with an embedding keeps its own."""
    from recall_py.plot_ready import add_embedding

    record = adata.uns[key][keys.RECORD]
    if record["source"] == "raw.X" or "X_umap" in adata.obsm:
        if not quiet:
            reason = "it is there" if "X_umap" in adata.obsm else "the counts are in raw"
            typer.echo(f"no embedding was added: {reason}")
        return
    layer = None if record["source"] == "X" else options.get("layer") or keys.COUNTS_LAYER
    added = add_embedding(adata, record["genes"], layer, options["random_state"])
    if not quiet:
        typer.echo(f"added for plotting: {', '.join(added)}. X still holds counts.")
