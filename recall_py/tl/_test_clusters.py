"""Tests of labels that did not come from the expression data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recall_py import keys
from recall_py.params import FilterParams
from recall_py.read import read_counts, read_labels, refuse_unusable
from recall_py.seeds import resolve_seed
from recall_py.write import refuse_occupied, write_pair_tests

if TYPE_CHECKING:
    from anndata import AnnData

    from recall_py.seeds import Rng


def test_clusters(
    adata: AnnData,
    groupby: str,
    *,
    external: bool = False,
    key_added: str = keys.PAIR_TESTS,
    random_state: int | np.random.RandomState | None = 0,
    rng: Rng | None = None,
    null_method: str = "ZIP",
    fdr: float = 0.05,
    offset: int = 1,
    layer: str | None = None,
    n_top_genes: int = 2000,
    n_jobs: int | None = None,
    copy: bool = False,
) -> AnnData | None:
    """Which pairs of given labels are told apart by genes that beat their knockoffs, and by how many.

    For labels that did not come from the expression data: sorting, genotype, hashtags. Labels that were formed on the
    same expression data need more: knockoffs calibrate only what they helped to form (Poisson noise cut in two by
    2-means on the real genes has up to 84 "supported" genes; cut on real genes and knockoffs together, none).

    Parameters
    ----------
    adata
        Cells x genes, with raw counts as for :func:`leiden`.
    groupby
        Column of ``obs`` with the labels.
    external
        Say True to state that the labels did not come from the expression data.
    key_added
        Slot of ``uns`` to write to.
    random_state, rng
        Seed of everything random; `rng` wins if given.
    null_method, fdr, offset, layer, n_top_genes, n_jobs, copy
        As in :func:`leiden`.

    Returns
    -------
    None, or the changed copy. Read the result with :func:`recall_py.get.pairs` and :func:`recall_py.get.markers`. Sets:

    ``adata.uns[key_added]["params"]`` : dict
        ``groupby``, ``null_method``, ``fdr``, ``offset``, ``random_state``.
    ``adata.uns[key_added]["recall"]`` : dict of arrays
        Pairs and markers.

    Raises
    ------
    ValueError
        Without ``external=True``; for input without raw counts; for fewer than two labels.
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
    if not external:
        msg = (
            "Knockoff genes can calibrate only labels that they helped to form: labels found on the same expression "
            f"data keep all of its double dipping. If obs[{groupby!r}] comes from elsewhere (sorting, genotype, "
            "hashtags), pass external=True; to calibrate a clustering, run recall_py.tl.leiden(adata)."
        )
        raise ValueError(msg)
    from recall_py.pipeline import check_labels, refuse_below_floor

    refuse_unusable(adata)
    refuse_occupied(adata, key_added)
    filter_params = FilterParams(fdr=fdr, offset=offset)
    labels = read_labels(adata, groupby).cat.remove_unused_categories()
    if labels.cat.categories.size < 2:
        msg = f"obs[{groupby!r}] has one label; at least two are needed to test a pair."
        raise ValueError(msg)
    data = read_counts(adata, layer=layer, n_top_genes=n_top_genes)
    refuse_below_floor(data.counts.shape[1], filter_params)
    seed = resolve_seed(random_state, rng)
    codes = labels.cat.codes.to_numpy().astype(np.int32)
    pairs, markers = check_labels(data.counts, codes, null_method, filter_params, seed=seed, n_jobs=n_jobs)
    target = adata.copy() if copy else adata
    asked = {"groupby": groupby, "null_method": null_method, "fdr": fdr, "offset": offset, "random_state": seed}
    write_pair_tests(target, key_added, [str(name) for name in labels.cat.categories], data, asked, pairs, markers)
    return target if copy else None


test_clusters.__test__ = False  # type: ignore[attr-defined]  # not a test, though pytest takes it for one
