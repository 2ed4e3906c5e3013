"""Cells of one population cut in two, as a clustering would cut them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy import sparse

from recall_py.method.clustering.components import MAX_SCALED
from recall_py.method.pairs.population import leading_eigenvectors

_COMPONENTS = 20
_RANDOM_STARTS = 3
_CUT_STEPS = 5
_OFTEN = 0.15
"""Share of the cells with a count from which on the products of a gene cost less as part of a dense block."""


@dataclass(frozen=True)
class ScaledGenes:
    """Log-normalised counts, each gene in standard deviations and without the means of the batches."""

    values: sparse.csc_array
    """(n_cells, n_genes) in standard deviations, zero where the count is."""
    stratum: NDArray[np.int32]
    """(n_cells,) codes 0..n-1 of the batches."""

    @classmethod
    def of(cls, values: sparse.csc_array, stratum: NDArray[np.int32]) -> ScaledGenes:
        """Scale (n_cells, n_genes) values, with a bound on how far above its mean a gene may be."""
        n_cells = values.shape[0]
        ones = np.ones(n_cells)
        mean = (ones @ values) / n_cells
        squares = ones @ values.power(2)
        deviation = np.sqrt(np.maximum(squares - n_cells * mean**2, 0.0) / max(n_cells - 1, 1))
        factor = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 1e-6)
        counted = np.diff(values.indptr)
        scaled = np.minimum(
            values.data * np.repeat(factor.astype(np.float32), counted),
            np.repeat((mean * factor + MAX_SCALED).astype(np.float32), counted),
        )
        return cls(sparse.csc_array((scaled, values.indices, values.indptr), shape=values.shape), stratum)

    @cached_property
    def _member(self) -> NDArray[np.float32]:
        """(n_cells, n_strata) 1 where a cell is in a batch."""
        return np.eye(int(self.stratum.max()) + 1, dtype=np.float32)[self.stratum]

    @cached_property
    def _average(self) -> NDArray[np.float32]:
        """(n_cells, n_strata) weights by which cells make up the mean of each batch."""
        return self._member / self._member.sum(axis=0)

    @cached_property
    def _centre(self) -> NDArray[np.float32]:
        """(n_strata, n_genes) means of the batches."""
        return (self.values.T @ self._average).T

    def difference(self, part: NDArray[np.bool_]) -> NDArray[np.float32]:
        """(n_genes,) mean of the cells of a part less that of the others."""
        weight = _weights(part, np.float32)
        return np.asarray(self.values.T @ weight - (weight @ self._member) @ self._centre)

    def along(self, direction: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n_cells,) positions along a direction, (n_genes,)."""
        return np.asarray(self.values @ direction - (self._centre @ direction)[self.stratum])

    def scores(self, n_components: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """(n_cells, n_components) on the leading components."""
        products = self._products()
        products -= (products @ self._average) @ self._member.T
        products -= self._member @ (self._average.T @ products)
        variance, vectors = leading_eigenvectors(products, n_components, rng)
        return vectors * np.sqrt(np.maximum(variance, 0.0))

    def _products(self) -> NDArray[np.float32]:
        """(n_cells, n_cells) sums over genes of the products of two cells."""
        from recall_py._kernels.null_cells import add_products

        n_cells = self.values.shape[0]
        often = np.diff(self.values.indptr) > _OFTEN * n_cells
        dense = self.values[:, often].toarray()
        seldom = self.values[:, ~often]
        products = dense @ dense.T
        add_products(seldom.indptr, seldom.indices, seldom.data, products)
        return np.asarray(products)


def cut_in_two(
    scaled: ScaledGenes,
    is_first: NDArray[np.bool_],
    direction: NDArray[np.float32],
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Cut cells on their own components, from `direction` and from random starts; see :func:`cut`.

    Batches are centred and keep their share of each part, so that the cut is not along them.
    """
    scores = scaled.scores(min(_COMPONENTS, is_first.size - 1), rng)
    strata = [np.flatnonzero(scaled.stratum == code) for code in range(int(scaled.stratum.max()) + 1)]
    return cut(scores, scaled.difference, is_first, scaled.along(direction), strata, rng)


def cut(
    scores: NDArray[np.floating],
    difference: Callable[[NDArray[np.bool_]], NDArray[np.floating]],
    is_first: NDArray[np.bool_],
    position: NDArray[np.floating],
    strata: list[NDArray[np.int64]],
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Cut cells in two as a clustering would, with as many cells in the first part as `is_first` has; True for it.

    Steps of 2-means with the sizes held: the cells are ordered along the difference of the two means and cut again.
    From `position` and from random directions; the cut stands that is seen best in single genes, by the sum of the
    fourth powers of the differences of means: a clustering has many cuts to choose from, and one along a single module
    of genes has the better markers than one across several.

    Parameters
    ----------
    scores
        (n_cells, n_components).
    difference
        Of a part, the (n_genes,) differences of means.
    is_first
        (n_cells,) the real cut, for the sizes.
    position
        (n_cells,) positions of the cells along which the first cut is made.
    strata
        Cells whose sizes are held each by themselves, one array for each batch.
    """
    best, most = is_first, -np.inf
    spread = scores.std(axis=0)
    for attempt in range(1 + _RANDOM_STARTS):
        if attempt:
            position = scores @ (rng.standard_normal(scores.shape[1]) * spread)
        part = _top(position, is_first, strata)
        for _ in range(_CUT_STEPS):
            again = _top(scores @ (_weights(part, scores.dtype) @ scores), is_first, strata)
            if np.array_equal(again, part):
                break
            part = again
        seen = float((difference(part).astype(np.float64) ** 4).sum())
        if seen > most:
            best, most = part, seen
    return best


def _weights(part: NDArray[np.bool_], dtype: DTypeLike) -> NDArray[np.floating]:
    """(n_cells,) weights by which cells make up the mean of the part less that of the others."""
    return np.where(part, 1.0 / part.sum(), -1.0 / (~part).sum()).astype(dtype)


def _top(
    position: NDArray[np.floating], is_first: NDArray[np.bool_], strata: list[NDArray[np.int64]]
) -> NDArray[np.bool_]:
    """The foremost cells, in each stratum as many as the real cut has there."""
    part = np.zeros(position.size, dtype=np.bool_)
    for cells in strata:
        part[cells[np.argsort(-position[cells], kind="stable")[: is_first[cells].sum()]]] = True
    return part
