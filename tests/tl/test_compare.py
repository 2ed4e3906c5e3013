"""``tl.compare``, ``get.comparison`` and ``pl.compare``: rival methods on one object, in one table."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import anndata as ad
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from on_graph import IGRAPH, assert_kept, with_graph
from sklearn.metrics import adjusted_rand_score

import recall_py

mpl.use("Agg")
METHODS = ["plain", "default", "recall", "sc_shc", "countsplit"]


@pytest.fixture(scope="module")
def before() -> ad.AnnData:
    return with_graph(
        recall_py.datasets.simulate(160, 250, group_shares=(0.5, 0.5), log2_fold_change=3, random_state=1)
    )


@pytest.fixture(scope="module")
def compared(before: ad.AnnData) -> tuple[ad.AnnData, pd.DataFrame]:
    adata = before.copy()
    return adata, recall_py.tl.compare(adata, METHODS, label="group", resolution=2.0)


def test_every_method_has_a_row_with_its_clusters_time_and_agreement(compared):
    adata, table = compared
    assert table["method"].tolist() == METHODS
    assert table["key"].tolist() == [f"compare_{method}" for method in METHODS]
    assert table["n_clusters"].tolist() == [adata.obs[key].nunique() for key in table["key"]]
    assert (table[["seconds", "cpu_seconds"]] > 0).all(axis=None)
    for row, key in enumerate(table["key"]):
        assert table["ari_label"][row] == adjusted_rand_score(adata.obs["group"], adata.obs[key])
        for method in METHODS:
            expected = adjusted_rand_score(adata.obs[f"compare_{method}"], adata.obs[key])
            assert table[f"ari_{method}"][row] == pytest.approx(expected)


def test_methods_find_what_they_find_alone(before, compared):
    adata, _ = compared
    alone = before.copy()
    sc.tl.leiden(alone, 2.0, key_added="plain", **IGRAPH)
    recall_py.tl.leiden(alone, 2.0, key_added="default", **IGRAPH)
    with pytest.warns(recall_py.CalibrationWarning, match="may be too coarse"):
        recall_py.tl.recall(alone, key_added="recall")
    recall_py.tl.sc_shc(alone)
    for method in METHODS[:4]:
        assert adata.obs[f"compare_{method}"].astype(str).tolist() == alone.obs[method].astype(str).tolist()
    assert recall_py.get.pairs(adata, "compare_default").equals(recall_py.get.pairs(alone, "default"))


def test_methods_that_test_find_the_two_groups_and_plain_leiden_splits_them(compared):
    _, table = compared
    found = table.set_index("method")["ari_label"]
    assert found["plain"] < 0.8
    assert (found[["default", "sc_shc"]] > 0.95).all(), found
    assert found["countsplit"] > found["plain"]


def test_object_is_kept(before, compared):
    assert_kept(compared[0], before)


def test_table_can_be_written_and_read(compared, tmp_path):
    adata, table = compared
    adata.write_h5ad(tmp_path / "a.h5ad")
    read = recall_py.get.comparison(ad.read_h5ad(tmp_path / "a.h5ad"))
    pd.testing.assert_frame_equal(read, table, check_dtype=False)
    assert list(read) == list(table)


def test_warnings_of_a_method_are_in_its_row(compared):
    said = compared[1].set_index("method")["warning"]
    assert "may be too coarse" in said["recall"]
    assert said["plain"] == ""


def test_another_comparison_takes_the_place_of_the_first(compared):
    adata = compared[0].copy()
    table = recall_py.tl.compare(adata, ["plain"])
    pd.testing.assert_frame_equal(recall_py.get.comparison(adata), table)


def test_cells_without_a_label_do_not_count(before):
    adata = before.copy()
    adata.obs["known"] = adata.obs["group"].astype(object).where(np.arange(160) % 2 == 0)
    table = recall_py.tl.compare(adata, "plain", label="known")
    known = adata.obs["known"].notna()
    assert table["ari_label"][0] == adjusted_rand_score(
        adata.obs["known"][known].astype(str), adata.obs["compare_plain"][known]
    )


def test_scstability_takes_part_where_it_is_installed(before, monkeypatch):
    def stability_sweep(adata, resolutions, *, random_state, progress):
        labels = pd.DataFrame({0.8: pd.Categorical(np.arange(adata.n_obs) % 2)}, index=adata.obs_names)
        assert (random_state, progress) == (0, False)
        assert 0.8 in resolutions
        return SimpleNamespace(reference_labels=labels, recommend=lambda: 0.8)

    module = ModuleType("scstability")
    module.stability_sweep = stability_sweep
    module.__spec__ = SimpleNamespace()
    monkeypatch.setitem(sys.modules, "scstability", module)
    adata = before.copy()
    assert recall_py.tl.compare(adata, ["scstability"])["n_clusters"].tolist() == [2]
    assert adata.obs["compare_scstability"].cat.categories.tolist() == ["0", "1"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"methods": ["sc-SHC"]}, "methods has no method 'sc-SHC'. Available: plain, default, recall, sc_shc"),
        ({"methods": []}, "methods has no method. Available"),
        ({"label": "no"}, r"obs\['no'\] does not exist"),
        ({"layer": "no"}, r"layers\['no'\] does not exist"),
        ({"key_added": "taken"}, r"uns\['taken'\] is there already and is of no comparison"),
        ({"key_added": "mine"}, r"obs\['mine_plain'\] is there already and is of no comparison"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_done(before, arguments, said):
    adata = before.copy()
    adata.uns["taken"] = {"something": 1}
    adata.obs["mine_plain"] = 1
    with pytest.raises((ValueError, KeyError), match=said):
        recall_py.tl.compare(adata, **arguments)
    assert "compare_plain" not in adata.obs


def test_missing_graph_and_missing_package_are_told(before, monkeypatch):
    adata = before.copy()
    del adata.uns["neighbors"]
    with pytest.raises(ValueError, match=r"records no neighbour graph.*sc\.pp\.neighbors"):
        recall_py.tl.compare(adata)
    monkeypatch.setitem(sys.modules, "scstability", None)
    monkeypatch.setattr("recall_py.tl._compare.find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install scstability"):
        recall_py.tl.compare(before, ["scstability"])
    with pytest.raises(KeyError, match=r"holds no comparison. Make one: recall_py\.tl\.compare"):
        recall_py.get.comparison(before)


def test_picture_shows_the_table(compared):
    adata, table = compared
    ax = recall_py.pl.compare(adata, show=False)
    drawn = np.asarray(ax.images[0].get_array())
    columns = ["ari_label", *(f"ari_{method}" for method in METHODS)]
    np.testing.assert_allclose(drawn, table[columns])
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["group", *METHODS]
    for tick, (_, row) in zip(ax.get_yticklabels(), table.iterrows(), strict=True):
        assert tick.get_text().startswith(f"{row['method']}: {row['n_clusters']} cluster")
    without_label = adata.copy()
    without_label.uns["compare"]["comparison"].pop("ari_label")
    assert np.asarray(recall_py.pl.compare(without_label, show=False).images[0].get_array()).shape == (5, 5)
