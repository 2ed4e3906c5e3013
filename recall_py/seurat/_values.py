"""R's values as NumPy's and pandas', and back, over rpy2."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

INSTALL = (
    "Seurat objects need R with the package SeuratObject 5 or newer, and rpy2: "
    "install.packages('Seurat') in R, then pip install 'recall-py[r]'"
)
_R_CODE = (Path(__file__).parents[1] / "_r", Path(__file__).parents[2] / "r_bridge" / "R")
"""Where the R code is that reads and writes Seurat objects: in an installed wheel, and in a checkout."""
_FILES = ("input.R", "check.R", "calibrated.R", "describe.R", "store.R")
_LARGEST_INTEGER = 2**31 - 1


@cache
def robjects() -> Any:
    """The module of rpy2, with R running inside this process.

    Raises
    ------
    ImportError
        Without rpy2, R or SeuratObject, with what to install.
    """
    try:
        import rpy2.robjects as found
    except (ImportError, OSError, RuntimeError, ValueError) as error:  # ValueError: rpy2 without an R
        msg = f"{INSTALL} ({type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'})."
        raise ImportError(msg) from error
    version = found.r("if (requireNamespace('SeuratObject', quietly = TRUE)) packageVersion('SeuratObject')$major")
    if version == found.NULL or version[0] < 5:
        msg = f"{INSTALL} (R has {'no SeuratObject' if version == found.NULL else f'SeuratObject {version[0]}'})."
        raise ImportError(msg)
    return found


@contextmanager
def in_r() -> Iterator[Callable[[str], Any]]:
    """What runs inside is done with rpy2's plain conversion; gives a function that looks up or evaluates R code.

    Raises
    ------
    ValueError
        For an error of R, with its message.
    """
    found = robjects()
    from rpy2.rinterface_lib import callbacks
    from rpy2.rinterface_lib.embedded import RRuntimeError

    printed = callbacks.consolewrite_warnerror
    callbacks.consolewrite_warnerror = lambda _: None  # R prints its errors too, which are raised here
    try:
        with found.default_converter.context():
            environment = _bridge()
            yield lambda code: found.r["eval"](found.r["parse"](text=code), environment)
    except RRuntimeError as error:
        raise ValueError(str(error).strip().removeprefix("Error: ").removeprefix("Error : ")) from error
    finally:
        callbacks.consolewrite_warnerror = printed


@cache
def _bridge() -> Any:
    """An R environment with the functions that the R package shares with this one."""
    found = robjects()
    folder = next(path for path in _R_CODE if (path / _FILES[0]).is_file())
    environment = found.r["new.env"](parent=found.r["globalenv"]())
    for file in _FILES:
        found.r["sys.source"](str(folder / file), environment)
    return environment


def to_r(value: Any) -> Any:
    """A value, a dictionary of values or a column of numbers, truth values or text as R has it."""
    ro = robjects()
    if value is None:
        return ro.NULL
    if isinstance(value, Mapping):
        return ro.ListVector({str(name): to_r(item) for name, item in value.items()})
    if isinstance(value, pd.Series):
        return column_to_r(value)
    if isinstance(value, np.ndarray | list | tuple | range):
        values = np.asarray(value)
        if values.size == 0 and isinstance(value, list):
            return ro.StrVector([])
        return column_to_r(pd.Series(values.ravel()))
    return column_to_r(pd.Series([value]))


def column_to_r(column: pd.Series[Any]) -> Any:
    """A column as an R vector: categories as a factor, whole numbers as integers, what is missing as NA."""
    ro = robjects()
    missing = column.isna().to_numpy()
    if isinstance(column.dtype, pd.CategoricalDtype):
        levels = ro.StrVector([str(name) for name in column.cat.categories])
        codes = to_r(pd.Series(column.cat.codes.to_numpy()).astype("Int32").mask(missing) + 1)
        factor = ro.r("function(codes, levels, ordered) factor(levels[codes], levels, ordered = ordered)")
        return factor(codes, levels, column.cat.ordered)
    kind = column.dtype.kind
    if kind == "b":
        return ro.BoolVector([ro.NA_Logical if gone else bool(x) for x, gone in zip(column, missing, strict=True)])
    if kind in "iu":
        known = column[~missing]
        if known.size and (known.max() > _LARGEST_INTEGER or known.min() < -_LARGEST_INTEGER):
            return ro.FloatVector(column.astype("Float64").to_numpy(dtype=float, na_value=np.nan))
        return ro.IntVector([ro.NA_Integer if gone else int(x) for x, gone in zip(column, missing, strict=True)])
    if kind == "f":
        return ro.FloatVector(column.to_numpy(dtype=float))
    return ro.StrVector([ro.NA_Character if gone else str(x) for x, gone in zip(column, missing, strict=True)])


def column_to_python(vector: Any, name: str, kind: str) -> Any:
    """An R vector as a column; `kind` is the first of its R classes.

    Factors become categories, integers int32, logicals bool, both nullable where something is missing, text objects
    with None. Other classes become text, with a warning.
    """
    ro = robjects()
    if kind in ("factor", "ordered"):
        codes = np.array(vector, dtype=np.int64)
        codes = np.where(codes < 0, 0, codes) - 1  # NA is the smallest integer
        levels = pd.Index([str(name) for name in ro.r["levels"](vector)])
        return pd.Categorical.from_codes(codes, levels, ordered=kind == "ordered")
    missing = np.array(ro.r["is.na"](vector), dtype=bool)
    if kind == "logical":
        values = np.array(vector, dtype=np.int64) == 1
        return pd.arrays.BooleanArray(values, missing) if missing.any() else values
    if kind == "integer":
        integers = np.array(vector, dtype=np.int32)
        return pd.arrays.IntegerArray(integers, missing) if missing.any() else integers
    if kind == "numeric":
        return np.array(vector, dtype=np.float64)
    if kind != "character":
        warnings.warn(f"Column {name!r} is of class {kind} and becomes text.", UserWarning, stacklevel=2)
        vector = ro.r["as.character"](vector)
    values = [None if gone else str(value) for value, gone in zip(vector, missing, strict=True)]
    return np.array(values, dtype=object)


def array(vector: Any) -> NDArray[Any]:
    """A copy of an R vector or matrix of numbers, which R may free."""
    return np.array(vector)


def numbers(values: NDArray[Any]) -> Any:
    """Numbers as an R vector, copied once: integers stay integers."""
    from rpy2 import rinterface

    if values.dtype.kind in "iu":
        return rinterface.IntSexpVector.from_memoryview(np.ascontiguousarray(values, dtype=np.int32).data)
    return rinterface.FloatSexpVector.from_memoryview(np.ascontiguousarray(values, dtype=np.float64).data)


def view(vector: Any) -> NDArray[Any]:
    """R's own memory, valid while `vector` is held."""
    return np.asarray(vector)
