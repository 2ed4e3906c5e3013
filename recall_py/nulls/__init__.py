"""Null models: how a knockoff gene is drawn that has its real gene's marginal distribution and no relation to any cell.

One module for each family, with ``fit`` and ``sample``; the registry maps the public name to it.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from scipy import sparse

from recall_py.nulls.negative_binomial import NegativeBinomial
from recall_py.nulls.zero_inflated_poisson import ZeroInflatedPoisson
from recall_py.results import Augmented, NullFit

__all__ = ["NULL_MODELS", "NullModel", "augment", "null_model"]


class NullModel(Protocol):
    """A family of null distributions."""

    def fit(self, counts: sparse.csc_array) -> NullFit:
        """Estimate the parameters of every gene from (n_cells, n_genes) counts."""
        ...

    def sample(self, fit: NullFit, n_cells: int, seed: np.random.SeedSequence, *, n_jobs: int) -> sparse.csc_array:
        """Draw (n_cells, n_genes) knockoff counts."""
        ...


NULL_MODELS: dict[str, NullModel] = {"ZIP": ZeroInflatedPoisson(), "NB": NegativeBinomial()}


def null_model(name: str) -> NullModel:
    """The null model called `name`.

    Raises
    ------
    ValueError
        If there is none, with the list of those that exist.
    """
    if name not in NULL_MODELS:
        msg = f"Unknown null_method {name!r}. Available: {', '.join(NULL_MODELS)}."
        raise ValueError(msg)
    return NULL_MODELS[name]


def augment(counts: sparse.csc_array, null_method: str, seed: np.random.SeedSequence, *, n_jobs: int = 1) -> Augmented:
    """Put one knockoff beside each gene, A = [X X~].

    Parameters
    ----------
    counts
        (n_cells, n_genes) raw counts X. Not changed.
    null_method
        Name of the null model.
    seed
        Each gene draws from its own child of this seed, so the draw does not depend on `n_jobs`.
    n_jobs
        Number of threads.
    """
    model = null_model(null_method)
    if counts.dtype.kind != "f":
        counts = counts.astype(np.float64)  # a knockoff may pass the range of a narrow integer
    fit = model.fit(counts)
    knockoffs = model.sample(fit, counts.shape[0], seed, n_jobs=n_jobs)
    return Augmented(sparse.csc_array(sparse.hstack([counts, knockoffs.astype(counts.dtype)], format="csc")), fit)
