"""The search with knockoff genes on real data, and tests of given labels by the filter."""

import warnings
from pathlib import Path

import anndata as ad
import matplotlib as mpl
import numpy as np
import pytest
import scanpy as sc
import searches
from sklearn.metrics import adjusted_rand_score

import recall_py
from recall_py import CalibrationWarning

mpl.use("Agg")
PBMC = Path(__file__).parents[2] / "data" / "pbmc68k.h5ad"


@pytest.fixture(scope="module")
def pbmc():
    return ad.read_h5ad(PBMC)


@pytest.fixture(scope="module")
def clustered(pbmc):
    adata = pbmc.copy()
    with pytest.warns(CalibrationWarning, match="Too small to be tested"):
        searches.leiden(adata, 4)
    return adata


def test_leiden_writes_what_scanpy_writes(clustered, pbmc):
    labels = clustered.obs["leiden"]
    assert labels.cat.categories.tolist() == [str(code) for code in range(labels.nunique())]
    assert labels.value_counts().loc[labels.cat.categories].is_monotonic_decreasing
    assert clustered.uns["leiden"]["params"] == {"resolution": 4, "random_state": 0, "n_iterations": -1}
    assert 0 < clustered.uns["leiden"]["modularity"] < 1
    assert list(clustered.obsm) == list(pbmc.obsm)
    assert list(clustered.obsp) == list(pbmc.obsp)
    assert (clustered.X != pbmc.X).nnz == 0


def test_every_pair_of_the_result_has_at_least_twenty_markers(clustered):
    pairs = recall_py.get.pairs(clustered)
    n_clusters = clustered.obs["leiden"].nunique() - len(clustered.uns["leiden"]["recall"]["untested"])
    assert len(pairs) == n_clusters * (n_clusters - 1) // 2
    assert (pairs["n_selected"] >= 20).all()
    markers = recall_py.get.markers(clustered)
    assert markers.groupby(["group", "reference"]).size().tolist() == pairs["n_selected"].tolist()


def test_search_lowers_the_resolution_until_no_pair_fails(clustered):
    steps = recall_py.get.iterations(clustered)
    np.testing.assert_allclose(steps["level"], 4 * 0.8 ** np.arange(len(steps)))
    assert (steps["n_failing"].iloc[:-1] > 0).all()
    assert steps["n_failing"].iloc[-1] == 0
    assert clustered.uns["leiden"]["recall"]["level"] == steps["level"].iloc[-1]


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
def test_clusters_agree_better_with_the_cell_types_than_plain_ones(clustered):
    adata = clustered.copy()
    sc.pp.normalize_total(adata)
    sc.pp.log1p(adata)
    sc.tl.pca(adata)
    sc.pp.neighbors(adata)
    sc.tl.leiden(adata, 4, key_added="plain")
    plain, calibrated = (adjusted_rand_score(adata.obs["annotation"], adata.obs[key]) for key in ("plain", "leiden"))
    assert calibrated > plain + 0.1


def test_markers_of_b_cells_are_b_cell_genes(clustered):
    b_cells = clustered.obs.loc[clustered.obs["annotation"] == "CD19+ B", "leiden"].mode()[0]
    markers = recall_py.get.markers(clustered, by="cluster")
    best = markers[markers["group"] == b_cells]["gene"].head(10)
    assert {"CD79B", "MS4A1"} <= set(best)
    assert markers["auc"].gt(0.5).all()


def test_pair_markers_carry_their_direction(clustered):
    row = recall_py.get.markers(clustered).iloc[0]
    position = list(clustered.var_names).index(row["gene"])
    values = clustered.X[:, position].toarray().ravel() / clustered.X.sum(axis=1).A1
    labels = clustered.obs["leiden"].to_numpy()
    difference = values[labels == row["group"]].mean() - values[labels == row["reference"]].mean()
    assert np.sign(difference) == np.sign(row["auc"] - 0.5) == np.sign(row["log2_fold_change"])


def test_record_survives_a_file(clustered, tmp_path):
    path = tmp_path / "labelled.h5ad"
    clustered.write_h5ad(path)
    read = ad.read_h5ad(path)
    for table in (recall_py.get.iterations, recall_py.get.pairs, recall_py.get.markers):
        kept, found = table(clustered), table(read)
        assert kept.columns.equals(found.columns)
        for column in kept:
            np.testing.assert_array_equal(found[column].to_numpy(), kept[column].to_numpy())
    assert read.uns["leiden"]["recall"]["params"] == clustered.uns["leiden"]["recall"]["params"]


