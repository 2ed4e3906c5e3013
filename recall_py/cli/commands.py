"""The command ``recall-py``: calibrated clustering of .h5ad files and .zarr stores."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from recall_py.cli import check
from recall_py.cli import cluster as run
from recall_py.cli import knockoffs as knockoffs_command
from recall_py.cli import report as report_command
from recall_py.cli.errors import reported_errors
from recall_py.cli.options import (
    BatchKey,
    Debug,
    Draws,
    ExactBelow,
    Fdr,
    In,
    InPlace,
    Jobs,
    Json,
    Layer,
    MinAuc,
    NullMethod,
    Offset,
    Out,
    Quiet,
    Report,
    Seed,
    TopGenes,
)
from recall_py.cli.paths import PAGE, target_file
from recall_py.method import params


def _examples(*commands: str) -> str:
    """Lines below the options of a command; the control character keeps click from joining them."""
    return "\n".join(("\b", "Examples:", *(f"  recall-py {command}" for command in commands)))


app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Calibrated single-cell clustering with knockoff genes, on .h5ad files and .zarr stores.",
    epilog=_examples(
        "info pbmc.h5ad",
        "cluster pbmc.h5ad -o labelled.h5ad --preset calibrated --report report.html",
        "test clustered.h5ad --groupby leiden",
        "report labelled.h5ad -o report.html",
        "--install-completion   (completes commands and options in your shell)",
    ),
)

_INTERRUPTED = 130
_UsageError: Any = typer.BadParameter.__mro__[1]
"""What typer raises for wrong arguments; it lives in click or in typer itself, by version."""


def _print_version(value: bool) -> None:
    if value:
        from recall_py import __version__

        typer.echo(f"recall-py {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Set up nothing: the options of the program itself act on their own."""


