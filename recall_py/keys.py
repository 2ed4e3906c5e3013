"""Names of the AnnData slots that are read and written."""

from __future__ import annotations

COUNTS_LAYER = "counts"
LOG_LAYER = "log_normalised"
HIGHLY_VARIABLE = "highly_variable"
NEIGHBORS = "neighbors"
PARAMS = "params"
MODULARITY = "modularity"
RECORD = "recall"
"""``uns[key_added]["recall"]``: the record of a run."""
PAIR_TESTS = "recall_test"
"""``uns["recall_test"]``: default key of ``tl.test_clusters``."""
KNOCKOFF = "knockoff"
"""``var["knockoff"]`` of ``pp.knockoffs``: whether the gene is a knockoff."""
REAL_GENE = "real_gene"
"""``var["real_gene"]`` of ``pp.knockoffs``: the real gene of each column."""
