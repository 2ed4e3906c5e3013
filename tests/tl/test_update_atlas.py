"""``tl.update_atlas``: labels stay, new groups are added, and what was added comes out the same again."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from golden import shared_folder

import recall_py

pytestmark = pytest.mark.filterwarnings("ignore::recall_py.CalibrationWarning")


@pytest.fixture(scope="module")
def sides() -> tuple[ad.AnnData, ad.AnnData]:
    """A reference that lacks a type, and a query with all, some genes of which it does not have."""
    cells = recall_py.datasets.simulate(
        420, 200, group_shares=(0.4, 0.3, 0.3), n_markers=40, log2_fold_change=3, random_state=5
    )
    query, reference = cells[:150].copy(), cells[150:, ::-1].copy()
    query.var_names = [f"other{i}" if i < 5 else name for i, name in enumerate(query.var_names)]
    reference = reference[reference.obs["group"] != "group2"].copy()
    recall_py.tl.map_query(query, reference, "group")
    return reference, query


@pytest.fixture(scope="module")
def atlas(sides) -> ad.AnnData:
    return recall_py.tl.update_atlas(*sides)


def counts_of(adata, cells, genes):
    return adata[cells, genes].X.toarray()


def test_labels_of_the_reference_stay_and_the_new_type_is_a_label(sides, atlas):
    reference, query = sides
    assert atlas.obs_names.tolist() == [*reference.obs_names, *query.obs_names]
    of_reference = atlas.obs.loc[reference.obs_names]
    assert of_reference["group"].astype(str).tolist() == reference.obs["group"].astype(str).tolist()
    pd.testing.assert_series_equal(
        of_reference["batch"],
        reference.obs["batch"],
        check_dtype=False,
        check_categorical=False,
        check_index_type=False,
    )
    of_query = atlas.obs.loc[query.obs_names, "group"]
    labelled = of_query.notna().to_numpy()
    truth = query.obs["group"].astype(str).replace("group2", "new 0")
    assert (of_query[labelled] == truth[labelled]).mean() > 0.97
    assert labelled.mean() > 0.85
    assert atlas.obs["group"].cat.categories.tolist() == ["group0", "group1", "new 0"]


def test_counts_are_those_of_both_over_the_shared_genes(sides, atlas):
    reference, query = sides
    assert set(atlas.var_names) == set(reference.var_names) & set(query.var_names)
    for side in sides:
        expected = counts_of(side, side.obs_names, atlas.var_names)
        np.testing.assert_array_equal(counts_of(atlas, side.obs_names, atlas.var_names), expected)


def test_changes_are_listed_label_by_label(sides, atlas):
    reference, query = sides
    changes = recall_py.get.atlas_changes(atlas).set_index("label")
    assert changes["kind"].to_dict() == {"group0": "kept", "group1": "kept", "new 0": "new"}
    assert changes["n_before"].to_dict() == {**reference.obs["group"].value_counts().to_dict(), "new 0": 0}
    added = atlas.obs.loc[query.obs_names, "group"].value_counts()
    assert changes["n_added"].to_dict() == added.to_dict()
    assert changes["n_added"].sum() + changes["n_unlabelled"].sum() == query.n_obs
    assert atlas.obs["atlas_update"].tolist() == [0] * reference.n_obs + [1] * query.n_obs


def test_same_cells_mapped_again_come_out_the_same(sides, atlas):
    again = sides[1].copy()
    recall_py.tl.map_query(again, atlas, "group", key_added="again")
    added = atlas.obs.loc[again.obs_names, "group"]
    labelled = added.notna().to_numpy()
    assert (again.obs["again"][labelled].astype(str) == added[labelled].astype(str)).all()
    assert again.obs.loc[labelled, "again_fits"].mean() > 0.95
    assert not (recall_py.get.mapping(again, "again")["verdict"] == "new").any()


def test_second_update_goes_on_from_a_file(sides, atlas, tmp_path):
    atlas.write_h5ad(tmp_path / "atlas.h5ad")
    stored = ad.read_h5ad(tmp_path / "atlas.h5ad")
    pd.testing.assert_frame_equal(recall_py.get.atlas_changes(stored), recall_py.get.atlas_changes(atlas))
    more = sides[1].copy()
    recall_py.tl.map_query(more, stored, "group")
    with pytest.raises(ValueError, match="150 cells of the query are called as cells of the reference"):
        recall_py.tl.update_atlas(stored, more)
    more.obs_names = "more_" + more.obs_names
    twice = recall_py.tl.update_atlas(stored, more)
    assert np.bincount(twice.obs["atlas_update"]).tolist() == [sides[0].n_obs, 150, 150]
    assert recall_py.get.atlas_changes(twice)["update"].tolist() == [1, 1, 1, 2, 2, 2]
    assert twice.obs["group"].cat.categories.tolist() == atlas.obs["group"].cat.categories.tolist()


@pytest.mark.parametrize("stored_by", ["csr", "csc"])
def test_reference_in_a_file_is_updated_into_another(sides, atlas, tmp_path, monkeypatch, stored_by):
    reference, query = sides[0].copy(), sides[1]
    reference.X = reference.X.asformat(stored_by)
    reference.obs["checked"] = True
    reference.write_h5ad(tmp_path / "reference.h5ad")
    backed = ad.read_h5ad(tmp_path / "reference.h5ad", backed="r")
    with pytest.raises(ValueError, match=r"output='atlas\.h5ad'"):
        recall_py.tl.update_atlas(backed, query)
    with pytest.raises(ValueError, match=r"output is '.*\.zarr'; an \.h5ad file is written"):
        recall_py.tl.update_atlas(backed, query, output=tmp_path / "atlas.zarr")
    with pytest.raises(ValueError, match=r"The folder .*absent does not exist. Make it: mkdir -p .*absent"):
        recall_py.tl.update_atlas(backed, query, output=tmp_path / "absent" / "atlas.h5ad")
    monkeypatch.setattr("recall_py.run.update_atlas._BLOCK", 100)
    written = recall_py.tl.update_atlas(backed, query, output=tmp_path / "atlas.h5ad")
    assert written.isbacked
    pd.testing.assert_frame_equal(recall_py.get.atlas_changes(written), recall_py.get.atlas_changes(atlas))
    pd.testing.assert_frame_equal(written.obs[atlas.obs.columns], atlas.obs, check_dtype=False, check_categorical=False)
    assert written.obs["checked"].sum() == reference.n_obs
    stored = written.to_memory()
    np.testing.assert_array_equal(stored.X.toarray(), atlas.X.toarray())
    assert stored.var_names.tolist() == atlas.var_names.tolist()


def test_type_that_was_left_out_of_a_real_set_is_added_and_found_again():
    path = shared_folder() / "data" / "pancreas_baron350.h5ad"
    if not path.exists():
        pytest.skip(f"{path} is absent (set RECALL_PY_SHARED)")
    adata = ad.read_h5ad(path)
    half = np.random.default_rng(0).random(adata.n_obs) < 0.5
    query, reference = adata[~half].copy(), adata[half & (adata.obs["annotation"] != "activated_stellate")].copy()
    recall_py.tl.map_query(query, reference, "annotation", same_platform=True)
    atlas = recall_py.tl.update_atlas(reference, query)
    added = atlas.obs.loc[query.obs_names, "annotation"]
    new = added.astype(str).str.startswith("new ").to_numpy()
    left_out = (query.obs["annotation"] == "activated_stellate").to_numpy()
    assert new[left_out].mean() > 0.75
    assert (new | added.isna())[left_out].all()
    assert new[~left_out].mean() <= 0.05


@pytest.mark.parametrize(
    ("change", "given", "says"),
    [
        (lambda reference: None, {"key": "nothing"}, "uns\\['nothing'\\] holds no mapping"),
        (lambda reference: None, {"key_added": "batch"}, "'batch' of the reference holds something that is no update"),
        (lambda reference: reference.obs.__setitem__("group", "group0"), {}, "is not of this reference, which lacks"),
        (lambda reference: reference.obs.__setitem__("group", "new 0"), {}, "is not of this reference"),
    ],
)
def test_what_does_not_go_together_is_refused(sides, change, given, says):
    reference = sides[0].copy()
    change(reference)
    with pytest.raises((ValueError, KeyError), match=says):
        recall_py.tl.update_atlas(reference, sides[1], **given)
