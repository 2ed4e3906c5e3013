"""A place for what numba and matplotlib keep, for who can write neither at home nor to the installation."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import typer

from recall_py.files.atomic import private_folder, temporary_folders


@contextmanager
def somewhere_for_caches() -> Iterator[None]:
    """Give numba a folder that goes in the end, where it has none to write to: it refuses to load scanpy without."""
    scanpy = find_spec("scanpy")
    usual = [Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()]
    if scanpy is not None and scanpy.origin is not None:
        usual.append(Path(scanpy.origin).parent)
    if os.environ.get("NUMBA_CACHE_DIR") or any(map(_is_writable, usual)):
        yield
        return
    unwritable = " nor ".join(map(str, usual))
    temporary = temporary_folders()
    if not temporary:
        msg = (
            f"Neither {unwritable} can be written to, and there is no folder for temporary files. "
            "Set TMPDIR to a folder of yours."
        )
        raise ValueError(msg)
    typer.echo(
        f"Neither {unwritable} can be written to, so code is compiled anew, for a minute. To keep it, set "
        "NUMBA_CACHE_DIR to a folder of yours.",
        err=True,
    )
    with private_folder(temporary[0] / "caches") as folder:
        unset = [name for name in ("NUMBA_CACHE_DIR", "MPLCONFIGDIR") if not os.environ.get(name)]
        os.environ.update(dict.fromkeys(unset, str(folder)))
        try:
            yield
        finally:
            for name in unset:
                del os.environ[name]


def _is_writable(folder: Path) -> bool:
    """Whether a folder can be written to, or made."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return there.is_dir() and os.access(there, os.W_OK)
