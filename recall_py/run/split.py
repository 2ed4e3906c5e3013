"""Counts split into independent folds, from AnnData to AnnData."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recall_py.adata import keys
from recall_py.adata.folds import refuse_slots_of_others, whole_counts, write_folds
from recall_py.arguments import ArgumentError
from recall_py.method.params import one_of, resolve_seed
from recall_py.words import listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

    from recall_py.counts.matrix import CountMatrix
    from recall_py.method.params import Rng

_MODELS = ("poisson", "negative_binomial")


def split_counts(
    adata: AnnData,
    n_folds: int,
    *,
    shares: Sequence[float] | None,
    model: str,
    size: str | Sequence[float] | None,
    layer: str | None,
    key_added: str,
    random_state: int | np.random.RandomState | None,
    rng: Rng | None,
    copy: bool,
) -> AnnData | None:
    """Split the counts into folds; see :func:`recall_py.tl.countsplit`."""
    from scanpy import logging

    from recall_py.method.thinning import thin

    keys.refuse_unusable(key_added)
    one_of("model", model, _MODELS)
    if size is not None and model == "poisson":
        text = "{size} is for {model:'negative_binomial'}; Poisson counts have none. Leave it out, or pass that model."
        raise ArgumentError(text)
    expected = _shares(n_folds, shares)
    refuse_slots_of_others(adata, key_added, n_folds)
    matrix, source = whole_counts(adata, layer)
    counts = matrix.columns(np.ones(matrix.shape[1], dtype=np.bool_))
    sizes = None if model == "poisson" else _sizes(adata, matrix, size)
    seed = resolve_seed(random_state, rng)
    target = adata.copy() if copy else adata
    asked = {"model": model, "shares": expected, "source": source, "random_state": seed}
    folds = thin(counts, expected, sizes, np.random.default_rng(np.random.SeedSequence(seed).spawn(1)[0]))
    names = write_folds(target, key_added, folds, sizes, asked)
    logging.info(f"split {source} into {n_folds} folds: added layers {listed(names)}")
    return target if copy else None


def _shares(n_folds: int, shares: Sequence[float] | None) -> NDArray[np.float64]:
    """(n_folds,) that sum to 1."""
    if not isinstance(n_folds, int) or n_folds < 2:
        text = "{n_folds} is {value!r}; a whole number from 2 on is needed."
        raise ArgumentError(text, value=n_folds)
    if shares is None:
        return np.full(n_folds, 1 / n_folds)
    given = np.asarray(shares, dtype=np.float64)
    if given.shape != (n_folds,) or not (given > 0).all() or not np.isclose(given.sum(), 1.0):
        text = "{shares} is {value!r}; {n} numbers above 0 that sum to 1 are needed, one for each fold."
        raise ArgumentError(text, value=shares, n=n_folds)
    return given / given.sum()


def _sizes(adata: AnnData, matrix: CountMatrix, size: str | Sequence[float] | None) -> NDArray[np.float64]:
    """(n_features,) size of the negative binomial of each: given, or estimated given the depth of the cells."""
    if size is None:
        from recall_py.method.nulls.depth_negative_binomial import DepthNegativeBinomial, size_of

        depth = matrix.totals / (matrix.totals.mean() or 1.0)
        return size_of(DepthNegativeBinomial().fit(matrix.columns(np.ones(matrix.shape[1], dtype=np.bool_)), depth))
    if isinstance(size, str) and size not in adata.var:
        msg = f"var[{size!r}] does not exist. Columns of var: {listed(list(adata.var))}."
        raise KeyError(msg)
    given = np.asarray(pd.to_numeric(adata.var[size]) if isinstance(size, str) else size, dtype=np.float64)
    if given.shape != (adata.n_vars,) or not (given > 0).all():
        text = (
            "{size} must have a number above 0 for each of the {n} features, infinite for Poisson; this has shape "
            "{shape} and {n_wrong} others."
        )
        raise ArgumentError(text, n=adata.n_vars, shape=given.shape, n_wrong=int((~(given > 0)).sum()))
    return given
