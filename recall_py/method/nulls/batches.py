"""Null models within batches: the cells of each batch are fitted and drawn by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recall_py.method.nulls.moments import Moments, mix_moments
from recall_py.method.results import NullFit

if TYPE_CHECKING:
    from recall_py.method.nulls.protocol import NullModel


def cells_of_batches(batches: NDArray[np.integer] | None, n_cells: int) -> list[NDArray[np.int64]]:
    """Cells of each batch, in the order of the codes; all cells in one batch if there are none.

    Raises
    ------
    ValueError
        If a batch has fewer than two cells.
    """
    if batches is None:
        return [np.arange(n_cells)]
    cells = [np.flatnonzero(batches == code) for code in range(int(batches.max()) + 1)]
    for code, members in enumerate(cells):
        if members.size < 2:
            found = "1 cell" if members.size == 1 else "no cells"
            msg = (
                f"Batch number {code} (counted from 0) has {found}, but null genes need at least 2 in each batch. "
                "Leave the batch out, or join it with another."
            )
            raise ValueError(msg)
    return cells


def fit_within(
    model: NullModel, counts: sparse.csc_array, depth: NDArray[np.float64], cells: list[NDArray[np.int64]]
) -> tuple[NullFit, ...]:
    """Fit each batch by itself, with its depths at mean 1."""
    if len(cells) == 1:
        return (model.fit(counts, _mean_one(depth)),)
    by_cell = counts.tocsr()
    return tuple(model.fit(by_cell[members].tocsc(), _mean_one(depth[members])) for members in cells)


def sample_within(
    model: NullModel,
    fits: tuple[NullFit, ...],
    depth: NDArray[np.float64],
    cells: list[NDArray[np.int64]],
    seed: np.random.SeedSequence,
    *,
    first_gene: int = 0,
    n_jobs: int,
) -> sparse.csc_array:
    """Draw each batch from its own child of the seed, a single one from the seed itself, in the cells' own order.

    Where the first of the genes is number `first_gene` of more, they draw what they do among these.
    """
    if len(cells) == 1:
        return model.sample(fits[0], _mean_one(depth), _from_gene(seed, first_gene), n_jobs=n_jobs)
    draws = [
        model.sample(fit, _mean_one(depth[members]), _from_gene(child, first_gene), n_jobs=n_jobs)
        for fit, members, child in zip(fits, cells, seed.spawn(len(cells)), strict=True)
    ]
    stacked = sparse.vstack(draws, format="csc")
    placed = sparse.csc_array((stacked.data, np.concatenate(cells)[stacked.indices], stacked.indptr), stacked.shape)
    placed.sort_indices()
    return placed


def _from_gene(seed: np.random.SeedSequence, first_gene: int) -> np.random.SeedSequence:
    """The seed, whose next child is that of gene `first_gene`."""
    return np.random.SeedSequence(
        seed.entropy, spawn_key=seed.spawn_key, pool_size=seed.pool_size, n_children_spawned=first_gene
    )


def moments_within(
    model: NullModel, fits: tuple[NullFit, ...], depth: NDArray[np.float64], cells: list[NDArray[np.int64]]
) -> Moments:
    """Moments of the draws of all batches together."""
    parts = [model.moments(fit, _mean_one(depth[members])) for fit, members in zip(fits, cells, strict=True)]
    return mix_moments(parts, np.array([members.size for members in cells]) / depth.size)


def relative_totals(counts: sparse.csc_array) -> NDArray[np.float64]:
    """(n_cells,) total of each cell over the mean of the totals."""
    return _mean_one(counts @ np.ones(counts.shape[1]))


def _mean_one(depth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Depths scaled to mean 1; all 1 where no cell has any counts."""
    mean = depth.mean()
    return depth / mean if mean > 0 else np.ones_like(depth)
