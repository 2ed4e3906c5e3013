"""Commands on a MuData in an .h5mu file: graph and labels are its own, the counts those of one modality."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from recall_py.adata import keys
from recall_py.adata.modality import with_counts
from recall_py.cli import cluster as run
from recall_py.cli.check import tell_tests
from recall_py.cli.describe import describe_counts
from recall_py.cli.options import given
from recall_py.cli.output import print_result
from recall_py.cli.paths import target_file
from recall_py.cli.rescue import labels_rescued, pairs_rescued
from recall_py.files.atomic import first_line, write_atomically
from recall_py.files.store import MissingFilterError, refuse_loops

if TYPE_CHECKING:
    from recall_py.cli.beside import Beside

SUFFIX = ".h5mu"


def done_on_h5mu(context: typer.Context, beside: Beside) -> bool:
    """Whether IN is an .h5mu file; then what the command says has been done with the MuData in it."""
    source, options = context.params["source"], context.params
    if source.suffix.lower() != SUFFIX:
        return False
    command, asked, quiet = str(context.info_name), given(context), options["quiet"]
    if options.get("drop_empty_cells") or options["round_counts"]:
        msg = "--drop-empty-cells and --round-counts mean nothing to an .h5mu file. Leave them out."
        raise ValueError(msg)
    target = None
    if command != "test" or options["output"] or options["in_place"]:
        target = target_file(source, options["output"], in_place=options["in_place"], suffixes=(SUFFIX,))
    beside.refuse_unfit(source, target)
    with run.guarded(source, target) as refuse_changed:
        mdata = _read(source)
        _refuse_unnamed(mdata, asked.get("modality"))
        key = _label(mdata, command, asked, source, quiet=quiet)
        if target is not None:
            rescued = pairs_rescued if command == "test" else labels_rescued
            with rescued(mdata, key, target):
                refuse_changed()
                write_atomically(target, mdata.write_h5mu)
        beside.write(mdata, key, command, source, target)
        if not quiet:
            if command == "test":
                tell_tests(mdata, key, asked["groupby"])
            else:
                print_result(mdata, key)
                typer.echo(f"wrote {target}")
                beside.tell()
    return True


def describe_h5mu(path: Path, *, layer: str | None, modality: str | None, n_top_genes: int) -> list[tuple[str, str]]:
    """What an .h5mu file holds, and what would be used of one modality."""
    mdata = _read(path)
    named = modality or next(iter(mdata.mod))
    counts = with_counts(mdata, named)
    return [
        ("file", f"{path}, {path.stat().st_size / 1e6:,.1f} MB"),
        ("modalities", ", ".join(f"{name} ({held.n_vars:,} features)" for name, held in mdata.mod.items())),
        ("modality", named),
        *describe_counts(mdata, counts, layer, n_top_genes),
    ]


def _label(mdata: Any, command: str, asked: dict[str, Any], source: Path, *, quiet: bool) -> str:
    """Cluster, merge or test; the key of the result."""
    from recall_py import tl

    if command == "test":
        tl.test_clusters(mdata, **asked)
        return str(asked.get("key_added", keys.PAIR_TESTS))
    request = run.clustering(asked) if command == "cluster" else run.merging(asked)
    if command == "cluster" and keys.NEIGHBORS not in mdata.uns and not {"neighbors_key", "obsp"} & {*asked}:
        name = asked["modality"]
        msg = (
            f"{source} has no neighbour graph of all modalities. Make one (muon.pp.neighbors(mdata)), or cluster one "
            f"modality: mudata.read_h5ad({str(source)!r}, mod={name!r}).write_h5ad({name + '.h5ad'!r})"
        )
        raise ValueError(msg)
    run.refuse_labels_of_others(mdata, request.final_key)
    request.apply(mdata, quiet=quiet, plots=False)
    return request.final_key


def _refuse_unnamed(mdata: Any, modality: str | None) -> None:
    if modality not in mdata.mod:
        found = "No modality is named" if modality is None else f"There is no modality {modality!r}"
        msg = f"{found}. The file has {', '.join(mdata.mod)}: pass --modality {next(iter(mdata.mod))}"
        raise ValueError(msg)


def _read(path: Path) -> Any:
    """The MuData, in memory."""
    import h5py

    if not path.is_file():
        msg = f"{path} is no file. The path of an .h5mu file is needed."
        raise ValueError(msg)
    if find_spec("mudata") is None:
        msg = f"{path} is a MuData, and mudata, which reads it, is not installed. Install it: pip install mudata"
        raise ValueError(msg)
    import mudata

    try:
        with h5py.File(path) as file:
            refuse_loops(file)
        return mudata.read_h5mu(path)
    except MissingFilterError:
        raise
    except Exception as error:
        msg = (
            f"{path} is not a readable .h5mu file ({type(error).__name__}: {first_line(error)}). It may be cut off or "
            "of another format: copy or download it again."
        )
        raise ValueError(msg) from error
