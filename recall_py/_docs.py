"""Parts of docstrings that public functions share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from textwrap import indent
from typing import Any, TypeVar

_Function = TypeVar("_Function", bound=Callable[..., Any])

_SELECTION = """\
layer
    Layer with raw counts.
n_top_genes
    Genes to select (``seurat_v3``) where ``var["highly_variable"]`` is missing and there are more."""

_PROGRAMMES = """\
programmes
    Known programmes whose genes do not count, by default those of S, G2 and M phase: cycling and resting cells of one
    type differ by them, and deep counts tell the two apart. A pair that only they tell apart is merged, and its row of
    :func:`recall_py.get.merges` says so. ``()`` lets all genes count. Others: ``"cycle_hallmark"`` and
    ``"cycle_macosko"`` (longer lists), ``"dissociation"``, ``"ribosomal"``, ``"mitochondrial"``. Of a programme with
    fewer than ten genes among those that take part all genes count, and the log and the record call it not
    assessable."""

_COMMON = {
    "adata": """\
adata
    Cells x genes with raw counts, found as :func:`recall_py.tl.leiden` finds them. Not changed.""",
    "selection": _SELECTION,
    "programmes": _PROGRAMMES,
    "restrict_to": """\
restrict_to
    Cluster only the cells of some categories, ``(column of obs, [categories])``; their labels become
    ``"<categories>,<cluster>"`` and the others keep theirs.""",
    "seed": """\
random_state, rng
    Seed of everything random: an int, or a generator, which is advanced. `rng` wins if given. The same seed gives the
    same labels for any `n_jobs`.""",
    "copy": """\
copy
    Change and return a copy.""",
    "search_options": """\
