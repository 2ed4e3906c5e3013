"""``recall-py knockoffs``: the augmented counts of one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from recall_py.cli.paths import refuse_clashes, refuse_unwritable
from recall_py.cli.rds import stored
from recall_py.cli.summary import write_json
from recall_py.files.store import opened


def knockoffs_file(
    source: Path, target: Path, options: dict[str, Any], *, json: Path | None = None, quiet: bool
) -> None:
    """Write the augmented counts of one file."""
    from recall_py import pp
    from recall_py.files.atomic import write_adata

    refuse_clashes(source, {"-o": target, "--json": json})
    refuse_unwritable(json)
    with stored(source, target) as held, opened(held, source) as adata:
        augmented = pp.knockoffs(adata, **options)
    write_adata(augmented, target)
    n_genes = augmented.n_vars // 2
    if json is not None:
        write_json(json, "knockoffs", source, target, n_cells=augmented.n_obs, n_genes=n_genes)
    if not quiet:
        typer.echo(f"wrote {target}: {augmented.n_obs} cells, {n_genes} genes and as many knockoffs")
