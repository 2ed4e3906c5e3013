"""Null models: how a knockoff gene is drawn that has its real gene's marginal distribution and no relation to any cell.

One module for each family, with ``fit``, ``sample`` and ``moments``; the registry maps the public name to it.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from recall_py.arguments import ArgumentError
from recall_py.method.nulls.batches import cells_of_batches, fit_within, relative_totals, sample_within
from recall_py.method.nulls.copula import Copula
from recall_py.method.nulls.depth_negative_binomial import DepthNegativeBinomial
from recall_py.method.nulls.marginals import CountMarginal, GaussianMarginal, Poisson
from recall_py.method.nulls.negative_binomial import NegativeBinomial
from recall_py.method.nulls.permutation import Permutation
from recall_py.method.nulls.protocol import NullModel
from recall_py.method.nulls.zero_inflated_poisson import ZeroInflatedPoisson
from recall_py.method.results import Augmented, Cells

__all__ = ["NULL_MODELS", "NullModel", "augment", "null_model"]


NULL_MODELS: dict[str, NullModel] = {
    "ZIP": ZeroInflatedPoisson(),
    "NB": NegativeBinomial(),
    "ZIP-copula": Copula("ZIP-copula", CountMarginal(ZeroInflatedPoisson())),
    "NB-copula": Copula("NB-copula", CountMarginal(NegativeBinomial())),
    "Poisson-copula": Copula("Poisson-copula", CountMarginal(Poisson())),
    "Gaussian-copula": Copula("Gaussian-copula", GaussianMarginal()),
    "permutation": Permutation(),
    "NB-depth": DepthNegativeBinomial(),
}


def null_model(name: str) -> NullModel:
    """The null model called `name`.

    Raises
    ------
    ValueError
        If there is none, with the list of those that exist.
    """
    if name not in NULL_MODELS:
        text = "Unknown {null_method} {name!r}. Available: {models}."
        raise ArgumentError(text, name=name, models=", ".join(NULL_MODELS))
    return NULL_MODELS[name]


def augment(
    cells: Cells,
    null_method: str,
    seed: np.random.SeedSequence,
    *further_seeds: np.random.SeedSequence,
    first_gene: int = 0,
    n_jobs: int = 1,
) -> Augmented:
    """Put one knockoff beside each gene, A = [X X~], or several independent ones, A = [X X~1 X~2 ...].

    Parameters
    ----------
    cells
        With raw counts X. Their depth is scaled to mean 1 within each batch. Not changed.
    null_method
        Name of the null model.
    seed
        Each gene (each chunk of cells for copulas) draws from its own child of this seed, so the draw does not depend
        on `n_jobs`. With batches, batch i has the i-th child.
    further_seeds
        One for each further draw.
    first_gene
        Number of the first gene where the counts are part of a larger matrix: the draw is then part of the draw of
        that. Not for copulas, whose genes are drawn together.
    n_jobs
        Number of threads.

    Raises
    ------
    ValueError
        If there is no such null model, or a batch has fewer than two cells.
    """
    model = null_model(null_method)
    counts = cells.counts
    if counts.dtype.kind != "f":
        counts = counts.astype(np.float64)  # a knockoff may pass the range of a narrow integer
    depth = relative_totals(counts) if cells.depth is None else cells.depth
    members = cells_of_batches(cells.batches, counts.shape[0])
    fits = fit_within(model, counts, depth, members)
    draws = [
        sample_within(model, fits, depth, members, draw_seed, first_gene=first_gene, n_jobs=n_jobs).astype(counts.dtype)
        for draw_seed in (seed, *further_seeds)
    ]
    return Augmented(sparse.csc_array(sparse.hstack([counts, *draws], format="csc")), fits, n_draws=len(draws))
