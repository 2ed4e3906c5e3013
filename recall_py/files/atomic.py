"""Writing files and .zarr stores so that a kill leaves nothing half-written."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anndata import AnnData


def is_zarr(path: Path) -> bool:
    """Whether a path is that of a .zarr store, by its name or by what is there."""
    return path.suffix.lower() == ".zarr" or is_store(path)


def is_store(path: Path) -> bool:
    """Whether there is a .zarr store at a path."""
    return any((path / name).is_file() for name in (".zgroup", "zarr.json"))


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file in the same folder, then rename it to `path`.

    A kill at any moment leaves `path` as it was or complete, and at most a hidden ``.partial`` folder beside it, which
    only its owner can enter. A link is followed, and a file that is replaced keeps its mode. A folder can take the
    place of another only in two steps: a kill between them, within microseconds, leaves the old one in that folder.
    """
    suffix, path = path.suffix, path.resolve()
    refuse_no_folder(path)
    with private_folder(path) as folder:
        partial = folder / f"{path.stem}{suffix}"
        write(partial)
        if path.is_dir():
            shutil.copymode(path, partial)
            _exchange(partial, path, folder / "replaced")
        else:
            if path.exists():
                shutil.copymode(path, partial)
            os.replace(partial, path)


def refuse_no_folder(path: Path) -> None:
    """Refuse a path whose folder is not there."""
    if not path.parent.is_dir():
        msg = f"The folder {path.parent} does not exist. Make it: mkdir -p {shlex.quote(str(path.parent))}"
        raise ValueError(msg)


@contextmanager
def private_folder(path: Path) -> Iterator[Path]:
    """A new folder beside `path` that nobody else can enter or foresee, removed in the end.

    Its name tells the process, for what is left to be found when that was ended.
    """
    folder = Path(tempfile.mkdtemp(prefix=f".recall-py.{os.getpid()}.", suffix=".partial", dir=path.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def temporary_folders() -> list[Path]:
    """The folder for temporary files, where there is one that can be written to."""
    try:
        return [Path(tempfile.gettempdir())]
    except FileNotFoundError:
        return []


def _exchange(new: Path, folder: Path, old: Path) -> None:
    """Put a folder in the place of another, which stays as `old` until the new one is there."""
    os.replace(folder, old)
    try:
        os.replace(new, folder)
    except BaseException:
        os.replace(old, folder)
        raise


def write_adata(adata: AnnData, path: Path) -> None:
    """Write an object from memory atomically: a .zarr store if it is called so, else an .h5ad file."""
    if is_zarr(path):
        write_atomically(path, adata.write_zarr)
    else:
        write_atomically(path, lambda partial: adata.write_h5ad(partial, compression="gzip"))


def first_line(error: Exception) -> str:
    """What an error says, in short."""
    return str(error).strip().splitlines()[0] if str(error).strip() else "no reason given"
