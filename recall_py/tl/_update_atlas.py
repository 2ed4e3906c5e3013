"""A reference with the cells of a query added."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recall_py.adata import keys
from recall_py.run.options import with_option_docs
from recall_py.run.update_atlas import updated_atlas

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData


@with_option_docs("update_atlas")
def update_atlas(
    reference: AnnData,
    query: AnnData,
    *,
    key: str = keys.MAPPED,
    key_added: str = keys.ATLAS_UPDATE,
    output: str | Path | None = None,
) -> AnnData:
    """Add a query to the reference that it was mapped on: labels keep their names, and new groups become labels.

    A query cell that fits its label gets it, and a group that fits none and stands the test of :func:`map_query` is a
    label of its own, ``"new 0"`` or what it is called there. Added without a label are cells that fit none and are in
    no such group, and the cells of a label that the test says differ from those of the reference. So labels of the
    reference never change, and the query, mapped again on the result, gets the labels that it has.

    Parameters
    ----------
    reference
        As it was given to :func:`map_query`. Not changed.
    query
        After :func:`map_query`. Not changed.
    {options}

    Returns
    -------
    A new object with the cells of both, those of the reference first, and the genes that both have; with `output`
    backed by that file. Read what changed with :func:`recall_py.get.atlas_changes`. It has:

    ``X`` : sparse, (n_obs, n_vars)
        Raw counts. Layers, embeddings and graphs of cells that are no longer alone are left behind.
    ``obs`` :
        The columns of the reference, empty for query cells but for the labels.
    ``obs[key_added]`` : int, (n_obs,)
        The update by which a cell came, from 1 on; 0 for cells that were there at first.
    ``uns[key_added]`` : dict
        ``params``, and ``changes``: every label that this and earlier updates have added cells to.

    Raises
    ------
    KeyError
        If the query holds no mapping.
    ValueError
        For a mapping on another reference, cells of one name, a `key_added` that holds something else, or a reference
        in a file without an `output`.

    Examples
    --------
    >>> import recall_py
    >>> cells = recall_py.datasets.simulate(400, 200, group_shares=(0.4, 0.3, 0.3), n_markers=40, log2_fold_change=3)
    >>> query, reference = cells[:150].copy(), cells[150:].copy()
    >>> reference = reference[reference.obs["group"] != "group2"].copy()
    >>> recall_py.tl.map_query(query, reference, "group", same_platform=True)
    >>> atlas = recall_py.tl.update_atlas(reference, query)
    >>> atlas.obs["group"].cat.categories.tolist()
    ['group0', 'group1', 'new 0']
    """
    return updated_atlas(reference, query, key=key, key_added=key_added, output=output)
