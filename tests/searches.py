"""The search with knockoffs as most tests want it, and what only R still reaches."""

from benchmarks.clusterings import filter_tested
from benchmarks.clusterings import search as leiden

__all__ = ["filter_tested", "leiden"]
