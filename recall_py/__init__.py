"""Calibrated single-cell clustering with knockoff genes."""

from __future__ import annotations

import importlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import recall_py.datasets as datasets
    import recall_py.get as get
    import recall_py.pl as pl
    import recall_py.pp as pp
    import recall_py.seurat as seurat
    import recall_py.tl as tl
    from recall_py.run.observe import CalibrationWarning as CalibrationWarning

__version__ = version("recall-py")
__all__ = ["CalibrationWarning", "__version__", "datasets", "get", "pl", "pp", "seurat", "tl"]


def __getattr__(name: str) -> Any:
    """Import what is public when it is first used, so that ``import recall_py`` costs nothing."""
    if name == "CalibrationWarning":
        return importlib.import_module("recall_py.run.observe").CalibrationWarning
    if name in __all__:
        return importlib.import_module(f"recall_py.{name}")
    msg = f"module 'recall_py' has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted(__all__)
