"""Small data with a graph of the cells, each made by the package that it is named after.

``python tests/peers/graphs.py FOLDER NAME...`` writes them as files; ``tests/data/graphs`` holds what it wrote.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import scanpy as sc

import recall_py

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData
    from numpy.typing import NDArray

GROUPS = ("CD14+ Monocyte", "CD19+ B")
"""Labels of ``obs["annotation"]`` that nobody takes for each other."""

N_CELLS, N_GENES, N_COMPONENTS = 160, 100, 8


def counts(n_genes: int = N_GENES) -> AnnData:
    """Raw counts of two groups, in the genes that vary most; every second cell is of batch ``b``."""
    adata = recall_py.datasets.pbmc68k()
    adata = adata[adata.obs["annotation"].isin(GROUPS)][:N_CELLS].copy()
    adata.obs["batch"] = np.where(np.arange(adata.n_obs) % 2, "a", "b")
    adata.obs = adata.obs.astype("category")
    variance = log_normalised(adata).X.toarray().var(axis=0)
    return adata[:, np.sort(np.argsort(-variance)[:n_genes])].copy()


def log_normalised(adata: AnnData) -> AnnData:
    """The same with log-normalised values in ``X`` and the counts in a layer."""
    adata = adata.copy()
    adata.layers["counts"] = adata.X.copy()
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    return adata


def components(adata: AnnData) -> NDArray[np.float32]:
    """Principal components of the log-normalised values of counts."""
    return sc.pp.pca(log_normalised(adata).X, n_comps=N_COMPONENTS)


def harmonypy() -> AnnData:
    """scanpy's graph on the components that Harmony gives; ``X`` holds log-normalised values."""
    import harmonypy

    adata = log_normalised(counts())
    adata.obsm["X_pca"] = components(counts())
    harmony = harmonypy.run_harmony(adata.obsm["X_pca"], adata.obs, "batch", verbose=False)
    adata.obsm["X_pca_harmony"] = harmony.Z_corr
    sc.pp.neighbors(adata, use_rep="X_pca_harmony")
    return adata


def bbknn() -> AnnData:
    """The nearest cells in each batch; ``X`` holds the counts."""
    import bbknn

    adata = counts()
    adata.obsm["X_pca"] = components(adata)
    bbknn.bbknn(adata, batch_key="batch", n_pcs=N_COMPONENTS)
    return adata


def muon() -> MuData:
    """Weighted nearest neighbours; ``X`` holds the counts. There are no proteins: ``other`` has 30 other genes."""
    import mudata
    import muon

    both = counts(N_GENES + 30)
    mdata = mudata.MuData({"rna": both[:, 30:].copy(), "other": ad.AnnData(both[:, :30].X, both.obs[[]])})
    for adata in mdata.mod.values():
        adata.obsm["X_pca"] = components(adata)
        sc.pp.neighbors(adata, 10, use_rep="X_pca")  # muon 0.1.9 fails on a sparse X, scanpy's choice for few genes
    muon.pp.neighbors(mdata, n_multineighbors=50)
    return mdata


def squidpy() -> AnnData:
    """Neighbours in a tissue of two halves, one for each group; places are made up, and ``X`` holds the counts."""
    import squidpy

    adata = counts()
    place = np.random.default_rng(0).uniform(size=(adata.n_obs, 2))
    place[:, 0] += np.where(adata.obs["annotation"] == GROUPS[0], 1.3, 0)
    adata.obsm["spatial"] = place
    squidpy.gr.spatial_neighbors(adata, coord_type="generic", n_neighs=15)
    return adata


MAKERS = {maker.__name__: maker for maker in (harmonypy, bbknn, muon, squidpy)}


if __name__ == "__main__":
    for name in sys.argv[2:]:
        made = MAKERS[name]()
        write, kind = (made.write_h5mu, "h5mu") if name == "muon" else (made.write_h5ad, "h5ad")
        write(Path(sys.argv[1]) / f"{name}.{kind}", compression="gzip", compression_opts=9)
