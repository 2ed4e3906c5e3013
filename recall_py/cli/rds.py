"""Commands on a Seurat object in an .rds file: what the functions of R do, with the defaults that they have in R."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from recall_py.cli.check import tell_tests
from recall_py.cli.cluster import gene_names, programme_names
from recall_py.cli.output import print_result, result_summary, rows_of, write_json
from recall_py.cli.paths import refuse_unfit_outputs, target_file
from recall_py.cli.report import write_page
from recall_py.method.params import one_of

if TYPE_CHECKING:
    from recall_py.seurat._calibrated import Calibrated

_ANY = (
    "source", "output", "in_place", "key_added", "obsp", "layer", "batch_key", "genes", "programmes", "seed", "n_jobs",
    "json", "report", "quiet", "debug",
)  # fmt: skip
_OF_COMMAND = {
    "cluster": ("resolution", "algorithm", "method"),
    "merge": ("groupby", "merge_small", "external", "all_pairs"),
    "test": ("groupby", "external", "all_pairs"),
}
"""Options that mean something to a Seurat object."""


def done_on_rds(context: typer.Context) -> bool:
    """Whether IN or OUT is an .rds file; then what the command says has been done with the object in it."""
    source, output = context.params["source"], context.params["output"]
    if not any(path is not None and path.suffix.lower() == ".rds" for path in (source, output)):
        return False
    command = str(context.info_name)
    given = {
        name: value
        for name, value in context.params.items()
        if (found := context.get_parameter_source(name)) is not None and found.name != "DEFAULT"
    }
    for name in given:
        if name not in (*_ANY, *_OF_COMMAND[command]):
            msg = f"--{name.replace('_', '-')} means nothing to a Seurat object in an .rds file. Leave it out."
            raise ValueError(msg)
    if command == "test":
        _test(source, given, context.params)
    else:
        _label(command, source, given, context.params)
    return True


def _label(command: str, source: Path, given: dict[str, Any], params: dict[str, Any]) -> None:
    """Cluster or merge, and write the object with its labels."""
    from recall_py import seurat
    from recall_py.cli.cluster import read_seurat
    from recall_py.seurat._calibrated import calibrated, merged, with_a_graph

    if given.get("method", "pairs") != "pairs":
        one_of("method", given["method"], ("pairs", "knockoffs"))
        msg = f"--method knockoffs is for graphs of scanpy. The original on a Seurat object: recall-py recall {source}"
        raise ValueError(msg)
    target = target_file(source, params["output"], in_place=params["in_place"])
    refuse_unfit_outputs(source, target, params["json"], params["report"])
    quiet = params["quiet"]
    say = None if quiet else typer.echo
    robj = read_seurat(source, target)
    asked = {"graph.name": given.get("obsp"), "cluster.name": given.get("key_added"), **_reading(given)}
    options = _options(given)
    if command == "merge":
        options |= {"external": params["external"], "all.pairs": params["all_pairs"]}
        options["merge.small"] = params["merge_small"]
        found = merged(robj, {"group.by": given["groupby"], **asked}, options, say=say)
    else:
        robj, note = with_a_graph(robj)
        if note and not quiet:
            typer.echo(note)
        asked |= {"resolution": given.get("resolution", 0.8), "algorithm": given.get("algorithm", 1)}
        found = calibrated(robj, asked, options, only_column="key_added" in given, say=say)
    seurat.write_rds(found.robj, target)
    _write_beside(found, source, target, params)
    if not quiet:
        print_result(found.record, found.key)
        typer.echo(f"wrote {target}")


def _test(source: Path, given: dict[str, Any], params: dict[str, Any]) -> None:
    """Test labels; the object stays as it is."""
    from recall_py import get, seurat
    from recall_py.seurat._calibrated import tested

    for name in ("output", "in_place", "key_added"):
        if name in given:
            option = "-o" if name == "output" else f"--{name.replace('_', '-')}"
            msg = f"{option} means nothing here: a test leaves a Seurat object as it is. Write --json or --report."
            raise ValueError(msg)
    refuse_unfit_outputs(source, None, params["json"], params["report"])
    options = {**_options(given), "external": params["external"], "all.pairs": params["all_pairs"]}
    robj = seurat.read_rds(source)
    found = tested(robj, {"group.by": given["groupby"], "graph.name": given.get("obsp"), **_reading(given)}, options)
    if params["json"] is not None:
        tables = {"clusters": get.clusters(found.record, found.key), "pairs": get.pairs(found.record, found.key)}
        rows = {name: rows_of(table) for name, table in tables.items()}
        write_json(params["json"], {"input": str(source), "groupby": given["groupby"], **rows})
    if params["report"] is not None:
        write_page(found.record, params["report"], found.key, source, source)
    if not params["quiet"]:
        tell_tests(found.record, found.key, given["groupby"])


def _reading(given: dict[str, Any]) -> dict[str, Any]:
    """Where the counts are, as R names it."""
    return {
        "batch": given.get("batch_key"),
        "features": gene_names(given.get("genes")),
        "layer": given.get("layer", "counts"),
    }


def _options(given: dict[str, Any]) -> dict[str, Any]:
    programmes = programme_names(given["programmes"]) if "programmes" in given else ("cell_cycle",)
    return {"seed": given.get("seed", 0), "cores": given.get("n_jobs"), "programmes": programmes}


def _write_beside(found: Calibrated, source: Path, target: Path, params: dict[str, Any]) -> None:
    if params["json"] is not None:
        write_json(params["json"], result_summary(found.record, found.key, source, target))
    if params["report"] is not None:
        write_page(found.record, params["report"], found.key, source, target)
        if not params["quiet"]:
            typer.echo(f"wrote {params['report']}")
