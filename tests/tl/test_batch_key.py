"""Labels compared within batches: what is recorded of the batches, and what is said where nobody named them."""

from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pytest

import recall_py


def labelled(label, **options) -> ad.AnnData:
    """Three groups in three batches; `label` makes labels of groups and batches, codes from 0."""
    adata = recall_py.datasets.simulate(
        **{"n_cells": 300, "n_genes": 150, "n_batches": 3, "n_markers": 20, "batch_sd": 0.5, **options}
    )
    group, batch = (adata.obs[name].cat.codes.to_numpy() for name in ("group", "batch"))
    adata.obs["label"] = np.asarray(label(group, batch)).astype(str)
    adata.obs["donor"] = adata.obs.pop("batch").cat.rename_categories(["Ada", "Ben", "Cy"])
    return adata


def compared(adata, **options):
    recall_py.tl.test_clusters(adata, "label", all_pairs=True, **options)
    return recall_py.get.pairs(adata, "recall_test")


@pytest.fixture(scope="module")
def nested():
    """Label 0 in all batches, label 1 in two of them, label 2 in the third alone; all of one kind."""
    adata = labelled(lambda group, batch: np.where(np.arange(300) % 2, 0, np.where(batch < 2, 1, 2)))
    with pytest.warns(recall_py.CalibrationWarning, match="type or batch effect cannot be told apart"):
        pairs = compared(adata, batch_key="donor")
    return adata, pairs.set_index(["group", "reference"])


def test_pairs_are_compared_within_the_batches_that_both_have(nested):
    _, pairs = nested
    assert sorted(pairs.loc[("0", "1"), "batches"]) == ["Ada", "Ben"]
    assert pairs.loc[("0", "2"), "batches"] == ["Cy"]
    assert not pairs.loc[[("0", "1"), ("0", "2")], "passes"].any()


def test_a_pair_without_a_batch_in_common_stays_and_its_samples_are_named(nested):
    adata, pairs = nested
    pair = pairs.loc[("1", "2")]
    assert (pair["kind"], bool(pair["passes"]), pair["batches"]) == ("batch", True, [])
    assert sorted(pair["group_batches"]) == ["Ada", "Ben"]
    assert pair["reference_batches"] == ["Cy"]
    said = recall_py.get.pairs(adata, "recall_test").set_index("kind").loc["batch", "reason"]
    assert "type or batch effect cannot be told apart" in said
    assert "2 has cells of Cy." in said


def test_a_pair_that_was_compared_says_within_which_batches(nested):
    adata, _ = nested
    pairs = recall_py.get.pairs(adata, "recall_test")
    assert "compared within Cy alone" in pairs.loc[pairs["reference"] == "2", "reason"].iloc[0]


def test_what_is_known_of_batches_survives_a_file(nested, tmp_path):
    adata, pairs = nested
    adata.write_h5ad(tmp_path / "a.h5ad")
    again = recall_py.get.pairs(ad.read_h5ad(tmp_path / "a.h5ad"), "recall_test").set_index(["group", "reference"])
    assert again[["batches", "group_batches"]].equals(pairs[["batches", "group_batches"]])


def test_groups_stand_whatever_share_they_have_of_the_batches():
    """Each group lies in its own batch, but for a fifth of its cells, and batches differ more than groups."""
    adata = labelled(lambda group, batch: group, n_cells=450, group_shares=(0.4, 0.3, 0.3), batch_sd=0.8)
    group, batch = adata.obs["label"].astype(int).to_numpy(), adata.obs["donor"].cat.codes.to_numpy()
    adata = adata[(group == batch) | (np.arange(450) % 3 == 0)].copy()
    pairs = compared(adata, batch_key="donor")
    assert pairs["passes"].all()
    assert (pairs["batches"].str.len() == 3).all()


@pytest.mark.parametrize("name", ["donor", "Sample"])
def test_clusters_that_follow_batches_nobody_named_are_warned_of_once(name):
    adata = labelled(lambda group, batch: batch, batch_sd=0.8)
    adata.obs[name] = adata.obs.pop("donor")
    with pytest.warns(recall_py.CalibrationWarning) as caught:
        compared(adata)
    said = [str(warning.message) for warning in caught]
    assert len(said) == 1
    assert said[0].startswith(f"3 pairs of clusters that stand belong to different values of obs['{name}']")
    assert said[0].endswith(f"pass batch_key='{name}'")


@pytest.mark.parametrize("column", ["donor", "something"])
def test_no_word_where_clusters_share_the_batches_or_the_column_is_none_of_them(column):
    mixed = labelled(lambda group, batch: group, group_shares=(0.4, 0.3, 0.3), batch_sd=0.0)
    follow = labelled(lambda group, batch: batch, batch_sd=0.8).copy()
    follow.obs[column] = follow.obs.pop("donor")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compared(mixed if column == "donor" else follow)
