"""Seurat v5 objects that rpy2 holds: calibrated clusters in them, and to AnnData and back.

For a notebook: ``%%R -o obj`` hands an object to Python, ``obj = recall_py.seurat.find_clusters_calibrated(obj)``
clusters the graph that it has, and ``%%R -i obj`` hands it back. Needs R with Seurat 5, and rpy2:
``pip install 'recall-py[r]'``.
"""

from recall_py.seurat._calibrated import find_clusters_calibrated, merge_clusters, test_clusters
from recall_py.seurat._clusters import find_clusters, labels_to_seurat, read_rds, write_rds
from recall_py.seurat._convert import to_anndata, to_seurat

__all__ = [
    "find_clusters",
    "find_clusters_calibrated",
    "labels_to_seurat",
    "merge_clusters",
    "read_rds",
    "test_clusters",
    "to_anndata",
    "to_seurat",
    "write_rds",
]