@app.command(
    epilog=_examples(
        "cluster pbmc.h5ad -o labelled.h5ad --resolution 2",
        "cluster pbmc.h5ad -o labelled.h5ad --preset calibrated --report report.html",
        "cluster pbmc.h5ad -o labelled.h5ad --algorithm kmeans --num-clusters-start 15",
        "cluster labelled.h5ad --in-place --restrict-to leiden:0,3 --resolution 1",
    )
)
def cluster(
    context: typer.Context,
    source: In,
    output: Out = None,
    in_place: InPlace = False,
    algorithm: Annotated[str, typer.Option(help=f"One of {', '.join(params.CLUSTERERS)}.")] = "leiden",
    resolution: Annotated[
        float | None, typer.Option(help="Where the search starts, for leiden and louvain: 1 if left out.")
    ] = None,
    num_clusters_start: Annotated[
        int | None, typer.Option(help="Where the search starts, for kmeans and ward: 20 if left out.")
    ] = None,
    key_added: Annotated[str | None, typer.Option(help="Name of the labels; the algorithm's if left out.")] = None,
    null_method: NullMethod = "ZIP",
    strategy: Annotated[
        str | None, typer.Option(help="resolution (default): lower it; merge: merge the weakest pair.")
    ] = None,
    pair_test: Annotated[str | None, typer.Option(help="knockoff (default) or synthetic.")] = None,
    n_draws: Draws = None,
    min_auc: MinAuc = None,
    exact_below: ExactBelow = None,
    batch_key: BatchKey = None,
    sketch: Annotated[
        int | None, typer.Option(metavar="N", help="Cluster N cells, and carry their labels to the others.")
    ] = None,
    fdr: Fdr = 0.05,
    offset: Offset = 1,
    reduction: Annotated[float, typer.Option(help="Share by which the resolution is lowered at each step.")] = 0.2,
    graph: Annotated[str | None, typer.Option(help="umap (scanpy) or snn (Seurat).")] = None,
    dims: Annotated[str | None, typer.Option(help="Principal components, or auto.")] = None,
    layer: Layer = None,
    n_top_genes: TopGenes = 2000,
    max_iterations: Annotated[int, typer.Option(help="Partitions tried at most.")] = 50,
    raise_start: Annotated[bool, typer.Option(help="Raise a start at which no pair fails.")] = False,
    bisect: Annotated[bool, typer.Option(help="Lower the resolution in strides that double.")] = False,
    preset: Annotated[
        str | None,
        typer.Option(help="calibrated: the recommended setting; recall: graph and components of the R package."),
    ] = None,
    restrict_to: Annotated[
        str | None, typer.Option(metavar="COL:A,B", help="Cluster only the cells with these labels of a column.")
    ] = None,
    drop_empty_cells: Annotated[bool, typer.Option(help="Leave out cells without counts in X.")] = False,
    neighbors_key: Annotated[str | None, typer.Option(help="Entry of uns with recorded graph parameters.")] = None,
    flavor: Annotated[str, typer.Option(help="Leiden implementation: leidenalg or igraph.")] = "leidenalg",
    n_iterations: Annotated[int, typer.Option(help="Iterations of Leiden, -1 until nothing improves.")] = -1,
    use_weights: Annotated[bool, typer.Option(help="Whether edge weights count.")] = True,
    directed: Annotated[bool | None, typer.Option(help="Whether leidenalg sees a directed graph.")] = None,
    partition_type: Annotated[str | None, typer.Option(help="Class of leidenalg, such as CPMVertexPartition.")] = None,
    n_orders: Annotated[int, typer.Option(help="Random vertex orders of louvain.")] = 10,
    seed: Seed = 0,
    n_jobs: Jobs = None,
    json: Json = None,
    report: Report = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Cluster the cells of IN so that every pair of clusters has markers that beat knockoff genes.

    IN and OUT may be .rds files with a Seurat object, where R, Seurat 5 and rpy2 are: pip install 'recall-py[r]'.
    """
    options: dict[str, Any] = {
        "null_method": null_method,
        "fdr": fdr,
        "offset": offset,
        **params.given(
            strategy=strategy,
            pair_test=pair_test,
            n_draws=n_draws,
            min_auc=min_auc,
            exact_below=exact_below,
            batch_key=batch_key,
            sketch=sketch,
        ),
        "layer": layer,
        "n_top_genes": n_top_genes,
        "max_iterations": max_iterations,
        "raise_start": raise_start,
        "bisect": bisect,
        "random_state": seed,
        "n_jobs": n_jobs,
    }
    with reported_errors(context):
        request = run.ClusterRequest(
            algorithm=algorithm,
            key_added=algorithm if key_added is None else key_added,
            resolution=resolution,
            num_clusters_start=num_clusters_start,
            reduction=reduction,
            graph=graph,
            dims=run.components(dims),
            preset=preset,
            neighbors_key=neighbors_key,
            restrict_to=restrict_to,
            drop_empty_cells=drop_empty_cells,
            leiden={
                "flavor": flavor,
                "n_iterations": n_iterations,
                "use_weights": use_weights,
                "directed": directed,
                "partition_type": run.partition_class(partition_type),
            },
            louvain={"use_weights": use_weights, "n_orders": n_orders},
            shared=options,
        )
        target = target_file(source, output, in_place=in_place)
        run.cluster_file(source, target, request, json=json, report=report, quiet=quiet)


@app.command(
    epilog=_examples(
        "test clustered.h5ad --groupby leiden",
        "test sorted.h5ad --groupby gate --external -o tested.h5ad --report report.html",
    )
)
def test(
    context: typer.Context,
    source: In,
    groupby: Annotated[str, typer.Option(help="Column of obs with the labels.")],
    external: Annotated[
        bool, typer.Option("--external", help="State that the labels did not come from the expression data.")
    ] = False,
    output: Out = None,
    in_place: InPlace = False,
    key_added: Annotated[str, typer.Option(help="Entry of uns to write to.")] = "recall_test",
    pair_test: Annotated[
        str | None, typer.Option(help="synthetic (default), or knockoff (default with --external, and only then).")
    ] = None,
    n_draws: Draws = None,
    min_auc: MinAuc = None,
    exact_below: ExactBelow = None,
    batch_key: BatchKey = None,
    null_method: NullMethod = "ZIP",
    fdr: Fdr = 0.05,
    offset: Offset = 1,
    layer: Layer = None,
    n_top_genes: TopGenes = 2000,
    seed: Seed = 0,
    n_jobs: Jobs = None,
    json: Json = None,
    report: Report = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Test which pairs of given labels have markers that beat null genes, for a clustering that may be over-split.

    Labels that did not come from the expression data (sorting, genotype, hashtags) are tested with --external.
    """
    with reported_errors(context):
        target = target_file(source, output, in_place=in_place) if output or in_place else None
        options = {
            "external": external,
            "key_added": key_added,
            **params.given(
                pair_test=pair_test, n_draws=n_draws, min_auc=min_auc, exact_below=exact_below, batch_key=batch_key
            ),
            "null_method": null_method,
            "fdr": fdr,
            "offset": offset,
            "layer": layer,
            "n_top_genes": n_top_genes,
            "random_state": seed,
            "n_jobs": n_jobs,
        }
        check.test_file(source, groupby, target, options, json=json, report=report, quiet=quiet)


@app.command(epilog=_examples("knockoffs pbmc.h5ad -o augmented.h5ad"))
def knockoffs(
    context: typer.Context,
    source: In,
    output: Out = None,
    null_method: NullMethod = "ZIP",
    layer: Layer = None,
    n_top_genes: TopGenes = 2000,
    seed: Seed = 0,
    n_jobs: Jobs = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write the selected genes of IN and one knockoff for each, as raw counts."""
    with reported_errors(context):
        options = {
            "null_method": null_method,
            "layer": layer,
            "n_top_genes": n_top_genes,
            "random_state": seed,
            "n_jobs": n_jobs,
        }
        knockoffs_command.knockoffs_file(source, target_file(source, output), options, quiet=quiet)


@app.command(epilog=_examples("demo data/pbmc68k.h5ad"))
def demo(
    context: typer.Context,
    source: In,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder to write to.")] = Path(
        "demo"
    ),
    resolution: Annotated[float, typer.Option(help="Where the search starts.")] = 4.0,
    seed: Seed = 0,
    debug: Debug = False,
) -> None:
    """Cluster IN, print clusters and markers, and draw plain Leiden beside calibrated Leiden."""
    from recall_py.cli.demo import demo_file

    with reported_errors(context):
        demo_file(source, output, resolution=resolution, seed=seed)


@app.command(
    epilog=_examples("report labelled.h5ad -o report.html", "report labelled.h5ad -o report.html --key leiden_R")
)
def report(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="IN", help="A file with a result of recall-py.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="PAGE", help="The .html to write.")] = None,
    key: Annotated[str | None, typer.Option(help="Entry of uns with the result, where there are several.")] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write an HTML page about a result: what was found, how sure it is, pictures, tables, and how to get it again."""
    with reported_errors(context):
        report_command.report_file(source, target_file(source, output, suffixes=PAGE), key, quiet=quiet)


@app.command(epilog=_examples("info pbmc.h5ad"))
def info(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="IN", help="The file to look at.")],
    layer: Layer = None,
    n_top_genes: TopGenes = 2000,
    debug: Debug = False,
) -> None:
    """Say what IN holds and what would be used: counts, genes, neighbours, labels and results."""
    from recall_py.cli.describe import describe_file

    with reported_errors(context):
        typer.echo(describe_file(source, layer=layer, n_top_genes=n_top_genes))


@app.command(epilog=_examples("doctor"))
def doctor() -> None:
    """Say what this installation consists of: versions, versions that fail together, threads, caches, the R bridge."""
    from recall_py.cli.describe import describe_installation

    typer.echo(describe_installation())


def main() -> None:
    """Run the command line; what is wrong with the arguments is said in one line, with exit code 2."""
    try:
        code = app(standalone_mode=False)
    except _UsageError as error:
        said = error.format_message()
        typer.echo(f"error: {said}{'' if said.endswith(('.', '?')) else '.'} See recall-py --help.", err=True)
        sys.exit(2)
    except (typer.Abort, KeyboardInterrupt):
        code = _INTERRUPTED
    if code == _INTERRUPTED:
        typer.echo("interrupted", err=True)
        sys.stdout.flush()
        os._exit(_INTERRUPTED)  # nothing is left to be done, and the clean-up of threads could take long
    sys.exit(code)
