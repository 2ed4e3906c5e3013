"""The JSON that every command writes with ``--json``; ``summary.schema.json`` says what is in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer

from recall_py.adata import keys
from recall_py.adata.stored import StoredMerging, StoredRun, read_result
from recall_py.files.atomic import write_atomically

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from recall_py.adata.stored import StoredResult

_OF_SEARCH = ("converged", "reason", "level", "first_passed", "required_selected")


def write_json(path: Path, command: str, source: Path | None, target: Path | None, **found: Any) -> None:
    """Write what a command found, atomically; to standard output for ``-``."""
    from recall_py import __version__

    names = {name: None if file is None else str(file) for name, file in (("input", source), ("output", target))}
    summary = {"command": command, "version": __version__, **names, **found}
    text = json.dumps(summary, indent=2, allow_nan=False) + "\n"
    if str(path) == "-":
        typer.echo(text, nl=False)
        return
    write_atomically(path, lambda partial: partial.write_text(text, "utf-8", "surrogateescape"))


def of_result(adata: AnnData, key: str) -> dict[str, Any]:
    """What a clustering, a merging or a test found."""
    from recall_py import get

    result = read_result(adata, key)
    record = result.record
    found = {
        "key": key,
        "n_cells": adata.n_obs,
        "n_genes": len(record["genes"]),
        "counts": str(record["source"]),
        "genes": str(record["selection"]),
        "start_clusters": _start_clusters(adata, result),
        "clusters": _clusters(adata, result),
        "untested": [str(name) for name in record["untested"]],
        "pairs": _rows(get.pairs(adata, key)),
        "merges": [],
        "steps": [],
        "search": None,
        "clustering": {},
        "params": _plain(record["params"]),
    }
    if isinstance(result, StoredMerging):
        return {**found, "merges": _rows(get.merges(adata, key)), "clustering": _plain(result.clustering)}
    search = {name: record[name] for name in (*_OF_SEARCH, keys.SKETCH) if name in record}
    return {**found, "search": _plain(search), "steps": _rows(get.iterations(adata, key))}


def _start_clusters(adata: AnnData, result: StoredResult) -> list[dict[str, Any]]:
    """Clusters at the start; none of tests, which merge nothing."""
    if isinstance(result, StoredRun):
        names, sizes = np.unique(np.asarray(result.record["start"]).astype(str), return_counts=True)
        return [{"cluster": name, "n_cells": int(size)} for name, size in zip(names.tolist(), sizes, strict=True)]
    if not isinstance(result, StoredMerging) or not result.merges_clusters:
        return []
    sizes = adata.obs[result.start_column].astype(str).value_counts()
    return [{"cluster": name, "n_cells": int(sizes[name])} for name in result.start_names.astype(str)]


def _clusters(adata: AnnData, result: StoredResult) -> list[dict[str, Any]]:
    from recall_py import get

    if isinstance(result, StoredRun):
        sizes = adata.obs[result.key].value_counts()
        return [{"cluster": str(name), "n_cells": int(sizes[name])} for name in adata.obs[result.key].cat.categories]
    return _rows(get.clusters(adata, result.key))


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON values; what is infinite or missing becomes null."""
    return json.loads(frame.to_json(orient="records", double_precision=15))


def _plain(values: Any) -> dict[str, Any]:
    """Values as JSON has them."""
    return {
        name: value.tolist() if isinstance(value, np.generic | np.ndarray) else value for name, value in values.items()
    }
