"""One pair of clusters in full: every gene against its null, recomputed from the counts and the recorded parameters.

A record keeps selected genes only. What they were compared with is drawn again, from the same seed, so that it is the
same bit for bit; where it is not, the counts have changed since, and that is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recall_py.adata.stored import ChangedError, StoredRun, recorded_counts
from recall_py.method.normalisation import log_normalise, log_normalised_block
from recall_py.method.nulls.moments import Moments, observed_moments
from recall_py.method.pairs.against_knockoffs import SortedGeneTests
from recall_py.method.pairs.against_null_cells import _WithinPieces
from recall_py.method.pairs.filter import select
from recall_py.method.pipeline import draw_knockoffs
from recall_py.method.threads import resolve_n_jobs

if TYPE_CHECKING:
    from anndata import AnnData

    from recall_py.adata.read import CountData


@dataclass(frozen=True)
class PairDetail:
    """All genes of a run in one pair of clusters."""

    group: str
    reference: str
    genes: NDArray[np.str_]
    """(n_genes,) names."""
    log10_p: NDArray[np.float64]
    """(n_genes,)."""
    log10_p_null: NDArray[np.float64]
    """(n_genes,) of the null gene, the median over draws."""
    w: NDArray[np.float64]
    """(n_genes,) contrast, the median over draws."""
    selected: NDArray[np.bool_]
    """(n_genes,)."""
    threshold: float
    """tau, ``inf`` where nothing is selected."""
    false_share: float
    """Lowest estimated share of false discoveries at any threshold."""
    real: Moments
    """Of the counts that the nulls were fitted to."""
    null: Moments
    """Of the first draw of the null counts."""
    n_cells: int
    """Cells that `real` and `null` are of: all cells for knockoffs, those of the pair for synthetic nulls."""


def pair_detail(adata: AnnData, run: StoredRun, pair: tuple[str, str], *, n_jobs: int | None = None) -> PairDetail:
    """Compare every gene with its null in one pair of clusters of a stored run.

    For knockoffs this draws all of them again, normalises and sorts: the stages "knockoffs", "normalise" and "sort" of
    the run, without components, graph and clustering. For synthetic nulls it fits and draws for the one pair:
    seconds, whatever the number of cells.

    Raises
    ------
    KeyError
        If the pair was not tested, or the counts are gone.
    ValueError
        If the counts are not those of the run.
    """
    row, codes = _row_of(run, pair)
    data = recorded_counts(adata, run)
    labels = run.codes[run.codes >= 0]
    compute = _against_knockoffs if run.pair_test == "knockoff" else _against_null_cells
    detail = compute(data, run, labels, codes, resolve_n_jobs(n_jobs))
    n_selected = int(run.record["pairs"]["n_selected"][row])
    if int(detail.selected.sum()) != n_selected:
        msg = (
            f"The counts in {data.source} give {int(detail.selected.sum())} selected genes for clusters {pair[0]} and "
            f"{pair[1]}, where uns[{run.key!r}] has {n_selected}: the counts or the version of recall_py are not those "
            "of the run. Run the clustering again."
        )
        raise ChangedError(msg)
    return detail


def weakest_pair(run: StoredRun) -> tuple[str, str] | None:
    """The tested pair with the fewest selected genes, the largest share of false ones among equals; None if no pair."""
    table = run.record["pairs"]
    if not len(table["group"]):
        return None
    order = -table["false_share"] if "false_share" in table else table["evidence"]
    row = np.lexsort((order, table["n_selected"]))[0]
    return str(table["group"][row]), str(table["reference"][row])


def _row_of(run: StoredRun, pair: tuple[str, str]) -> tuple[int, tuple[int, int]]:
    """The row of a pair in the record, and its codes in the order of that row."""
    for label in pair:
        run.code(label)
    group, reference = (np.asarray(run.record["pairs"][side]).astype(str) for side in ("group", "reference"))
    for first, second in (pair, pair[::-1]):
        rows = np.flatnonzero((group == str(first)) & (reference == str(second)))
        if rows.size:
            return int(rows[0]), (run.code(first), run.code(second))
    with_first = [*reference[group == str(pair[0])], *group[reference == str(pair[0])]]
    msg = (
        f"Clusters {pair[0]} and {pair[1]} were not tested against each other. Cluster {pair[0]} was tested against: "
        f"{', '.join(with_first) or 'none'}."
    )
    raise KeyError(msg)


def _against_knockoffs(
    data: CountData, run: StoredRun, labels: NDArray[np.int32], codes: tuple[int, int], n_jobs: int
) -> PairDetail:
    n_draws, n_genes = run.filter.n_draws, data.genes.size
    augmented = draw_knockoffs(
        data.counts,
        str(run.params["null_method"]),
        run.seed,
        n_jobs,
        depth=data.depth,
        batches=data.batches,
        n_draws=n_draws,
    )
    values = log_normalise(augmented.counts)
    tests = SortedGeneTests(values, run.filter, n_jobs=n_jobs).test(labels, np.array([codes]), np.arange(n_genes))
    found = select(tests.w[:, 0], fdr=run.filter.fdr, offset=run.filter.offset)
    return PairDetail(
        str(run.names[codes[0]]),
        str(run.names[codes[1]]),
        data.genes,
        tests.log10_p[0],
        np.median(tests.log10_p_null[:, 0], axis=0),
        np.median(tests.w[:, 0], axis=0),
        found.selected,
        found.threshold,
        found.false_share,
        observed_moments(augmented.counts[:, :n_genes]),
        observed_moments(augmented.counts[:, n_genes : 2 * n_genes]),
        len(labels),
    )


def _against_null_cells(
    data: CountData, run: StoredRun, labels: NDArray[np.int32], codes: tuple[int, int], n_jobs: int
) -> PairDetail:
    nowhere = np.zeros((len(labels), 1))  # which clusters are neighbours is on record
    test = _WithinPieces(
        data.counts, data.counts, nowhere, run.filter, batches=data.batches, seed=run.seed, n_jobs=n_jobs
    )
    merged = run.searched and run.params["search_strategy"] == "merge"
    pieces = np.asarray(run.record["start"]).astype(np.int32) if merged else labels
    log10_p, log10_p_null, w, found = test.every_gene(labels, pieces, codes)
    real, null = test.null_counts(labels, codes)
    return PairDetail(
        str(run.names[codes[0]]),
        str(run.names[codes[1]]),
        data.genes,
        log10_p,
        log10_p_null,
        w,
        found.selected,
        found.threshold,
        found.false_share,
        observed_moments(sparse.csc_array(real)),
        observed_moments(sparse.csc_array(null)),
        len(real),
    )


def cluster_expression(
    adata: AnnData, run: StoredRun, genes: NDArray[np.str_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and share of expressing cells of some genes of a run.

    Parameters
    ----------
    adata
        With the counts.
    run
        Its record.
    genes
        (n_genes,) names, among those of the run.

    Returns
    -------
    (n_clusters, n_genes) mean over cells of ln(1 + count / total * 10,000), where the total is that over the genes of
    the run, and (n_clusters, n_genes) share of cells with a count.
    """
    data = recorded_counts(adata, run)
    total = np.asarray(data.counts.sum(axis=1), dtype=np.float64).ravel()
    position = {name: i for i, name in enumerate(data.genes.tolist())}
    chosen = data.counts[:, [position[str(gene)] for gene in genes]].tocsr()
    codes = run.codes[run.codes >= 0]
    sizes = np.bincount(codes, minlength=run.n_clusters)
    member = sparse.csr_array((1.0 / sizes[codes], (codes, np.arange(codes.size))))
    expressed = chosen.astype(bool).astype(np.float64)
    values = log_normalised_block(chosen, total, np.float64)
    return np.asarray((member @ values).todense()), np.asarray((member @ expressed).todense())
