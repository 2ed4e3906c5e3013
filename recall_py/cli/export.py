"""``recall-py export``: a file as another tool asks for it."""

from __future__ import annotations

from json import JSONDecodeError, loads
from pathlib import Path
from typing import Any

import typer

from recall_py.cli.paths import refuse_clashes, refuse_unwritable
from recall_py.cli.summary import write_json
from recall_py.files.containers import stored
from recall_py.files.store import opened


def export_file(
    source: Path,
    target: Path,
    layer: str | None,
    *,
    tool: str,
    terms: Path | None,
    json: Path | None,
    quiet: bool,
) -> None:
    """Write one file for CellWhisperer or CELLxGENE."""
    import anndata as ad

    from recall_py.adata.export import for_cellwhisperer, for_cellxgene
    from recall_py.files.atomic import write_adata

    refuse_clashes(source, {"-o": target, "--json": json, "--terms": terms})
    refuse_unwritable(json)
    with stored(source, target) as held, opened(held, source) as adata:
        if tool == "cellxgene":
            made, said = for_cellxgene(adata, layer, {} if terms is None else read_terms(terms))
        else:
            made, said = for_cellwhisperer(adata, layer)
    with ad.settings.override(allow_write_nullable_strings=False):  # both tools read with an older anndata
        write_adata(made, target)
    if json is not None:
        write_json(json, "export", source, target, n_cells=made.n_obs, n_genes=made.n_vars)
    if not quiet:
        typer.echo("\n".join([*said, f"wrote {target}: {made.n_obs} cells, {made.n_vars} genes"]))


def read_terms(path: Path) -> dict[str, Any]:
    """The terms of a .json file."""
    try:
        terms = loads(path.read_text())
    except (OSError, UnicodeDecodeError, JSONDecodeError) as error:
        msg = f"--terms {path} cannot be read as JSON: {error}"
        raise ValueError(msg) from error
    if not isinstance(terms, dict):
        msg = f'--terms {path} holds no names with their terms, such as {{"donor_id": "one"}}.'
        raise ValueError(msg)
    return terms
