"""An image of every function of ``recall_py.pl``, for its page: drawn anew when the site is built."""

from __future__ import annotations

import warnings
from pathlib import Path


def draw_pictures(folder: Path) -> None:
    """Draw into `folder` what does not lie there yet, on the 700 cells that come with the package."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt
    import scanpy as sc

    import recall_py
    from recall_py import pl, tl

    missing = {name for name in pl.__all__ if not (folder / f"{name}.png").exists()}
    if not missing:
        return
    folder.mkdir(parents=True, exist_ok=True)
    mpl.use("Agg")
    adata = recall_py.datasets.pbmc68k()
    adata.layers["counts"] = adata.X.copy()
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    sc.pp.pca(adata)
    sc.pp.neighbors(adata)
    sc.tl.umap(adata)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tl.leiden(adata, "auto")
        tl.merge_clusters(adata, "annotation")
        tl.recall(adata, 4)
        tl.subcluster(adata, "leiden", adata.obs["leiden"].cat.categories[:2].tolist(), resolution=2)
        tl.compare(adata, ["plain", "default", "sc_shc"], label="annotation")
    of_key = {
        "compare": ("compare",),
        "knockoffs": ("recall_clusters",),
        "search": ("recall_clusters",),
        "tree": ("recall_clusters",),
        "subclusters": ("leiden_R",),
        "evidence": ("annotation_merged",),
        "merges": ("annotation_merged",),
        "umap_compare": (None, "annotation_merged"),
    }
    for name in sorted(missing):
        figure = getattr(pl, name)(adata, *of_key.get(name, ("leiden",)), return_fig=True)
        figure.savefig(folder / f"{name}.png", dpi=90, bbox_inches="tight")
        plt.close(figure)
