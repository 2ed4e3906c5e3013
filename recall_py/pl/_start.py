"""Labels before and after merging, with colours that show which became one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from recall_py.adata import keys
from recall_py.adata.labels import read_labels
from recall_py.pl._figure import palette
from recall_py.words import shortened

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from anndata import AnnData

    from recall_py.adata.stored import StoredMerging

_DARKEST, _LIGHTEST = -0.4, 0.6
_OTHERS = "#d9d9d9"


class StartAndResult(NamedTuple):
    """Two labellings of all cells, with a colour for each category; no colours for scanpy's default ones."""

    start: Any
    start_colours: Sequence[str]
    result: Any
    colours: Sequence[str]


def start_and_result(adata: AnnData, result: StoredMerging) -> StartAndResult:
    """Labels of a merging: clusters at the start that became one have shades of its colour, unless ``uns`` has others.

    Cells that took no part in a restricted clustering are grey.
    """
    start, labels = (
        read_labels(adata, column).cat.remove_unused_categories() for column in (result.start_column, result.column)
    )
    final = palette(adata, result)
    shades: dict[str, str] = {}
    for code, colour in enumerate(final):
        parts = result.start_names[result.merged_into == code].tolist()
        shades |= dict(zip(parts, _shades(colour, len(parts)), strict=True))
    of_final = dict(zip(result.names.tolist(), final, strict=True))
    given = adata.uns.get(result.start_column + keys.COLORS_SUFFIX, ())
    before = read_labels(adata, result.start_column).cat.categories
    if len(given) == len(before):
        shades = dict(zip(before, given, strict=True))
    return StartAndResult(
        _with_short_names(start),
        [shades.get(name, _OTHERS) for name in start.cat.categories],
        _with_short_names(labels),
        [of_final.get(name, _OTHERS) for name in labels.cat.categories],
    )


def _shades(colour: str, n: int) -> list[str]:
    """So many shades of a colour, from dark to light; the colour itself if one is enough."""
    from matplotlib.colors import to_hex, to_rgb

    base = np.array(to_rgb(colour))
    steps = np.linspace(_DARKEST, _LIGHTEST, n) if n > 1 else np.zeros(1)
    return [to_hex(base * (1 + step) if step < 0 else base + (1 - base) * step) for step in steps]


def _with_short_names(labels: pd.Series[Any]) -> pd.Series[Any]:
    """Names that a picture has room for, still told apart."""
    short: list[str] = []
    for name in labels.cat.categories:
        text, number = shortened(name), 1
        while text in short:
            number += 1
            text = f"{shortened(name)} ({number})"
        short.append(text)
    return labels.cat.rename_categories(short)
