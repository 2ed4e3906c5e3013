"""Drawing genes one by one, each from its own generator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recall_py.method.threads import even_blocks, map_blocks

Draw = tuple[NDArray[np.int32], NDArray[np.integer]]
"""Cells with a non-zero count, ascending, and the counts."""

_MANY_CLUMPS = 3.0
"""Poisson events in a cell from which drawing every cell is faster than drawing the non-zeros."""


def sample_genes(
    draw_gene: Callable[[int, np.random.Generator], Draw],
    shape: tuple[int, int],
    seed: np.random.SeedSequence,
    n_jobs: int,
) -> sparse.csc_array:
    """Put the draws of all genes into one (n_cells, n_genes) matrix."""
    seeds = seed.spawn(shape[1])

    def draw_block(block: tuple[int, int]) -> list[Draw]:
        return [_narrow(draw_gene(gene, np.random.default_rng(seeds[gene]))) for gene in range(*block)]

    blocks = map_blocks(draw_block, even_blocks(shape[1], 128), n_jobs)
    draws = [draw for block in blocks for draw in block]
    indptr = np.concatenate(([0], np.cumsum([cells.size for cells, _ in draws])))
    if not draws:
        return sparse.csc_array(shape, dtype=np.int64)
    cells, counts = (np.concatenate(parts) for parts in zip(*draws, strict=True))
    return sparse.csc_array((counts, cells, indptr), shape=shape)


def _narrow(draw: Draw) -> Draw:
    """With counts in four bytes where they fit: those of all genes are held at once."""
    cells, counts = draw
    return cells, counts.astype(np.int32) if counts.max(initial=0) < 2**31 else counts


def bernoulli_cells(
    n_cells: int, probability: float | NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.int32]:
    """Cells that are non-zero, each with the given probability."""
    return np.flatnonzero(rng.random(n_cells) < probability).astype(np.int32)


def truncated_poisson(rate: float | NDArray[np.float64], size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Poisson counts given that they are not zero; all 1 for rate 0.

    The first event of a Poisson process on [0, rate], given that there is one, is an exponential cut at `rate`; the
    events after it are Poisson again.
    """
    first_event = -np.log1p(rng.random(size) * np.expm1(-rate))
    return 1 + rng.poisson(np.maximum(rate - first_event, 0.0))


def clump_rate(size: float | NDArray[np.float64], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rate of the clumps of a negative binomial, broadcast; its share of zeros is exp(-rate).

    A negative binomial is a Poisson number of clumps with logarithmic counts each. For infinite `size`, a Poisson
    count, every clump is a single count.
    """
    with np.errstate(invalid="ignore"):
        return np.where(np.isinf(size), mean, size * np.log1p(mean / size))


def negative_binomial_draw(size: float, mean: NDArray[np.float64], n_cells: int, rng: np.random.Generator) -> Draw:
    """Negative binomial counts of one gene; `mean` is (1,) for all cells or (n_cells,)."""
    clumps = clump_rate(size, mean)
    if clumps.mean() > _MANY_CLUMPS and np.isfinite(size):
        counts = rng.negative_binomial(size, size / (size + mean), n_cells)
        cells = np.flatnonzero(counts).astype(np.int32)
        return cells, counts[cells]
    cells = bernoulli_cells(n_cells, -np.expm1(-clumps), rng)
    counts = truncated_poisson(np.broadcast_to(clumps, n_cells)[cells], cells.size, rng)
    if np.isfinite(size) and cells.size:
        logarithmic = np.broadcast_to(mean / (size + mean), n_cells)[cells]
        members = rng.logseries(np.repeat(logarithmic, counts))
        counts = np.add.reduceat(members, np.concatenate(([0], np.cumsum(counts)[:-1])))
    return cells, counts
