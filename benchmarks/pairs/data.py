"""Simulated values for the benchmark of pairs."""

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse


def simulate(n_cells=20_000, n_genes=1_000, n_clusters=20, density=0.1, seed=0):
    """Log-normalised-like values, cells x genes, in CSR, and codes of clusters of unequal size.

    Non-zeros are continuous, so that there are few ties; a tenth of the genes is seen more often in each cluster.
    """
    rng = np.random.default_rng(seed)
    weights = np.linspace(9.0, 1.0, n_clusters)
    labels = np.sort(rng.choice(n_clusters, size=n_cells, p=weights / weights.sum())).astype(np.int32)
    rng.shuffle(labels)
    seen = rng.beta(1.0, 1.0 / density - 1.0, size=n_genes)
    effect = np.where(rng.random((n_clusters, n_genes)) < 0.1, 2.0, 1.0)
    chance = effect * seen
    chance *= density / chance[labels].mean()
    blocks = []
    for first in range(0, n_cells, 2_000):
        there = rng.random((min(2_000, n_cells - first), n_genes)) < chance[labels[first : first + 2_000]]
        block = sparse.csr_matrix(there, dtype=np.float32)
        block.data = np.log1p(rng.gamma(1.5, 2.0, size=block.nnz)).astype(np.float32)
        blocks.append(block)
    values = sparse.vstack(blocks, format="csr", dtype=np.float32)
    values.sort_indices()
    return values, labels


def as_anndata(values, labels):
    """The same values for the peers, with the codes as strings in ``obs["cluster"]``."""
    clusters = pd.Categorical(labels.astype(str), categories=[str(code) for code in range(labels.max() + 1)])
    cells = [f"cell{i}" for i in range(values.shape[0])]
    genes = [f"gene{j}" for j in range(values.shape[1])]
    return ad.AnnData(values, obs=pd.DataFrame({"cluster": clusters}, index=cells), var=pd.DataFrame(index=genes))
