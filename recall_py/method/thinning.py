"""Counts split at random into independent parts that sum to them.

Poisson counts: each molecule goes to a fold by its share (Neufeld et al. 2022, doi 10.1093/biostatistics/kxac047).
Negative binomial counts of size b: the shares are drawn anew for each count, from a Dirichlet distribution with the
parameters b times share (Neufeld et al. 2023, arXiv 2307.12985). The parts are independent if the model is right.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


def thin(
    counts: sparse.csc_array,
    shares: NDArray[np.float64],
    size: NDArray[np.float64] | None,
    rng: np.random.Generator,
) -> Iterator[sparse.csc_array]:
    """Give one part after the other, one for each of the `shares`.

    Parameters
    ----------
    counts
        (n_cells, n_genes) with sorted indices.
    shares
        (n_folds,) expected share of each part; they sum to 1.
    size
        (n_genes,) of the negative binomial, mean^2 / (variance - mean); infinite for Poisson. None for Poisson genes.
    rng
        What is drawn from, gene by gene.
    """
    rest = counts.data.astype(np.int64)
    of_value = np.full(counts.nnz, np.inf) if size is None else np.repeat(size, np.diff(counts.indptr))
    clumped = np.isfinite(of_value)
    left = np.cumsum(shares[::-1])[::-1]
    for fold, share in enumerate(shares):
        part = rest
        if fold < len(shares) - 1:
            chance = np.full(rest.size, share / left[fold])
            chance[clumped] = rng.beta(share * of_value[clumped], left[fold + 1] * of_value[clumped])
            part = rng.binomial(rest, chance)
            rest = rest - part
        found = sparse.csc_array((part.astype(counts.dtype), counts.indices, counts.indptr), shape=counts.shape)
        found = found.copy()
        found.eliminate_zeros()
        yield found
