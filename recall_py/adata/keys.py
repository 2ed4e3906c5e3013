"""Names of the AnnData slots that are read and written."""

from __future__ import annotations

from recall_py.arguments import ArgumentError

COUNTS_LAYER = "counts"
LOG_LAYER = "log_normalised"
HIGHLY_VARIABLE = "highly_variable"
FEATURE_TYPES = "feature_types"
NEIGHBORS = "neighbors"
PARAMS = "params"
MODULARITY = "modularity"
TREE = "tree"
"""``uns[key_added]["tree"]``: the tested splits of a tree of the cells."""
COUNTSPLIT = "countsplit"
"""``uns["countsplit"]``: default key of ``tl.countsplit``."""
FOLDS = "folds"
"""``uns[key_added]["folds"]``: the layers with independent folds of the counts."""
COMPARISON = "comparison"
"""``uns[key_added]["comparison"]``: a table of rival methods."""
RECORD = "recall"
"""``uns[key_added]["recall"]``: the record of a run."""
OUTCOMES = "outcomes"
BATCHES = "batches"
"""``uns[key_added]["recall"]["outcomes"]``: merges of clusters, and the pairs that were compared last."""
CLUSTERING = "clustering"
"""``uns[key_added]["recall"]["clustering"]``: what made the labels that were merged, and its arguments."""
HISTORY = "history"
"""``uns[key_added]["recall"]["history"]``: the tree of clusters inside clusters."""
MAPPING = "mapping"
"""``uns[key_added]["mapping"]``: what became of a query on a reference."""
MAPPED = "mapped"
"""``obs["mapped"]``: default key of ``tl.map_query``."""
ATLAS_UPDATE = "atlas_update"
"""``uns["atlas_update"]``: default key of ``tl.update_atlas``."""
CHANGES = "changes"
"""``uns[key_added]["changes"]``: labels that updates of an atlas have added cells to."""
CONFIDENCE_SUFFIX = "_confidence"
DISTANCE_SUFFIX = "_distance"
P_SUFFIX = "_p"
FITS_SUFFIX = "_fits"
"""Added to the name of mapped labels: columns with what is known of each cell."""
START_SUFFIX = "_start"
"""Added to the name of calibrated labels: the column with the labels that they were merged from."""
STABILITY_SUFFIX = "_stability"
"""Added to the name of calibrated labels: the column that says how often each cell is found with its cluster."""
STABILITY = "stability"
"""``uns[key_added]["recall"]["stability"]``: how well each cluster is found again."""
MERGED_SUFFIX = "_merged"
"""Added to the name of labels: where they are written once they are merged."""
COLORS_SUFFIX = "_colors"
"""Added to the name of labels: the entry of ``uns`` that scanpy keeps their colours in."""
PAIR_TESTS = "recall_test"
"""``uns["recall_test"]``: default key of ``tl.test_clusters``."""
AGAIN = "again"
"""``uns[key_added]["recall"]["again"]``: which labels are found again on a fold of the counts."""
AGAIN_SUFFIX = "_again"
"""Added to the key of tests: the column with the labels that are found again."""
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

ROUNDED = "adata.layers['counts'] = np.rint(adata.X)"
"""The line that makes counts of estimated ones."""

_RESERVED = (".", "..", "_index", ".zarray", ".zattrs", ".zgroup", ".zmetadata", "zarr.json")
"""Names that .h5ad files and .zarr stores have a use of their own for."""
_LONGEST = 200
"""Bytes of a key; the name of a folder in a .zarr store has 255, with suffixes."""


def refuse_unusable(key_added: object) -> None:
    """Refuse a key that a file could not hold as one name: it would be a path to another slot, or nothing at all."""
    if (
        isinstance(key_added, str)
        and key_added.isprintable()
        and not {"/", "\\"} & set(key_added)
        and key_added not in _RESERVED
        and 0 < len(key_added.encode()) <= _LONGEST
    ):
        return
    text = (
        "{key_added} is {value!r}; it must be one name, of printable characters without slashes, for example "
        "{key_added:'leiden_2'}."
    )
    raise ArgumentError(text, value=key_added)


def final_key(key_added: str, default: str, *, restricted: bool) -> str:
    """Slot that a clustering writes to: a restricted one never takes the place of the labels it came from."""
    return key_added + RESTRICTED_SUFFIX if restricted and key_added == default else key_added
