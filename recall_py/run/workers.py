"""A run on the dask scheduler that is active: with knockoff genes, or pairs of clusters with null cells.

Genes are handed out in blocks: a worker has all cells of a few genes and their knockoffs. It fits, draws, normalises,
sorts and tests them. For the components, values are cut anew into groups of cells. Graph and clustering are made here,
on the scores of the cells. Every part is computed as in one process, so labels are the same bit for bit.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial, reduce
from itertools import pairwise
from operator import add
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import dask
import numpy as np
from dask.delayed import Delayed
from numpy.typing import NDArray
from scipy import sparse

from recall_py.method.clustering.components import (
    GROUP,
    MANY_CELLS,
    MAX_COMPONENTS,
    Embedding,
    ScaledGenes,
    embedding,
    group_products,
    leading_components,
    project,
    scale,
)
from recall_py.method.normalisation import cell_totals, log_normalise
from recall_py.method.nulls import null_model
from recall_py.method.nulls.copula import Copula
from recall_py.method.nulls.depth_negative_binomial import DepthNegativeBinomial
from recall_py.method.pairs import pair_test_named
from recall_py.method.pairs.against_knockoffs import KnockoffTest, SortedGeneTests
from recall_py.method.pipeline import draw_knockoffs, refuse_too_small, search_and_mark
from recall_py.method.results import Augmented, Cells, Markers, NullFit, RecallResult
from recall_py.method.stages import Stages
from recall_py.method.threads import even_blocks, one_blas_thread

if TYPE_CHECKING:
    from recall_py.counts.dask_array import DaskCounts
    from recall_py.method.clustering.graph import MakeGraph
    from recall_py.method.pairs.outcomes import CompareEach
    from recall_py.method.params import RunParams
    from recall_py.method.results import Comparison
    from recall_py.method.stages import Observer

_FAN_IN = 4
"""Arrays that are added up in one task."""


def fits_workers(params: RunParams, n_cells: int) -> bool:
    """Whether a run is made by the workers; else the counts of the selected genes are gathered.

    Gathered are runs on few cells, with null cells of each pair, with copulas, whose draws are by cells, and with
    ``dims="auto"``.
    """
    draws_by_gene = not isinstance(null_model(params.null_method), Copula)
    by_genes = pair_test_named(params.pair_test).takes_knockoffs and draws_by_gene
    return by_genes and params.dims is not None and n_cells > MANY_CELLS


def cluster_distributed(
    counts: DaskCounts,
    chosen: NDArray[Any],
    params: RunParams,
    observer: Observer,
    *,
    depth: NDArray[np.float64],
    batches: NDArray[np.int32] | None = None,
    make_graph: MakeGraph | None = None,
) -> RecallResult:
    """Calibrated clusters of the `chosen` genes; see :func:`recall_py.method.pipeline.cluster_counts`."""
    counts_of_genes, widths = counts.gene_blocks(chosen)
    n_cells = counts.shape[0]
    refuse_too_small((n_cells, sum(widths)), params)
    stages = Stages(observer)
    with stages("knockoffs"):
        drawn = _draw(counts_of_genes, widths, params, depth, batches)
        fits = _joined_fits(dask.compute(*map(dask.delayed(_fits), drawn)))
        totals = _summed([dask.delayed(cell_totals)(block.counts) for block in _by_place(drawn)])
    with stages("normalise"):
        values = _made(*(dask.delayed(log_normalise)(block.counts, totals=totals) for block in drawn))
        del drawn, totals
    with stages("sort"):
        genes = BlocksOfGenes(_made(*(dask.delayed(SortedGeneTests)(block, params.filter) for block in values)))
    with stages("components"):
        assert params.dims is not None
        scores = _embed(values, n_cells, params.dims, 1 + params.filter.n_draws).scores
        del values
    return search_and_mark(scores, KnockoffTest(genes, params.filter), params, stages, fits, make_graph)


def components_of_real_genes(counts: DaskCounts, chosen: NDArray[Any], params: RunParams) -> NDArray[np.float64]:
    """(n_cells, n_components) scores; see :func:`recall_py.method.pipeline.components_of_real_genes`."""
    counts_of_genes, widths = counts.gene_blocks(chosen)
    blocks = _made(*counts_of_genes)
    totals = _summed([dask.delayed(cell_totals)(block) for block in _by_place(blocks)])
    values = _made(*(dask.delayed(log_normalise)(block, totals=totals) for block in blocks))
    del blocks, totals
    n_components = min(params.dims or MAX_COMPONENTS, sum(widths) - 1)
    return _embed(values, counts.shape[0], n_components, 1).scores


class BlocksOfGenes:
    """Tests of blocks of genes where each block is; see ``GeneTests`` in ``method.pairs.against_knockoffs``."""

    def __init__(self, blocks: Sequence[Delayed]) -> None:
        self._blocks = blocks
        widths = dask.compute(*(block.n_genes for block in blocks))
        self._edges = np.concatenate([[0], np.cumsum(widths)])

    def contrasts(self, labels: NDArray[np.int32], pairs: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n_draws, n_pairs, n_genes) W."""
        if not len(pairs):
            return np.empty((1, 0, int(self._edges[-1])))
        shared = _share(labels)
        contrasts_of_blocks = dask.compute(*(block.contrasts(shared, pairs) for block in self._blocks))
        return np.concatenate(contrasts_of_blocks, axis=2)

    def facts(
        self,
        labels: NDArray[np.int32],
        pairs: NDArray[np.int64],
        pair: NDArray[np.int64],
        gene: NDArray[np.int64],
    ) -> Markers:
        """What markers are described by."""
        shared = _share(labels)
        rows = [np.flatnonzero((gene >= first) & (gene < last)) for first, last in pairwise(self._edges)]
        tasks = [
            block.facts(shared, pairs, pair[of_block], gene[of_block] - first)
            for block, of_block, first in zip(self._blocks, rows, self._edges[:-1], strict=True)
        ]
        described = Markers(pair, gene, *np.empty((5, gene.size)))
        for of_block, found in zip(rows, dask.compute(*tasks), strict=True):
            for name in ("w", "log10_p", "log10_p_knockoff", "auc", "log2_fold_change"):
                getattr(described, name)[of_block] = getattr(found, name)
        return described


