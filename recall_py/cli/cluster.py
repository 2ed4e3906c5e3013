"""Commands that cluster one file: read it, call one library function, write, and print what was found."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer

from recall_py.adata import keys
from recall_py.adata.labels import read_labels, restricted_cells
from recall_py.adata.programmes import accepted
from recall_py.adata.read import find_counts, refuse_no_counts
from recall_py.cli.beside import Beside
from recall_py.cli.output import print_result
from recall_py.cli.plot_slots import PlotSlots, add_plot_slots
from recall_py.cli.rescue import labels_rescued
from recall_py.files.atomic import private_folder
from recall_py.files.containers import stored
from recall_py.files.store import (
    InputChangedError,
    in_memory,
    opened,
    refuse_unwritable_tables,
    rewrite,
    state_of,
    write_result,
)
from recall_py.method.params import (
    CLUSTERERS,
    RESOLUTION_CLUSTERERS,
    MergeParams,
    PartitionParams,
    one_of,
    resolve_seed,
)
from recall_py.run.options import flags
from recall_py.run.waiting import Waiting

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray


_LARGEST_LOGARITHM = np.log1p(1e4)
"""Above it no value lies that was normalised to totals of 10,000 and log-transformed."""
QUICK = {"flavor": "igraph", "n_iterations": 2}
"""How Leiden runs on a graph that the command makes, where nothing else is asked for."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a command asks of a function of :mod:`recall_py.tl`."""

    function: str
    given: dict[str, Any]
    """Arguments that were given; the function has defaults for the others."""
    final_key: str
    """Slot that the function writes to."""
    drop_empty_cells: bool = False
    """Whether cells without counts are left out."""
    round_counts: bool = False
    """Whether estimated counts are rounded."""

    @property
    def layer(self) -> str | None:
        """Layer with the counts, where it is named."""
        return self.given.get("layer")

    def apply(self, adata: AnnData, *, quiet: bool, plots: bool) -> PlotSlots:
        """Call the function; say what was added, for `plots` where that is asked for."""
        from recall_py import tl

        layer, seed = self.layer, self.given.get("random_state", 0)
        slots, usual = PlotSlots(), {}
        say = partial(typer.echo, err=True)
        asked = dict(self.given)
        if "restrict_to" in asked:
            column, named = asked["restrict_to"]
            asked["restrict_to"] = column, known_among(named, set(read_labels(adata, column).cat.categories))
        if self._needs_graph:
            refuse_at_a_glance(adata, self.function, asked)
            with Waiting(say, quiet=quiet) as wait:
                slots = add_plot_slots(adata, layer, wait, seed=seed)
            if slots.added and self.function == "leiden" and not {*QUICK} & {*self.given}:
                usual = QUICK
        if not quiet and plots and slots.said:
            by = f"; Leiden: {QUICK['flavor']}, {QUICK['n_iterations']} iterations" if usual else ""
            typer.echo(slots.said + by)
        if self.function != "merge_clusters":
            usual = {"progress": not quiet, **usual}
        getattr(tl, self.function)(adata, **usual, **asked)
        if self.function == "recall" and plots and "X_umap" not in adata.obsm:
            with Waiting(say, quiet=quiet) as wait:
                n_top_genes = self.given.get("n_top_genes", 2000)
                slots = add_plot_slots(adata, layer, wait, seed=seed, n_top_genes=n_top_genes)
        return slots

    @property
    def _needs_graph(self) -> bool:
        named = {"neighbors_key", "obsp", "modality"} & {*self.given}
        return self.function in RESOLUTION_CLUSTERERS and not named and self.given.get("method", "pairs") == "pairs"


def refuse_at_a_glance(adata: AnnData, algorithm: str, asked: dict[str, Any]) -> None:
    """Refuse what the clustering will refuse, before a graph is made for it."""
    from recall_py.run.graph_clusters import refuse_no_resolution

    refuse_no_resolution(asked.get("resolution"))
    names = ("n_orders",) if algorithm == "louvain" else ("flavor", "directed", "partition_type")
    PartitionParams(algorithm=algorithm, **{name: asked[name] for name in names if name in asked})
    accepted(asked.get("programmes", ()))
    MergeParams(alpha=asked.get("alpha", MergeParams.alpha), seed=resolve_seed(asked.get("random_state", 0)))
    cells = restricted_cells(adata, asked["restrict_to"]) if "restrict_to" in asked else None
    refuse_no_counts(
        adata, layer=asked.get("layer"), batch_key=asked.get("batch_key"), cells=cells, only=asked.get("genes")
    )


def clustering(given: dict[str, Any], *, drop_empty_cells: bool = False, round_counts: bool = False) -> Request:
    """What ``recall-py cluster`` asks: calibrate a clustering of the graph in the file."""
    asked = dict(given)
    algorithm = asked.pop("algorithm", "leiden")
    one_of("algorithm", algorithm, RESOLUTION_CLUSTERERS)
    of_others = ("n_orders",) if algorithm == "leiden" else ("n_iterations", "directed", "partition_type")
    _refuse_meaningless([name for name in of_others if name in asked], algorithm)
    return Request(
        function=algorithm,
        given=asked,
        final_key=_final_key(asked, algorithm),
        drop_empty_cells=drop_empty_cells,
        round_counts=round_counts,
    )


