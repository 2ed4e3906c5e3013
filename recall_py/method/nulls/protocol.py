"""What a null model can do."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recall_py.method.nulls.moments import Moments
from recall_py.method.results import NullFit


class NullModel(Protocol):
    """A family of null distributions.

    `depth` is (n_cells,), each cell's relative total over all genes, with mean 1. Its size is the number of cells;
    families without depth ignore the values.
    """

    def fit(self, counts: sparse.csc_array, depth: NDArray[np.float64]) -> NullFit:
        """Estimate the parameters of every gene from (n_cells, n_genes) counts."""
        ...

    def sample(
        self, fit: NullFit, depth: NDArray[np.float64], seed: np.random.SeedSequence, *, n_jobs: int
    ) -> sparse.csc_array:
        """Draw (n_cells, n_genes) knockoff counts."""
        ...

    def moments(self, fit: NullFit, depth: NDArray[np.float64]) -> Moments:
        """Mean, variance and share of zeros of the draws, over cells with the given depths."""
        ...
