"""Labels before and after, with colours that show which became one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from natsort import natsorted

from recall_py.adata import keys
from recall_py.adata.labels import read_labels
from recall_py.pl._figure import palette
from recall_py.words import shortened

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from anndata import AnnData
    from numpy.typing import NDArray

    from recall_py.adata.stored import StoredMerging, StoredResult, StoredRun

_DARKEST, _LIGHTEST = -0.4, 0.6
_OTHERS = "#d9d9d9"


class StartAndResult(NamedTuple):
    """Two labellings of all cells, with a colour for each category."""

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
    shades = _shades_of_parts(adata, result, result.start_names, result.merged_into)
    of_final = dict(zip(result.names.tolist(), palette(adata, result), strict=True))
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


def start_and_end_of_search(adata: AnnData, run: StoredRun) -> StartAndResult:
    """Labels of a search: a cluster at the start has a shade of the final one that holds most of its cells."""
    import pandas as pd

    took_part = run.codes >= 0
    start = np.full(adata.n_obs, None, dtype=object)
    start[took_part] = np.asarray(run.record["start"]).astype(str)
    cells = pd.crosstab(start[took_part], run.codes[took_part])
    shades = _shades_of_parts(adata, run, cells.index.to_numpy(), cells.idxmax(axis=1).to_numpy())
    names = natsorted(shades)
    labels = read_labels(adata, run.column).cat.remove_unused_categories()
    of_final = dict(zip(run.names.tolist(), palette(adata, run), strict=True))
    return StartAndResult(
        pd.Categorical(start, categories=names),
        [shades[name] for name in names],
        labels,
        [of_final.get(name, _OTHERS) for name in labels.cat.categories],
    )


def _shades_of_parts(adata: AnnData, result: StoredResult, parts: NDArray[Any], into: NDArray[Any]) -> dict[str, str]:
    """For each cluster at the start a shade of the colour of the final one that it went `into`."""
    shades: dict[str, str] = {}
    for code, colour in enumerate(palette(adata, result)):
        own = parts[into == code].tolist()
        shades |= dict(zip(own, _shades(colour, len(own)), strict=True))
    return shades


def _shades(colour: str, n: int) -> list[str]:
    """So many shades of a colour, from dark to light; the colour itself if one is enough."""
    from matplotlib.colors import to_hex, to_rgb

    base = np.array(to_rgb(colour))
    steps = np.linspace(_DARKEST, _LIGHTEST, n) if n > 1 else np.zeros(n)
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
