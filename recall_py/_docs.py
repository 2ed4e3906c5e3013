"""Parts of docstrings that public functions share; what arguments do is in :mod:`recall_py.run.options`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from textwrap import indent
from typing import Any, TypeVar

_Function = TypeVar("_Function", bound=Callable[..., Any])

SECTIONS = {
    "adata": """\
adata
    Cells x genes with raw counts, found as :func:`recall_py.tl.leiden` finds them. Not changed.""",
    "calibrated_returns": """\
Returns
-------
None, or the changed copy. Read why with :func:`recall_py.get.merges` and :func:`recall_py.pl.merges`, what holds the
rest apart with :func:`recall_py.get.pairs`. Sets:

``adata.obs[key_added]`` : categorical, (n_obs,)
    Final labels. Where nothing was merged, those of the start; else ``"0"``, ``"1"``, ... by decreasing size.
``adata.obs[key_added + "_start"]`` : categorical, (n_obs,)
    Labels at the start.
``adata.obs[key_added + "_stability"]`` : float, (n_obs,)
    With ``resolution="auto"``: the share of the runs in which a cell is with its cluster; NaN for cells that were not
    clustered. ``adata.uns[key_added]["recall"]["stability"]`` has that of the clusters.
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
