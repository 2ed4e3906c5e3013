"""``recall-py export``: a file as another tool asks for it."""

from __future__ import annotations

from pathlib import Path

import typer

from recall_py.cli.paths import refuse_clashes, refuse_unwritable
from recall_py.cli.summary import write_json
from recall_py.files.containers import stored
from recall_py.files.store import opened


def export_file(source: Path, target: Path, layer: str | None, *, json: Path | None, quiet: bool) -> None:
    """Write one file for CellWhisperer."""
    from recall_py.adata.export import for_cellwhisperer
    from recall_py.files.atomic import write_adata

    refuse_clashes(source, {"-o": target, "--json": json})
    refuse_unwritable(json)
    with stored(source, target) as held, opened(held, source) as adata:
        made, said = for_cellwhisperer(adata, layer)
    write_adata(made, target)
    if json is not None:
        write_json(json, "export", source, target, n_cells=made.n_obs, n_genes=made.n_vars)
    if not quiet:
        typer.echo("\n".join([*said, f"wrote {target}: {made.n_obs} cells, {made.n_vars} genes"]))
