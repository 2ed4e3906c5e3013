"""The command ``recall-py``: calibrated clustering of .h5ad files and .zarr stores."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from recall_py.adata.programmes import CELL_CYCLE
from recall_py.cli import check
from recall_py.cli import cluster as run
from recall_py.cli import knockoffs as knockoffs_command
from recall_py.cli import report as report_command
from recall_py.cli.errors import reported_errors
from recall_py.cli.options import (
    AllPairs,
    BatchKey,
    Debug,
    Directed,
    DropEmpty,
    External,
    Genes,
    Groupby,
    In,
    InPlace,
    Jobs,
    Json,
    Layer,
    NeighborsKey,
    NullMethod,
    Obsp,
    Out,
    PartitionType,
    Programmes,
    Quiet,
    Report,
    RestrictTo,
    RoundCounts,
    Seed,
    TopGenes,
    UseWeights,
)
from recall_py.cli.paths import PAGE, target_file
from recall_py.method import params
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
        "cluster pbmc.h5ad -o labelled.h5ad --report report.html",
        "merge annotated.h5ad -o merged.h5ad --groupby cell_type",
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
        "cluster pbmc.h5ad -o labelled.h5ad --resolution 2 --report report.html",
        "cluster integrated.h5ad -o labelled.h5ad --neighbors-key harmony",
        "cluster labelled.h5ad --in-place --restrict-to leiden:0,3",
        "cluster pbmc.h5ad -o labelled.h5ad --method knockoffs",
    )
)
def cluster(
    context: typer.Context,
    source: In,
    output: Out = None,
    in_place: InPlace = False,
    resolution: Annotated[float, typer.Option(help="Where to start: higher gives more clusters to merge.")] = 1.0,
    algorithm: Annotated[str, typer.Option(help="leiden or louvain.")] = "leiden",
    method: Annotated[
        str,
        typer.Option(help="pairs: null cells for each pair of clusters; knockoffs: null genes beside the real ones."),
    ] = "pairs",
    key_added: Annotated[str | None, typer.Option(help="Name of the labels; the algorithm's if left out.")] = None,
    neighbors_key: NeighborsKey = None,
    obsp: Obsp = None,
    restrict_to: RestrictTo = None,
    layer: Layer = None,
    batch_key: BatchKey = None,
    genes: Genes = None,
    programmes: Programmes = CELL_CYCLE,
    drop_empty_cells: DropEmpty = False,
    round_counts: RoundCounts = False,
    flavor: Annotated[
        str | None, typer.Option(help="Implementation, as in scanpy: leidenalg or igraph; for louvain igraph.")
    ] = None,
    n_iterations: Annotated[int | None, typer.Option(help="Iterations of Leiden, -1 until nothing improves.")] = None,
    use_weights: UseWeights = True,
    directed: Directed = None,
    partition_type: PartitionType = None,
    n_orders: Annotated[int | None, typer.Option(help="Random vertex orders of louvain.")] = None,
    seed: Seed = 0,
    n_jobs: Jobs = None,
    json: Json = None,
    report: Report = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Cluster the neighbour graph in IN, and merge clusters that null cells would explain as well.

    Where IN has no graph, one is made and stored with a UMAP. IN and OUT may be .rds files with a Seurat object, where
    R, Seurat 5 and rpy2 are: pip install 'recall-py[r]'.
    """
    others = params.given(
        flavor=flavor,
        n_iterations=n_iterations,
        use_weights=None if use_weights else False,
        directed=directed,
        n_orders=n_orders,
        batch_key=batch_key,
    )
    with reported_errors(context):
        request = run.GraphRequest(
            algorithm=algorithm,
            key_added=algorithm if key_added is None else key_added,
            resolution=resolution,
            restrict_to=restrict_to,
            drop_empty_cells=drop_empty_cells,
            round_counts=round_counts,
            genes=genes,
            layer=layer,
            neighbors_key=neighbors_key,
            obsp=obsp,
            seed=seed,
            others={
                **others,
                **params.given(partition_type=run.partition_class(partition_type)),
                "programmes": run.programme_names(programmes),
                "method": method,
                "n_jobs": n_jobs,
            },
        )
        target = target_file(source, output, in_place=in_place)
        run.cluster_file(source, target, request, json=json, report=report, quiet=quiet)


