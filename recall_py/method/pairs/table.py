"""Which pairs of clusters are tested, on which cells, and how their outcomes are told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recall_py.method.pairs.filter import Selection
from recall_py.method.pairs.rank_sum import cluster_pairs, cluster_sizes
from recall_py.method.params import FilterParams
from recall_py.method.results import PairTable

MAX_CLUSTERS = 400
"""W of all pairs of so many clusters and 2,000 genes takes 1.3 GB."""
MAX_CELLS = 300
"""Cells of a cluster that take part in a test against null cells, a sample if it has more."""
EXACT_PARTNER = 50
"""Cells of the other cluster in an exact test, a sample if it has more."""


@dataclass(frozen=True, kw_only=True)
class EveryGene:
    """All genes in one pair of clusters; of several draws, contrast and p-value of the null are medians."""

    log10_p: NDArray[np.float64]
    """(n_genes,)."""
    log10_p_null: NDArray[np.float64]
    """(n_genes,) of the null gene."""
    w: NDArray[np.float64]
    """(n_genes,) contrast W."""
    selection: Selection
    """What the filter made of them."""
    real: sparse.csc_array
    """(n_cells, n_genes) counts that the nulls were fitted to: all cells for knockoffs, else those that took part."""
    null: sparse.csc_array
    """(n_cells, n_genes) null counts of the first draw, which was tested."""
    null_side: NDArray[np.int64]
    """(n_cells,) which null cells the test took for the first cluster (0) and which for the second (1); -1 for none."""


def pairs_to_test(labels: NDArray[np.int32], params: FilterParams) -> NDArray[np.int64]:
    """(n_pairs, 2) pairs of the clusters that are large enough.

    Raises
    ------
    ValueError
        If there are more clusters than can be tested.
    """
    sizes = cluster_sizes(labels)
    if sizes.size > MAX_CLUSTERS:
        msg = (
            f"{sizes.size} clusters make {sizes.size * (sizes.size - 1) // 2} pairs; at most {MAX_CLUSTERS} "
            "clusters can be tested. Start with fewer: a lower resolution."
        )
        raise ValueError(msg)
    pairs = cluster_pairs(sizes.size)
    return pairs[(sizes[pairs] >= params.min_cells).all(axis=1)]


def pair_table(
    labels: NDArray[np.int32],
    pairs: NDArray[np.int64],
    selections: Sequence[Selection],
    params: FilterParams,
    distance: NDArray[np.float64] | None = None,
) -> PairTable:
    """The outcomes of the (n_pairs, 2) `pairs` of clusters that were tested."""
    sizes = cluster_sizes(labels)
    return PairTable(
        pairs=pairs,
        sizes=sizes[pairs],
        threshold=np.array([selection.threshold for selection in selections], dtype=np.float64),
        n_selected=np.array([selection.selected.sum() for selection in selections], dtype=np.int64),
        evidence=np.array([selection.evidence for selection in selections], dtype=np.float64),
        distance=distance,
        untested=np.flatnonzero(sizes < params.min_cells),
        false_share=np.array([selection.false_share for selection in selections], dtype=np.float64),
    )


def limited(cells: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most `most` of the cells; the same sample for the same cells."""
    if cells.size <= most:
        return cells
    rng = np.random.default_rng([cells.size, int(cells.sum())])
    return np.sort(rng.choice(cells, most, replace=False))


def log2_fold_changes(
    labels: NDArray[np.int32], values: sparse.csc_array, pairs: NDArray[np.int64], genes: NDArray[np.int64]
) -> NDArray[np.float64]:
    """log2 of the ratio of mean normalised counts, each plus 1, first cluster over second.

    For (n_rows, 2) `pairs` of clusters and (n_rows,) `genes`; `values` are log-normalised.
    """
    sizes = cluster_sizes(labels)
    members = sparse.csr_array((1.0 / sizes[labels], (labels, np.arange(labels.size))))
    log2_mean = np.log2(1.0 + np.asarray((members @ values.astype(np.float64).expm1()).todense()))
    first, second = pairs.T
    return log2_mean[first, genes] - log2_mean[second, genes]