@pytest.mark.filterwarnings("ignore::recall_py.CalibrationWarning")
@pytest.mark.parametrize("run", [searches.leiden, recall_py.tl.recall])
def test_same_seed_gives_the_same_bits_on_one_and_two_threads(pbmc, run):
    records = []
    for n_jobs in (1, 2):
        adata = run(pbmc, 3, n_jobs=n_jobs, copy=True, random_state=5)
        key = next(name for name in adata.obs if name != "annotation")
        records.append((adata.obs[key].to_numpy(), recall_py.get.markers(adata, key)["w"].to_numpy()))
    np.testing.assert_array_equal(records[0][0], records[1][0])
    np.testing.assert_array_equal(records[0][1], records[1][1])


def test_seed_may_come_from_a_generator(pbmc):
    first, second = (
        searches.leiden(pbmc, 4, rng=np.random.default_rng(8), copy=True, flavor="igraph", n_iterations=2)
        for _ in range(2)
    )
    assert first.obs["leiden"].equals(second.obs["leiden"])
    seed = first.uns["leiden"]["recall"]["params"]["seed"]
    again = searches.leiden(pbmc, 4, random_state=seed, copy=True, flavor="igraph", n_iterations=2)
    assert again.obs["leiden"].equals(first.obs["leiden"])


def test_merge_ends_with_passing_pairs_and_says_what_it_merged(pbmc):
    adata = searches.leiden(pbmc, 4, strategy="merge", copy=True)
    steps = recall_py.get.iterations(adata)
    assert (steps["n_clusters"].diff().iloc[1:] == -1).all()
    assert (steps["merged"].iloc[:-1] != "").all()
    assert recall_py.get.pairs(adata)["passes"].all()
    assert 0 < adata.uns["leiden"]["modularity"] < 1


@pytest.mark.parametrize("algorithm", ["kmeans", "ward"])
def test_methods_by_number_of_clusters_take_one_away_at_each_step(pbmc, algorithm):
    adata = recall_py.tl.recall(pbmc, algorithm=algorithm, num_clusters_start=14, copy=True)
    steps = recall_py.get.iterations(adata, "recall_clusters")
    assert steps["level"].tolist() == list(range(14, 14 - len(steps), -1))
    assert steps["n_failing"].iloc[-1] == 0


def test_restricted_clustering_has_the_labels_of_scanpy(clustered):
    adata = clustered.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        searches.leiden(adata, 2, restrict_to=("leiden", ["0", "1"]), dims=20)
    inside = adata.obs["leiden"].isin(["0", "1"])
    assert adata.obs.loc[inside, "leiden_R"].str.match(r"^0-1,\d+$").all()
    assert (adata.obs.loc[~inside, "leiden_R"].astype(str) == adata.obs.loc[~inside, "leiden"].astype(str)).all()
    tested = recall_py.get.pairs(adata, "leiden_R")
    assert set(tested["group"]) | set(tested["reference"]) <= set(adata.obs["leiden_R"].cat.categories)


def test_first_partition_that_passes_is_pointed_out(pbmc):
    with pytest.warns(CalibrationWarning, match="may be too coarse"):
        searches.leiden(pbmc, 0.5, copy=True)


def test_raised_start_ends_below_the_first_failure(pbmc):
    adata = searches.leiden(pbmc, 1, raise_start=True, copy=True)
    steps = recall_py.get.iterations(adata)
    record = adata.uns["leiden"]["recall"]
    assert len(steps) > 1
    assert record["converged"]
    assert recall_py.get.pairs(adata)["passes"].all()
    assert steps["n_failing"].iloc[-1] > 0
    assert record["level"] == steps["level"].iloc[-2]


def test_raised_start_that_meets_no_failure_says_so(pbmc):
    with pytest.warns(CalibrationWarning, match="No pair of clusters failed at the start .resolution 0.15"):
        searches.leiden(pbmc, 0.05, raise_start=True, copy=True)


def test_restricted_recall_keeps_the_labels_it_came_from(pbmc):
    adata = recall_py.tl.recall(pbmc, 4, copy=True)
    before = adata.obs["recall_clusters"].copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        recall_py.tl.recall(adata, restrict_to=("recall_clusters", ["0"]))
    assert adata.obs["recall_clusters"].equals(before)
    assert adata.obs["recall_clusters_R"].str.startswith("0,").sum() == (before == "0").sum()


@pytest.mark.filterwarnings("ignore::recall_py.CalibrationWarning")
def test_restriction_to_numbers_names_them_as_strings(pbmc):
    adata = pbmc.copy()
    adata.obs["half"] = np.arange(adata.n_obs) % 2
    searches.leiden(adata, restrict_to=("half", ["1"]), flavor="igraph", n_iterations=2)
    assert set(adata.obs.loc[adata.obs["half"] == 0, "leiden_R"]) == {"0"}


