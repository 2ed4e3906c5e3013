"""Packages that only some users have."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def optional(package: str, method: str, install: str) -> Any:
    """The package that a method needs.

    Raises
    ------
    ImportError
        If it is absent, with the line that installs it.
    """
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        msg = f"embed(adata, {method!r}) needs {package}, which is not installed. Install it: pip install {install}"
        raise ImportError(msg, name=package) from error
