"""Cells of a query placed among the labelled cells of a reference, and how far off they are.

Principal components are found on the cells of both, so that what is special in either has a direction, and no cell is
treated otherwise than another. A cell of the query gets the label that most of its nearest reference cells have, by
weight. For that, distances are those of linear discriminant analysis: what cells of one label differ by, such as donor,
species or depth, counts less. Its plain distance to the nearest cells of that label is compared with the distances that
reference cells have when they are left out and placed in the same way (cross-conformal prediction: Vovk, Ann Math Artif
Intell 2015, doi 10.1007/s10472-013-9368-4): the share of those that are as far is its p-value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import eigh

from recall_py.method.clustering.components import leading_components
from recall_py.method.threads import one_blas_thread

N_COMPONENTS = 30
N_NEAREST = 15
N_WITHIN = 5
"""Nearest cells of one label, whose mean distance is that to the label."""
N_FOLDS = 5
SHRINKAGE = 0.1
"""Of the covariance within labels, towards equal variances without correlation."""
_LOW = 0.25
"""Quantile of the distances by which two platforms are brought to one scale."""


@dataclass(frozen=True, kw_only=True)
class Placed:
    """Cells among labelled ones."""

    labels: NDArray[np.int64]
    """(n_query,) code of the label that most of the nearest cells have."""
    confidence: NDArray[np.float64]
    """(n_query,) their share, by weight."""
    distance: NDArray[np.float64]
    """(n_query,) to the nearest cells of the label; 1 is the median of reference cells that were left out."""
    p: NDArray[np.float64]
    """(n_query,) share of left-out reference cells that are as far from the label they get."""
    shift: float
    """What the distances were divided by before: how much farther the nearest quarter of the query is than that of the
    reference. 1 where no shift was allowed for."""
    n_alike: float
    """Share of left-out reference cells that get their own label."""


def place(
    reference: sparse.csr_array,
    labels: NDArray[np.integer],
    query: sparse.csr_array,
    *,
    shifted: bool = True,
    seed: int = 0,
) -> Placed:
    """Place cells of a query among the labelled cells of a reference.

    Parameters
    ----------
    reference, query
        (n_cells, n_genes) log-normalised values of the same genes.
    labels
        (n_reference,) codes 0..k-1.
    shifted
        Whether all distances of the query may be larger by one factor, as another platform makes them.
    seed
        Of the folds in which reference cells are left out.
    """
    with one_blas_thread():
        return _placed(reference, labels, query, shifted=shifted, seed=seed)


def _placed(
    reference: sparse.csr_array, labels: NDArray[np.integer], query: sparse.csr_array, *, shifted: bool, seed: int
) -> Placed:
    n_reference = labels.size
    scores = _scores(sparse.vstack((reference, query), format="csr"))
    of_reference, of_query = scores[:n_reference], scores[n_reference:]
    found, confidence = _vote(of_reference, labels, of_query)
    fold = np.random.default_rng([seed, 0]).permutation(n_reference) % N_FOLDS
    own_label = np.empty(n_reference, dtype=np.int64)
    own_distance = np.empty(n_reference)
    to_label = np.empty((N_FOLDS, of_query.shape[0]))
    for code in range(N_FOLDS):
        out = fold == code
        kept, of_kept = of_reference[~out], labels[~out]
        own_label[out] = _vote(kept, of_kept, of_reference[out])[0]
        own_distance[out] = _distance(kept, of_kept, of_reference[out], own_label[out])
        to_label[code] = _distance(kept, of_kept, of_query, found)
    of_all = float(np.median(own_distance))
    of_labels = [own_distance[own_label == code] for code in range(int(labels.max()) + 1)]
    scale = np.array([np.median(of_label) if of_label.size else of_all for of_label in of_labels])
    usual = own_distance / scale[own_label]
    distance = to_label.mean(axis=0) / scale[found]
    shift = max(1.0, float(np.quantile(distance, _LOW) / np.quantile(usual, _LOW))) if shifted else 1.0
    distance /= shift
    at_least = usual.size - np.searchsorted(np.sort(usual), distance, side="left")
    return Placed(
        labels=found,
        confidence=confidence,
        distance=distance,
        p=(1 + at_least) / (1 + usual.size),
        shift=shift,
        n_alike=float((own_label == labels).mean()),
    )


def _vote(
    scores: NDArray[np.float64], labels: NDArray[np.integer], of_cells: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The label that most of the nearest labelled cells have, by one over their distance, and the share of it."""
    axes = within_axes(scores, labels)
    distance, nearest = _nearest(scores @ axes, of_cells @ axes, N_NEAREST)
    weight = 1.0 / np.maximum(distance, 1e-9)
    votes = np.zeros((len(of_cells), int(labels.max()) + 1))
    np.add.at(votes, (np.arange(len(of_cells))[:, None], labels[nearest]), weight)
    return votes.argmax(axis=1), votes.max(axis=1) / votes.sum(axis=1)


