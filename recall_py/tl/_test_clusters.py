"""Tests of given labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from recall_py.adata import keys
from recall_py.adata.programmes import USUAL
from recall_py.method.params import ALPHA, one_of
from recall_py.run.merge import test_adata
from recall_py.run.options import with_option_docs
from recall_py.run.removed import refuse_removed_from_test
from recall_py.run.second_opinion import COUNTSPLIT, test_on_folds

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from anndata import AnnData

    from recall_py.method.params import Rng


@with_option_docs("test_clusters")
def test_clusters(
    adata: AnnData,
    groupby: str,
    *,
    method: Literal["pairs", "countsplit"] = "pairs",
    external: bool = False,
    all_pairs: bool = False,
    key_added: str = keys.PAIR_TESTS,
    batch_key: str | None = None,
    layer: str | None = None,
    genes: Sequence[str] | None = None,
    programmes: Sequence[str] = USUAL,
    alpha: float = ALPHA,
    neighbors_key: str | None = None,
    obsp: str | None = None,
    modality: str | None = None,
    random_state: int | np.random.RandomState | None = 0,
    rng: Rng | None = None,
    n_jobs: int | None = None,
    copy: bool = False,
    **removed: Any,
) -> AnnData | None:
    """Which of given labels are not supported, and why; in place of `merge_clusters` where nothing is to be merged.

    "Is my clustering over-split?" Each label is compared with its neighbours as :func:`merge_clusters` compares them:
    by how well one population, cut in two as a clustering would cut it, would be told apart. For labels that did not
    come from the expression data (sorting, genotype, hashtags), say so with ``external=True``: null cells are then not
    cut to look like them.

    Parameters
    ----------
    adata
        Cells x genes, with raw counts as for :func:`leiden`.
    {options}
    **removed
        Arguments that were taken once; each is refused with what to write today.

    Returns
    -------
    None, or the changed copy. Read the result with :func:`recall_py.get.clusters` (each label, whether it is supported,
    and what it would be merged with) and :func:`recall_py.get.pairs`. Sets:

    ``adata.uns[key_added]["params"]`` : dict
        ``groupby``, ``batch_key``, ``layer``, ``connectivities`` (where the graph was found), ``external``,
        ``all_pairs``, ``random_state``.
    ``adata.uns[key_added]["recall"]`` : dict of arrays
        Every pair that was compared, the labels below 3 cells, which are too few to be tested, as ``untested``, and
        which ``programmes`` did not count, with how many genes. With ``method="countsplit"`` also ``again``: of each
        label the share of its cells that have it ``again`` on the first fold, and what ``most`` of them are called.
    ``adata.obs[key_added + "_again"]`` : categorical, (n_obs,)
        With ``method="countsplit"``: the label that each cell is called on the first fold. The pairs are of these.

    Raises
    ------
    ValueError
        For input without raw counts; for fewer than two labels, or more than 400; for unknown `programmes`; for a
        `key_added` that is no single name. With ``method="countsplit"`` also for labels whose clustering cannot be
        repeated: no record of a resolution, a search with knockoff genes, some of the cells alone, or a graph of an
        integrated embedding.
    KeyError
        If `groupby`, `batch_key`, `layer`, a gene or the graph does not exist.
    TypeError
        For an argument that was taken once, with what to write today.

    Examples
    --------
    >>> import anndata as ad, recall_py
    >>> adata = ad.read_h5ad("data/pbmc68k.h5ad")
    >>> adata = adata[adata.obs["annotation"].isin(["CD8+ Cytotoxic T", "CD56+ NK", "CD19+ B"])].copy()
    >>> recall_py.tl.test_clusters(adata, "annotation")
    >>> recall_py.get.clusters(adata, "recall_test")["merge_with"].tolist()
    ['CD56+ NK', '', 'CD8+ Cytotoxic T']
    """
    arguments = locals()
    refuse_removed_from_test(arguments.pop("removed"))
    one_of("method", method, ("pairs", COUNTSPLIT))
    return (test_on_folds if arguments.pop("method") == COUNTSPLIT else test_adata)(**arguments)


test_clusters.__test__ = False  # type: ignore[attr-defined]  # not a test, though pytest takes it for one
