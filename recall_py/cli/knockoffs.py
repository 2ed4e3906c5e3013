"""``recall-py knockoffs``: the augmented counts of one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from recall_py.cli.paths import refuse_clashes
from recall_py.files.store import opened


def knockoffs_file(source: Path, target: Path, options: dict[str, Any], *, quiet: bool) -> None:
    """Write the augmented counts of one file."""
    from recall_py import pp
    from recall_py.files.atomic import write_adata

    refuse_clashes(source, {"-o": target})
    with opened(source) as adata:
        augmented = pp.knockoffs(adata, **options)
    write_adata(augmented, target)
    if not quiet:
        typer.echo(f"wrote {target}: {augmented.n_obs} cells, {augmented.n_vars // 2} genes and as many knockoffs")
