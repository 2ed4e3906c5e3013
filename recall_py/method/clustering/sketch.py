"""A sketch: some cells are clustered, and their labels are carried to all.

The cells are drawn by their leverage on the principal components of all cells, as in Hao et al. (Nature Biotechnology
2024, doi 10.1038/s41587-023-01767-y): cells of rare kinds are more likely to be among them than in a uniform sample.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from recall_py.method.threads import even_blocks, map_blocks, one_blas_thread

N_VOTES = 15
"""Nearest cells of the sketch that decide a label."""
_LEAST_SHARE = 1e-9
"""Of the variance of the first component: what is below is rounding."""
_BLOCK = 16_384
"""Cells that a thread labels at a time."""


def leverage_sample(scores: NDArray[np.float64], n_sampled: int, seed: int) -> NDArray[np.bool_]:
    """(n_cells,) mask of a sample without replacement, with probabilities in proportion to the leverages.

    Parameters
    ----------
    scores
        (n_cells, n_components) principal components. The leverage of a cell is the squared length of its row once each
        component has unit length.
    n_sampled
        Cells to draw.
    seed
        The same seed gives the same cells.
    """
    size = (scores**2).sum(axis=0)
    real = size > _LEAST_SHARE * size.max()
    leverage = (scores[:, real] ** 2 / size[real]).sum(axis=1)
    rng = np.random.default_rng([seed, len(scores), n_sampled])
    # The first arrivals of clocks with these rates (Efraimidis & Spirakis 2006, doi 10.1016/j.ipl.2005.11.003).
    arrival = rng.exponential(size=len(scores)) / np.maximum(leverage, 1e-200)
    sampled = np.zeros(len(scores), dtype=np.bool_)
    sampled[np.argpartition(arrival, n_sampled - 1)[:n_sampled]] = True
    return sampled


def carry_labels(
    scores: NDArray[np.float64], sampled: NDArray[np.bool_], labels: NDArray[np.int32], *, n_jobs: int = 1
) -> NDArray[np.int32]:
    """(n_cells,) labels of all cells: the commonest among the nearest cells of the sample; a tie goes to the nearest.

    Parameters
    ----------
    scores
        (n_cells, n_components) where neighbours are looked for, by Euclidean distance.
    sampled
        (n_cells,) mask of the sample, whose cells keep their labels.
    labels
        (n_sampled,) codes 0..k-1.
    n_jobs
        Number of threads.
    """
    from sklearn.neighbors import NearestNeighbors

    n_votes = min(N_VOTES, labels.size)
    search = NearestNeighbors(n_neighbors=n_votes, algorithm="brute").fit(scores[sampled])
    carried = np.empty(len(scores), dtype=np.int32)
    carried[sampled] = labels
    others = np.flatnonzero(~sampled)
    n_clusters = int(labels.max()) + 1

    def label(block: tuple[int, int]) -> None:
        cells = others[slice(*block)]
        with threadpool_limits(1, user_api="openmp"):  # OpenMP counts for each thread
            votes = labels[search.kneighbors(scores[cells], return_distance=False)]
        at = np.repeat(np.arange(cells.size), n_votes) * n_clusters + votes.ravel()
        weight = np.tile(np.r_[1.5, np.ones(n_votes - 1)], cells.size)
        carried[cells] = np.bincount(at, weight, cells.size * n_clusters).reshape(cells.size, -1).argmax(axis=1)

    with one_blas_thread():
        map_blocks(label, even_blocks(others.size, _BLOCK), n_jobs)
    return carried