def within_axes(scores: NDArray[np.float64], labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """(n_components, n_components) axes along which cells of one label vary by 1 and without correlation.

    But for the `SHRINKAGE` of their covariance.
    """
    _, codes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    means = np.zeros((sizes.size, scores.shape[1]))
    np.add.at(means, codes, scores)
    rest = scores - (means / sizes[:, None])[codes]
    within = rest.T @ rest / len(scores)
    equal = np.trace(within) / len(within) * np.eye(len(within))
    variance, axes = eigh((1 - SHRINKAGE) * within + SHRINKAGE * equal)
    return np.asarray(axes / np.sqrt(variance))


def _distance(
    scores: NDArray[np.float64],
    labels: NDArray[np.integer],
    of_cells: NDArray[np.float64],
    to_label: NDArray[np.integer],
) -> NDArray[np.float64]:
    """(n_cells,) mean distance to the nearest cells of one label each; where no cell has it, to the nearest of all."""
    found = np.empty(len(of_cells))
    for code in np.unique(to_label):
        cells, of_label = to_label == code, scores[labels == code]
        found[cells] = _nearest(of_label if len(of_label) else scores, of_cells[cells], N_WITHIN)[0].mean(axis=1)
    return found


def _scores(values: sparse.csr_array) -> NDArray[np.float64]:
    """(n_cells, n_components) principal components, from the products of cells or of genes, whichever are fewer."""
    n_cells, n_genes = values.shape
    n_components = min(N_COMPONENTS, n_cells - 1, n_genes)
    if n_cells < n_genes:
        products = (values @ values.T).toarray()
        row = products.mean(axis=0)
        variance, vectors = leading_components(products - row - row[:, None] + row.mean(), n_components)
        return np.asarray(vectors * np.sqrt(np.maximum(variance, 0.0)))
    mean = np.asarray(values.mean(axis=0)).ravel()
    _, loadings = leading_components((values.T @ values).toarray() - n_cells * np.outer(mean, mean), n_components)
    return np.asarray(values @ loadings - mean @ loadings)


def _nearest(
    among: NDArray[np.float64], scores: NDArray[np.float64], k: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Distances to the nearest cells, and which they are."""
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=min(k, len(among)), algorithm="brute").fit(among)
    distance, nearest = search.kneighbors(scores)
    return distance, nearest


def platform_genes(
    reference: sparse.csr_array,
    of_reference: NDArray[np.integer],
    query: sparse.csr_array,
    of_query: NDArray[np.integer],
) -> NDArray[np.bool_]:
    """(n_genes,) genes that differ between query and reference in the same direction in several labels.

    Of each label with three cells on both sides, Welch's t of the log-normalised values; a gene is taken for one of the
    platform where at least two labels, and two thirds of them, have a t beyond 2 on one side, and the sum of all t over
    the root of their number is beyond 4.
    """
    codes = [code for code in np.unique(of_query) if min((of_query == code).sum(), (of_reference == code).sum()) >= 3]
    if len(codes) < 2:
        return np.zeros(reference.shape[1], dtype=np.bool_)
    t = np.array([_welch(query[of_query == code], reference[of_reference == code]) for code in codes])
    least = max(2, int(np.ceil(2 * len(codes) / 3)))
    often = np.maximum((t > 2).sum(axis=0), (t < -2).sum(axis=0)) >= least
    return often & (np.abs(t.sum(axis=0)) / np.sqrt(len(codes)) > 4)


def _welch(first: sparse.csr_array, second: sparse.csr_array) -> NDArray[np.float64]:
    means, errors = [], []
    for values in (first, second):
        n_cells = values.shape[0]
        mean = np.asarray(values.mean(axis=0)).ravel()
        variance = np.asarray(values.power(2).mean(axis=0)).ravel() - mean**2
        means.append(mean)
        errors.append(np.maximum(variance, 1e-6) / (n_cells - 1))
    return np.asarray((means[0] - means[1]) / np.sqrt(errors[0] + errors[1]))


class GivenPairs:
    """Pairs of clusters that are to be compared, as neighbours."""

    def __init__(self, pairs: list[tuple[int, int]]) -> None:
        self._pairs = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)

    def pairs(self, joined: NDArray[np.int64], taking_part: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Those of which both may take part."""
        del joined
        return self._pairs[taking_part[self._pairs].all(axis=1)]

    def nearest(self, joined: NDArray[np.int64], code: int) -> int | None:
        """None: nothing is joined."""
        del joined, code
        return None
