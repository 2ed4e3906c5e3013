"""What R calls: the vectors of a sparse matrix in, plain vectors and columns out.

A dgCMatrix of genes x cells is column-compressed, and so is, vector for vector, the row-compressed matrix of cells x
genes: nothing is transposed and nothing made dense.
"""

from __future__ import annotations

import json
from ast import literal_eval
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from recall_py import get
from recall_py.adata import keys
from recall_py.adata.stored import find_record
from recall_py.arguments import ArgumentError
from recall_py.counts.structure import refuse_damaged
from recall_py.method.params import PartitionParams
from recall_py.method.stages import Silent
from recall_py.run.calibration import Calibration
from recall_py.run.cluster import read_cluster_write
from recall_py.run.observe import describe, outcome_warnings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from anndata import AnnData
    from numpy.typing import ArrayLike, NDArray

    from recall_py.arguments import Speller
    from recall_py.method.results import Iteration
    from recall_py.method.stages import Observer

_KEY = "recall"
_BATCH = "batch"
_SCALARS = ("version", "converged", "reason", "first_passed", "level", "n_clusters", "n_components", "selection")
_R_NAMES = {
    "fdr": "q",
    "resolution": "resolution_start",
    "reduction": "reduction_percentage",
    "batch_key": "batch",
    "groupby": "group.by",
    "random_state": "seed",
    "n_jobs": "cores",
}
"""Arguments that the R package calls otherwise."""


def in_r(name: str, value: str, *, renamed: bool = True) -> str:
    """An argument as R has it; a :data:`~recall_py.arguments.Speller`. Where it is not `renamed` its name stays."""
    name = _R_NAMES.get(name, name) if renamed else name
    if not value:
        return name
    known = literal_eval(value)
    if name == "dims" and isinstance(known, int):
        return f"dims = 1:{known}"
    if isinstance(known, str):
        return f"{name} = {json.dumps(known, ensure_ascii=False)}"
    return f"{name} = {str(known).upper() if isinstance(known, bool) else known}"


@contextmanager
def errors_in_r(spell: Speller = in_r) -> Iterator[None]:
    """Errors that name arguments are raised with the names of R."""
    try:
        yield
    except ArgumentError as error:
        raise ValueError(error.spelled(spell)) from error


class _Messages:
    """An observer that hands each step of the search to a function of one line."""

    def __init__(self, say: Callable[[str], object], *, by_resolution: bool) -> None:
        self._say = say
        self._by_resolution = by_resolution

    def stage(self, name: str) -> None:
        """Say nothing: the steps of the search are what users of R are used to see."""

    def iteration(self, iteration: Iteration) -> None:
        """Say what the step found."""
        self._say(describe(iteration, by_resolution=self._by_resolution))


@errors_in_r()
def cluster(matrix: Mapping[str, Any], options: Mapping[str, Any], **others: Any) -> dict[str, Any]:
    """Calibrated clusters for R: :func:`calibrated_clusters`, with messages and errors in R's words."""
    found = calibrated_clusters(matrix, options, **others)
    return {**found, "messages": [message.spelled(in_r) for message in found["messages"]]}


def calibrated_clusters(
    matrix: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    n_top_genes: int = 2000,
    knockoffs: Mapping[str, Any] | None = None,
    say: Callable[[str], object] | None = None,
) -> dict[str, Any]:
    """Calibrated clusters of counts that come from R.

    Parameters
    ----------
    matrix
        ``x``, ``i``, ``p`` (the vectors of a dgCMatrix, genes x cells), ``genes`` (names), ``totals`` ((n_cells,) each
        cell's counts over all genes, where `matrix` holds the selected genes; None where it holds all and genes are to
        be selected) and ``batch`` ((n_cells,) labels, or None). Not changed.
    options
        Arguments of the calibration under their Python names; ``algorithm`` among them.
    n_top_genes
        Genes to select where ``totals`` is None.
    knockoffs
        ``x``, ``i``, ``p`` of given knockoffs, one row for each selected gene; drawn where None.
    say
        Called with a line of text for each step of the search.

    Returns
    -------
    ``labels`` (codes from 0 by decreasing size), ``iterations``, ``pairs``, ``markers`` and ``cluster_markers``
    (columns by name), ``genes``, ``untested``, ``params``, ``seconds``, ``messages`` (warnings about the outcome) and
    the scalars of the record.

    Raises
    ------
    ValueError
        For options or counts that the engine refuses.
    """
    adata = _as_adata(matrix)
    batch_key = None if matrix.get("batch") is None else _BATCH
    calibration = Calibration(**_arguments(options, batch_key, n_top_genes))
    params = calibration.run_params(adata)
    observer: Observer = Silent()
    if say is not None:
        observer = _Messages(say, by_resolution=params.partition.by_resolution)
    n_genes = len(matrix["genes"])
    nulls = None if knockoffs is None else cells_by_genes(knockoffs, n_genes)
    _, search = read_cluster_write(adata, calibration, params, observer, key_added=_KEY, knockoffs=nulls)
    return {
        "labels": search.partition.labels,
        **record_of(adata, _KEY),
        "messages": outcome_warnings(search, params),
    }


