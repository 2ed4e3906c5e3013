"""Counts split into independent folds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from recall_py.run.options import with_option_docs
from recall_py.run.split import split_counts

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from anndata import AnnData

    from recall_py.method.params import Rng


@with_option_docs("countsplit")
def countsplit(
    adata: AnnData,
    n_folds: int = 2,
    *,
    shares: Sequence[float] | None = None,
    model: Literal["poisson", "negative_binomial"] = "poisson",
    size: str | Sequence[float] | None = None,
    layer: str | None = None,
    key_added: str = "countsplit",
    random_state: int | np.random.RandomState | None = 0,
    rng: Rng | None = None,
    copy: bool = False,
) -> AnnData | None:
    """Split the counts into independent folds; in place of `test_clusters` where you test by a method of your own.

    Labels found on a fold do not come from the counts of another, if the model of the counts is right: then a test on
    these, such as :func:`test_clusters` with ``external=True``, has no double dipping. Counts that vary more than the
    model says leave folds that go together, and clusters of one fold then show in the other without being there.

    Parameters
    ----------
    adata
        Cells x genes with raw counts in memory, in `layer`, ``layers["counts"]`` or ``X``, the first that applies.
    {options}

    Returns
    -------
    None, or the changed copy. Sets:

    ``adata.layers[key_added + "_1"]``, ``"_2"``, ... : sparse, (n_obs, n_vars)
        The folds; their sum is the counts.
    ``adata.var[key_added + "_size"]`` : float, (n_vars,)
        With ``model="negative_binomial"``: the size that was used, infinite for genes that were split as Poisson.
    ``adata.uns[key_added]`` : dict
        ``params`` (``model``, ``shares``, ``source``, ``random_state``) and the names of the layers, ``folds``.

    Raises
    ------
    ValueError
        For input without raw counts in memory, shares or sizes out of bounds, or a `key_added` that is no single name
        or whose slots hold something else.
    KeyError
        If `layer` or the column `size` does not exist.

    References
    ----------
    Neufeld et al., Biostatistics 2022, doi 10.1093/biostatistics/kxac047; Neufeld et al. 2023, arXiv 2307.12985.

    Examples
    --------
    >>> import recall_py
    >>> adata = recall_py.datasets.pbmc68k()
    >>> recall_py.tl.countsplit(adata)
    >>> abs(adata.layers["countsplit_1"] + adata.layers["countsplit_2"] - adata.X).sum().item()
    0.0
    """
    return split_counts(**locals())
