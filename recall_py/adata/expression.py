"""What clusters express: means and shares of expressing cells, from the counts that a run has read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recall_py.adata.stored import StoredRun, recorded_counts
from recall_py.method.clustering.components import TARGET_TOTAL

if TYPE_CHECKING:
    from anndata import AnnData


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
    chosen = data.counts[:, [position[str(gene)] for gene in genes]].astype(np.float64).tocsr()
    codes = run.codes[run.codes >= 0]
    sizes = np.bincount(codes, minlength=run.n_clusters)
    member = sparse.csr_array((1.0 / sizes[codes], (codes, np.arange(codes.size))))
    expressed = chosen.astype(bool).astype(np.float64)
    values = sparse.diags_array(TARGET_TOTAL / np.maximum(total, 1.0)) @ chosen
    return np.asarray((member @ values.log1p()).todense()), np.asarray((member @ expressed).todense())
