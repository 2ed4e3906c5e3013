"""The files that a command writes beside that with the data: report, tables and summary."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from recall_py.cli.paths import PAGE, TABLE, refuse_clashes, refuse_unwritable
from recall_py.cli.report import write_page
from recall_py.cli.summary import of_result, write_json
from recall_py.files.atomic import write_atomically

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


@dataclass(frozen=True, kw_only=True)
class Beside:
    """Where to write what; None for what is not asked for."""

    report: Path | None = None
    markers: Path | None = None
    merges: Path | None = None
    json: Path | None = None

    def refuse_unfit(self, source: Path, target: Path | None) -> None:
        """Refuse files that cannot be written together, before anything is computed."""
        output = None if target == source else target
        refuse_clashes(source, {"-o": output, **{f"--{name}": path for name, path in vars(self).items()}})
        refuse_unwritable(self.report, PAGE)
        refuse_unwritable(self.markers, TABLE)
        refuse_unwritable(self.merges, TABLE)
        refuse_unwritable(self.json)

    def write(self, adata: AnnData, key: str, command: str, source: Path, target: Path | None) -> None:
        """Write them about the result under `key`."""
        from recall_py import get

        if self.report is not None:
            write_page(adata, self.report, key, source, target or source)
        if self.markers is not None:
            write_table(self.markers, get.markers(adata, key, by="cluster"))
        if self.merges is not None:
            write_table(self.merges, get.merges(adata, key))
        if self.json is not None:
            write_json(self.json, command, source, target, **of_result(adata, key))

    def tell(self) -> None:
        """Print what was written."""
        for path in (self.report, self.markers, self.merges, self.json):
            if path is not None and str(path) != "-":
                typer.echo(f"wrote {path}")


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table atomically; lists in it become words with spaces between."""
    flat = table.map(lambda value: " ".join(map(str, value)) if isinstance(value, list) else value)
    write_atomically(path, lambda partial: flat.to_csv(partial, index=False))
