"""``tl.sc_shc`` and ``get.tree``: golden values of the R package, given labels, what is stored and refused."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
from golden import shared_folder
from on_graph import assert_kept
from sklearn.metrics import adjusted_rand_score

import recall_py
from recall_py.counts.matrix import CountMatrix
from recall_py.counts.selection import most_deviant


@pytest.fixture(scope="module")
def groups() -> ad.AnnData:
    """Two groups of 60 cells, and labels that cut the first in two."""
    adata = recall_py.datasets.simulate(120, 200, group_shares=(0.5, 0.5), log2_fold_change=3, random_state=1)
    half = np.arange(120) % 2 == 0
    adata.obs["label"] = adata.obs["group"].astype(str) + np.where(half & (adata.obs["group"] == "group0"), "b", "a")
    return adata


@pytest.fixture(scope="module")
def split(groups: ad.AnnData) -> ad.AnnData:
    return recall_py.tl.sc_shc(groups, copy=True, n_jobs=1)


@pytest.mark.slow
def test_three_cell_lines_give_the_numbers_of_the_r_package():
    path = shared_folder() / "data" / "mix3_celseq2.h5ad"
    if not path.is_file():
        pytest.skip(f"{path} is absent (set RECALL_PY_SHARED)")
    adata = ad.read_h5ad(path)
    adata = adata[(adata.obs["demuxlet_cls"] == "SNG").to_numpy()].copy()
    recall_py.tl.sc_shc(adata)
    tree = recall_py.get.tree(adata)
    assert round(tree["statistic"][0], 3) == 1676.333
    assert sorted(tree.loc[0, ["n_left", "n_right"]]) == [67, 173]
    assert adata.obs["sc_shc"].nunique() == 6
    assert adjusted_rand_score(adata.obs["truth"].astype(str), adata.obs["sc_shc"]) == pytest.approx(0.58, abs=0.005)


def test_genes_are_those_with_the_largest_binomial_deviance(rng):
    counts = rng.poisson(rng.gamma(0.5, 2, (1, 30)) * rng.gamma(2, 1, (25, 1)))
    counts[:, 4] = 0
    counts[3] = 0
    counts[3, 7] = 5
    total = counts.sum(axis=1, keepdims=True)
    share = counts.sum(axis=0) / counts.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        deviance = np.nan_to_num(counts * np.log(counts / (total * share))) + np.nan_to_num(
            (total - counts) * np.log((total - counts) / (total * (1 - share)))
        )
    expected = np.sort(np.argsort(-deviance.sum(axis=0))[:10])
    assert np.flatnonzero(most_deviant(CountMatrix(counts), 10)).tolist() == expected.tolist()


def test_groups_are_found_and_the_object_is_kept(groups, split):
    assert_kept(split, groups)
    assert "sc_shc" not in groups.obs
    assert adjusted_rand_score(split.obs["group"], split.obs["sc_shc"]) == 1.0
    assert split.obs["sc_shc"].cat.categories.tolist() == ["0", "1"]


def test_table_of_splits_has_the_root_first(split):
    tree = recall_py.get.tree(split)
    assert list(tree) == ["node", "parent", "n_left", "n_right", "statistic", "p", "level", "split"]
    assert tree["parent"][0] == -1
    assert (tree["split"] == (tree["p"] < tree["level"])).all()
    assert tree["level"][0] == 0.05


def test_result_can_be_written_and_read(split, tmp_path):
    split.write_h5ad(tmp_path / "a.h5ad")
    read = ad.read_h5ad(tmp_path / "a.h5ad")
    assert recall_py.get.tree(read).equals(recall_py.get.tree(split))


def test_counts_in_a_file_are_read(groups, split, tmp_path):
    groups.write_h5ad(tmp_path / "a.h5ad")
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    recall_py.tl.sc_shc(backed, n_jobs=1)
    assert backed.obs["sc_shc"].tolist() == split.obs["sc_shc"].tolist()
    backed.file.close()


def test_given_labels_of_one_population_become_one(groups):
    adata = groups.copy()
    adata.obs.loc[adata.obs_names[:3], "label"] = None
    recall_py.tl.sc_shc(adata, "label", key_added="joined", n_jobs=1)
    assert adata.obs["joined"].cat.categories.tolist() == ["group0a + group0b", "group1a"]
    assert adata.obs["joined"].isna().tolist() == [True] * 3 + [False] * 117
    assert adata.uns["joined"]["params"]["groupby"] == "label"


def test_labels_that_are_too_small_are_told(groups):
    adata = groups.copy()
    adata.obs["label"] = np.where(np.arange(120) < 10, "few", "many")
    with pytest.warns(recall_py.CalibrationWarning, match="1 of the splits .* could not be tested"):
        recall_py.tl.sc_shc(adata, "label")
    assert adata.obs["sc_shc"].unique().tolist() == ["few + many"]


def test_few_cells_are_one_cluster_and_that_is_told(groups):
    adata = groups[:30].copy()
    with pytest.warns(recall_py.CalibrationWarning, match="Nothing was tested"):
        recall_py.tl.sc_shc(adata)
    assert adata.obs["sc_shc"].tolist() == ["0"] * 30
    assert recall_py.get.tree(adata).empty


def test_named_genes_and_batches_take_part(groups):
    adata = groups.copy()
    adata.obs["batch"] = np.where(np.arange(120) % 2, "a", "b")
    recall_py.tl.sc_shc(adata, genes=adata.var_names[:80], batch_key="batch", n_jobs=1)
    assert adata.uns["sc_shc"]["tree"]["genes"].tolist() == adata.var_names[:80].tolist()
    assert adjusted_rand_score(adata.obs["group"], adata.obs["sc_shc"]) == 1.0


def test_second_run_replaces_the_first(split):
    adata = split.copy()
    recall_py.tl.sc_shc(adata, alpha=1e-300, n_jobs=1)
    assert adata.obs["sc_shc"].nunique() == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"alpha": 2}, "alpha is 2; it must be between 0 and 1"),
        ({"n_comps": 0}, "n_comps is 0; a whole number from 1 on"),
        ({"n_top_genes": 0}, "n_top_genes is 0; at least 1"),
        ({"key_added": "group"}, r"obs\['group'\] is there already"),
        ({"key_added": "taken"}, r"uns\['taken'\] holds something"),
        ({"genes": ["no such gene"]}, "1 of the 1 genes are not in X"),
        ({"groupby": "no such column"}, r"obs\['no such column'\] does not exist"),
    ],
)
def test_what_cannot_be_done_is_refused(groups, arguments, said):
    adata = groups.copy()
    adata.uns["taken"] = {"something": 1}
    with pytest.raises((ValueError, KeyError), match=said):
        recall_py.tl.sc_shc(adata, **arguments)


def test_more_cells_than_a_tree_can_hold_are_refused():
    adata = ad.AnnData(np.ones((20_001, 2), dtype=np.float32))
    with pytest.raises(ValueError, match=r"There are 20001 cells; .* 20000 cells are the most.*sc\.pp\.sample"):
        recall_py.tl.sc_shc(adata)


def test_readers_of_other_results_name_the_one_that_reads_trees(split):
    with pytest.raises(KeyError, match=r"holds a tree of tested splits. Read it: recall_py\.get\.tree"):
        recall_py.get.pairs(split, "sc_shc")
    with pytest.raises(KeyError, match=r"holds no tree of tested splits. Make one: recall_py\.tl\.sc_shc"):
        recall_py.get.tree(split, "leiden")
