"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

In = Annotated[Path, typer.Argument(metavar="IN", help="The .h5ad or .zarr to read, with raw counts.")]
Out = Annotated[Path | None, typer.Option("--output", "-o", metavar="OUT", help="The .h5ad or .zarr to write.")]
InPlace = Annotated[bool, typer.Option("--in-place", help="Write the result over IN.")]
NullMethod = Annotated[str, typer.Option(help="Null model of the knockoff genes: ZIP, NB, NB-depth, permutation, ...")]
BatchKey = Annotated[str | None, typer.Option(help="Column of obs with batches, which are to make no cluster.")]
Groupby = Annotated[str, typer.Option(help="Column of obs with the labels.")]
External = Annotated[
    bool, typer.Option("--external", help="State that the labels did not come from the expression data.")
]
AllPairs = Annotated[bool, typer.Option("--all-pairs", help="Compare every pair, not only neighbours.")]
Genes = Annotated[
    Path | None, typer.Option("--genes", metavar="FILE", help="Take the genes that a text file names, one a line.")
]
Programmes = Annotated[
    str,
    typer.Option(
        metavar="A,B", help="Programmes whose genes do not count, such as cell_cycle,ribosomal; none lets all count."
    ),
]
NeighborsKey = Annotated[str | None, typer.Option(help="Entry of uns that records the graph.")]
Obsp = Annotated[str | None, typer.Option(help="Slot of obsp with the graph.")]
RestrictTo = Annotated[
    str | None, typer.Option(metavar="COL:A,B", help="Cluster only the cells with these labels of a column.")
]
DropEmpty = Annotated[bool, typer.Option(help="Leave out cells without counts.")]
RoundCounts = Annotated[
    bool,
    typer.Option(
        "--round-counts", help="Round estimated counts (kallisto, RSEM, SoupX), take them for counts, and keep them."
    ),
]
UseWeights = Annotated[bool, typer.Option(help="Whether edge weights count.")]
Directed = Annotated[bool | None, typer.Option(help="Whether leidenalg sees a directed graph.")]
PartitionType = Annotated[str | None, typer.Option(help="Class of leidenalg, such as CPMVertexPartition.")]
Layer = Annotated[str | None, typer.Option(help="Layer with raw counts; found by itself if left out.")]
TopGenes = Annotated[int, typer.Option(help="Genes to select where the file marks none.")]
Seed = Annotated[int, typer.Option("--seed", "--random-state", help="Seed of everything random.")]
Jobs = Annotated[int | None, typer.Option("--n-jobs", help="Threads; all cores by default.")]
Json = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write a summary as JSON; - for standard output.")
]
Report = Annotated[Path | None, typer.Option("--report", metavar="PAGE", help="Write a report as an HTML page.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print warnings and errors only.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
