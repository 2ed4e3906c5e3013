"""Which batches can tell two clusters apart, and samples of cells that are balanced over batches."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recall_py.method.pairs.table import limited

LEAST_IN_BATCH = 5
"""Cells that each of two clusters has in a batch by which they can be compared."""
FEW_TO_COMPARE = 20
"""With fewer cells, and less than half of the smaller cluster, two are not compared: types are lost too often."""
READ_OF_BATCH = 25
"""Cells of a batch that are read of a cluster, as far as it has them: it may be the only one that another shares."""
MOST_READ = 1000
"""Cells of a cluster that are read at most, in however many batches it lies."""


def n_read(batches: NDArray[np.integer], most: int) -> int:
    """Cells that are read of a cluster whose cells are of these `batches`, where `most` are without batches."""
    return max(most, min(MOST_READ, READ_OF_BATCH * np.unique(batches).size))


def by_size(batches: NDArray[np.integer]) -> NDArray[np.int64]:
    """Codes of the batches, the largest first."""
    return np.argsort(-np.bincount(batches), kind="stable")


def quotas(n_cells: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Cells to take of each batch, `most` in all: as many of each, and all of those that have fewer.

    Where there are so many batches that none would give the 5 cells by which it tells something, the first do.

    Parameters
    ----------
    n_cells
        (n_batches,) that there are, in the order in which batches are preferred.
    most
        Of all batches together.
    """
    level = _level(n_cells, most)
    if level < LEAST_IN_BATCH and n_cells.max() >= LEAST_IN_BATCH:
        telling = np.flatnonzero(n_cells >= LEAST_IN_BATCH)[: most // LEAST_IN_BATCH]
        n_cells = np.where(np.isin(np.arange(n_cells.size), telling), n_cells, 0)
        level = _level(n_cells, most)
    taken = np.minimum(n_cells, level)
    taken[np.flatnonzero(n_cells > level)[: most - int(taken.sum())]] += 1
    return taken


def _level(n_cells: NDArray[np.int64], most: int) -> int:
    """The largest number that can be taken of each batch."""
    in_all = np.minimum(np.arange(most + 1)[:, np.newaxis], n_cells).sum(axis=1)
    return int(np.flatnonzero(in_all <= most)[-1])


def balanced(
    cells: NDArray[np.int64], batches: NDArray[np.integer], order: NDArray[np.int64], most: int
) -> NDArray[np.int64]:
    """At most `most` of the cells, ascending, as many of each batch as far as it has them; the same ones each time.

    Parameters
    ----------
    cells
        Ascending positions.
    batches
        Code of each position that there is.
    order
        The batches of which cells are taken, the preferred first.
    """
    of_batch = batches[cells]
    members = [cells[of_batch == batch] for batch in order]
    if not members:
        return cells[:0]
    n_cells = np.array([part.size for part in members], dtype=np.int64)
    taken = [limited(part, n) for part, n in zip(members, quotas(n_cells, most).tolist(), strict=True)]
    return np.sort(np.concatenate(taken))


class Shared(NamedTuple):
    """Batches of two clusters, in each field the largest first."""

    by_both: NDArray[np.int64]
    """With 5 cells of both, or all cells of one that has fewer: within these the two are compared. None, if they hold
    fewer than 20 cells of one and less than half the smaller cluster."""
    by_one: NDArray[np.int64]
    """Others with 5 cells of the two together, which show how cells of one population vary."""


def shared(one: NDArray[np.integer], other: NDArray[np.integer]) -> Shared:
    """The batches of two clusters, given the batch of each cell of the two."""
    n_batches = max(one.max(initial=0), other.max(initial=0)) + 1
    n_one, n_other = np.bincount(one, minlength=n_batches), np.bincount(other, minlength=n_batches)
    smaller, together = np.minimum(n_one, n_other), n_one + n_other
    of_both = smaller >= max(1, min(LEAST_IN_BATCH, one.size, other.size))
    n_compared = min(n_one[of_both].sum(), n_other[of_both].sum())
    if n_compared < min(FEW_TO_COMPARE, one.size / 2, other.size / 2):
        of_both = np.zeros_like(of_both)
    of_one = ~of_both & (together >= LEAST_IN_BATCH)
    return Shared(_largest_first(smaller, of_both), _largest_first(together, of_one))


def _largest_first(sizes: NDArray[np.int64], which: NDArray[np.bool_]) -> NDArray[np.int64]:
    order = np.argsort(-sizes, kind="stable")
    return order[which[order]]
