"""Pictures of calibrated clusterings."""

from __future__ import annotations

from recall_py.pl._compare import compare
from recall_py.pl._evidence import evidence
from recall_py.pl._knockoffs import knockoffs
from recall_py.pl._markers import markers
from recall_py.pl._merges import merges
from recall_py.pl._pairs import pairs
from recall_py.pl._search import search
from recall_py.pl._subclusters import subclusters
from recall_py.pl._support import support
from recall_py.pl._tree import tree
from recall_py.pl._umap_compare import umap_compare

__all__ = [
    "compare",
    "evidence",
    "knockoffs",
    "markers",
    "merges",
    "pairs",
    "search",
    "subclusters",
    "support",
    "tree",
    "umap_compare",
]
