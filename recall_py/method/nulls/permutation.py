"""Each gene's own counts, shuffled over the cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recall_py.method.nulls.independent_genes import Draw, sample_genes
from recall_py.method.nulls.moments import Moments, observed_moments
from recall_py.method.results import NullFit


class Permutation:
    """The marginal distribution exactly as observed; the fit keeps the counts."""

    def fit(self, counts: sparse.csc_array, depth: NDArray[np.float64]) -> NullFit:
        """Keep the counts, and note the ``mean``."""
        return NullFit("permutation", {"mean": observed_moments(counts).mean}, observed=counts)

    def sample(
        self, fit: NullFit, depth: NDArray[np.float64], seed: np.random.SeedSequence, *, n_jobs: int
    ) -> sparse.csc_array:
        """Shuffle each gene.

        Raises
        ------
        ValueError
            If the number of cells is not that of the observed counts.
        """
        observed = _observed(fit)
        n_cells, n_genes = observed.shape
        if depth.size != n_cells:
            msg = (
                f"A permutation of {n_cells} observed cells cannot give {depth.size} cells. Draw as many cells as were "
                "fitted, or use a null model with parameters, such as 'NB'."
            )
            raise ValueError(msg)

        def draw_gene(gene: int, rng: np.random.Generator) -> Draw:
            counts = observed.data[observed.indptr[gene] : observed.indptr[gene + 1]].astype(np.int64)
            cells = rng.choice(n_cells, counts.size, replace=False).astype(np.int32)
            order = np.argsort(cells)
            return cells[order], counts[order]

        return sample_genes(draw_gene, (n_cells, n_genes), seed, n_jobs)

    def moments(self, fit: NullFit, depth: NDArray[np.float64]) -> Moments:
        """Moments of the observed counts."""
        return observed_moments(_observed(fit))


def _observed(fit: NullFit) -> sparse.csc_array:
    if fit.observed is None:
        msg = "This fit holds no observed counts to permute. Fit again: null_model('permutation').fit(counts, depth)"
        raise ValueError(msg)
    return fit.observed
