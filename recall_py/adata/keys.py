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
RESTRICTED_SUFFIX = "_R"
"""Added to the default key of a restricted clustering, as in scanpy."""
SKETCH = "sketch"
"""``uns[key_added]["recall"]["sketch"]``: cells of the sketch that was clustered."""
SKETCH_SUFFIX = "_sketch"
"""Added to the name of labels: the column that says which cells were in the sketch."""
KNOCKOFF = "knockoff"
"""``var["knockoff"]`` of ``pp.knockoffs``: whether the gene is a knockoff."""
REAL_GENE = "real_gene"
"""``var["real_gene"]`` of ``pp.knockoffs``: the real gene of each column."""


def final_key(key_added: str, default: str, *, restricted: bool) -> str:
    """Slot that a clustering writes to: a restricted one never takes the place of the labels it came from."""
    return key_added + RESTRICTED_SUFFIX if restricted and key_added == default else key_added
