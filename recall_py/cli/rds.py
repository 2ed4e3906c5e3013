"""Commands on an object of R in an .rds file: what the functions of R do, with the defaults that they have in R."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from recall_py.adata.programmes import USUAL
from recall_py.arguments import NamesArguments
from recall_py.cli.check import tell_tests
from recall_py.cli.options import given, was_given
from recall_py.cli.output import print_result
from recall_py.cli.paths import target_file
from recall_py.files import containers
from recall_py.files.atomic import private_folder
from recall_py.method.params import ALPHA, one_of
from recall_py.run.options import flags

if TYPE_CHECKING:
    from recall_py.cli.beside import Beside

_ANY = ("key_added", "obsp", "layer", "batch_key", "genes", "programmes", "alpha", "random_state", "n_jobs")
_OF_COMMAND = {
    "cluster": ("resolution", "algorithm", "method"),
    "merge": ("groupby", "merge_small", "external", "all_pairs"),
    "test": ("groupby", "external", "all_pairs"),
}
"""Options that mean something to an object of R."""
_ARGUMENTS = {
    "graph.name": "obsp", "cluster.name": "key_added", "group.by": "groupby", "random.seed": "random_state",
    "cores": "n_jobs", "batch": "batch_key", "features": "genes", "layer": "layer", "assay": "layer",
    "resolution": "resolution", "algorithm": "algorithm", "programmes": "programmes", "alpha": "alpha",
}  # fmt: skip
"""Options by the arguments of the functions of R; the assay is named for a SingleCellExperiment alone."""
SUFFIX = ".rds"


def done_on_rds(context: typer.Context, beside: Beside) -> bool:
    """Whether IN or OUT is an .rds file; then what the command says has been done with the object in it."""
    source, output = context.params["source"], context.params["output"]
    if not any(path is not None and path.suffix.lower() == SUFFIX for path in (source, output)):
        return False
    command, asked = str(context.info_name), given(context)
    unknown = [name for name in asked if name not in (*_ANY, *_OF_COMMAND[command])]
    unknown += [name for name in ("drop_empty_cells", "round_counts") if was_given(context, name)]
    for name in unknown:
        msg = f"{flags(name)[0]} means nothing to an object of R in an .rds file. Leave it out."
        raise ValueError(msg)
    with _named_as_options():
        if command == "test":
            _test(context, source, asked, beside)
        else:
            _label(command, source, asked, beside, context.params)
    return True


@contextmanager
def _named_as_options() -> Iterator[None]:
    """Errors of R name the options of the command in the place of R's arguments."""
    names = "|".join(map(re.escape, _ARGUMENTS))

    def option(found: re.Match[str]) -> str:
        return f"{flags(_ARGUMENTS[found[1]])[0]} "

    try:
        yield
    except NamesArguments:
        raise
    except ValueError as error:
        text = re.sub(rf"(?<![\w.])({names}) = ", option, str(error))
        text = re.sub(rf"^({names}) (?=is |names )", option, text)
        raise ValueError(text) from error


def describe_rds(path: Path, *, layer: str | None) -> list[tuple[str, str]]:
    """What the object in an .rds file holds and what a clustering of it would use."""
    from recall_py.seurat import read_rds
    from recall_py.seurat._values import in_r

    robj = read_rds(path)
    with in_r() as r:
        facts = r("facts_of")(robj, shlex.quote(str(path)), layer or "counts")
        told = [(str(name), str(text)) for name, text in zip(facts.names, facts, strict=True)]
    return [("file", f"{path}, {path.stat().st_size / 1e6:,.1f} MB"), *told]


@contextmanager
def stored(source: Path, target: Path) -> Iterator[Path]:
    """An .h5ad file or .zarr store with what `source` holds, as :func:`recall_py.files.containers.stored`, or R."""
    if source.suffix.lower() != SUFFIX:
        with containers.stored(source, target) as held:
            yield held
        return
    from recall_py import seurat

    with private_folder(target.resolve()) as folder:
        seurat.to_anndata(seurat.read_rds(source)).write_h5ad(folder / "read.h5ad")
        yield folder / "read.h5ad"


def refuse_rds(source: Path, doing: str, instead: str) -> None:
    """Refuse an .rds file, with the command that does for it what was asked."""
    if source.suffix.lower() == SUFFIX:
        msg = f"An .rds file {doing}. Instead: {instead}"
        raise ValueError(msg)


def _label(command: str, source: Path, asked: dict[str, Any], beside: Beside, params: dict[str, Any]) -> None:
    """Cluster or merge, and write the object with its labels."""
    from recall_py import seurat
    from recall_py.cli.cluster import read_seurat
    from recall_py.seurat._calibrated import calibrated_with_graph, merged

    if asked.get("method", "pairs") != "pairs":
        one_of("method", asked["method"], ("pairs", "knockoffs"))
        msg = f"--method knockoffs is for graphs of scanpy. The original on a Seurat object: recall-py recall {source}"
        raise ValueError(msg)
    if asked.get("resolution") == "auto":
        msg = "--resolution auto means nothing to an object of R in an .rds file. Pass a number."
        raise ValueError(msg)
    target = target_file(source, params["output"], in_place=params["in_place"])
    beside.refuse_unfit(source, target)
    quiet = params["quiet"]
    say = None if quiet else typer.echo
    robj = read_seurat(source, target)
    where = {"graph.name": asked.get("obsp"), "cluster.name": asked.get("key_added"), **_reading(asked)}
    options = _options(asked)
    if command == "merge":
        options["merge.small"] = asked.get("merge_small", False)
        found = merged(robj, {"group.by": asked["groupby"], **where}, options, say=say)
    else:
        where |= {"resolution": asked.get("resolution", 0.8), "algorithm": asked.get("algorithm", 1)}
        del options["external"], options["all.pairs"]
        found = calibrated_with_graph(robj, where, options, only_column="key_added" in asked, say=say)
    seurat.write_rds(found.robj, target)
    beside.write(found.record, found.key, command, source, target)
    if not quiet:
        print_result(found.record, found.key)
        typer.echo(f"wrote {target}")
        beside.tell()


def _test(context: typer.Context, source: Path, asked: dict[str, Any], beside: Beside) -> None:
    """Test labels; the object stays as it is."""
    from recall_py import seurat
    from recall_py.seurat._calibrated import tested

    for name, option in (("output", "-o"), ("in_place", "--in-place"), ("key_added", "--key-added")):
        if was_given(context, name):
            msg = f"{option} means nothing here: a test leaves an object of R as it is. Write --json or --report."
            raise ValueError(msg)
    beside.refuse_unfit(source, None)
    where = {"group.by": asked["groupby"], "graph.name": asked.get("obsp"), **_reading(asked)}
    quiet = context.params["quiet"]
    found = tested(seurat.read_rds(source), where, _options(asked), say=None if quiet else typer.echo)
    beside.write(found.record, found.key, "test", source, None)
    if not quiet:
        tell_tests(found.record, found.key, asked["groupby"])


def _reading(asked: dict[str, Any]) -> dict[str, Any]:
    """Where the counts are, as R names it; the layer of a SingleCellExperiment is its assay."""
    return {"batch": asked.get("batch_key"), "features": asked.get("genes"), "layer": asked.get("layer", "counts")}


def _options(asked: dict[str, Any]) -> dict[str, Any]:
    return {
        "random.seed": asked.get("random_state", 0),
        "cores": asked.get("n_jobs"),
        "programmes": asked.get("programmes", USUAL),
        "alpha": asked.get("alpha", ALPHA),
        "external": asked.get("external", False),
        "all.pairs": asked.get("all_pairs", False),
    }
