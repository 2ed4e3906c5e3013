"""Files that a command may write to, checked before anything is computed."""

from __future__ import annotations

import os
from pathlib import Path

from recall_py.files import is_store


def target_file(source: Path, output: Path | None, *, in_place: bool | None = None) -> Path:
    """The file to write; IN itself only where that was asked for, and never by a command without ``--in-place``."""
    if output is None and not in_place:
        other = "" if in_place is None else ", or --in-place to write the result over IN"
        msg = f"No output file. Pass -o OUT{other}."
        raise ValueError(msg)
    target = source if output is None else output
    if target.resolve() == source.resolve() and not in_place:
        other = "" if in_place is None else ", or --in-place to overwrite it"
        msg = f"-o {target} is the input file itself. Pass another name{other}."
        raise ValueError(msg)
    if is_store(source) and source.resolve() in target.resolve().parents:
        msg = f"-o {target} lies in the input {source}. Pass a name outside it."
        raise ValueError(msg)
    refuse_unwritable(target)
    return target


def refuse_unwritable(path: Path | None) -> None:
    """Refuse a file that cannot be written, before anything is computed."""
    if path is None:
        return
    if not path.parent.is_dir():
        msg = f"The folder {path.parent} does not exist."
        raise ValueError(msg)
    if path.is_dir() and not is_store(path):
        msg = f"{path} is a folder; a file name is needed."
        raise ValueError(msg)
    if path.is_file() and path.suffix.lower() == ".zarr":
        msg = f"{path} is a file, and a .zarr store is a folder. Pass another name."
        raise ValueError(msg)
    if not os.access(path.parent, os.W_OK):
        msg = f"The folder {path.parent} cannot be written to."
        raise ValueError(msg)


def refuse_data_as_page(page: Path | None, source: Path, target: Path | None) -> None:
    """Refuse a report in the place of data, before anything is computed."""
    refuse_unwritable(page)
    if page is not None and page.resolve() in {path.resolve() for path in (source, target) if path is not None}:
        msg = f"The report {page} is the .h5ad file itself. Pass another name, such as {page.with_suffix('.html')}."
        raise ValueError(msg)