def pairs_on_workers() -> CompareEach | None:
    """Compares pairs of clusters on the workers of the client that is in use; None without one."""
    client = _client()
    if client is None:
        return None
    shared: dict[int, tuple[Any, Delayed]] = {}

    def on_workers(part: Any) -> Any:
        """Counts are sent once, for all pairs that they are in; what is known by its place is held."""
        if not sparse.issparse(part):
            return part
        if id(part) not in shared:
            shared[id(part)] = part, _share(part)
        return shared[id(part)][1]

    def compare_each(
        compare: Callable[..., Comparison], pairs: Sequence[tuple[Any, ...]]
    ) -> Generator[Comparison, None, None]:
        task = dask.delayed(_alone)
        futures = client.compute([task(compare, *map(on_workers, pair)) for pair in pairs])
        try:
            for future in futures:
                yield future.result()
        finally:
            client.cancel(futures)

    return compare_each


def _alone(compare: Callable[..., Comparison], *pair: Any) -> Comparison:
    with one_blas_thread():
        return compare(*pair)


def _client() -> Any:
    """The client of the workers, if the scheduler that is active has one."""
    return getattr(dask.base.get_scheduler(), "__self__", None)


def _share(value: Any) -> Delayed:
    """An array as a task: what is scattered would be lost with the worker that holds it, a task is made again."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sending large graph")
        return _made(dask.delayed(value, name=f"shared-{uuid4().hex}", traverse=False))[0]


def _made(*tasks: Delayed) -> tuple[Delayed, ...]:
    """The tasks, done, with their results where they were made."""
    done: tuple[Delayed, ...] = dask.persist(*tasks)
    if _client() is not None:
        from distributed import wait

        wait(done)
    return done


def _by_place(blocks: Sequence[Delayed]) -> list[Delayed]:
    """Blocks of the same worker next to each other."""
    client = _client()
    if client is None:
        return list(blocks)
    from distributed import futures_of

    places = client.who_has(futures_of(list(blocks)))
    return sorted(blocks, key=lambda block: str(places.get(futures_of(block)[0].key)))


def _draw(
    counts: Sequence[Delayed],
    widths: Sequence[int],
    params: RunParams,
    depth: NDArray[np.float64],
    batches: NDArray[np.int32] | None,
) -> tuple[Delayed, ...]:
    """Each block with its knockoffs."""
    used = depth if isinstance(null_model(params.null_method), DepthNegativeBinomial) else None
    of_all = [None if array is None else _share(array) for array in (used, batches)]
    draw = partial(dask.delayed(_draw_block), params.null_method, params.seed, params.filter.n_draws, *of_all)
    first_genes = np.cumsum([0, *widths[:-1]]).tolist()
    return _made(*(draw(block, first) for block, first in zip(counts, first_genes, strict=True)))


def _draw_block(
    null_method: str,
    seed: int,
    n_draws: int,
    depth: NDArray[np.float64] | None,
    batches: NDArray[np.int32] | None,
    counts: sparse.csc_array,
    first_gene: int,
) -> Augmented:
    cells = Cells(counts, depth, batches)
    return draw_knockoffs(cells, null_method, seed, 1, n_draws=n_draws, first_gene=first_gene)


def _embed(values: Sequence[Delayed], n_cells: int, n_components: int, n_parts: int) -> Embedding:
    """The components of all blocks together, from groups of cells; a block has genes and draws, `n_parts` in all."""
    groups = even_blocks(n_cells, GROUP)
    mean, inverse_sd = (
        _side_by_side(moments, n_parts)
        for moments in zip(*dask.compute(*map(dask.delayed(_moments), values)), strict=True)
    )
    cut = [list(dask.delayed(_cut_cells, nout=len(groups))(block, groups)) for block in values]
    scaled = _made(
        *(
            dask.delayed(_scaled_group)([pieces[group] for pieces in cut], n_parts, mean, inverse_sd)
            for group in range(len(groups))
        )
    )
    products = [dask.delayed(_products)(group) for group in scaled]
    with one_blas_thread():
        variance, loadings = leading_components(reduce(dask.delayed(add), products).compute(), n_components)
        shared = _share(loadings)
        scores = np.concatenate(dask.compute(*(dask.delayed(_project)(group, shared) for group in scaled)))
        return embedding(scores, np.sqrt(variance), loadings)


def _summed(parts: list[Delayed]) -> Delayed:
    """The sum of arrays, added up a few at a time."""
    while len(parts) > 1:
        parts = [dask.delayed(sum)(parts[first : first + _FAN_IN]) for first in range(0, len(parts), _FAN_IN)]
    return _made(parts[0])[0]


def _fits(block: Augmented) -> tuple[NullFit, ...]:
    """The fits, without the counts that some keep."""
    return tuple(dataclasses.replace(fit, observed=None) for fit in block.fits)


def _joined_fits(blocks: Sequence[tuple[NullFit, ...]]) -> tuple[NullFit, ...]:
    """The fits of each batch over all genes."""
    return tuple(
        NullFit(
            parts[0].family,
            {name: np.concatenate([part.parameters[name] for part in parts]) for name in parts[0].parameters},
        )
        for parts in zip(*blocks, strict=True)
    )


def _moments(values: sparse.csc_array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    scaled = scale(values)
    return scaled.mean, scaled.inverse_sd


def _side_by_side(blocks: Sequence[NDArray[np.float64]], n_parts: int) -> NDArray[np.float64]:
    """(n_parts n_genes,) real genes of all blocks, then each draw of their knockoffs."""
    return np.concatenate([block.reshape(n_parts, -1)[part] for part in range(n_parts) for block in blocks])


def _cut_cells(values: sparse.csc_array, groups: Sequence[tuple[int, int]]) -> list[sparse.csc_array]:
    """Values of each group of cells."""
    by_cell = values.tocsr()
    return [sparse.csc_array(by_cell[first:last]) for first, last in groups]


def _scaled_group(
    pieces: Sequence[sparse.csc_array], n_parts: int, mean: NDArray[np.float64], inverse_sd: NDArray[np.float64]
) -> ScaledGenes:
    """A group of cells with all genes, in the order of :func:`_side_by_side`."""
    widths = [piece.shape[1] // n_parts for piece in pieces]
    columns = [
        piece[:, part * width : (part + 1) * width]
        for part in range(n_parts)
        for piece, width in zip(pieces, widths, strict=True)
    ]
    return ScaledGenes(sparse.csc_array(sparse.hstack(columns, format="csc")), mean, inverse_sd)


def _products(group: ScaledGenes) -> NDArray[np.float64]:
    with one_blas_thread(), ThreadPoolExecutor(1) as pool:
        return group_products(group, (0, group.values.shape[0]), pool)


def _project(group: ScaledGenes, loadings: NDArray[np.float64]) -> NDArray[np.float64]:
    with one_blas_thread(), ThreadPoolExecutor(1) as pool:
        return project(group, (0, group.values.shape[0]), loadings, pool)
