"""A word about batches that nobody named, where clusters follow them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recall_py.adata.labels import batch_like_columns
from recall_py.run.observe import CalibrationWarning

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

    from recall_py.method.results import PairOutcome

_NEARLY_ALL = 0.9
"""Share of a cluster in one batch from which on it follows the batch."""


def unnamed_batches(
    adata: AnnData, cells: NDArray[np.bool_] | None, codes: NDArray[np.integer], outcomes: Sequence[PairOutcome]
) -> list[CalibrationWarning]:
    """A warning about the first column that looks like batches and that pairs of clusters follow.

    A pair follows it if each of its two clusters lies in one batch, nearly, and the two batches differ.

    Parameters
    ----------
    adata
        Of all cells.
    cells
        (n_obs,) those that have a label; None for all.
    codes
        (n_labelled,) clusters at the start.
    outcomes
        Of the pairs that were compared last.
    """
    standing = [outcome for outcome in outcomes if outcome.kind == "pair" and outcome.stands]
    if not standing:
        return []
    for column, batches in batch_like_columns(adata, cells):
        n_cells = np.zeros((int(codes.max()) + 1, int(batches.max()) + 1), dtype=np.int64)
        np.add.at(n_cells, (codes[batches >= 0], batches[batches >= 0]), 1)
        n_follow = sum(
            _in_different_ones(*(n_cells[list(side)].sum(axis=0) for side in (outcome.first, outcome.second)))
            for outcome in standing
        )
        if n_follow:
            text = (
                "{pairs} to different values of obs[{column!r}], nearly all cells of each to one: what tells them "
                "apart may be a batch effect. If these are batches, integrate them before clustering (docs: Batches) "
                "and pass {batch_key:{column!r}}"
            )
            pairs = "1 pair of clusters that stands belongs"
            if n_follow > 1:
                pairs = f"{n_follow} pairs of clusters that stand belong"
            return [CalibrationWarning(text, pairs=pairs, column=column)]
    return []


def _in_different_ones(first: NDArray[np.int64], second: NDArray[np.int64]) -> bool:
    """Whether each of two clusters, by their cells in each batch, lies in one batch, and not in the same."""
    alone = all(side.max() >= _NEARLY_ALL * max(side.sum(), 1) for side in (first, second))
    return bool(alone and first.argmax() != second.argmax())