def half(counts: ArrayLike, seed: int) -> NDArray[np.float64]:
    """(n_stored,) of each count what goes to one of two folds, each molecule by itself; for count splitting in R."""
    drawn = np.random.default_rng(seed).binomial(np.asarray(counts).ravel().astype(np.int64), 0.5)
    return np.asarray(drawn, dtype=np.float64)


def record_of(adata: AnnData, key: str) -> dict[str, Any]:
    """The record of a clustering in `adata` as plain columns and scalars; see :func:`calibrated_clusters`."""
    record = find_record(adata, key)
    return {
        "iterations": columns(get.iterations(adata, key)),
        **_tables(adata, key),
        **{name: record[name] for name in _SCALARS},
        "params": record["params"],
        "seconds": record["seconds"],
    }


def _arguments(options: Mapping[str, Any], batch_key: str | None, n_top_genes: int) -> dict[str, Any]:
    """Arguments of a calibration; Leiden iterates as in ``tl.recall``."""
    asked = {"layer": None, "n_top_genes": n_top_genes, "batch_key": batch_key, "preset": "recall", **options}
    algorithm = asked.pop("algorithm")
    n_iterations = 10 if algorithm == "leiden" else -1
    return {**asked, "partition": PartitionParams(algorithm=algorithm, n_iterations=n_iterations)}


def cells_by_genes(matrix: Mapping[str, Any], n_genes: int) -> sparse.csr_array:
    """The sparse matrix over the very vectors of R, which must not be written to."""
    vectors = []
    for name in ("x", "i", "p"):
        vector = np.asarray(matrix[name]).ravel().view()
        vector.flags.writeable = False
        vectors.append(vector)
    x, i, p = vectors
    cells_by_genes = sparse.csr_array((p.size - 1, n_genes), dtype=x.dtype)
    cells_by_genes.data, cells_by_genes.indices, cells_by_genes.indptr = x, i, p
    refuse_damaged(cells_by_genes, "The matrix from R")
    return cells_by_genes


def _as_adata(matrix: Mapping[str, Any]) -> AnnData:
    """Counts as AnnData; the genes that were left out are one last column, so that depth is over all genes."""
    import anndata as ad

    genes = [str(gene) for gene in matrix["genes"]]
    counts = cells_by_genes(matrix, len(genes))
    totals = matrix.get("totals")
    var = pd.DataFrame(index=pd.Index(genes, dtype=object))
    stored: sparse.csr_array | sparse.csc_array = counts
    if totals is not None:
        rest = _rest(counts, totals)
        stored = sparse.csc_array(sparse.hstack([counts.tocsc(), sparse.csc_array(rest[:, None])], format="csc"))
        var = pd.DataFrame(
            {keys.HIGHLY_VARIABLE: [True] * len(genes) + [False]},
            index=pd.Index([*genes, _unused("all other genes", genes)], dtype=object),
        )
    cells = pd.Index([str(cell) for cell in range(counts.shape[0])], dtype=object)
    adata = ad.AnnData(stored, obs=pd.DataFrame(index=cells), var=var)
    if matrix.get("batch") is not None:
        adata.obs[_BATCH] = pd.Categorical([str(name) for name in matrix["batch"]])
    return adata


def _rest(counts: sparse.csr_array, totals: ArrayLike) -> np.ndarray:
    """(n_cells,) counts of the genes that are not in `counts`."""
    return np.asarray(totals, dtype=np.float64).ravel() - counts @ np.ones(counts.shape[1])


def _unused(name: str, taken: Sequence[str]) -> str:
    """A name that no gene has."""
    names = set(taken)
    while name in names:
        name += "_"
    return name


def _tables(adata: AnnData, key: str) -> dict[str, Any]:
    """Pairs and markers, and which labels and genes they are about."""
    record = find_record(adata, key)
    return {
        "pairs": columns(get.pairs(adata, key)),
        "markers": columns(get.markers(adata, key)),
        "cluster_markers": columns(get.markers(adata, key, by="cluster")),
        "genes": [str(gene) for gene in record["genes"]],
        "untested": [str(label) for label in record["untested"]],
    }


def columns(frame: pd.DataFrame) -> dict[str, Any]:
    """Columns by name: arrays of numbers and truth values, lists of text. R's integers have 32 bits."""
    columns: dict[str, Any] = {}
    for name, column in frame.items():
        kind = column.dtype.kind
        values = column.to_numpy()
        columns[str(name)] = (
            values.astype(np.int32) if kind in "iu" else values if kind in "bf" else [str(value) for value in values]
        )
    return columns
