"""What the text of an option stands for in Python."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from recall_py.adata.programmes import accepted
from recall_py.method.params import one_of


def categories(restrict_to: str) -> tuple[str, list[str]]:
    """The column and the categories that ``--restrict-to`` names."""
    column, separator, named = restrict_to.partition(":")
    if not separator or not all(named.split(",")):
        msg = f"--restrict-to is {restrict_to!r}; it must be a column and its labels, such as leiden:0,3."
        raise ValueError(msg)
    return column, named.split(",")


def gene_names(path: Path) -> list[str]:
    """Names of genes from a text file, one a line."""
    if not path.is_file():
        msg = f"--genes is {path}, which is no file; a text file with one name a line is needed."
        raise ValueError(msg)
    names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    if not any(names):
        msg = f"--genes is {path}, which names no gene; one name a line is needed."
        raise ValueError(msg)
    return [name for name in names if name]


def programme_names(text: str) -> tuple[str, ...]:
    """The programmes that ``--programmes`` names, with commas between; none for all genes to count."""
    names = tuple(name.strip() for name in text.split(","))
    return () if names == ("none",) else accepted(names)


def level(text: str | float) -> float | str:
    """The resolution, or ``"auto"``."""
    try:
        return text if text == "auto" else float(text)
    except ValueError as error:
        msg = f"--resolution is {text!r}; pass a number, or auto."
        raise ValueError(msg) from error


def components(text: str) -> int | str:
    """The number of components, or ``"auto"``."""
    if text == "auto":
        return text
    if not text.isdigit():
        msg = f"--dims is {text!r}; pass a number of components, or auto."
        raise ValueError(msg)
    return int(text)


def partition_class(name: str) -> type:
    """The partition type of leidenalg called `name`."""
    import leidenalg

    one_of("partition_type", name, tuple(found for found in dir(leidenalg) if found.endswith("VertexPartition")))
    return getattr(leidenalg, name)


IN_PYTHON: dict[str, Callable[[Any], Any]] = {
    "resolution": level,
    "restrict_to": categories,
    "genes": gene_names,
    "programmes": programme_names,
    "dims": components,
    "partition_type": partition_class,
}
"""What reads the options that are not their text."""
