"""Tests of given labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from recall_py.adata import keys
from recall_py.method.params import resolve_seed
from recall_py.run.check import check_adata

if TYPE_CHECKING:
    import numpy as np
    from anndata import AnnData

    from recall_py.method.params import Rng


def test_clusters(
    adata: AnnData,
    groupby: str,
    *,
    external: bool = False,
    key_added: str = keys.PAIR_TESTS,
    random_state: int | np.random.RandomState | None = 0,
    rng: Rng | None = None,
    pair_test: Literal["knockoff", "synthetic"] | None = None,
    n_draws: int | None = None,
    min_auc: float | None = None,
    exact_below: int | None = None,
    batch_key: str | None = None,
    null_method: str = "ZIP",
    fdr: float = 0.05,
    offset: int = 1,
    layer: str | None = None,
    n_top_genes: int = 2000,
    n_jobs: int | None = None,
    copy: bool = False,
) -> AnnData | None:
    """Which pairs of given labels are told apart by genes that beat null genes, and by how many.

    Labels that were formed on the same expression data ("is my clustering over-split?") are tested against synthetic
    nulls: each label against its three nearest, by how well one population, cut in two, would be told apart. Labels
    that did not come from the expression data (sorting, genotype, hashtags; ``external=True``) are tested against
    knockoffs, every pair. Knockoffs calibrate no clustering that they took no part in: Poisson noise cut in two by
    2-means on the real genes has up to 84 "supported" genes; cut on real genes and knockoffs together, none.

    Parameters
    ----------
    adata
        Cells x genes, with raw counts as for :func:`leiden`.
    groupby
        Column of ``obs`` with the labels.
    external
        Say True to state that the labels did not come from the expression data.
    pair_test
        ``"synthetic"`` or ``"knockoff"``; by default what `external` calls for.
    n_draws
        Independent null draws: by default those of ``preset="calibrated"`` for synthetic nulls, 1 for knockoffs.
    exact_below
        As in :func:`leiden`; by default that of ``preset="calibrated"``.
    key_added
        Slot of ``uns`` to write to.
    random_state, rng
        Seed of everything random; `rng` wins if given.
    min_auc, batch_key, null_method, fdr, offset, layer, n_top_genes, n_jobs, copy
        As in :func:`leiden`.

    Returns
    -------
    None, or the changed copy. Read the result with :func:`recall_py.get.pairs` and :func:`recall_py.get.markers`. Sets:

    ``adata.uns[key_added]["params"]`` : dict
        ``groupby``, ``pair_test``, ``n_draws``, ``min_auc``, ``exact_below``, ``batch_key``, ``fdr``, ``offset``,
        ``random_state`` and, for knockoffs, ``null_method``.
    ``adata.uns[key_added]["recall"]`` : dict of arrays
        Pairs, markers, and the labels below 3 cells, which are too few to be tested, as ``untested``.

    Raises
    ------
    ValueError
        For knockoffs without ``external=True``; for input without raw counts; for fewer than two labels; for a
        `key_added` that is no single name.
    KeyError
        If `groupby` or `layer` does not exist.

    Examples
    --------
    >>> import anndata as ad, recall_py
    >>> adata = ad.read_h5ad("data/pbmc68k.h5ad")
    >>> recall_py.tl.test_clusters(adata, "annotation", external=True)
    >>> recall_py.get.pairs(adata, "recall_test").columns[:2].tolist()
    ['group', 'reference']
    """
    return check_adata(
        adata,
        groupby,
        external=external,
        key_added=key_added,
        seed=resolve_seed(random_state, rng),
        pair_test=pair_test,
        n_draws=n_draws,
        min_auc=min_auc,
        exact_below=exact_below,
        batch_key=batch_key,
        null_method=null_method,
        fdr=fdr,
        offset=offset,
        layer=layer,
        n_top_genes=n_top_genes,
        n_jobs=n_jobs,
        copy=copy,
    )


test_clusters.__test__ = False  # type: ignore[attr-defined]  # not a test, though pytest takes it for one
