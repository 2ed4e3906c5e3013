"""From the root of a tree down: a split stands if one population would not be split as widely (sc-SHC).

The cells of a node are embedded, and Ward's statistic of its split is compared with that of null data sets of the same
size, which are drawn from one population fitted to these cells, embedded, and cut in two by Ward's method. Family-wise
error: the level of a node is alpha (n_node - 1) / (n - 1), and below a split that does not stand nothing is tested.

Given labels are the leaves of a tree of their mean scores. Null cells are then cut as the real ones are: each goes to
the side that most of its nearest real cells are on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.cluster.hierarchy import ClusterNode
from scipy.spatial import KDTree
from scipy.special import ndtr

from recall_py.arguments import ArgumentError, Named
from recall_py.method.clustering.partition import by_decreasing_size
from recall_py.method.hierarchy import log_normal
from recall_py.method.hierarchy.components import Components, deviance_residuals, gain, leading, ward_tree
from recall_py.method.results import SplitTree, TreeSplit
from recall_py.method.threads import map_blocks, one_blas_thread, resolve_n_jobs

_FEWEST = 20
"""Cells that both sides need in a batch, for the batch to take part in the test of a split."""
_DRAWS, _MORE_DRAWS = 10, 40
"""Null data sets; the others where the first give a p-value within a factor of ten of the level."""
_NEIGHBOURS = 15


@dataclass(frozen=True, kw_only=True)
class TreeParams:
    """What decides which splits stand."""

    alpha: float = 0.05
    """Family-wise error rate."""
    n_components: int = 30
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha < 1.0:
            text = "{name} is {value}; it must be between 0 and 1, both excluded."
            raise ArgumentError(text, name=Named("alpha"), value=self.alpha)
        if not isinstance(self.n_components, int) or self.n_components < 1:
            text = "{name} is {value!r}; a whole number from 1 on is needed."
            raise ArgumentError(text, name=Named("n_comps"), value=self.n_components)


def test_splits(
    counts: sparse.csr_array,
    labels: NDArray[np.int32] | None = None,
    params: TreeParams | None = None,
    *,
    batches: NDArray[np.int32] | None = None,
    tell: Callable[[TreeSplit], object] = lambda _: None,
    n_jobs: int | None = None,
) -> SplitTree:
    """Cut the cells, or join given labels, by the splits that stand.

    Parameters
    ----------
    counts
        (n_cells, n_genes) raw counts of the genes that take part.
    labels
        (n_cells,) codes 0..k-1, each in use; without them the leaves of the tree are the cells.
    params
        What decides; the defaults if not given.
    batches
        (n_cells,) codes: residuals and null cells are those of each batch. The statistic of a split is the median over
        the batches that have 20 cells on both sides; the cells of others take no part in its test.
    tell
        Is told each split once it is tested.
    n_jobs
        Threads, which take null data sets; the result is the same for any number.
    """
    params = params or TreeParams()
    node_test = _NodeTest(counts, batches, params, labels is not None, resolve_n_jobs(n_jobs))
    items = np.arange(counts.shape[0]) if labels is None else labels
    found = np.zeros(counts.shape[0], dtype=np.int64)
    splits: list[TreeSplit] = []
    n_untested = 0
    with one_blas_thread():
        waiting = [(_tree(counts, labels, batches, params), -1)]
        while waiting:
            node, parent = waiting.pop(0)
            if node.is_leaf():
                continue
            sides = [np.flatnonzero(np.isin(items, side.pre_order())) for side in (node.left, node.right)]
            split = node_test(sides, parent, node.id)
            if split is None:
                n_untested += 1
                continue
            tell(split)
            if split.stands:
                found[sides[1]] = found.max() + 1
                waiting += [(node.left, len(splits)), (node.right, len(splits))]
            splits.append(split)
    return SplitTree(labels=by_decreasing_size(found), splits=tuple(splits), n_untested=n_untested)


test_splits.__test__ = False  # type: ignore[attr-defined]  # not a test, though pytest takes it for one


def _tree(
    counts: sparse.csr_array,
    labels: NDArray[np.int32] | None,
    batches: NDArray[np.int32] | None,
    params: TreeParams,
) -> ClusterNode:
    """The tree of the cells, or of the mean scores of the labels."""
    if labels is not None and not labels.any():
        return ClusterNode(0)
    dense = counts.toarray().astype(np.float64)
    points = leading(deviance_residuals(dense, _members(batches, len(dense))), params.n_components).scores
    if labels is not None:
        points = np.stack([points[labels == code].mean(axis=0) for code in range(labels.max() + 1)])
    return ward_tree(points)


class _NodeTest:
    """The test of one split; None where no batch has enough cells on both sides."""

    def __init__(
        self,
        counts: sparse.csr_array,
        batches: NDArray[np.int32] | None,
        params: TreeParams,
        by_neighbours: bool,
        n_jobs: int,
    ) -> None:
        self._counts = counts
        self._batches = np.zeros(counts.shape[0], dtype=np.int32) if batches is None else batches
        self._params = params
        self._by_neighbours = by_neighbours
        self._n_jobs = n_jobs

    def __call__(self, sides: Sequence[NDArray[np.int64]], parent: int, number: int) -> TreeSplit | None:
        fewest = np.min([np.bincount(self._batches[side], minlength=self._batches.max() + 1) for side in sides], axis=0)
        large = np.flatnonzero(fewest >= _FEWEST)
        if not large.size:
            return None
        cells = np.concatenate(sides)
        level = self._params.alpha * (cells.size - 1) / (self._counts.shape[0] - 1)
        on_left = np.arange(cells.size) < len(sides[0])
        taken = np.isin(self._batches[cells], large)
        cells, on_left = cells[taken], on_left[taken]
        counts = self._counts[cells].toarray().astype(np.float64)
        members = [np.flatnonzero(self._batches[cells] == batch) for batch in large]
        real = leading(deviance_residuals(counts, members), self._params.n_components)
        models = [log_normal.fit(counts[own], self._params.n_components) for own in members]
        nearest = KDTree(real.scores) if self._by_neighbours else None

        def null_statistic(seed: np.random.SeedSequence) -> float:
            rng = np.random.default_rng(seed)
            drawn = np.empty(counts.shape)
            for model, own in zip(models, members, strict=True):
                drawn[own] = log_normal.draw(model, own.size, rng)
            residuals = deviance_residuals(drawn, members)
            scores = leading(residuals, self._params.n_components).scores
            if nearest is None:
                cut = np.isin(np.arange(len(scores)), ward_tree(scores).left.pre_order())
            else:
                cut = _side_of_most(nearest, real, residuals, on_left)
            return _statistic(scores, cut, members)

        statistic = _statistic(real.scores, on_left, members)
        seeds = np.random.SeedSequence(self._params.seed, spawn_key=(number,)).spawn(_DRAWS + _MORE_DRAWS)
        nulls = map_blocks(null_statistic, seeds[:_DRAWS], self._n_jobs)
        p = _upper_tail(statistic, nulls)
        if level / 10 <= p <= level * 10:
            nulls += map_blocks(null_statistic, seeds[_DRAWS:], self._n_jobs)
            p = _upper_tail(statistic, nulls)
        n_left, n_right = map(len, sides)
        return TreeSplit(parent=parent, n_left=n_left, n_right=n_right, statistic=statistic, p=p, level=level)


def _members(batches: NDArray[np.int32] | None, n_cells: int) -> list[NDArray[np.int64]]:
    """The cells of each batch."""
    if batches is None:
        return [np.arange(n_cells)]
    return [np.flatnonzero(batches == batch) for batch in np.unique(batches)]


def _statistic(scores: NDArray[np.float64], on_left: NDArray[np.bool_], members: Sequence[NDArray[np.int64]]) -> float:
    """Ward's statistic of a split, the median over batches; 0 for a batch that is not split."""
    of_batches = [
        gain(scores[own], on_left[own]) if 0 < np.count_nonzero(on_left[own]) < own.size else 0.0 for own in members
    ]
    return float(np.median(of_batches))


def _side_of_most(
    nearest: KDTree, real: Components, residuals: NDArray[np.float64], on_left: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which null cells go left, as most of the real cells that are nearest do."""
    _, neighbours = nearest.query(real.project(residuals), k=_NEIGHBOURS)
    return on_left[neighbours].mean(axis=1) > 0.5


def _upper_tail(statistic: float, nulls: Sequence[float]) -> float:
    """How likely a normal variable with the moments of the nulls is larger."""
    spread = max(float(np.std(nulls)), np.finfo(np.float64).tiny)
    return float(ndtr((np.mean(nulls) - statistic) / spread))
