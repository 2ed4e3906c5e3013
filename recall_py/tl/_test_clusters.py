"""Tests of given labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from recall_py.adata import keys
from recall_py.adata.labels import read_labels
from recall_py.adata.read import read_counts, refuse_copy_of_file, refuse_small_batches, refuse_unusable
from recall_py.adata.write import refuse_occupied, write_pair_tests
from recall_py.method.params import PAIR_TESTS, FilterParams, given, one_of, resolve_seed
from recall_py.run.options import PRESETS

if TYPE_CHECKING:
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
        For knockoffs without ``external=True``; for input without raw counts; for fewer than two labels.
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
    pair_test = pair_test or ("knockoff" if external else "synthetic")
    one_of("pair_test", pair_test, PAIR_TESTS)
    if pair_test == "knockoff" and not external:
        msg = (
            "Knockoff genes can calibrate only labels that they helped to form: labels found on the same expression "
            f"data keep all of its double dipping. If obs[{groupby!r}] comes from elsewhere (sorting, genotype, "
            "hashtags), pass external=True; otherwise leave pair_test out, for synthetic nulls."
        )
        raise ValueError(msg)
    from recall_py.method.pipeline import check_labels, refuse_below_floor

    refuse_unusable(adata)
    refuse_copy_of_file(adata, copy=copy)
    refuse_occupied(adata, key_added)
    preset = PRESETS["calibrated"]
    usual = {"exact_below": preset["exact_below"]}
    if pair_test == preset["pair_test"]:
        usual["n_draws"] = preset["n_draws"]
    options = usual | given(n_draws=n_draws, min_auc=min_auc, exact_below=exact_below)
    filter_params = FilterParams(fdr=fdr, offset=offset, **options)
    labels = read_labels(adata, groupby).cat.remove_unused_categories()
    if labels.cat.categories.size < 2:
        msg = f"obs[{groupby!r}] has one label; at least two are needed to test a pair."
        raise ValueError(msg)
    if (labels.value_counts() >= filter_params.min_cells).sum() < 2:
        msg = (
            f"Fewer than two of the {labels.cat.categories.size} labels in obs[{groupby!r}] have "
            f"{filter_params.min_cells} cells or more, so there is no pair to test. Is this the column of the clusters?"
        )
        raise ValueError(msg)
    data = read_counts(adata, layer=layer, n_top_genes=n_top_genes, batch_key=batch_key)
    if pair_test == "knockoff":
        refuse_small_batches(data)
    refuse_below_floor(data.counts.shape[1], filter_params)
    seed = resolve_seed(random_state, rng)
    codes = labels.cat.codes.to_numpy().astype(np.int32)
    plain = (data.counts, data.depth, data.batches)
    pairs, markers = check_labels(plain, codes, pair_test, null_method, filter_params, seed=seed, n_jobs=n_jobs)
    target = adata.copy() if copy else adata
    asked = {
        "groupby": groupby,
        "pair_test": pair_test,
        "n_draws": filter_params.n_draws,
        "min_auc": filter_params.min_auc,
        "exact_below": filter_params.exact_below,
        "batch_key": batch_key or "",
        **({"null_method": null_method} if pair_test == "knockoff" else {}),
        "fdr": fdr,
        "offset": offset,
        "random_state": seed,
    }
    write_pair_tests(target, key_added, [str(name) for name in labels.cat.categories], data, asked, pairs, markers)
    return target if copy else None


test_clusters.__test__ = False  # type: ignore[attr-defined]  # not a test, though pytest takes it for one