null_method
    Null model of the knockoff genes: ``"ZIP"`` (zero-inflated Poisson), ``"NB"`` (negative binomial), ``"NB-depth"``
    (negative binomial given the cell's sequencing depth), ``"permutation"``, or with gene-gene correlation
    ``"ZIP-copula"``, ``"NB-copula"``, ``"Poisson-copula"``, ``"Gaussian-copula"``.
fdr
    Target share of false discoveries of the filter, q. No guarantee: these knockoffs are not exchangeable with their
    genes.
offset
    1 ("knockoff+") or 0. With 1, a pair needs at least ``ceil(1 / fdr)`` selected genes to pass: 20 by default.
strategy
    ``"resolution"`` (default): lower the resolution until every pair passes. ``"merge"``: merge the weakest failing
    pair instead.
n_draws
    Independent null draws, 1 by default; the filter compares counts that are averaged over them. Knockoffs of all draws
    are embedded and clustered together, which splits more pure populations than one draw (measured in
    docs/calibration.md).
min_auc
    A gene counts only if its AUC between the two clusters is at least this or at most 1 minus this; 0.5, the default,
    lets every gene count.
exact_below
    Pairs with a cluster of fewer cells have exact rank-sum p-values (the other cluster is sampled down to 50 cells); 0,
    the default, for the normal approximation everywhere.
batch_key
    Column of ``obs`` with batches: null genes are fitted and drawn within each batch, so that a batch is no marker.
sketch
    Cluster so many cells and carry their labels to the others, by their 15 nearest on the components of the real genes.
    They are drawn by leverage. The record is that of the sketch, whose cells are marked in ``obs[key_added +
    "_sketch"]``. Without effect where there are no more cells.
genes
    Names of the genes that take part, in place of those that `adata` marks or that are selected.
"""
    + _SELECTION
    + """
max_iterations
    Resolutions (or numbers of clusters) tried at most; merges end by themselves. A search that is cut off is not
    calibrated and says so.
raise_start
    If no pair fails at the start, start higher, at most five times, until some pair fails; the last partition that
    passed stands.
bisect
    Lower the resolution by 1, 2, 4, ... steps until no pair fails, then halve the last stride. Far fewer clusterings
    where the search starts high. The partition found passes, and the one a step finer fails; as failing is not always
    monotone, it can be another one than the first that passes on the way down.""",
    "pairs_options": """\
method
    ``"pairs"``: as above. ``"knockoffs"``: knockoff genes beside all real ones, clustered with them on a graph that is
    made anew with the recorded parameters, the resolution lowered until no pair fails; :func:`recall` has all options
    of that.
layer
    Layer with raw counts.
batch_key
    Column of ``obs`` with batches: null cells keep the means of each batch, so that batches alone hold no pair apart.
    Two clusters that share no batch with 5 cells of each cannot be compared; they stay, and a warning says so.
genes
    Names of the genes to compare; by default those of ``var["highly_variable"]``, else all if there are at most 2,000,
    else the 2,000 that scanpy's ``seurat_v3`` selects on the cells that are read.
"""
    + _PROGRAMMES
    + """
modality
    Of a MuData: the modality with the counts. The graph is that of the MuData, and labels go to its ``obs``.
n_jobs
    Threads that compare pairs; all cores by default. Decides only the speed.
progress
    Print merges as they are made, on standard error. Nothing at scanpy's verbosity 0. What takes above two seconds
    shows how many pairs are done and the time left, with or without it.""",
    "calibrated_returns": """\
Returns
-------
None, or the changed copy. Read why with :func:`recall_py.get.merges` and :func:`recall_py.pl.merges`, what holds the
rest apart with :func:`recall_py.get.pairs`. Sets:

``adata.obs[key_added]`` : categorical, (n_obs,)
    Final labels. Where nothing was merged, those of the start; else ``"0"``, ``"1"``, ... by decreasing size.
``adata.obs[key_added + "_start"]`` : categorical, (n_obs,)
    Labels at the start.
``adata.uns[key_added]["params"]`` : dict
    What the clustering writes there: ``resolution``, ``random_state``, ``n_iterations``.
``adata.uns[key_added]["recall"]`` : dict
    Every merge and every pair that stands with its evidence, which clusters of the start each final one holds, which
    ``programmes`` did not count, where counts and graph came from, and every parameter.

With ``method="knockoffs"`` the record of :func:`recall`.""",
    "calibrated_raises": """\
Raises
------
ValueError
    Without a neighbour graph or raw counts; for a graph of other cells, a damaged matrix, a `key_added` that is no
    single name or whose slots hold something else, unknown `programmes`, more than 400 clusters, or clusters of one
    cell each.
KeyError
    For a layer, column, modality, gene or neighbours entry that does not exist.
TypeError
    For an argument that was taken once, with what to write today.""",
    "returns": """\
Returns
-------
None, or the changed copy. Read the record with :mod:`recall_py.get`. Sets:

``adata.obs[key_added]`` : categorical, (n_obs,)
    Labels ``"0"``, ``"1"``, ... by decreasing size.
``adata.uns[key_added]["params"]`` : dict
    ``resolution`` (the start; ``num_clusters_start`` for k-means and Ward), ``random_state`` and, for Leiden,
    ``n_iterations``, as scanpy writes them.
``adata.uns[key_added]["modularity"]`` : float
    Of the final labels, on the graph of real genes and knockoffs; NaN for k-means and Ward.
``adata.uns[key_added]["recall"]`` : dict
    ``converged``, ``reason``, ``level`` (the resolution found), ``iterations``, ``pairs``, ``markers``, ``genes``,
    ``untested`` (labels of clusters below 3 cells, which are too small to be tested and stay as they are),
    where the counts came from, and every parameter (no ``null_method`` for synthetic nulls).""",
    "null_raises": """\
Raises
------
ValueError
    For input without raw counts, a damaged matrix, an unknown `null_method`, or a batch with fewer than two cells.
KeyError
    For a layer or column that does not exist.""",
    "raises": """\
Raises
------
ValueError
    For input without raw counts, a damaged matrix, too few cells or genes, unknown names, a `key_added` that is no
    single name, or a graph that knockoffs did not pass through.
KeyError
    For a layer, column or neighbours entry that does not exist.""",
    "references": """\
References
----------
DenAdel et al., AJHG 2025, doi 10.1016/j.ajhg.2025.02.014.""",
}


def with_shared_docs(parts: Mapping[str, str]) -> Callable[[_Function], _Function]:
    """Fill `parts` into a docstring, in the place of their names in braces."""
    indented = {name: indent(text, "    ").lstrip() for name, text in parts.items()}

    def fill(function: _Function) -> _Function:
        function.__doc__ = inspect.cleandoc((function.__doc__ or "").format(**indented))
        return function

    return fill


with_common_docs = with_shared_docs(_COMMON)
