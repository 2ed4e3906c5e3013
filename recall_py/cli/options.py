"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

In = Annotated[Path, typer.Argument(metavar="IN", help="The .h5ad or .zarr to read, with raw counts.")]
Out = Annotated[Path | None, typer.Option("--output", "-o", metavar="OUT", help="The .h5ad or .zarr to write.")]
InPlace = Annotated[bool, typer.Option("--in-place", help="Write the result over IN.")]
NullMethod = Annotated[str, typer.Option(help="Null model of the knockoff genes: ZIP, NB, NB-depth, permutation, ...")]
Draws = Annotated[int | None, typer.Option(help="Independent null draws that are combined.")]
MinAuc = Annotated[float | None, typer.Option(help="Smallest AUC of a gene that counts; 0.5 is off.")]
ExactBelow = Annotated[int | None, typer.Option(help="Exact p-values for clusters of fewer cells.")]
BatchKey = Annotated[str | None, typer.Option(help="Column of obs with batches: null genes are drawn within them.")]
Fdr = Annotated[float, typer.Option(help="Target share of false discoveries of the filter.")]
Offset = Annotated[int, typer.Option(help="1 (knockoff+) or 0.")]
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