@pytest.mark.filterwarnings("ignore::recall_py.CalibrationWarning")
def test_settings_of_the_implementation_are_passed_on(pbmc):
    import leidenalg

    cpm = searches.leiden(pbmc, 0.02, partition_type=leidenalg.CPMVertexPartition, use_weights=False, copy=True)
    assert cpm.uns["leiden"]["recall"]["params"]["partition_partition_type"] == "CPMVertexPartition"
    igraph = {"flavor": "igraph", "n_iterations": -1, "copy": True}
    modularity = searches.leiden(pbmc, 0.02, **igraph)
    also_cpm = searches.leiden(pbmc, 0.02, objective_function="CPM", **igraph)
    assert modularity.obs["leiden"].nunique() < also_cpm.obs["leiden"].nunique()


def test_more_clusters_than_can_be_tested_are_refused(pbmc):
    import leidenalg

    with pytest.raises(ValueError, match="at most 400 clusters can be tested"):
        searches.leiden(pbmc, 10, partition_type=leidenalg.CPMVertexPartition)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::recall_py.CalibrationWarning")
def test_large_data_has_the_same_bits_on_one_and_two_threads():
    """Above 8,192 cells scanpy itself would search neighbours approximately, with random numbers by thread."""
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 3, 8500)
    adata = ad.AnnData(rng.poisson(rng.gamma(1.0, 1.0, (3, 120))[groups]).astype(np.float32))
    options = {"copy": True, "flavor": "igraph", "n_iterations": 2, "dims": 20}
    found = [searches.leiden(adata, n_jobs=n_jobs, **options) for n_jobs in (1, 2)]
    assert found[0].obs["leiden"].equals(found[1].obs["leiden"])
    assert adjusted_rand_score(groups, found[0].obs["leiden"]) > 0.95


def test_cut_off_search_says_so(pbmc):
    with pytest.warns(CalibrationWarning, match="NOT CALIBRATED: the search was cut off after 1 iterations"):
        adata = searches.leiden(pbmc, 4, max_iterations=1, copy=True)
    assert not adata.uns["leiden"]["recall"]["converged"]
    assert adata.uns["leiden"]["recall"]["reason"] == "max_iterations"


def test_labels_from_the_expression_data_are_not_tested_against_knockoffs(pbmc):
    with pytest.raises(ValueError, match="double dipping"):
        searches.filter_tested(pbmc, "annotation", pair_test="knockoff")


def test_external_labels_are_tested_pair_by_pair(pbmc):
    adata = searches.filter_tested(pbmc, "annotation", external=True, copy=True)
    pairs = recall_py.get.pairs(adata, "recall_test").set_index(["group", "reference"])
    assert len(pairs) == 45
    assert pairs.loc[("CD14+ Monocyte", "CD19+ B"), "passes"]
    with pytest.raises(KeyError, match="test_clusters makes no search"):
        recall_py.get.iterations(adata, "recall_test")


@pytest.mark.filterwarnings("ignore::recall_py.CalibrationWarning")
def test_record_names_a_null_model_only_where_knockoffs_were_drawn(pbmc, tmp_path):
    adata = pbmc.copy()
    for pair_test in ("knockoff", "synthetic"):
        searches.leiden(adata, 1, pair_test=pair_test, null_method="NB", key_added=pair_test)
        searches.filter_tested(
            adata, "annotation", external=True, pair_test=pair_test, n_draws=1, key_added=f"{pair_test}_labels"
        )
    adata.write_h5ad(tmp_path / "both.h5ad")
    read = ad.read_h5ad(tmp_path / "both.h5ad")
    assert read.uns["knockoff"]["recall"]["params"]["null_method"] == "NB"
    assert read.uns["knockoff_labels"]["params"]["null_method"] == "ZIP"
    assert "null_method" not in read.uns["synthetic"]["recall"]["params"]
    assert "null_method" not in read.uns["synthetic_labels"]["params"]
    for key in ("synthetic", "synthetic_labels"):
        assert len(recall_py.get.pairs(read, key))


def test_random_labels_are_not_supported(pbmc):
    supported = 0
    for seed in range(10):
        labels = np.random.default_rng(seed).integers(0, 2, pbmc.n_obs).astype(str)
        adata = ad.AnnData(pbmc.X, obs={"random": labels}, var=pbmc.var)
        adata.obs_names = pbmc.obs_names
        searches.filter_tested(adata, "random", external=True, random_state=seed)
        supported += recall_py.get.pairs(adata, "recall_test")["passes"].sum()
    # Labels that know nothing pass with probability of about q at most: 2 of 10 has chance 0.09 then.
    assert supported <= 2
