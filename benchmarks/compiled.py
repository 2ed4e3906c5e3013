"""What umap and pynndescent compile, kept: each process compiles it anew otherwise, for half a minute."""

from __future__ import annotations

import sys
from typing import Any

import numba
from numba import njit


def kept(*args: Any, **options: Any) -> Any:
    """``numba.njit`` that caches what the two packages compile; to be put in its place before they are imported."""
    if sys._getframe(1).f_globals["__name__"].partition(".")[0] in ("pynndescent", "umap"):
        options.setdefault("cache", True)
    return njit(*args, **options)


def keep() -> None:
    """Keep it, in this process and for later ones."""
    numba.njit = kept
