"""Files that a command may write to, checked before anything is computed."""

from __future__ import annotations

import os
from pathlib import Path

from recall_py.files.atomic import is_store

DATA = (".h5ad", ".zarr", ".rds")
"""How the names of files of data end; of reports, below."""
PAGE = (".html", ".htm")


def target_file(
    source: Path, output: Path | None, *, in_place: bool | None = None, suffixes: tuple[str, ...] = DATA
) -> Path:
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
    refuse_unwritable(target, () if output is None else suffixes)
    return target


def refuse_unwritable(path: Path | None, suffixes: tuple[str, ...] = ()) -> None:
    """Refuse a file that cannot be written or has the name of another kind, before anything is computed."""
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
    if suffixes and path.suffix.lower() not in suffixes:
        msg = f"{path} is to be an {suffixes[0]} file. Name it so: {path.with_suffix(suffixes[0])}."
        raise ValueError(msg)


def refuse_data_as_page(page: Path | None, source: Path, target: Path | None) -> None:
    """Refuse a report in the place of data, before anything is computed."""
    if page is not None and page.resolve() in {path.resolve() for path in (source, target) if path is not None}:
        msg = f"The report {page} is the file of data itself. Pass another name, such as {page.with_suffix('.html')}."
        raise ValueError(msg)
    refuse_unwritable(page, PAGE)
