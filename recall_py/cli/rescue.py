"""Where a result cannot be written: what was computed goes to a table whose name is printed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from recall_py.adata import keys
from recall_py.cli.beside import write_table
from recall_py.files.atomic import first_line, temporary_folders, write_atomically

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from anndata import AnnData


def labels_rescued(adata: AnnData, key: str, target: Path) -> AbstractContextManager[None]:
    """Keep the labels of a clustering, where `target` cannot be written."""
    columns = [name for name in (key, key + keys.START_SUFFIX) if name in adata.obs]

    def write(place: Path) -> None:
        write_atomically(place, lambda partial: adata.obs[columns].to_csv(partial))

    return _rescued(target, key, "labels", write)


def pairs_rescued(adata: AnnData, key: str, target: Path) -> AbstractContextManager[None]:
    """Keep the tested pairs of labels, where `target` cannot be written."""
    from recall_py import get

    return _rescued(target, key, "pairs", lambda place: write_table(place, get.pairs(adata, key)))


@contextmanager
def _rescued(target: Path, key: str, what: str, write: Callable[[Path], None]) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        for folder in (target.resolve().parent, Path(), *temporary_folders()):
            place = folder / f"{target.stem}.{key}.{what}.csv"
            try:
                write(place)
            except OSError:
                continue
            msg = (
                f"{target} could not be written ({type(error).__name__}: {first_line(error)}). The {what} are not "
                f"lost: {place.resolve()}"
            )
            raise ValueError(msg) from error
        raise
