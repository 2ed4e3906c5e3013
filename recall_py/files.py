"""Reading and writing .h5ad so that a broken file is named and a kill leaves nothing half-written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anndata import AnnData


def read_h5ad(path: Path) -> AnnData:
    """Read a file.

    Raises
    ------
    ValueError
        If it does not exist or is not an .h5ad file.
    """
    import anndata as ad

    if not path.is_file():
        found = "is a folder" if path.is_dir() else "does not exist"
        msg = f"{path} {found}; the path of an .h5ad file is needed."
        raise ValueError(msg)
    try:
        return ad.read_h5ad(path)
    except Exception as error:
        msg = (
            f"{path} is not a readable .h5ad file ({type(error).__name__}: {_first_line(error)}). It may be cut off "
            "or of another format: copy or download it again, or write it anew with adata.write_h5ad(...)."
        )
        raise ValueError(msg) from error


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file in the same folder, then rename it to `path`.

    A kill at any moment leaves `path` as it was or complete, and at most a hidden ``.partial`` file beside it. A link
    is followed, and a file that is replaced keeps its mode.
    """
    path = path.resolve()
    if not path.parent.is_dir():
        msg = f"The folder {path.parent} does not exist."
        raise ValueError(msg)
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        write(partial)
        if path.exists():
            shutil.copymode(path, partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_h5ad(adata: AnnData, path: Path) -> None:
    """Write a file atomically."""
    write_atomically(path, lambda partial: adata.write_h5ad(partial, compression="gzip"))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else "no reason given"
