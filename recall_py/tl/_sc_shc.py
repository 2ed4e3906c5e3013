"""Significance of hierarchical clustering."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recall_py.run.options import with_option_docs
from recall_py.run.tree import split_adata

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from anndata import AnnData

    from recall_py.method.params import Rng


@with_option_docs("sc_shc")
def sc_shc(
    adata: AnnData,
    groupby: str | None = None,
    *,
    key_added: str = "sc_shc",
    alpha: float = 0.05,
    n_top_genes: int = 2500,
    n_comps: int = 30,
    batch_key: str | None = None,
    layer: str | None = None,
    genes: Sequence[str] | None = None,
    modality: str | None = None,
    random_state: int | np.random.RandomState | None = 0,
    rng: Rng | None = None,
    n_jobs: int | None = None,
    copy: bool = False,
) -> AnnData | None:
    """Significance of hierarchical clustering (sc-SHC); in place of `leiden` where a tree and its error rate are asked.

    Ward's tree of the cells, on the leading components of Poisson deviance residuals, is cut from the root down. At
    each node Ward's statistic of the split (what it takes from the sum of squares, for each cell) is compared with that
    of ten null data sets, of fifty where the p-value is near the level. They are drawn from one Poisson log-normal
    population fitted to the cells of the node, embedded, and cut in two by Ward's method. A split stands where the
    p-value, by a normal curve through the nulls, is below ``alpha (n_node - 1) / (n - 1)``. Splits that leave fewer
    than 20 cells on a side are not tested and not made.

    With `groupby` the leaves are given labels, joined where splits of a tree of their mean scores do not stand. Null
    cells then go to the side of most of their 15 nearest real cells.

    The calibrated clustering of this package is :func:`leiden`. This is here to compare with, see :func:`compare`.

    Parameters
    ----------
    adata
        Cells x genes, with raw counts as for :func:`leiden`; at most 20,000 cells.
    {options}

    Returns
    -------
    None, or the changed copy. Read the tested splits with :func:`recall_py.get.tree`. Sets:

    ``adata.obs[key_added]`` : categorical, (n_obs,)
        Labels ``"0"``, ``"1"``, ... by decreasing size; of joined labels ``"a + b"``.
    ``adata.uns[key_added]["params"]`` : dict
        ``groupby``, ``alpha``, ``n_top_genes``, ``n_comps``, ``batch_key``, ``layer``, ``modality``, ``random_state``.
    ``adata.uns[key_added]["tree"]`` : dict of arrays
        The tested splits, the number of those that had too few cells, the genes, and where the counts were found.

    Raises
    ------
    ValueError
        For input without raw counts, cells without counts, more than 20,000 cells, a share or number out of bounds, or
        a `key_added` that is no single name or whose slots hold something else.
    KeyError
        If `groupby`, `batch_key`, `layer` or a gene does not exist.

    References
    ----------
    Grabski, Street and Irizarry, Nature Methods 2023, doi 10.1038/s41592-023-01933-9.

    Examples
    --------
    >>> import recall_py
    >>> adata = recall_py.datasets.simulate(200, 300, group_shares=(0.5, 0.5), log2_fold_change=3)
    >>> recall_py.tl.sc_shc(adata)
    >>> adata.obs["sc_shc"].value_counts().tolist()
    [100, 100]
    """
    return split_adata(**locals())
