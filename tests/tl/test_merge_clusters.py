"""Labels from anywhere, merged: what is written, what is refused, and what others say of it."""

from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from typer.testing import CliRunner

import recall_py
from recall_py.adata.merged import names_told_apart
from recall_py.adata.neighbours import recorded_graph
from recall_py.adata.stored import read_merging
from recall_py.method.pairs.lead import NULL_FALL, p_value
from recall_py.method.pairs.neighbours import EdgeWeights
from recall_py.report.merging_command import repeat
from recall_py.report.page import report_page

pytestmark = pytest.mark.filterwarnings("ignore:Writing zarr v2")


@pytest.fixture(scope="module")
def cells():
    """Two groups, of which one is cut in two at random."""
    adata = recall_py.datasets.simulate(150, 200, group_shares=(0.6, 0.4), n_markers=40, mean_depth=2000)
    half = np.random.default_rng(0).permutation(adata.n_obs) < adata.n_obs // 2
    is_first = (adata.obs["group"] == "group0").to_numpy()
    cut = np.where(is_first, np.where(half, "naive", "memory"), "B")
    adata.obs["cut"] = pd.Categorical(cut, categories=["naive", "B", "absent", "memory"])
    adata.uns["cut_colors"] = np.array(["red", "green", "grey", "blue"])
    return adata


@pytest.fixture(scope="module")
def merged(cells):
    return recall_py.tl.merge_clusters(cells, "cut", copy=True)