@app.command(
    epilog=_examples(
        "recall pbmc.h5ad -o labelled.h5ad",
        "recall pbmc.h5ad -o labelled.h5ad --algorithm leiden --graph umap --resolution 2",
        "recall pbmc.h5ad -o labelled.h5ad --algorithm kmeans --num-clusters-start 15",
    )
)
def recall(
    context: typer.Context,
    source: In,
    output: Out = None,
    in_place: InPlace = False,
    algorithm: Annotated[str, typer.Option(help=f"One of {', '.join(params.CLUSTERERS)}.")] = "louvain",
    resolution: Annotated[
        float | None, typer.Option(help="Where the search starts, for leiden and louvain: 0.8 if left out.")
    ] = None,
    num_clusters_start: Annotated[
        int | None, typer.Option(help="Where the search starts, for kmeans and ward: 20 if left out.")
    ] = None,
    key_added: Annotated[str, typer.Option(help="Name of the labels.")] = "recall_clusters",
    null_method: NullMethod = "ZIP",
    strategy: Annotated[
        str | None, typer.Option(help="resolution (default): lower it; merge: merge the weakest pair.")
    ] = None,
    n_draws: Annotated[int | None, typer.Option(help="Independent null draws that are combined.")] = None,
    min_auc: Annotated[float | None, typer.Option(help="Smallest AUC of a gene that counts; 0.5 is off.")] = None,
    exact_below: Annotated[int | None, typer.Option(help="Exact p-values for clusters of fewer cells.")] = None,
    batch_key: BatchKey = None,
    sketch: Annotated[
        int | None, typer.Option(metavar="N", help="Cluster N cells, and carry their labels to the others.")
    ] = None,
    fdr: Annotated[float, typer.Option(help="Target share of false discoveries of the filter.")] = 0.05,
    offset: Annotated[int, typer.Option(help="1 (knockoff+) or 0.")] = 1,
    reduction: Annotated[float, typer.Option(help="Share by which the resolution is lowered at each step.")] = 0.2,
    graph: Annotated[str | None, typer.Option(help="snn (Seurat, the default) or umap (scanpy).")] = None,
    dims: Annotated[str | None, typer.Option(help="Principal components, or auto.")] = None,
    layer: Layer = None,
    genes: Genes = None,
    n_top_genes: TopGenes = 2000,
    max_iterations: Annotated[int, typer.Option(help="Partitions tried at most.")] = 50,
    raise_start: Annotated[bool, typer.Option(help="Raise a start at which no pair fails.")] = False,
    bisect: Annotated[bool, typer.Option(help="Lower the resolution in strides that double.")] = False,
    restrict_to: RestrictTo = None,
    drop_empty_cells: DropEmpty = False,
    round_counts: RoundCounts = False,
    neighbors_key: Annotated[
        str | None, typer.Option(help="Entry of uns with graph parameters, for --graph umap.")
    ] = None,
    flavor: Annotated[str, typer.Option(help="Leiden implementation: leidenalg or igraph.")] = "leidenalg",
    n_iterations: Annotated[int, typer.Option(help="Iterations of Leiden, -1 until nothing improves.")] = 10,
    use_weights: UseWeights = True,
    directed: Directed = None,
    partition_type: PartitionType = None,
    n_orders: Annotated[int, typer.Option(help="Random vertex orders of louvain.")] = 10,
    seed: Seed = 0,
    n_jobs: Jobs = None,
    json: Json = None,
    report: Report = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """The original: knockoff genes clustered beside the real ones, coarser until every pair beats them.

    IN and OUT may be .rds files with a Seurat object, as for cluster.
    """
    with reported_errors(context):
        request = run.SearchRequest(
            algorithm=algorithm,
            key_added=key_added,
            resolution_start=resolution,
            num_clusters_start=num_clusters_start,
            graph=graph,
            neighbors_key=neighbors_key,
            restrict_to=restrict_to,
            drop_empty_cells=drop_empty_cells,
            round_counts=round_counts,
            genes=genes,
            layer=layer,
            seed=seed,
            others={
                "reduction_percentage": reduction,
                "null_method": null_method,
                "fdr": fdr,
                "offset": offset,
                **params.given(
                    strategy=strategy,
                    n_draws=n_draws,
                    min_auc=min_auc,
                    exact_below=exact_below,
                    batch_key=batch_key,
                    sketch=sketch,
                ),
                "dims": run.components(dims),
                "n_top_genes": n_top_genes,
                "max_iterations": max_iterations,
                "raise_start": raise_start,
                "bisect": bisect,
                "flavor": flavor,
                "n_iterations": n_iterations,
                "use_weights": use_weights,
                "directed": directed,
                "partition_type": run.partition_class(partition_type),
                "n_orders": n_orders,
                "n_jobs": n_jobs,
            },
        )
        target = target_file(source, output, in_place=in_place)
        run.cluster_file(source, target, request, json=json, report=report, quiet=quiet)


@app.command(
    epilog=_examples(
        "merge clustered.h5ad -o merged.h5ad --groupby leiden",
        "merge annotated.h5ad -o merged.h5ad --groupby cell_type --report report.html",
    )
)
def merge(
    context: typer.Context,
    source: In,
    groupby: Groupby,
    output: Out = None,
    in_place: InPlace = False,
    key_added: Annotated[
        str | None, typer.Option(help="Name of the merged labels; GROUPBY_merged if left out.")
    ] = None,
    merge_small: Annotated[
        bool, typer.Option("--merge-small", help="Join labels below 3 cells to the nearest.")
    ] = False,
    external: External = False,
    all_pairs: AllPairs = False,
    neighbors_key: NeighborsKey = None,
    obsp: Obsp = None,
    layer: Layer = None,
    round_counts: RoundCounts = False,
    batch_key: BatchKey = None,
    genes: Genes = None,
    programmes: Programmes = CELL_CYCLE,
    seed: Seed = 0,
    n_jobs: Jobs = None,
    json: Json = None,
    report: Report = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Merge given labels that null cells would explain as well: k-means, scVI, Seurat, a colleague's annotation."""
    with reported_errors(context):
        request = run.MergeRequest(
            groupby=groupby,
            key_added=key_added,
            genes=genes,
            layer=layer,
            round_counts=round_counts,
            others={
                "programmes": run.programme_names(programmes),
                "merge_small": merge_small,
                "external": external,
                "all_pairs": all_pairs,
                "neighbors_key": neighbors_key,
                "obsp": obsp,
                "batch_key": batch_key,
                "random_state": seed,
                "n_jobs": n_jobs,
            },
        )
        target = target_file(source, output, in_place=in_place)
        run.cluster_file(source, target, request, json=json, report=report, quiet=quiet)


@app.command(
    epilog=_examples(
        "test clustered.h5ad --groupby leiden",
        "test sorted.h5ad --groupby gate --external --all-pairs -o tested.h5ad --report report.html",
    )
)
def test(
    context: typer.Context,
    source: In,
    groupby: Groupby,
    external: External = False,
    all_pairs: AllPairs = False,
    output: Out = None,
    in_place: InPlace = False,
    key_added: Annotated[str, typer.Option(help="Entry of uns to write to.")] = "recall_test",
    neighbors_key: NeighborsKey = None,
    obsp: Obsp = None,
    layer: Layer = None,
    round_counts: RoundCounts = False,
    batch_key: BatchKey = None,
    genes: Genes = None,
    programmes: Programmes = CELL_CYCLE,
    seed: Seed = 0,
    n_jobs: Jobs = None,
    json: Json = None,
    report: Report = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Say which of given labels are not supported, and what they would be merged with; nothing is merged.

    Labels that did not come from the expression data (sorting, genotype, hashtags) are tested with --external.
    """
    with reported_errors(context):
        target = target_file(source, output, in_place=in_place) if output or in_place else None
        options = {
            "external": external,
            "all_pairs": all_pairs,
            "key_added": key_added,
            "neighbors_key": neighbors_key,
            "obsp": obsp,
            "layer": layer,
            "batch_key": batch_key,
            "genes": run.gene_names(genes),
            "programmes": run.programme_names(programmes),
            "random_state": seed,
            "n_jobs": n_jobs,
        }
        check.test_file(source, groupby, target, options, rounded=round_counts, json=json, report=report, quiet=quiet)


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
    resolution: Annotated[float, typer.Option(help="Where to start.")] = 2.0,
    seed: Seed = 0,
    debug: Debug = False,
) -> None:
    """Cluster IN, print merges and markers, and draw plain Leiden beside calibrated Leiden."""
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


def _moved(option: str) -> str:
    """Where an option of ``cluster`` or ``test`` went, which was theirs once; empty for others."""
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if option == "--preset" and command == "cluster":
        return "--preset is gone: what calibrated did is the default now, on the graph in the file; leave it out"
    if option == "--pair-test" and command in ("cluster", "test"):
        return "--pair-test is gone: null cells for each pair are the default; leave it out"
    if command == "test" and option[2:].replace("-", "_") in OF_OLD_TESTS:
        return f"{option} is gone: labels are tested against null cells, by the lead of their genes; leave it out"
    if command == "cluster" and option.startswith("--") and option[2:].replace("-", "_") in _parameters(recall):
        return f"{option} belongs to the search with knockoff genes: recall-py recall ... {option}"
    return ""


def _parameters(command: Callable[..., None]) -> set[str]:
    return set(inspect.signature(command).parameters)


def main() -> None:
    """Run the command line; what is wrong with the arguments is said in one line, with exit code 2."""
    try:
        code = app(standalone_mode=False)
    except _UsageError as error:
        said = _moved(getattr(error, "option_name", "")) or error.format_message()
        typer.echo(f"error: {said}{'' if said.endswith(('.', '?')) else '.'} See recall-py --help.", err=True)
        sys.exit(2)
    except (typer.Abort, KeyboardInterrupt):
        code = _INTERRUPTED
    if code == _INTERRUPTED:
        typer.echo("interrupted", err=True)
        sys.stdout.flush()
        os._exit(_INTERRUPTED)  # nothing is left to be done, and the clean-up of threads could take long
    sys.exit(code)