def search(given: dict[str, Any], *, drop_empty_cells: bool = False, round_counts: bool = False) -> Request:
    """What ``recall-py recall`` asks: search with knockoff genes."""
    algorithm = given.get("algorithm", "louvain")
    one_of("algorithm", algorithm, CLUSTERERS)
    by_number = ("num_clusters_start",)
    of_others = by_number if algorithm in RESOLUTION_CLUSTERERS else ("resolution_start", "graph", "neighbors_key")
    _refuse_meaningless([name for name in of_others if name in given], algorithm)
    return Request(
        function="recall",
        given=given,
        final_key=_final_key(given, "recall_clusters"),
        drop_empty_cells=drop_empty_cells,
        round_counts=round_counts,
    )


def merging(given: dict[str, Any], *, round_counts: bool = False) -> Request:
    """What ``recall-py merge`` asks: merge labels that are in the file."""
    key = given.get("key_added", given["groupby"] + keys.MERGED_SUFFIX)
    keys.refuse_unusable(key)
    return Request(function="merge_clusters", given=given, final_key=key, round_counts=round_counts)


def _final_key(asked: dict[str, Any], usual: str) -> str:
    key = asked.get("key_added", usual)
    keys.refuse_unusable(key)
    return keys.final_key(key, usual, restricted="restrict_to" in asked)


def known_among(named: list[str], known: set[str]) -> list[str]:
    """Labels of which some may hold commas, given what lies between the commas: the longest that are `known`."""
    names: list[str] = []
    while named:
        size = next((size for size in range(len(named), 0, -1) if ",".join(named[:size]) in known), 1)
        names.append(",".join(named[:size]))
        named = named[size:]
    return names


def _refuse_meaningless(given_options: list[str], algorithm: str) -> None:
    """Refuse options that were given and are of other algorithms."""
    if given_options:
        msg = f"{flags(given_options[0], 'recall')[0]} means nothing to --algorithm {algorithm}. Leave it out."
        raise ValueError(msg)


def cluster_file(source: Path, target: Path, request: Request, beside: Beside, *, command: str, quiet: bool) -> None:
    """Cluster one file and write the labelled file: .h5ad, .zarr, or .rds with an object of R."""
    beside.refuse_unfit(source, target)
    key = request.final_key
    with ExitStack() as stack:
        refuse_changed = stack.enter_context(guarded(source, target))
        if ".rds" in (source.suffix.lower(), target.suffix.lower()):
            adata = _cluster_seurat(source, target, request, quiet=quiet)
        else:
            held = read = stack.enter_context(stored(source, target))
            adata = stack.enter_context(opened(held, source))
            refuse_unwritable_tables(adata, held, target)
            refuse_labels_of_others(adata, key)
            rounded: list[tuple[str, str]] = []
            if request.round_counts:
                rounded = rounded_layer(adata, request.layer)
                request = replace(request, given={**request.given, "layer": None})
            if request.drop_empty_cells:
                adata, held = _without_empty_cells(stack, adata, request.layer, target, held, quiet=quiet)
                rounded = rounded if held == read else []
            slots = request.apply(adata, quiet=quiet, plots=True)
            written = [("obs", None), ("uns", key), *_colours(adata, key), *slots.added, *rounded]
            with labels_rescued(adata, key, target):
                refuse_changed()
                write_result(adata, held, target, written, slots.layer)
        beside.write(adata, key, command, source, target)
        if not quiet:
            print_result(adata, key)
            typer.echo(f"wrote {target}")
            beside.tell()


@contextmanager
def alone_with(source: Path) -> Iterator[None]:
    """Refuse a second command that is to write over the same file at the same time."""
    if os.name != "posix":
        yield
        return
    import fcntl

    path = source.resolve()
    lock = path.with_name(f".{path.name}.recall-py.lock")
    with open(lock, "a", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, 0o600)) as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            msg = f"Another recall-py is about to write over {source}. Wait for its end, or write elsewhere: -o OUT."
            raise ValueError(msg) from error
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


@contextmanager
def guarded(source: Path, target: Path | None) -> Iterator[Callable[[], None]]:
    """Alone with a file that is to be written over; gives what refuses a result of another file than is there now."""
    with alone_with(source) if source == target else nullcontext():
        before = state_of(source) if source.exists() else ()

        def refuse_changed() -> None:
            if not source.exists() or state_of(source) != before:
                msg = f"{source} was changed or replaced while it was read. Run the command again on what is there now."
                raise InputChangedError(msg)

        yield refuse_changed


def _colours(adata: AnnData, key: str) -> list[tuple[str, str]]:
    """The colours that merged labels were given."""
    name = key + keys.COLORS_SUFFIX
    return [("uns", name)] if name in adata.uns else []


def _cluster_seurat(source: Path, target: Path, request: Request, *, quiet: bool) -> AnnData:
    """Cluster the object of R in an .rds file and write it with its labels."""
    from recall_py import seurat
    from recall_py.seurat._clusters import warn_of_integration

    robj = read_seurat(source, target)
    warn_of_integration(robj)
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        adata = seurat.to_anndata(robj)
    if not quiet:
        for note in notes:
            typer.echo(str(note.message))
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


def read_seurat(source: Path, target: Path) -> Any:
    """The object of an .rds file that is to be written to another."""
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


def rounded_layer(adata: AnnData, layer: str | None) -> list[tuple[str, str]]:
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
    totals = find_counts(adata, layer).counts.totals
    if not quiet:
        typer.echo(f"dropped {np.count_nonzero(totals <= 0)} cells without counts")
    return totals > 0