def quietly(adata, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", recall_py.CalibrationWarning)
        recall_py.tl.merge_clusters(adata, *args, **kwargs)


def test_names_are_joined_and_order_and_colours_of_what_stays_are_kept(cells, merged):
    labels = merged.obs["cut_merged"]
    assert labels.cat.categories.tolist() == ["naive + memory", "B"]
    np.testing.assert_array_equal(labels == "B", cells.obs["cut"] == "B")
    larger = cells.obs["cut"].value_counts()[["naive", "memory"]].idxmax()
    assert merged.uns["cut_merged_colors"].tolist() == [{"naive": "red", "memory": "blue"}[larger], "green"]
    assert "cut_merged" not in cells.obs


def test_every_merge_and_every_pair_that_stands_explains_itself(merged):
    (merge,) = recall_py.get.merges(merged, "cut_merged").to_dict("records")
    (pair,) = recall_py.get.pairs(merged, "cut_merged").to_dict("records")
    assert {merge["group"], merge["reference"]} == {"naive", "memory"}
    assert {pair["group"], pair["reference"]} == {"naive + memory", "B"}
    assert merge["evidence"] <= merge["threshold"] < pair["evidence"]
    assert merge.keys() == pair.keys()
    for row in (merge, pair):
        assert 5 <= len(row["genes"]) == len(row["auc"]) == len(row["log10_p_null"]) <= 20
        assert set(row["genes"]) <= set(merged.var_names)
        assert row["ranks"][:4] == [1, 2, 3, 5]
        assert row["p_value"] == p_value(row["evidence"])
        assert row["evidence"] == pytest.approx(np.max(np.add(row["real"], 0.25) / np.add(row["needed"], 0.25)))


def test_a_lower_alpha_asks_for_more_and_the_report_repeats_it(cells, merged):
    (pair,) = recall_py.get.pairs(merged, "cut_merged").to_dict("records")
    alpha = 0.05 * pair["evidence"] ** -NULL_FALL / 2
    strict = cells.copy()
    quietly(strict, "cut", alpha=alpha)
    assert recall_py.get.merges(strict, "cut_merged")["threshold"].gt(pair["evidence"]).all()
    assert strict.obs["cut_merged"].cat.categories.size == 1
    assert strict.uns["cut_merged"]["recall"]["params"]["alpha"] == alpha
    told = repeat(read_merging(strict, "cut_merged"), "in.h5ad", "out.h5ad").split()
    assert float(told[told.index("--alpha") + 1]) == alpha
    assert f"times that, since alpha is {alpha:g}" in report_page(strict, "cut_merged", source="in", target="out")
    assert "--alpha" not in repeat(read_merging(merged, "cut_merged"), "in.h5ad", "out.h5ad")


@pytest.mark.parametrize("kind", ["h5ad", "zarr"])
def test_record_goes_through_a_file(merged, kind, tmp_path):
    path = tmp_path / f"x.{kind}"
    getattr(merged, f"write_{kind}")(path)
    back = getattr(ad, f"read_{kind}")(path)
    for table in (recall_py.get.merges, recall_py.get.pairs):
        pd.testing.assert_frame_equal(table(back, "cut_merged"), table(merged, "cut_merged"))


@pytest.mark.parametrize("as_type", [str, int, bool, "category"])
def test_labels_may_be_text_integers_booleans_or_categories(cells, as_type):
    adata = cells[:, :60].copy()
    adata.obs["label"] = (adata.obs["group"] == "group0").to_numpy().astype(int)
    adata.obs["label"] = adata.obs["label"].astype(as_type)
    quietly(adata, "label")
    assert adata.obs["label_merged"].nunique() == 2


def test_names_that_are_text_come_in_natural_order(cells):
    adata = cells[:, :60].copy()
    adata.obs["label"] = np.where(adata.obs["group"] == "group0", "10", "2")
    quietly(adata, "label")
    assert adata.obs["label_merged"].cat.categories.tolist() == ["2", "10"]


def test_one_cluster_stays_one(cells):
    adata = cells.copy()
    adata.obs["label"] = "all"
    recall_py.tl.merge_clusters(adata, "label")
    assert adata.obs["label_merged"].cat.categories.tolist() == ["all"]
    assert recall_py.get.merges(adata, "label_merged").empty


@pytest.mark.parametrize("merge_small", [False, True])
def test_two_cells_stay_untested_unless_small_ones_are_merged(cells, merge_small):
    adata = cells[:2].copy()
    adata.obs["label"] = ["a", "b"]
    with pytest.warns(recall_py.CalibrationWarning, match="One cluster is left" if merge_small else "Too small"):
        recall_py.tl.merge_clusters(adata, "label", merge_small=merge_small)
    assert adata.obs["label_merged"].nunique() == (1 if merge_small else 2)
    assert len(adata.uns["label_merged"]["recall"]["untested"]) == (1 if merge_small else 2)


def test_labels_that_all_stand_may_be_too_coarse(cells):
    with pytest.warns(recall_py.CalibrationWarning, match="may be too coarse") as caught:
        recall_py.tl.merge_clusters(cells.copy(), "group")
    assert caught[0].filename == __file__


def test_union_gives_way_to_a_cluster_that_is_called_so_from_the_start(cells):
    adata = cells.copy()
    adata.obs["cut"] = adata.obs["cut"].cat.rename_categories({"B": "naive + memory"})
    recall_py.tl.merge_clusters(adata, "cut")
    assert adata.obs["cut_merged"].cat.categories.tolist() == ["naive + memory (2)", "naive + memory"]
    own = adata.obs["cut"] == "naive + memory"
    np.testing.assert_array_equal(adata.obs["cut_merged"] == "naive + memory", own)


def test_names_of_unions_are_never_given_twice():
    names = ["a", "b", "a + b", "a + b (2)"]
    assert names_told_apart(names, [(0, 1), (2,), (3,)]) == ["a + b (3)", "a + b", "a + b (2)"]


@pytest.mark.parametrize(
    "entry",
    [
        {"connectivities_key": "g", "params": {"use_rep": "X_scVI", "method": "rapids", "n_pcs": {"rna": None}}},
        {"connectivities_key": np.array(["g"], dtype=object)},
    ],
)
def test_graph_of_anyone_is_taken_by_its_name_alone(cells, entry):
    adata = cells.copy()
    apart = (adata.obs["cut"].to_numpy()[:, None] == adata.obs["cut"].to_numpy()).astype(float)
    adata.obsp["g"] = sparse.csr_matrix(apart)
    adata.uns["neighbors"] = entry
    recall_py.tl.merge_clusters(adata, "cut")
    assert adata.obs["cut_merged"].nunique() == 2
    assert adata.uns["cut_merged"]["params"]["connectivities"] == "obsp['g']"


def test_graph_that_is_not_there_is_named(cells):
    adata = cells.copy()
    assert recorded_graph(adata) is None
    with pytest.raises(KeyError, match=r"uns\['wnn'\] does not exist"):
        recorded_graph(adata, "wnn")
    with pytest.raises(ValueError, match="pass one of them"):
        recorded_graph(adata, "wnn", "g")
    adata.uns["neighbors"] = {}
    with pytest.raises(KeyError, match=r"obsp\['connectivities'\].*does not exist.*sc\.pp\.neighbors"):
        recall_py.tl.merge_clusters(adata, "cut")


def test_graph_of_another_size_is_refused():
    with pytest.raises(ValueError, match="The graph is 3 x 3, and the labels are of 2 cells"):
        EdgeWeights(sparse.csr_array(np.ones((3, 3))), np.array([0, 1]))


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda a: setattr(a, "obs", a.obs.assign(cut=np.nan)), {}, "has no label for any cell"),
        (
            lambda a: setattr(a, "obs", a.obs.assign(cut=["1", 1] * (a.n_obs // 2) + [2] * (a.n_obs % 2))),
            {},
            "has '1' both as text and as a number",
        ),
        (lambda a: setattr(a, "X", np.log1p(a.X.toarray())), {}, r"raw integer counts are needed.*layer='...'"),
        (lambda a: setattr(a, "obs", a.obs.assign(cut_merged="mine")), {}, "it would be lost"),
        (lambda a: a.uns.__setitem__("cut_merged", {"mine": 1}), {}, "it would be lost"),
        (lambda a: None, {"key_added": "cut"}, "would be lost"),
        (lambda a: None, {"key_added": "a/b"}, "one name"),
        (lambda a: None, {"genes": "CD3E"}, "pass names"),
        (lambda a: None, {"alpha": 1.5}, "alpha is 1.5; a share between 0 and 1"),
        (lambda a: None, {"genes": ["none"]}, "1 of the 1 genes are not in X"),
    ],
)
def test_what_cannot_be_merged_is_refused_in_a_sentence(cells, change, options, message):
    adata = cells.copy()
    change(adata)
    before = adata.obs.copy()
    with pytest.raises((ValueError, KeyError), match=message):
        recall_py.tl.merge_clusters(adata, "cut", **options)
    pd.testing.assert_frame_equal(adata.obs, before)


def test_cells_without_a_label_are_left_out_and_stay_without(cells):
    missing = np.arange(cells.n_obs) % 9 == 0
    adata, without = cells.copy(), cells[~missing].copy()
    adata.obs["cut"] = adata.obs["cut"].where(~missing)
    with pytest.warns(recall_py.CalibrationWarning, match=rf"{missing.sum()} cells have no label in obs\['cut'\]"):
        recall_py.tl.merge_clusters(adata, "cut")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        recall_py.tl.merge_clusters(without, "cut")
    assert adata.obs["cut_merged"].isna().tolist() == missing.tolist()
    assert adata.obs["cut_merged"][~missing].tolist() == without.obs["cut_merged"].tolist()
    pd.testing.assert_frame_equal(
        recall_py.get.clusters(adata, "cut_merged"), recall_py.get.clusters(without, "cut_merged")
    )


def test_its_own_result_is_replaced_and_stale_colours_go(merged):
    adata = merged.copy()
    del adata.uns["cut_colors"]
    recall_py.tl.merge_clusters(adata, "cut", genes=adata.var_names[:150])
    assert "cut_merged_colors" not in adata.uns
    assert adata.uns["cut_merged"]["recall"]["genes"].size == 150


def test_what_reads_a_search_says_that_there_is_none(merged, cells, tmp_path):
    for read in (recall_py.get.iterations, recall_py.get.flow, recall_py.pl.search):
        with pytest.raises(KeyError, match=r"get\.merges"):
            read(merged, "cut_merged")
    with pytest.raises(
        KeyError, match=r"holds no result of recall_py\. Make one: recall_py\.tl\.leiden\(adata, 'auto'\)"
    ):
        recall_py.get.merges(cells, "cut_merged")
    from recall_py.cli.commands import app

    path = tmp_path / "x.h5ad"
    merged.write_h5ad(path)
    told = CliRunner().invoke(app, ["info", str(path)])
    assert told.exit_code == 0
    assert "cut_merged: 2 clusters, merged from 3" in told.output
    adata = cells.copy()
    quietly(adata, "group")
    recall_py.tl.test_clusters(adata, "group")
    adata.write_h5ad(path)
    told = CliRunner().invoke(app, ["info", str(path)])
    assert "group_merged: 2 clusters, merged from 2; recall_test: 1 of 1 pairs supported" in told.output


def test_near_outcomes_are_flagged_in_the_log():
    from recall_py.method.results import Comparison, Lead, PairOutcome
    from recall_py.run.observe import describe_outcome

    none = np.empty(0)
    found = Comparison(Lead(0.95, none, none, none, none), None, (), none, none, none, none, none)
    outcome = PairOutcome(
        first=(0, 2), second=(1,), sizes=(9, 4), distance=1, kind="pair", threshold=1.0, near=True, comparison=found
    )
    assert describe_outcome(outcome, ["a", "b", "c"]) == (
        "a + c (9 cells) and b (4) are one: 0.95 times the lead that is needed, threshold 1; "
        "NEAR the threshold, another seed may turn it"
    )
