"""What a record does not hold, recomputed from the counts: a pair of clusters in full, and what clusters express.

A record keeps selected genes only. What they were compared with is drawn again, from the same seed, so that it is the
same bit for bit; where it is not, the counts have changed since, and that is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recall_py.adata.stored import ChangedError, StoredResult, StoredRun, recorded_counts
from recall_py.method.normalisation import log_normalised_block
from recall_py.method.nulls.moments import Moments, observed_moments
from recall_py.method.pipeline import make_pair_test

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True, kw_only=True)
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
    test = make_pair_test(
        data.read(),
        run.pair_test,
        str(run.params.get("null_method", "")),
        run.filter,
        seed=run.seed,
        n_jobs=n_jobs,
    )
    tested = test.every_gene(labels, codes, _pieces(run, labels))
    n_selected, on_record = int(tested.selection.selected.sum()), int(run.record["pairs"]["n_selected"][row])
    if n_selected != on_record:
        msg = (
            f"The counts in {data.source} give {n_selected} selected genes for clusters {pair[0]} and "
            f"{pair[1]}, where uns[{run.key!r}] has {on_record}: the counts or the version of recall_py are not those "
            "of the run. Run the clustering again."
        )
        raise ChangedError(msg)
    return PairDetail(
        group=str(run.names[codes[0]]),
        reference=str(run.names[codes[1]]),
        genes=data.genes,
        log10_p=tested.log10_p,
        log10_p_null=tested.log10_p_null,
        w=tested.w,
        selected=tested.selection.selected,
        threshold=tested.selection.threshold,
        false_share=tested.selection.false_share,
        real=observed_moments(tested.real),
        null=observed_moments(tested.null),
        n_cells=tested.real.shape[0],
    )


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


def _pieces(run: StoredRun, labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Codes of the clusters that the run tested first."""
    merged = run.searched and run.params["search_strategy"] == "merge"
    return np.asarray(run.record["start"]).astype(np.int32) if merged else labels


def cluster_expression(
    adata: AnnData, run: StoredResult, genes: NDArray[np.str_]
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
    counts = data.read().counts
    total = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    position = {name: i for i, name in enumerate(data.genes.tolist())}
    chosen = counts[:, [position[str(gene)] for gene in genes]].tocsr()
    codes = run.codes[run.codes >= 0]
    sizes = np.bincount(codes, minlength=run.n_clusters)
    member = sparse.csr_array((1.0 / sizes[codes], (codes, np.arange(codes.size))))
    expressed = chosen.astype(bool).astype(np.float64)
    values = log_normalised_block(chosen, total, np.float64)
    return np.asarray((member @ values).todense()), np.asarray((member @ expressed).todense())
