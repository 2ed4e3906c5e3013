"""Make data/pbmc68k.h5ad: the 700 PBMC that ship with scanpy, as raw counts.

scanpy stores log-normalised values in ``raw.X``. Each cell's smallest non-zero value belongs to one count, so
``expm1`` divided by the smallest non-zero value of the cell, rounded, gives the counts back.
"""

from pathlib import Path

import anndata as ad
import numpy as np
import scanpy as sc
from scipy import sparse


def main() -> None:
    """Write the file beside this script."""
    original = sc.datasets.pbmc68k_reduced()
    values = sparse.csr_matrix(original.raw.X).astype(np.float64)
    for cell in range(values.shape[0]):
        row = slice(values.indptr[cell], values.indptr[cell + 1])
        ratio = np.expm1(values.data[row])
        values.data[row] = np.round(ratio / ratio.min())
    obs = original.obs[["bulk_labels"]].rename(columns={"bulk_labels": "annotation"})
    counts = ad.AnnData(X=values.astype(np.float32), obs=obs)
    counts.var_names = original.raw.var_names
    counts.obs.index.name = counts.var.index.name = None
    counts.uns["source"] = "10x Genomics, Fresh 68k PBMC (Zheng et al. 2017), CC BY 4.0; 700 cells as shipped by scanpy"
    counts.write_h5ad(Path(__file__).with_name("pbmc68k.h5ad"), compression="gzip")


if __name__ == "__main__":
    main()
