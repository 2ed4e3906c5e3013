"""Files that a command may write to, checked before anything is computed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from recall_py.files.atomic import is_store, is_zarr, refuse_no_folder

DATA = (".h5ad", ".zarr", ".rds")
"""How the names of files of data end; of reports and tables, below."""
PAGE = (".html", ".htm")
TABLE = (".csv",)


def target_file(
    source: Path, output: Path | None, *, in_place: bool | None = None, suffixes: tuple[str, ...] = DATA
) -> Path:
    """The file to write; IN itself only where that was asked for, and never by a command without ``--in-place``."""
    if output is None and not in_place:
        other = "" if in_place is None else ", or --in-place to write the result over IN"
        msg = f"No output file. Pass -o OUT{other}."
        raise ValueError(msg)
    target = source if output is None or _same(output, source) else output
    if target == source and not in_place:
        other = "" if in_place is None else ", or --in-place to overwrite it"
        msg = f"-o {output} is the input file itself. Pass another name{other}."
        raise ValueError(msg)
    refuse_unwritable(target, () if output is None else suffixes)
    return target


def refuse_clashes(source: Path, written: Mapping[str, Path | None]) -> None:
    """Refuse a command that would write over what it reads, or into it, or twice to one place.

    Parameters
    ----------
    source
        What the command reads.
    written
        All that it is to write beside `source`, by the names of options: None where one is left out, ``-`` for standard
        output.

    Raises
    ------
    ValueError
        If two of these are one, or one lies in another.
    """
    taken = {"the input": source}
    for option, path in written.items():
        if path is None or str(path) == "-":
            continue
        for name, other in taken.items():
            _refuse_clash(f"{option} {path}", path, f"{name} {other}", other)
        taken[option] = path


def _refuse_clash(name: str, path: Path, other_name: str, other: Path) -> None:
    if _same(path, other):
        how, mend = "is", "another name"
    elif _within(path, other):
        how, mend = "lies in", "a name outside it"
    elif _within(other, path):
        how, mend = "would take the place of a store with", "another name"
    else:
        return
    msg = f"{name} {how} {other_name}. Pass {mend}."
    raise ValueError(msg)


def _same(path: Path, other: Path) -> bool:
    """Whether two paths are one file: also by links, and where a file system knows no capital letters."""
    return path.resolve() == other.resolve() or (path.exists() and other.exists() and path.samefile(other))


def _within(path: Path, folder: Path) -> bool:
    """Whether a path lies in a .zarr store; other folders are no files of a command."""
    return is_zarr(folder) and any(_same(parent, folder) for parent in path.resolve().parents)


def refuse_unwritable(path: Path | None, suffixes: tuple[str, ...] = ()) -> None:
    """Refuse a file that cannot be written or has the name of another kind, before anything is computed."""
    if path is None:
        return
    refuse_no_folder(path)
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
        kind = f"{'a' if suffixes == TABLE else 'an'} {suffixes[0]} file"
        msg = f"{path} is to be {kind}. Name it so: {path.with_suffix(suffixes[0])}."
        raise ValueError(msg)
