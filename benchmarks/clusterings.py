"""What the benchmarks run: plain scanpy up to the graph, and recall_py by the name of the call."""

import scanpy as sc

from recall_py import tl

KEY = "found"
"""Where every clustering writes its labels, in ``obs``."""


def tutorial_graph(adata, n_components, *, seed=0, genes=None):
    """The scanpy tutorial up to the neighbour graph; components of the genes in the mask `genes`, of all if None."""
    values = adata.copy()
    sc.pp.normalize_total(values, target_sum=1e4)
    sc.pp.log1p(values)
    if genes is not None:
        values = values[:, genes].copy()
    sc.pp.scale(values, max_value=10)
    sc.pp.pca(values, n_comps=n_components, random_state=seed)
    sc.pp.neighbors(values, random_state=seed)
    return values


def calibrated(adata, seed, *, call="leiden", **options):
    """Write the labels of ``tl.leiden`` or ``tl.recall`` to ``obs[KEY]``."""
    {"leiden": tl.leiden, "recall": tl.recall}[call](adata, random_state=seed, key_added=KEY, **options)
