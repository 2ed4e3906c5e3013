"""Calibrated clustering of an AnnData object.

:func:`leiden` stands in for ``scanpy.tl.leiden``; :func:`recall` takes the names and defaults of the R package.
:func:`merge_clusters` takes labels from anywhere; :func:`subcluster` looks inside one.
:func:`map_query` places other cells among labels; :func:`update_atlas` adds them.
"""

from recall_py.tl._compare import compare
from recall_py.tl._countsplit import countsplit
from recall_py.tl._leiden import leiden
from recall_py.tl._louvain import louvain
from recall_py.tl._map_query import map_query
from recall_py.tl._merge_clusters import merge_clusters
from recall_py.tl._recall import recall
from recall_py.tl._sc_shc import sc_shc
from recall_py.tl._subcluster import subcluster
from recall_py.tl._test_clusters import test_clusters
from recall_py.tl._update_atlas import update_atlas

__all__ = [
    "compare",
    "countsplit",
    "leiden",
    "louvain",
    "map_query",
    "merge_clusters",
    "recall",
    "sc_shc",
    "subcluster",
    "test_clusters",
    "update_atlas",
]
