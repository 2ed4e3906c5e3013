"""Query cells on the labels of a reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recall_py.adata import keys
from recall_py.adata.programmes import USUAL, accepted
from recall_py.method.params import resolve_seed
from recall_py.run.map_query import Mapping, map_adata
from recall_py.run.options import with_option_docs

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from anndata import AnnData

    from recall_py.method.params import Rng


@with_option_docs("map_query")
def map_query(
    query: AnnData,
    reference: AnnData,
    groupby: str,
    *,
    key_added: str = keys.MAPPED,
    same_platform: bool = False,
    layer: str | None = None,
    reference_layer: str | None = None,
    genes: Sequence[str] | None = None,
    programmes: Sequence[str] = USUAL,
    random_state: int | np.random.RandomState | None = 0,
    rng: Rng | None = None,
    n_jobs: int | None = None,
    copy: bool = False,
) -> AnnData | None:
    """Place cells among the labels of a reference; in place of `leiden` where cells are few and a reference has labels.

    Both are log-normalised alike over the genes that they share, and brought to principal components of all their
    cells. A cell gets the label that most of its nearest reference cells have; in these distances what cells of one
    label differ by, such as their donor, counts less. A cell that is farther from its label than 95 % of reference
    cells that were left out fits no label; such cells are clustered and calibrated among themselves. Then the pair test
    of :func:`test_clusters` asks of each label whether its query cells and its reference cells differ as two clusters
    do, and of each group of cells that fit no label whether it is apart from what is nearest to it.

    At most 500 reference cells of each label are read, of more than 100 labels fewer, so a reference of a million cells
    may stay in its file: ``anndata.read_h5ad(path, backed="r")``.

    Parameters
    ----------
    query
        Cells x genes with raw counts, found as :func:`leiden` finds them.
    reference
        The same, with labels. Not changed.
    {options}

    Returns
    -------
    None, or the changed copy of the query. Read the tests with :func:`recall_py.get.mapping`. Sets:

    ``query.obs[key_added]`` : categorical, (n_obs,)
        Label of the reference, or ``"new 0"``, ``"new 1"``, ... of a group that fits none and stands the test.
    ``query.obs[key_added + "_confidence"]`` : float, (n_obs,)
        Share of the 15 nearest reference cells, weighted by one over their distance, that have the label.
    ``query.obs[key_added + "_distance"]`` : float, (n_obs,)
        Mean distance to the five nearest cells of the label; 1 is the median of left-out reference cells.
    ``query.obs[key_added + "_p"]`` : float, (n_obs,)
        Share of left-out reference cells that are as far from the label they get.
    ``query.obs[key_added + "_fits"]`` : bool, (n_obs,)
        False where ``_p`` is at most .05: so are 5 % of the cells that are of the label, if the query differs from the
        reference by new types and by one factor of all distances alone.
    ``query.uns[key_added]`` : dict
        ``params``, and ``mapping``: the tests, the ``shift`` that was allowed for, the genes of the platform.

    Raises
    ------
    ValueError
        For input without raw counts, fewer than 50 shared genes, fewer than 20 reference cells with a label, cells
        without counts in the shared genes, or a `key_added` that holds something else.
    KeyError
        If a column, layer or gene does not exist.

    Examples
    --------
    >>> import recall_py
    >>> cells = recall_py.datasets.simulate(300, 200, group_shares=(0.4, 0.3, 0.3), n_markers=40, log2_fold_change=3)
    >>> query, reference = cells[:60].copy(), cells[60:].copy()
    >>> recall_py.tl.map_query(query, reference, "group", same_platform=True)
    >>> bool((query.obs["mapped"].astype(str) == query.obs["group"].astype(str)).all())
    True
    """
    asked = Mapping(
        groupby=groupby,
        key_added=key_added,
        layer=layer,
        reference_layer=reference_layer,
        genes=genes,
        programmes=accepted(programmes),
        same_platform=same_platform,
        seed=resolve_seed(random_state, rng),
        n_jobs=n_jobs,
        copy=copy,
    )
    return map_adata(query, reference, asked)
