"""Given labels tested, from AnnData to AnnData: read once, test on plain arrays, write once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recall_py.adata import keys
from recall_py.adata.labels import read_labels, refuse_missing
from recall_py.adata.read import (
    read_counts,
    refuse_copy_of_file,
    refuse_empty_cells,
    refuse_small_batches,
    refuse_unusable,
)
from recall_py.adata.write import refuse_occupied, write_pair_tests
from recall_py.arguments import ArgumentError
from recall_py.method.pairs import pair_test_named
from recall_py.method.params import FilterParams, given
from recall_py.run.calibration import PRESETS

if TYPE_CHECKING:
    from anndata import AnnData


def check_adata(
    adata: AnnData,
    groupby: str,
    *,
    external: bool = False,
    key_added: str,
    seed: int = 0,
    pair_test: str | None = None,
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
    """Test the labels of ``obs[groupby]`` by the filter, which the benchmarks compare with."""
    from recall_py.method.pipeline import check_labels, refuse_below_floor

    keys.refuse_unusable(key_added)
    pair_test = pair_test or ("knockoff" if external else "synthetic")
    takes_knockoffs = pair_test_named(pair_test).takes_knockoffs
    if takes_knockoffs and not external:
        text = (
            "Knockoff genes can calibrate only labels that they helped to form: labels found on the same expression "
            "data keep all of its double dipping. If obs[{column!r}] comes from elsewhere (sorting, genotype, "
            "hashtags), pass {external:True}; otherwise leave pair_test out, for synthetic nulls."
        )
        raise ArgumentError(text, column=groupby)
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
    refuse_empty_cells(data, adata.obs_names)
    if takes_knockoffs:
        refuse_small_batches(data)
    refuse_below_floor(data.shape[1], filter_params)
    refuse_missing(labels, groupby)
    codes = labels.cat.codes.to_numpy().astype(np.int32)
    pairs, markers = check_labels(data.read(), codes, pair_test, null_method, filter_params, seed=seed, n_jobs=n_jobs)
    target = adata.copy() if copy else adata
    asked = {
        "groupby": groupby,
        "pair_test": pair_test,
        "n_draws": filter_params.n_draws,
        "min_auc": filter_params.min_auc,
        "exact_below": filter_params.exact_below,
        "batch_key": batch_key or "",
        **({"null_method": null_method} if takes_knockoffs else {}),
        "fdr": fdr,
        "offset": offset,
        "random_state": seed,
    }
    write_pair_tests(target, key_added, [str(name) for name in labels.cat.categories], data, asked, pairs, markers)
    return target if copy else None
