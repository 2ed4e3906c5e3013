"""The command ``recall-py``: calibrated clustering of .h5ad files and .zarr stores."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from recall_py.cli import check
from recall_py.cli import cluster as run
from recall_py.cli import export as export_command
from recall_py.cli import knockoffs as knockoffs_command
from recall_py.cli import report as report_command
from recall_py.cli.beside import Beside
from recall_py.cli.errors import reported_errors
from recall_py.cli.h5mu import SUFFIX, describe_h5mu, done_on_h5mu
from recall_py.cli.options import GroupedHelp, In, given, takes
from recall_py.cli.paths import PAGE, refuse_clashes, refuse_unwritable, target_file
from recall_py.cli.rds import SUFFIX as RDS
from recall_py.cli.rds import describe_rds, done_on_rds, refuse_rds
from recall_py.cli.summary import write_json
from recall_py.run.options import flags
from recall_py.run.removed import OF_OLD_TESTS


def _examples(*commands: str) -> str:
    """Lines below the options of a command; the control character keeps click from joining them."""
    return "\n".join(("\b", "Examples:", *(f"  recall-py {command}" for command in commands)))


app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Calibrated single-cell clustering, on .h5ad files and .zarr stores.",
    epilog=_examples(
        "info pbmc.h5ad",
        "cluster pbmc.h5ad -o labelled.h5ad --resolution auto --report report.html",
        "merge annotated.h5ad -o merged.h5ad --groupby cell_type",
        "test clustered.h5ad --groupby leiden",
        "report labelled.h5ad -o report.html",
        "--install-completion   (completes commands and options in your shell)",
    ),
)

_INTERRUPTED = 130
_NO_MERGES = "--merges is for --method pairs: a search with knockoff genes makes no merges. Leave it out."
_NO_TOOL = "Name one tool: --cellwhisperer or --cellxgene."
_TERMS = "--terms goes with --cellxgene. Leave it out."
_UsageError: Any = typer.BadParameter.__mro__[1]
"""What typer raises for wrong arguments; it lives in click or in typer itself, by version."""


def _print_version(value: bool) -> None:
    if value:
        from recall_py.cli.describe import versions_in_one

        typer.echo(versions_in_one())
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version, those of dependencies, and exit.",
        ),
    ] = False,
) -> None:
    """Set up nothing: the options of the program itself act on their own."""


@app.command(
    cls=GroupedHelp,
    short_help="Cluster, and merge what does not stand. Start here.",
    epilog=_examples(
        "cluster pbmc.h5ad -o labelled.h5ad --resolution auto --report report.html",
        "cluster integrated.h5ad -o labelled.h5ad --neighbors-key harmony",
        "cluster labelled.h5ad --in-place --restrict-to leiden:0,3",
    ),
)
@takes(
    "output in_place key_added report markers merges json resolution algorithm method neighbors_key obsp restrict_to "
    "flavor n_iterations use_weights directed partition_type n_orders layer modality batch_key genes programmes alpha "
    "drop_empty_cells round_counts random_state n_jobs quiet debug"
)
def cluster(context: typer.Context, source: In, **options: Any) -> None:
    """Cluster the graph in IN, and merge what null cells would explain as well. Start here, with --resolution auto.

    Where IN has no graph, one is made and stored with a UMAP. IN and OUT may be .rds files with an object of R, where
    R, Seurat 5 and rpy2 are (pip install 'recall-py[r]'): then Seurat clusters its own graph, named by --obsp, at
    resolution 0.8 by Louvain unless said otherwise, and the labels are seurat_clusters.
    """
    with reported_errors(context):
        if done_on_rds(context, _beside(options)) or done_on_h5mu(context, _beside(options)):
            return
        request = run.clustering(
            given(context), drop_empty_cells=options["drop_empty_cells"], round_counts=options["round_counts"]
        )
        if options["merges"] is not None and options["method"] != "pairs":
            raise ValueError(_NO_MERGES)
        _cluster_file(context, source, request)


@app.command(
    cls=GroupedHelp,
    short_help="The published search, to repeat the R package recall.",
    epilog=_examples(
        "recall pbmc.h5ad -o labelled.h5ad",
        "recall pbmc.h5ad -o labelled.h5ad --algorithm kmeans --num-clusters-start 15",
    ),
)
@takes(
    "output in_place key_added report markers json algorithm resolution_start num_clusters_start graph neighbors_key "
    "dims sketch restrict_to flavor n_iterations use_weights directed partition_type n_orders layer batch_key genes "
    "n_top_genes drop_empty_cells round_counts null_method n_draws fdr offset min_auc exact_below strategy "
    "reduction_percentage max_iterations raise_start bisect random_state n_jobs quiet debug",
    "recall",
)
def recall(context: typer.Context, source: In, **options: Any) -> None:
    """The published search; in place of cluster to repeat the R package recall."""
    with reported_errors(context):
        request = run.search(
            given(context), drop_empty_cells=options["drop_empty_cells"], round_counts=options["round_counts"]
        )
        _cluster_file(context, source, request)


@app.command(
    cls=GroupedHelp,
    short_help="Merge labels of the file that do not stand.",
    epilog=_examples(
        "merge clustered.h5ad -o merged.h5ad --groupby leiden",
        "merge annotated.h5ad -o merged.h5ad --groupby cell_type --report report.html",
    ),
)
@takes(
    "groupby output in_place key_added report markers merges json merge_small external all_pairs neighbors_key obsp "
    "layer modality batch_key genes programmes alpha round_counts random_state n_jobs quiet debug",
    "merge_clusters",
)
def merge(context: typer.Context, source: In, **options: Any) -> None:
    """Merge labels that null cells would explain as well; in place of cluster where IN has labels, from anywhere."""
    with reported_errors(context):
        if done_on_rds(context, _beside(options)) or done_on_h5mu(context, _beside(options)):
            return
        _cluster_file(context, source, run.merging(given(context), round_counts=options["round_counts"]))


@app.command(
    cls=GroupedHelp,
    short_help="Say which labels of the file do not stand; merge nothing.",
    epilog=_examples(
        "test clustered.h5ad --groupby leiden",
        "test sorted.h5ad --groupby gate --external --all-pairs -o tested.h5ad --report report.html",
        "test clustered.h5ad --groupby leiden --method countsplit",
    ),
)
@takes(
    "groupby output in_place key_added report markers json method external all_pairs neighbors_key obsp layer modality "
    "batch_key genes programmes alpha round_counts random_state n_jobs quiet debug",
    "test_clusters",
)
def test(context: typer.Context, source: In, **options: Any) -> None:
    """Say which labels are not supported, and why; in place of merge where nothing is to be merged.

    Labels that did not come from the expression data (sorting, genotype, hashtags) are tested with --external.
    """
    with reported_errors(context):
        if done_on_rds(context, _beside(options)) or done_on_h5mu(context, _beside(options)):
            return
        written = options["output"] or options["in_place"]
        target = target_file(source, options["output"], in_place=options["in_place"]) if written else None
        check.test_file(
            source,
            target,
            given(context),
            _beside(options),
            round_counts=options["round_counts"],
            quiet=options["quiet"],
        )


@app.command(
    cls=GroupedHelp,
    short_help="Write the selected genes and one knockoff for each.",
    epilog=_examples("knockoffs pbmc.h5ad -o augmented.h5ad"),
)
@takes("output json null_method batch_key layer n_top_genes random_state n_jobs quiet debug", "recall")
def knockoffs(context: typer.Context, source: In, **options: Any) -> None:
    """Write the selected genes of IN and one knockoff for each, as raw counts."""
    with reported_errors(context):
        target = target_file(source, options["output"], suffixes=(".h5ad", ".zarr"))
        knockoffs_command.knockoffs_file(source, target, given(context), json=options["json"], quiet=options["quiet"])


@app.command(
    cls=GroupedHelp,
    short_help="Write the file as CellWhisperer or CELLxGENE ask for it.",
    epilog=_examples(
        "export labelled.h5ad --cellwhisperer -o for_cellwhisperer.h5ad",
        "export labelled.h5ad --cellxgene --terms terms.json -o for_cellxgene.h5ad",
    ),
)
@takes("output cellwhisperer cellxgene terms json layer quiet debug", "export")
def export(context: typer.Context, source: In, **options: Any) -> None:
    """Write IN as another tool asks for it: raw counts, and labels that it can read. Say which tool."""
    with reported_errors(context):
        tools = [name for name in ("cellwhisperer", "cellxgene") if options[name]]
        if len(tools) != 1:
            raise ValueError(_NO_TOOL)
        if options["terms"] is not None and tools != ["cellxgene"]:
            raise ValueError(_TERMS)
        read = f"recall_py.seurat.to_anndata(recall_py.seurat.read_rds({str(source)!r}))"
        in_python = f"{read}.write_h5ad('cells.h5ad') in Python, then recall-py cluster cells.h5ad"
        refuse_rds(source, "holds no labels that export could write for another tool", in_python)
        target = target_file(source, options["output"], suffixes=(".h5ad",))
        own = {name: options[name] for name in ("terms", "json", "quiet")}
        export_command.export_file(source, target, options["layer"], tool=tools[0], **own)


@app.command(
    cls=GroupedHelp,
    short_help="Cluster, print merges and markers, draw the UMAP.",
    epilog=_examples("demo data/pbmc68k.h5ad"),
)
@takes("output json resolution random_state debug", "demo")
def demo(context: typer.Context, source: In, **options: Any) -> None:
    """Cluster IN, print merges and markers, and draw the UMAP before and after."""
    from recall_py.cli.demo import demo_file

    with reported_errors(context):
        refuse_rds(
            source, "has no demo", f"recall-py cluster {quote(str(source))} -o labelled.rds --report report.html"
        )
        asked = {"resolution": options["resolution"], **given(context)}
        demo_file(source, options["output"], run.clustering(asked), json=options["json"])


@app.command(
    cls=GroupedHelp,
    short_help="Write an HTML page about a result in the file.",
    epilog=_examples("report labelled.h5ad -o report.html", "report labelled.h5ad -o report.html --key leiden_R"),
)
@takes("output key json quiet debug", "report")
def report(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="IN", help="A file with a result of recall-py.")],
    **options: Any,
) -> None:
    """Write an HTML page about a result: what was found, how sure it is, pictures, tables, and how to get it again."""
    with reported_errors(context):
        key, page = options["key"] or "seurat_clusters", options["output"] or "report.html"
        again = f"recall-py test {quote(str(source))} --groupby {quote(key)} --report {quote(str(page))}"
        refuse_rds(source, "keeps tables of a result, and not what a page is drawn from", again)
        target = target_file(source, options["output"], suffixes=PAGE)
        report_command.report_file(source, target, options["key"], json=options["json"], quiet=options["quiet"])


@app.command(
    cls=GroupedHelp, short_help="Say what a file holds and what would be used.", epilog=_examples("info pbmc.h5ad")
)
@takes("json layer modality n_top_genes debug")
def info(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="IN", help="The file to look at.")],
    **options: Any,
) -> None:
    """Say what IN holds and what would be used: counts, genes, neighbours, labels and results."""
    from recall_py.cli.describe import describe_file

    with reported_errors(context):
        refuse_clashes(source, {"--json": options["json"]})
        refuse_unwritable(options["json"])
        asked = {name: options[name] for name in ("layer", "n_top_genes")}
        if source.suffix.lower() == SUFFIX:
            facts = describe_h5mu(source, modality=options["modality"], **asked)
        elif source.suffix.lower() == RDS:
            facts = describe_rds(source, layer=options["layer"])
        else:
            facts = describe_file(source, **asked)
        _tell("info", facts, source, options["json"])


@app.command(cls=GroupedHelp, short_help="Say what this installation consists of.", epilog=_examples("doctor"))
@takes("json debug")
def doctor(context: typer.Context, **options: Any) -> None:
    """Say what this installation consists of: versions, versions that fail together, threads, caches, the R bridge."""
    from recall_py.cli.describe import describe_installation

    with reported_errors(context):
        refuse_unwritable(options["json"])
        _tell("doctor", describe_installation(), None, options["json"])


def _cluster_file(context: typer.Context, source: Path, request: run.Request) -> None:
    options = context.params
    target = target_file(source, options["output"], in_place=options["in_place"])
    command = str(context.info_name)
    run.cluster_file(source, target, request, _beside(options), command=command, quiet=options["quiet"])


def _beside(options: dict[str, Any]) -> Beside:
    return Beside(**{name: options.get(name) for name in ("report", "markers", "merges", "json")})


def _tell(command: str, facts: list[tuple[str, str]], source: Path | None, json: Path | None) -> None:
    """Print facts, or write them where they are asked for as JSON."""
    if json is not None:
        write_json(json, command, source, None, facts=dict(facts))
    if str(json) != "-":
        width = max(len(name) for name, _ in facts)
        typer.echo("\n".join(f"{name:<{width}}  {text}" for name, text in facts))


def _moved(option: str) -> str:
    """Where an option of ``cluster`` or ``test`` went, which was theirs once; empty for others."""
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if option == "--preset" and command == "cluster":
        return "--preset is gone: what calibrated did is the default now, on the graph in the file; leave it out"
    if option == "--pair-test" and command in ("cluster", "test"):
        return "--pair-test is gone: null cells for each pair are the default; leave it out"
    if command == "test" and option[2:].replace("-", "_") in OF_OLD_TESTS:
        return f"{option} is gone: labels are tested against null cells, by the lead of their genes; leave it out"
    if command == "cluster" and option in {flag for name in _parameters(recall) for flag in flags(name, "recall")}:
        return f"{option} belongs to the search with knockoff genes: recall-py recall ... {option}"
    return ""


def _parameters(command: Callable[..., None]) -> list[str]:
    return [name for name in inspect.signature(command).parameters if name not in ("context", "source")]


def main() -> None:
    """Run the command line; what is wrong with the arguments is said in one line, with exit code 2."""
    try:
        code = app(prog_name="recall-py", standalone_mode=False)
    except _UsageError as error:
        said = _moved(getattr(error, "option_name", "")) or error.format_message()
        command = error.ctx.command_path if error.ctx else "recall-py"
        typer.echo(f"error: {said}{'' if said.endswith(('.', '?')) else '.'} See {command} --help.", err=True)
        sys.exit(2)
    except (typer.Abort, KeyboardInterrupt):
        code = _INTERRUPTED
    if code == _INTERRUPTED:
        typer.echo("interrupted", err=True)
        sys.stdout.flush()
        os._exit(_INTERRUPTED)  # nothing is left to be done, and the clean-up of threads could take long
    sys.exit(code)
