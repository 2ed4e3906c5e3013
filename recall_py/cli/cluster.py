"""Commands that cluster one file: read it, call one library function, write, and print what was found."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import typer

from recall_py.adata import keys
from recall_py.adata.labels import read_labels
from recall_py.adata.programmes import accepted
from recall_py.adata.read import find_counts
from recall_py.cli.output import print_result, result_summary, write_json
from recall_py.cli.paths import refuse_unfit_outputs
from recall_py.cli.plot_slots import PlotSlots, add_plot_slots
from recall_py.cli.report import write_page
from recall_py.files.atomic import first_line, private_folder, write_atomically
from recall_py.files.store import (
    InputChangedError,
    in_memory,
    opened,
    refuse_unwritable_tables,
    rewrite,
    state_of,
    write_result,
)
from recall_py.method.params import CLUSTERERS, RESOLUTION_CLUSTERERS, given, one_of

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray


_LARGEST_LOGARITHM = np.log1p(1e4)
"""Above it no value lies that was normalised to totals of 10,000 and log-transformed."""


class Request(Protocol):
    """What a command asks of the library."""

    @property
    def drop_empty_cells(self) -> bool:
        """Whether cells without counts are left out."""
        ...

    @property
    def round_counts(self) -> bool:
        """Whether estimated counts are rounded."""
        ...

    @property
    def layer(self) -> str | None:
        """Layer with the counts, where it is named."""
        ...

    @property
    def final_key(self) -> str:
        """Slot that the library function writes to."""
        ...

    def apply(self, adata: AnnData, *, quiet: bool, plots: bool) -> PlotSlots:
        """Call the library function; say what was added, for `plots` where that is asked for."""
        ...


@dataclass(frozen=True, kw_only=True)
class GraphRequest:
    """Arguments of ``recall-py cluster``: calibrate a clustering of the graph in the file."""

    algorithm: str
    key_added: str
    resolution: float
    restrict_to: str | None
    drop_empty_cells: bool
    round_counts: bool
    genes: Path | None
    layer: str | None
    neighbors_key: str | None
    obsp: str | None
    seed: int
    others: dict[str, Any]

    def __post_init__(self) -> None:
        one_of("algorithm", self.algorithm, RESOLUTION_CLUSTERERS)
        keys.refuse_unusable(self.key_added)
        of_others = ("n_orders",) if self.algorithm == "leiden" else ("n_iterations", "directed", "partition_type")
        _refuse_meaningless([name for name in of_others if name in self.others], self.algorithm)

    @property
    def final_key(self) -> str:
        """Slot that the library function writes to."""
        return keys.final_key(self.key_added, self.algorithm, restricted=self.restrict_to is not None)

    def apply(self, adata: AnnData, *, quiet: bool, plots: bool) -> PlotSlots:
        """Make a graph where the file has none, and calibrate its clusters."""
        from recall_py import tl

        named = self.neighbors_key or self.obsp
        slots = PlotSlots()
        if not named and self.others["method"] == "pairs":
            slots = add_plot_slots(adata, self.layer, seed=self.seed, quiet=quiet or not plots)
        function = tl.leiden if self.algorithm == "leiden" else tl.louvain
        function(
            adata,
            self.resolution,
            key_added=self.key_added,
            restrict_to=categories(self.restrict_to, adata),
            genes=gene_names(self.genes),
            layer=self.layer,
            neighbors_key=self.neighbors_key,
            obsp=self.obsp,
            random_state=self.seed,
            progress=not quiet,
            **self.others,
        )
        return slots


@dataclass(frozen=True, kw_only=True)
class SearchRequest:
    """Arguments of ``recall-py recall``: the search with knockoff genes."""

    algorithm: str
    key_added: str
    resolution_start: float | None
    num_clusters_start: int | None
    graph: str | None
    neighbors_key: str | None
    restrict_to: str | None
    drop_empty_cells: bool
    round_counts: bool
    genes: Path | None
    layer: str | None
    seed: int
    others: dict[str, Any]

    def __post_init__(self) -> None:
        one_of("algorithm", self.algorithm, CLUSTERERS)
        keys.refuse_unusable(self.key_added)
        by_number = self.algorithm not in RESOLUTION_CLUSTERERS
        options = {"resolution": self.resolution_start, "graph": self.graph, "neighbors_key": self.neighbors_key}
        of_others = given(**(options if by_number else {"num_clusters_start": self.num_clusters_start}))
        _refuse_meaningless(list(of_others), self.algorithm)

    @property
    def final_key(self) -> str:
        """Slot that the library function writes to."""
        return keys.final_key(self.key_added, "recall_clusters", restricted=self.restrict_to is not None)

    def apply(self, adata: AnnData, *, quiet: bool, plots: bool) -> PlotSlots:
        """Search, and add what a plot needs."""
        from recall_py import tl

        tl.recall(
            adata,
            algorithm=self.algorithm,  # type: ignore[arg-type]
            key_added=self.key_added,
            restrict_to=categories(self.restrict_to, adata),
            genes=gene_names(self.genes),
            layer=self.layer,
            neighbors_key=self.neighbors_key,
            random_state=self.seed,
            progress=not quiet,
            **given(
                resolution_start=self.resolution_start, num_clusters_start=self.num_clusters_start, graph=self.graph
            ),
            **self.others,
        )
        if not plots or "X_umap" in adata.obsm:
            return PlotSlots()
        n_top_genes = self.others["n_top_genes"]
        return add_plot_slots(adata, self.layer, seed=self.seed, quiet=quiet, n_top_genes=n_top_genes)


@dataclass(frozen=True, kw_only=True)
class MergeRequest:
    """Arguments of ``recall-py merge``: merge labels that are in the file."""

    groupby: str
    key_added: str | None
    genes: Path | None
    layer: str | None
    round_counts: bool
    others: dict[str, Any]
    drop_empty_cells: bool = False

    @property
    def final_key(self) -> str:
        """Slot that the library function writes to."""
        return self.groupby + keys.MERGED_SUFFIX if self.key_added is None else self.key_added

    def apply(self, adata: AnnData, *, quiet: bool, plots: bool) -> PlotSlots:
        """Merge."""
        from recall_py import tl

        tl.merge_clusters(
            adata,
            self.groupby,
            key_added=self.key_added,
            genes=gene_names(self.genes),
            layer=self.layer,
            **self.others,
        )
        return PlotSlots()


def _refuse_meaningless(given_options: list[str], algorithm: str) -> None:
    """Refuse options that were given and are of other algorithms."""
    if given_options:
        msg = f"--{given_options[0].replace('_', '-')} means nothing to --algorithm {algorithm}. Leave it out."
        raise ValueError(msg)


def categories(restrict_to: str | None, adata: AnnData) -> tuple[str, list[str]] | None:
    """The column and the categories that ``--restrict-to`` names; a category may hold commas itself."""
    if restrict_to is None:
        return None
    column, separator, named = restrict_to.partition(":")
    if not separator or not all(named.split(",")):
        msg = f"--restrict-to is {restrict_to!r}; it must be a column and its labels, such as leiden:0,3."
        raise ValueError(msg)
    known = set(read_labels(adata, column).cat.categories)
    names: list[str] = []
    left = named.split(",")
    while left:
        sizes = [size for size in range(len(left), 0, -1) if ",".join(left[:size]) in known]
        size = sizes[0] if sizes else 1
        names.append(",".join(left[:size]))
        left = left[size:]
    return column, names


def gene_names(path: Path | None) -> list[str] | None:
    """Names of genes from a text file, one a line."""
    if path is None:
        return None
    if not path.is_file():
        msg = f"--genes is {path}, which is no file; a text file with one name a line is needed."
        raise ValueError(msg)
    names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    if not any(names):
        msg = f"--genes is {path}, which names no gene; one name a line is needed."
        raise ValueError(msg)
    return [name for name in names if name]


def programme_names(text: str) -> tuple[str, ...]:
    """The programmes that ``--programmes`` names, with commas between; none for all genes to count."""
    names = tuple(name.strip() for name in text.split(","))
    return () if names == ("none",) else accepted(names)


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
    source: Path, target: Path, request: Request, *, json: Path | None, report: Path | None, quiet: bool
) -> None:
    """Cluster one file and write the labelled file: .h5ad, .zarr, or .rds with a Seurat object."""
    refuse_unfit_outputs(source, target, json, report)
    key = request.final_key
    with ExitStack() as stack:
        if source == target:
            stack.enter_context(alone_with(source))
        if ".rds" in (source.suffix.lower(), target.suffix.lower()):
            adata = _cluster_seurat(source, target, request, quiet=quiet)
        else:
            before = state_of(source) if source.exists() else ()
            adata = stack.enter_context(opened(source))
            refuse_unwritable_tables(adata, source, target)
            refuse_labels_of_others(adata, key)
            held = source
            rounded: list[tuple[str, str]] = []
            if request.round_counts:
                rounded = round_counts(adata, request.layer)
                request = replace(request, layer=None)  # type: ignore[type-var]  # every request is a dataclass
            if request.drop_empty_cells:
                adata, held = _without_empty_cells(stack, adata, request.layer, target, source, quiet=quiet)
                rounded = rounded if held == source else []
            slots = request.apply(adata, quiet=quiet, plots=True)
            written = [("obs", None), ("uns", key), *_colours(adata, key), *slots.added, *rounded]
            with labels_rescued(adata, key, target):
                refuse_changed(source, before)
                write_result(adata, held, target, written, slots.layer)
        if json is not None:
            write_json(json, result_summary(adata, key, source, target))
        if report is not None:
            write_page(adata, report, key, source, target)
        if not quiet:
            print_result(adata, key)
            typer.echo(f"wrote {target}")
            if report is not None:
                typer.echo(f"wrote {report}")


@contextmanager
def alone_with(source: Path) -> Iterator[None]:
    """Refuse a second command that is to write over the same file at the same time."""
    if os.name != "posix":
        yield
        return
    import fcntl

    path = source.resolve()
    lock = path.with_name(f".{path.name}.recall-py.lock")
    with lock.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            msg = f"Another recall-py is about to write over {source}. Wait for its end, or write elsewhere: -o OUT."
            raise ValueError(msg) from error
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def refuse_changed(source: Path, before: tuple[int, ...]) -> None:
    """Refuse to write a result beside, or over, what it was not made from."""
    if not source.exists() or state_of(source) != before:
        msg = f"{source} was changed or replaced while it was read. Run the command again on what is there now."
        raise InputChangedError(msg)


@contextmanager
def labels_rescued(adata: AnnData, key: str, target: Path) -> Iterator[None]:
    """Where the result cannot be written, write its labels to a table beside it, and say so."""
    try:
        yield
    except Exception as error:
        columns = [name for name in (key, key + keys.START_SUFFIX) if name in adata.obs]
        for folder in (target.resolve().parent, Path.cwd(), Path(tempfile.gettempdir())):
            rescue = folder / f"{target.stem}.{key}.labels.csv"
            try:
                write_atomically(rescue, lambda partial: adata.obs[columns].to_csv(partial))
            except OSError:
                continue
            msg = (
                f"{target} could not be written ({type(error).__name__}: {first_line(error)}). The labels are not "
                f"lost: {rescue}"
            )
            raise ValueError(msg) from error
        raise


def _colours(adata: AnnData, key: str) -> list[tuple[str, str]]:
    """The colours that merged labels were given."""
    name = key + keys.COLORS_SUFFIX
    return [("uns", name)] if name in adata.uns else []


def _cluster_seurat(source: Path, target: Path, request: Request, *, quiet: bool) -> AnnData:
    """Cluster the Seurat object of an .rds file and write it with its labels."""
    from recall_py import seurat

    robj = _read_seurat(source, target)
    adata = seurat.to_anndata(robj)
    if request.drop_empty_cells:
        adata = adata[_cells_with_counts(adata, request.layer, quiet=quiet)].copy()
    refuse_labels_of_others(adata, request.final_key)
    request.apply(adata, quiet=quiet, plots=False)
    seurat.write_rds(seurat.labels_to_seurat(adata, robj, request.final_key), target)
    return adata


def refuse_labels_of_others(adata: AnnData, column: str) -> None:
    """Refuse to replace a column that is not, or no longer, what a run of recall_py has left there."""
    from recall_py.adata.stored import read_result

    if column not in adata.obs:
        return
    try:
        read_result(adata, column)
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
    stack: ExitStack, adata: AnnData, layer: str | None, target: Path, source: Path, *, quiet: bool
) -> tuple[AnnData, Path]:
    """The contents without the cells that have no counts, and the file that holds them."""
    kept = _cells_with_counts(adata, layer, quiet=quiet)
    if kept.all():
        return adata, source
    without = stack.enter_context(private_folder(target.resolve())) / f"kept{target.suffix}"
    rewrite(adata, without, kept)
    return stack.enter_context(opened(without)), without


def round_counts(adata: AnnData, layer: str | None) -> list[tuple[str, str]]:
    """Add the layer ``counts`` with rounded counts, and say that it was added.

    Raises
    ------
    ValueError
        If the values are no estimated counts: there is a layer of that name, or they may be logarithms.
    """
    stored = adata.X if layer is None else adata.layers.get(layer)
    if stored is None:
        msg = f"There is nothing to round in {'X' if layer is None else f'layers[{layer!r}]'}. Pass --layer."
        raise ValueError(msg)
    if keys.COUNTS_LAYER in adata.layers and layer != keys.COUNTS_LAYER:
        msg = "layers['counts'] is there already: leave --round-counts out, or pass --layer counts to round it."
        raise ValueError(msg)
    values = in_memory(stored)
    if values.max() <= _LARGEST_LOGARITHM:
        msg = (
            f"The largest value to round is {values.max():.4g}: these may be logarithms, of which rounding makes no "
            "counts. Name the layer with the estimated counts: --layer NAME."
        )
        raise ValueError(msg)
    adata.layers[keys.COUNTS_LAYER] = np.rint(values)
    return [("layers", keys.COUNTS_LAYER)]


def _cells_with_counts(adata: AnnData, layer: str | None, *, quiet: bool) -> NDArray[np.bool_]:
    counts, _, _ = find_counts(adata, layer)
    totals = counts.totals
    if not quiet:
        typer.echo(f"dropped {np.count_nonzero(totals <= 0)} cells without counts")
    return totals > 0
