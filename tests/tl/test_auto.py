"""Calibrated clusters that last over a range of resolutions."""

from __future__ import annotations

import warnings
from html import unescape

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from on_graph import with_graph
from sklearn.metrics import adjusted_rand_score

import recall_py
from recall_py import CalibrationWarning
from recall_py.report.page import report_page


@pytest.fixture(scope="module")
def cells():
    """Three groups of cells, of very different sizes."""
    shares = (0.6, 0.3, 0.1)
    return with_graph(recall_py.datasets.simulate(300, 200, group_shares=shares, n_markers=40, mean_depth=2000))


@pytest.fixture(scope="module")
def found(cells):
    return recall_py.tl.leiden(cells, "auto", copy=True)


def test_groups_are_found_and_nothing_else_is_touched(cells, found):
    assert adjusted_rand_score(cells.obs["group"], found.obs["leiden"]) > 0.98
    assert set(found.obs) - set(cells.obs) == {"leiden", "leiden_start", "leiden_stability"}
    assert found.uns["leiden"]["params"] == {"resolution": "auto", "random_state": 0, "n_iterations": 2}
    assert (pd.crosstab(found.obs["leiden_start"], found.obs["leiden"]) > 0).sum(axis=1).eq(1).all()


def test_every_seed_gives_nearly_the_same_labels(cells, found):
    others = [recall_py.tl.leiden(cells, "auto", random_state=seed, copy=True).obs["leiden"] for seed in (1, 2)]
    assert min(adjusted_rand_score(found.obs["leiden"], labels) for labels in others) > 0.98


def test_one_population_is_one_cluster():
    adata = with_graph(recall_py.datasets.simulate(200, 200, mean_depth=2000, random_state=3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        recall_py.tl.leiden(adata, "auto")
    assert adata.obs["leiden"].tolist() == ["0"] * 200


def test_clusters_and_cells_have_their_stability(found):
    clusters = recall_py.get.clusters(found)
    assert clusters["stability"].between(0.5, 1.0).all()
    of_cells = found.obs["leiden_stability"]
    assert of_cells.between(0.0, 1.0).all()
    assert of_cells.groupby(found.obs["leiden"], observed=True).mean().min() > 0.5


def test_the_result_is_read_back_from_a_file(found, tmp_path):
    found.write_h5ad(tmp_path / "found.h5ad")
    again = ad.read_h5ad(tmp_path / "found.h5ad")
    pd.testing.assert_frame_equal(recall_py.get.clusters(again), recall_py.get.clusters(found))


def test_a_later_run_from_a_number_leaves_no_stability_behind(found):
    adata = found.copy()
    recall_py.tl.leiden(adata, 1, flavor="igraph", n_iterations=2)
    assert "leiden_stability" not in adata.obs
    assert "stability" not in recall_py.get.clusters(adata)


@pytest.mark.parametrize("resolution", ["auto", 1])
def test_a_column_that_the_user_has_removed_is_no_hindrance(found, resolution):
    adata = found.copy()
    del adata.obs["leiden_stability"], adata.obs["leiden_start"]
    recall_py.tl.leiden(adata, resolution, flavor="igraph", n_iterations=2)
    assert ("leiden_stability" in adata.obs) == (resolution == "auto")
    assert "leiden_start" in adata.obs


def test_cells_outside_a_restricted_clustering_have_no_stability(cells):
    groups = cells.obs["group"].cat.categories[:2].tolist()
    adata = recall_py.tl.leiden(cells, "auto", restrict_to=("group", groups), copy=True)
    inside = adata.obs["group"].isin(groups)
    assert adata.obs.loc[inside, "leiden_R_stability"].notna().all()
    assert adata.obs.loc[~inside, "leiden_R_stability"].isna().all()


def test_the_start_is_not_called_too_coarse(cells):
    with warnings.catch_warnings():
        warnings.simplefilter("error", CalibrationWarning)
        recall_py.tl.leiden(cells, "auto", copy=True)


def test_the_report_says_auto_and_calls_no_start_too_coarse(found):
    page = report_page(found, "leiden", source="in.h5ad", target="out.h5ad")
    assert "(Leiden, resolution auto, on " in unescape(page)
    assert "--resolution auto" in page
    assert "too coarse" not in page
    assert "Stability: the overlap with its best match in a run of Leiden" in unescape(page)


def test_arguments_of_igraph_are_taken(cells, found):
    same = recall_py.tl.leiden(cells, "auto", flavor="igraph", n_iterations=2, directed=False, copy=True)
    assert same.obs["leiden"].equals(found.obs["leiden"])
    without = recall_py.tl.leiden(cells, "auto", use_weights=False, copy=True)
    assert adjusted_rand_score(without.obs["leiden"], found.obs["leiden"]) > 0.9


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"flavor": "leidenalg"}, r"flavor cannot be used with resolution='auto'.*Leave flavor out"),
        ({"directed": True}, "directed cannot be used"),
        ({"partition_type": object}, "partition_type cannot be used"),
        ({"method": "knockoffs"}, "resolution='auto' cannot be used with method='knockoffs'"),
        ({"n_iterations": 0}, "n_iterations is 0"),
    ],
)
def test_what_auto_has_no_use_for_is_refused(cells, given, said):
    with pytest.raises(ValueError, match=said):
        recall_py.tl.leiden(cells, "auto", **given)


def test_another_word_is_refused(cells):
    with pytest.raises(ValueError, match="automatic"):
        recall_py.tl.leiden(cells, "automatic")


def test_louvain_has_no_auto(cells):
    with pytest.raises(ValueError, match="resolution='auto' is no number"):
        recall_py.tl.louvain(cells, "auto")


@pytest.mark.parametrize("weight", [-1.0, np.nan])
def test_weights_that_are_none_are_refused(cells, weight):
    adjacency = cells.obsp["connectivities"].copy()
    adjacency.data[7] = weight
    with pytest.raises(ValueError, match="adjacency has weights that are negative, infinite or NaN"):
        recall_py.tl.leiden(cells, "auto", adjacency=adjacency)


def test_a_number_writes_no_stability_and_leaves_a_column_of_others_alone(cells):
    adata = cells.copy()
    adata.obs["leiden_stability"] = np.arange(adata.n_obs)
    recall_py.tl.leiden(adata, 1, flavor="igraph", n_iterations=2)
    assert adata.obs["leiden_stability"].tolist() == list(range(adata.n_obs))


@pytest.mark.parametrize("column", ["leiden_stability", "leiden_start"])
def test_a_column_beside_labels_is_no_key(found, column):
    with pytest.raises(ValueError, match=f"obs\\['{column}'\\] holds .* of 'leiden'"):
        recall_py.tl.leiden(found, "auto", key_added=column, copy=True)


def test_a_column_of_others_is_not_written_over(cells):
    adata = cells.copy()
    adata.obs["leiden_stability"] = np.arange(adata.n_obs)
    with pytest.raises(ValueError, match=r"obs\['leiden_stability'\] is there already"):
        recall_py.tl.leiden(adata, "auto")
    assert adata.obs["leiden_stability"].tolist() == list(range(adata.n_obs))
