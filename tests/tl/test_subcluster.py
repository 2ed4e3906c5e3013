"""Clusters inside clusters: what is written, to what depth, and what is refused."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from on_graph import IGRAPH, assert_kept, assert_told_apart

import recall_py

pytestmark = pytest.mark.filterwarnings("ignore::recall_py.CalibrationWarning")


@pytest.fixture(scope="module")
def cells():
    """Three groups under two labels; the marked genes are no help inside."""
    adata = recall_py.datasets.simulate(
        240, 250, group_shares=(0.4, 0.3, 0.3), n_markers=40, log2_fold_change=3, random_state=1
    )
    adata.obs["coarse"] = adata.obs["group"].astype(str).map({"group0": "3", "group1": "7", "group2": "7"})
    adata.var["highly_variable"] = np.arange(adata.n_vars) < 10
    return adata


@pytest.fixture(scope="module")
def looked_into(cells):
    return recall_py.tl.subcluster(cells, "coarse", "7", copy=True, **IGRAPH)


def test_types_inside_a_label_are_found_and_named_as_scanpy_names_them(cells, looked_into):
    found = looked_into.obs["coarse_R"]
    assert found.cat.categories.tolist() == ["3", "7,0", "7,1"]
    assert_told_apart(found, cells.obs["group"])
    assert_kept(looked_into, cells)
    assert "coarse_R" not in cells.obs


def test_genes_are_chosen_inside_and_not_those_that_are_marked(looked_into):
    assert looked_into.uns["coarse_R"]["recall"]["genes"].size > 200


def test_history_goes_on_from_one_call_to_the_next(looked_into, tmp_path):
    adata = looked_into.copy()
    recall_py.tl.subcluster(adata, "coarse_R", ["7,1"], **IGRAPH)
    recall_py.tl.subcluster(adata, "coarse_R_R", ["7,1,0"], key_added="deep", **IGRAPH)
    adata.write_h5ad(tmp_path / "deep.h5ad")
    tree = recall_py.get.subclusters(ad.read_h5ad(tmp_path / "deep.h5ad"), "deep").set_index("label")
    assert tree.index.tolist() == ["3", "7", "7,0", "7,1", "7,1,0", "7,1,0,0"]
    assert tree["parent"].tolist() == ["", "", "7", "7", "7,1", "7,1,0"]
    assert tree["depth"].tolist() == [0, 0, 1, 1, 2, 3]
    assert tree.loc[["7,0", "7,1"], "n_cells"].sum() == tree.loc["7", "n_cells"]
    assert tree.loc["7,0", "evidence"] == tree.loc["7,1", "evidence"] > 1
    assert tree.loc[["3", "7,1,0"], "evidence"].isna().all()
    assert set(adata.obs["deep"]) == {"3", "7,0", "7,1,0,0"}


def test_several_labels_are_looked_into_as_one(cells):
    adata = recall_py.tl.subcluster(cells, "coarse", ["3", "7"], copy=True, **IGRAPH)
    assert_told_apart(adata.obs["coarse_R"], cells.obs["group"])
    tree = recall_py.get.subclusters(adata, "coarse_R").set_index("label")
    assert tree.loc["3-7", "n_cells"] == 240
    assert tree.loc["3-7,0", "parent"] == "3-7"


def test_recorded_embedding_decides_what_is_near(cells):
    adata = cells.copy()
    half = (np.arange(adata.n_obs) % 2).astype(float)
    adata.obsm["X_mine"] = np.c_[50 * half, np.random.default_rng(0).random(adata.n_obs)]
    recall_py.tl.subcluster(adata, "coarse", "7", use_rep="X_mine", resolution=0.1, **IGRAPH)
    inside = (adata.obs["coarse"] == "7").to_numpy()
    start = adata.obs["coarse_R_start"].astype(str)[inside]
    assert ((pd.crosstab(start, half[inside]) > 0).sum(axis=1) == 1).all()
    assert adata.obs["coarse_R"].nunique() == 2  # one of them "7,0": even and odd cells are of one kind


def test_twenty_cells_of_one_kind_stay_one(cells):
    few = cells[cells.obs["group"] == "group0"][:20].copy()
    few.obs["all"] = "x"
    recall_py.tl.subcluster(few, "all", "x", n_neighbors=5, **IGRAPH)
    assert few.obs["all_R"].unique().tolist() == ["x,0"]


def test_same_seed_gives_the_same_labels(cells, looked_into):
    again = recall_py.tl.subcluster(cells, "coarse", "7", copy=True, n_jobs=1, **IGRAPH)
    assert again.obs["coarse_R"].tolist() == looked_into.obs["coarse_R"].tolist()


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"groups": "9"}, ValueError, "obs\\['coarse'\\] has no category 9. It has: 3, 7"),
        ({"groupby": "fine"}, KeyError, "obs\\['fine'\\] does not exist"),
        ({"key_added": "coarse"}, ValueError, "the labels to start from would be lost"),
        ({"key_added": "group"}, ValueError, "is no result of recall_py"),
        ({"use_rep": "X_scvi"}, KeyError, "obsm\\['X_scvi'\\] does not exist"),
        ({"genes": ["nothing"]}, KeyError, "1 of the 1 genes are not in X"),
        ({"groupby": "few", "groups": "a"}, ValueError, "has 4 cells of a; with fewer than 10"),
        ({"n_neighbors": 1}, ValueError, "n_neighbors is 1; at least 2"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(cells, given, error, says):
    adata = cells.copy()
    adata.obs["few"] = np.where(np.arange(adata.n_obs) < 4, "a", "b")
    with pytest.raises(error, match=says):
        recall_py.tl.subcluster(adata, **{"groupby": "coarse", "groups": "7", **given})
    assert_kept(adata, cells)


def test_tree_is_asked_of_what_has_one(looked_into):
    adata = looked_into.copy()
    del adata.uns["coarse_R"]["recall"]["history"]
    with pytest.raises(KeyError, match="holds no clusters inside clusters"):
        recall_py.get.subclusters(adata, "coarse_R")
