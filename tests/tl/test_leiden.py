"""Calibrated clusters of the graph that the user has."""

from __future__ import annotations

import inspect
import subprocess
import sys
import warnings

import anndata as ad
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from on_graph import with_graph
from scipy import sparse

import recall_py
from recall_py import CalibrationWarning
from recall_py.arguments import RemovedError

mpl.use("Agg")
pytestmark = pytest.mark.filterwarnings("ignore:Writing zarr v2", "ignore:.*default backend for leiden:FutureWarning")
BY_IGRAPH = {"flavor": "igraph", "n_iterations": 2}
GAUSS = {"n_neighbors": 45, "method": "gauss", "transformer": "sklearn"}


@pytest.fixture(scope="module")
def cells():
    """Three groups of cells, of very different sizes."""
    shares = (0.5, 0.3, 0.2)
    counts = recall_py.datasets.simulate(180, 200, group_shares=shares, n_markers=40, mean_depth=2000)
    return with_graph(counts, **GAUSS)


@pytest.fixture(scope="module")
def merged(cells):
    """From a fine start."""
    return recall_py.tl.leiden(cells, 1.5, copy=True, **BY_IGRAPH)


def quietly(function, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        return function(*args, **kwargs)


def is_union_of(final, start):
    return (pd.crosstab(start, final) > 0).sum(axis=1).eq(1).all()


def scanpys(adata, *args, function=sc.tl.leiden, **kwargs):
    return function(adata, *args, copy=True, **kwargs)


def test_start_is_that_of_scanpy_and_final_clusters_are_unions_of_it(cells, merged):
    plain = scanpys(cells, 1.5, **BY_IGRAPH)
    assert merged.obs["leiden_start"].equals(plain.obs["leiden"].rename("leiden_start"))
    assert is_union_of(merged.obs["leiden"], merged.obs["leiden_start"])
    assert merged.obs["leiden"].nunique() == 3 < merged.obs["leiden_start"].nunique()
    assert is_union_of(cells.obs["group"], merged.obs["leiden"])


def test_merged_clusters_are_named_by_decreasing_size(merged):
    labels = merged.obs["leiden"]
    assert labels.cat.categories.tolist() == ["0", "1", "2"]
    assert labels.value_counts().loc[labels.cat.categories].is_monotonic_decreasing
    assert merged.uns["leiden"]["params"] == {"resolution": 1.5, "random_state": 0, "n_iterations": 2}


@pytest.mark.parametrize("flavor", ["igraph", "leidenalg"])
def test_where_nothing_is_merged_the_labels_are_those_of_scanpy(cells, flavor):
    plain = scanpys(cells, 0.2, flavor=flavor)
    with pytest.warns(CalibrationWarning, match="may be too coarse: merging cannot split. Pass a higher resolution"):
        found = recall_py.tl.leiden(cells, 0.2, flavor=flavor, copy=True)
    pd.testing.assert_series_equal(found.obs["leiden"], plain.obs["leiden"])
    assert found.uns["leiden"]["params"] == plain.uns["leiden"]["params"]
    assert recall_py.get.merges(found).empty


def test_every_argument_of_scanpy_is_taken():
    ours = inspect.signature(recall_py.tl.leiden)
    theirs = inspect.signature(sc.tl.leiden).parameters
    ours.bind(**{name: None for name, one in theirs.items() if one.kind is not one.VAR_KEYWORD})
    positional = [name for name, one in ours.parameters.items() if one.kind is one.POSITIONAL_OR_KEYWORD]
    assert positional == [name for name, one in theirs.items() if one.kind is one.POSITIONAL_OR_KEYWORD]
    assert {"rng", "n_orders"} <= {*ours.parameters, *inspect.signature(recall_py.tl.louvain).parameters}


def test_arguments_that_scanpy_adds_later_reach_it(cells, monkeypatch):
    given = {}

    def later(adata, resolution, *, key_added, new_argument, rng):
        given.update(resolution=resolution, new_argument=new_argument, rng=rng)
        sc.tl.leiden(adata, resolution, key_added=key_added, **BY_IGRAPH)

    monkeypatch.setattr("recall_py.tl._leiden.scanpy_leiden", later)
    recall_py.tl.leiden(cells, 1.5, new_argument="x", rng=5, copy=True)
    assert given == {"resolution": 1.5, "new_argument": "x", "rng": 5}


def test_it_may_take_the_place_of_scanpys_function_more_than_once(tmp_path, cells):
    cells.write_h5ad(tmp_path / "in.h5ad")
    code = """
import warnings
warnings.simplefilter("ignore")
import anndata, scanpy as sc, recall_py
for _ in range(2):
    sc.tl.leiden = recall_py.tl.leiden
    sc.tl.louvain = recall_py.tl.louvain
adata = anndata.read_h5ad("in.h5ad")
sc.tl.leiden(adata, 1.5, flavor="igraph", n_iterations=2)
print(adata.obs["leiden"].nunique(), "leiden_start" in adata.obs)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["3", "True"], done.stderr


@pytest.mark.filterwarnings("ignore:::scanpy", "ignore::PendingDeprecationWarning")
def test_scanpy_goes_on_with_the_labels(merged, tmp_path):
    adata = merged.copy()
    sc.tl.rank_genes_groups(adata, "leiden", method="t-test")
    sc.tl.dendrogram(adata, "leiden")
    sc.tl.paga(adata, groups="leiden")
    sc.pl.rank_genes_groups_dotplot(adata, n_genes=3, show=False)
    adata.write_h5ad(tmp_path / "tutorial.h5ad")


def test_what_the_user_has_is_left_alone(cells, merged):
    assert list(merged.obsm) == list(cells.obsm)
    assert (merged.obsp["connectivities"] != cells.obsp["connectivities"]).nnz == 0
    assert (merged.X != cells.X).nnz == 0
    assert merged.uns["neighbors"].keys() == cells.uns["neighbors"].keys()
    assert set(merged.obs) - set(cells.obs) == {"leiden", "leiden_start"}
    assert set(merged.uns) - set(cells.uns) == {"leiden"}


def test_restricted_to_some_cells_only_those_are_touched(cells):
    adata = cells.copy()
    adata.obs["half"] = pd.Categorical(np.where(adata.obs["group"] == "group0", "a", "b"))
    plain = scanpys(adata, 1.5, restrict_to=("half", ["a"]), **BY_IGRAPH)
    quietly(recall_py.tl.leiden, adata, 1.5, restrict_to=("half", ["a"]), **BY_IGRAPH)
    assert adata.obs["leiden_R_start"].equals(plain.obs["leiden_R"].rename("leiden_R_start"))
    assert set(adata.obs["leiden_R"]) == {"a,0", "b"}
    np.testing.assert_array_equal(adata.obs["leiden_R"] == "b", adata.obs["half"] == "b")
    merges = recall_py.get.merges(adata, "leiden_R")
    assert merges["group"].str.startswith("a,").all()
    assert adata.uns["leiden_R"]["params"]["restrict_to"] == "half:a"


def test_merges_speak_of_the_start_and_pairs_of_the_final_names(merged):
    merges, pairs = recall_py.get.merges(merged), recall_py.get.pairs(merged)
    start, final = (set(merged.obs[key].cat.categories) for key in ("leiden_start", "leiden"))
    assert {name for joined in merges["group"] for name in joined.split(" + ")} <= start
    assert {*pairs["group"], *pairs["reference"]} <= final
    clusters = recall_py.get.clusters(merged).set_index("cluster")
    for name, held in clusters["start"].items():
        assert set(merged.obs.loc[merged.obs["leiden"] == name, "leiden_start"]) == set(held)
    assert clusters["n_cells"].to_dict() == merged.obs["leiden"].value_counts().to_dict()
    assert clusters["supported"].all()
    assert (merges["evidence"] <= merges["threshold"]).all()
    assert (pairs["evidence"] > pairs["threshold"]).all()
    assert len(merges) == len(start) - len(final)


def test_markers_are_genes_that_beat_their_nulls(merged):
    markers = recall_py.get.markers(merged)
    assert (markers["w"] > 0).all()
    assert {*markers["group"], *markers["reference"]} == {"0", "1", "2"}
    best = recall_py.get.markers(merged, by="cluster")
    assert set(best["group"]) == {"0", "1", "2"}
    assert (best["auc"] > 0.5).all()


@pytest.mark.parametrize("kind", ["h5ad", "zarr"])
def test_record_goes_through_a_file(merged, kind, tmp_path):
    getattr(merged, f"write_{kind}")(tmp_path / f"x.{kind}")
    back = getattr(ad, f"read_{kind}")(tmp_path / f"x.{kind}")
    for table in (recall_py.get.merges, recall_py.get.pairs, recall_py.get.clusters, recall_py.get.markers):
        pd.testing.assert_frame_equal(table(back), table(merged))


@pytest.mark.parametrize("run", [recall_py.tl.leiden, recall_py.tl.louvain])
def test_same_seed_gives_the_same_bits_on_one_and_two_threads(cells, run):
    one, two = (quietly(run, cells, 2, n_jobs=n_jobs, random_state=5, copy=True) for n_jobs in (1, 2))
    key = run.__name__
    assert one.obs[key].equals(two.obs[key])
    assert recall_py.get.pairs(one, key).equals(recall_py.get.pairs(two, key))


@pytest.mark.parametrize("seed", [{"random_state": None}, {"random_state": np.random.RandomState(3)}, {"rng": 7}])
def test_seed_on_record_gives_the_run_again(cells, seed):
    first = quietly(recall_py.tl.leiden, cells, 1.5, copy=True, **seed, **BY_IGRAPH)
    recorded = first.uns["leiden"]["recall"]["params"]["seed"]
    again = quietly(recall_py.tl.leiden, cells, 1.5, random_state=recorded, copy=True, **BY_IGRAPH)
    assert again.obs["leiden_start"].equals(first.obs["leiden_start"])
    assert recall_py.get.pairs(again).equals(recall_py.get.pairs(first))


@pytest.mark.parametrize("where", ["X", "raw", "csc", "dense", "file", "dask"])
def test_counts_are_read_from_wherever_they_are(cells, merged, where, tmp_path):
    adata = cells.copy()
    counts = adata.layers.pop("counts")
    if where == "raw":
        adata.raw = ad.AnnData(counts, obs=adata.obs[[]], var=adata.var)
    elif where == "dask":
        array = pytest.importorskip("dask.array")
        adata.X = array.from_array(counts.toarray(), chunks=(60, -1)).map_blocks(sparse.csr_matrix)
    else:
        adata.X = {"csc": sparse.csc_matrix, "dense": lambda x: x.toarray()}.get(where, lambda x: x)(counts)
    if where == "file":
        adata.write_h5ad(tmp_path / "x.h5ad")
        adata = ad.read_h5ad(tmp_path / "x.h5ad", backed="r")
    recall_py.tl.leiden(adata, 1.5, **BY_IGRAPH)
    assert adata.obs["leiden"].equals(merged.obs["leiden"])
    assert recall_py.get.pairs(adata).equals(recall_py.get.pairs(merged))


def test_small_clusters_join_the_neighbour_with_most_edges(cells):
    adata = cells.copy()
    graph = adata.obsp["connectivities"].tolil()
    for i in range(2):
        graph[i, :] = graph[:, i] = 0
    graph[0, 1] = graph[1, 0] = 1.0
    largest = np.flatnonzero(adata.obs["group"] == "group0")[-1]
    graph[0, largest] = graph[largest, 0] = 1e-3
    adata.obsp["connectivities"] = graph.tocsr()
    quietly(recall_py.tl.leiden, adata, 0.2, **BY_IGRAPH)
    assert adata.obs["leiden_start"].value_counts().min() == 2
    assert adata.obs["leiden"].iloc[0] == adata.obs["leiden"].iloc[1] == adata.obs["leiden"].iloc[largest]
    (joined,) = recall_py.get.merges(adata).query("kind == 'small'").to_dict("records")
    assert joined["n_reference"] == 2
    assert np.isnan(joined["evidence"])


def test_disconnected_graphs_are_clustered(cells):
    adata = cells.copy()
    apart = adata.obs["group"].to_numpy()[:, None] == adata.obs["group"].to_numpy()
    adata.obsp["connectivities"] = sparse.csr_matrix(adata.obsp["connectivities"].multiply(apart))
    quietly(recall_py.tl.leiden, adata, 1.5, **BY_IGRAPH)
    assert adata.obs["leiden"].nunique() == 3
    assert len(recall_py.get.pairs(adata)) == 3  # clusters without edges are compared with the nearest


def test_two_cells_become_one_cluster(cells):
    adata = cells[:2].copy()
    adata.obsp["connectivities"] = sparse.csr_matrix(np.ones((2, 2)) - np.eye(2))
    quietly(recall_py.tl.leiden, adata, 0.1, **BY_IGRAPH)
    assert adata.obs["leiden"].cat.categories.tolist() == ["0"]


def test_one_cluster_says_that_nothing_was_tested(cells):
    with pytest.warns(CalibrationWarning, match="The start is one cluster, so nothing was tested"):
        recall_py.tl.leiden(cells, 0.0, copy=True, **BY_IGRAPH)


def test_directed_neighbours_are_clustered(cells):
    directed = sparse.csr_matrix(cells.obsp["distances"] > 0, dtype=np.float64)
    found = quietly(recall_py.tl.leiden, cells, adjacency=directed, flavor="leidenalg", copy=True)
    assert is_union_of(cells.obs["group"], found.obs["leiden"])
    by_louvain = quietly(recall_py.tl.louvain, cells, adjacency=directed, copy=True)
    assert is_union_of(cells.obs["group"], by_louvain.obs["louvain"])


def test_clusters_without_a_batch_in_common_stay_and_a_warning_says_so(cells):
    adata = cells.copy()
    adata.obs["batch"] = np.where(adata.obs["group"] == "group0", "one", "two")
    with pytest.warns(CalibrationWarning, match="too few cells in the same batches") as caught:
        recall_py.tl.leiden(adata, 1.5, batch_key="batch", **BY_IGRAPH)
    assert [one.filename for one in caught if one.category is CalibrationWarning] == [__file__]
    assert adata.obs["leiden"].nunique() == 3
    pairs = recall_py.get.pairs(adata)
    apart = pairs[pairs["kind"] == "batch"]
    assert len(apart)
    assert apart["passes"].all()
    assert apart["evidence"].isna().all()


def test_a_stray_cell_of_a_batch_makes_two_clusters_no_more_comparable(cells):
    adata = cells.copy()
    batch = np.where(adata.obs["group"] == "group0", "one", "two")
    batch[np.flatnonzero(batch == "one")[:4]] = "two"
    adata.obs["batch"] = batch
    quietly(recall_py.tl.merge_clusters, adata, "group", batch_key="batch")
    assert adata.obs["group_merged"].nunique() == 3
    clusters = recall_py.get.clusters(adata, "group_merged").set_index("cluster")
    assert not clusters.loc["group0", "supported"]


def test_genes_can_be_left_out(cells):
    found = quietly(
        recall_py.tl.leiden, cells, 3, genes=cells.var_names[cells.var["marker_of"] == ""], copy=True, **BY_IGRAPH
    )
    assert found.obs["leiden"].cat.categories.tolist() == ["0"]


def test_cells_without_a_label_are_outside_every_restriction_and_stay_without(cells):
    cells = cells.copy()
    cells.obs["half"] = pd.Categorical(np.where(np.arange(cells.n_obs) < 9, None, "a"))
    found = quietly(recall_py.tl.leiden, cells, 1.5, restrict_to=("half", ["a"]), copy=True, **BY_IGRAPH)
    for column in ("leiden_R", "leiden_R_start"):
        assert (found.obs[column].isna() == cells.obs["half"].isna()).all()
        assert found.obs[column].cat.categories.str.startswith("a,").all()
    assert recall_py.get.clusters(found, "leiden_R")["n_cells"].sum() == cells.n_obs - 9


def test_cells_without_a_count_in_the_genes_are_clustered_and_tell_nothing(cells):
    markers = cells[:, cells.var["marker_of"] == "group1"]
    few = markers.var_names[np.argsort(np.asarray(markers.layers["counts"].sum(axis=0)).ravel())[:10]]
    empty = np.asarray(cells[:, few].layers["counts"].sum(axis=1)).ravel() == 0
    assert empty.any()
    found = quietly(recall_py.tl.leiden, cells, 1.5, genes=few, copy=True, **BY_IGRAPH)
    assert found.obs["leiden"].notna().all()
    assert is_union_of(found.obs["leiden"], found.obs["leiden_start"])


def test_progress_is_printed(cells, capsys):
    recall_py.tl.leiden(cells, 1.5, progress=True, copy=True, **BY_IGRAPH)
    said = capsys.readouterr().err
    assert "comparing" in said
    assert "are one: " in said
    with sc.settings.verbosity.override(0):
        recall_py.tl.leiden(cells, 1.5, progress=True, copy=True, **BY_IGRAPH)
    assert capsys.readouterr().err == ""


def without_graph(adata):
    del adata.uns["neighbors"]


def without_counts(adata):
    del adata.layers["counts"]


def with_column_of_others(adata):
    adata.obs["leiden_start"] = "mine"


def with_the_new_name_outside(adata):
    adata.obs["half"] = pd.Categorical(np.where(np.arange(adata.n_obs) < 90, "a", "a,0"))


def without_labels(adata):
    adata.obs["half"] = np.nan


REFUSED = {
    "no graph": (without_graph, {}, r"no neighbour graph.*name it, obsp='...'.*sc\.pp\.neighbors"),
    "no counts": (without_counts, {}, r"X holds values that are not integers.*layer='...'"),
    "two graphs": (None, {"obsp": "connectivities", "adjacency": np.eye(180)}, "pass one of them"),
    "graph of other cells": (None, {"adjacency": np.eye(7)}, "adjacency is 7 x 7, but there are 180 cells"),
    "no such graph": (None, {"obsp": "wnn"}, r"obsp\['wnn'\] does not exist; obsp has: distances, connectivities"),
    "no such entry": (None, {"neighbors_key": "wnn"}, r"uns\['wnn'\] does not exist"),
    "a cell each": (None, {"resolution": 1e9}, "label of its own for each of the 180 cells"),
    "no number": (None, {"resolution": float("nan")}, "resolution is nan; a finite number from 0 on is needed"),
    "below 0": (None, {"resolution": -1}, "resolution is -1; a finite number from 0 on is needed"),
    "no labels": (without_labels, {"restrict_to": ("half", ["a"])}, "has no label for any cell"),
    "start of others": (with_column_of_others, {}, r"Pass another key_added, or remove it: del adata\.obs"),
    "name outside": (with_the_new_name_outside, {"restrict_to": ("half", ["a"])}, "outside the restriction .* a,0"),
    "no edge": (None, {"adjacency": sparse.csr_matrix((180, 180))}, "No edge of adjacency joins two of the 180 cells"),
    "no batches": (None, {"batch_key": "donor"}, r"obs\['donor'\] does not exist"),
    "modality of an AnnData": (None, {"modality": "rna"}, "has no modalities"),
    "unknown method": (None, {"method": "magic"}, "Available: pairs, knockoffs"),
    "graph for knockoffs": (None, {"method": "knockoffs", "obsp": "connectivities"}, "built without knockoff genes"),
    "alpha for knockoffs": (None, {"method": "knockoffs", "alpha": 0.01}, "alpha cannot be used with method"),
    "modality for knockoffs": (None, {"method": "knockoffs", "modality": "rna"}, r"mdata\['rna'\]"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_calibrated_is_refused_in_a_sentence(cells, case):
    change, options, message = REFUSED[case]
    adata = cells.copy()
    if change is not None:
        change(adata)
    before = adata.obs.copy(), set(adata.uns)
    with pytest.raises((ValueError, KeyError), match=message):
        recall_py.tl.leiden(adata, **BY_IGRAPH, **options)
    pd.testing.assert_frame_equal(adata.obs, before[0])
    assert set(adata.uns) == before[1]


OLD = (
    "null_method", "fdr", "offset", "reduction", "strategy", "graph", "dims", "pair_test", "n_draws", "min_auc",
    "exact_below", "batch_key", "sketch", "layer", "n_top_genes", "max_iterations", "raise_start", "bisect", "preset",
    "n_jobs", "progress", "flavor", "n_iterations", "directed", "use_weights", "partition_type", "neighbors_key",
    "restrict_to", "random_state", "rng", "key_added", "copy",
)  # fmt: skip
"""Options that tl.leiden had when it searched with knockoffs."""
KEPT = {
    "batch_key", "layer", "n_jobs", "progress", "flavor", "n_iterations", "directed", "use_weights", "partition_type",
    "neighbors_key", "restrict_to", "random_state", "rng", "key_added", "copy",
}  # fmt: skip


@pytest.mark.parametrize("name", OLD)
def test_every_old_option_has_its_place_in_the_original(name):
    taken = inspect.signature(recall_py.tl.recall).parameters
    if name in ("preset", "pair_test"):
        assert name not in taken
        with pytest.raises(RemovedError, match=r"write: recall_py\.tl\.leiden"):
            recall_py.tl.recall(None, **{name: "x"})
    else:
        assert {"reduction": "reduction_percentage"}.get(name, name) in taken


@pytest.mark.parametrize("run", [recall_py.tl.leiden, recall_py.tl.louvain])
@pytest.mark.parametrize("name", [name for name in OLD if name not in KEPT])
def test_removed_options_say_what_to_write_today(run, name):
    with pytest.raises(TypeError, match=rf"tl\.{run.__name__} takes no {name} any more.*recall_py\.tl\.") as error:
        run(None, **{name: "x"})
    assert isinstance(error.value, ValueError)


@pytest.mark.parametrize("name", ["pair_test", "n_draws", "min_auc", "exact_below", "fdr", "offset", "n_top_genes"])
def test_removed_options_of_tests_say_what_to_write_today(name):
    with pytest.raises(RemovedError, match=f"takes no {name} any more"):
        recall_py.tl.test_clusters(None, "label", **{name: 1})


def test_misspelt_options_are_refused(cells):
    for call in (
        lambda: recall_py.tl.test_clusters(cells, "group", groups="x"),
        lambda: recall_py.tl.louvain(cells, resolutin=1),
        lambda: recall_py.tl.leiden(cells, resolutin=1, flavor="igraph", copy=True),
    ):
        with pytest.raises(TypeError, match=r"groups|resolutin|unexpected keyword"):
            call()


def test_louvain_takes_a_resolution_and_leaves_to_scanpy_what_is_scanpys(cells, monkeypatch):
    fine, coarse = (quietly(recall_py.tl.louvain, cells, level, copy=True) for level in (1.5, 0.2))
    assert fine.obs["louvain_start"].nunique() > coarse.obs["louvain_start"].nunique()
    assert fine.obs["louvain"].nunique() == 3
    with pytest.raises(ValueError, match="partition_type means nothing to flavor='igraph'"):
        recall_py.tl.louvain(cells, partition_type=object)
    given = {}

    def scanpys_louvain(adata, resolution, *, key_added, **options):
        given.update(options)
        adata.obs[key_added] = pd.Categorical(["0"] * adata.n_obs)
        adata.uns[key_added] = {"params": {"resolution": resolution}}

    monkeypatch.setattr("recall_py.tl._louvain._scanpy_louvain", scanpys_louvain)
    quietly(recall_py.tl.louvain, cells, flavor="vtraag", directed=False, copy=True)
    assert given == {"random_state": 0, "flavor": "vtraag", "use_weights": True, "directed": False}


def test_flavors_of_packages_that_are_not_there_say_so(cells):
    with pytest.raises(ValueError, match=r"flavor='vtraag' needs a package that is absent.*flavor='igraph'"):
        recall_py.tl.louvain(cells, flavor="vtraag", copy=True)


def test_search_takes_the_start_of_earlier_labels_away(merged):
    adata = merged.copy()
    quietly(recall_py.tl.leiden, adata, 0.5, method="knockoffs", **BY_IGRAPH)
    assert "leiden_start" not in adata.obs
    assert "iterations" in adata.uns["leiden"]["recall"]


def test_tests_do_not_take_the_place_of_the_record_of_labels(merged):
    with pytest.raises(ValueError, match=r"holds the record of the labels obs\['leiden'\]"):
        recall_py.tl.test_clusters(merged.copy(), "leiden", key_added="leiden")


def test_tests_answer_without_merging(merged):
    adata = merged.copy()
    recall_py.tl.test_clusters(adata, "leiden_start")
    found = recall_py.get.clusters(adata, "recall_test").set_index("cluster")
    assert not found["supported"].all()
    group = merged.obs.groupby("leiden_start", observed=True)["group"].agg(lambda groups: groups.mode()[0])
    for name, other in found["merge_with"].items():
        assert other == "" or group[name] == group[other]
    assert (found["supported"] == (found["merge_with"] == "")).all()
    assert set(adata.obs) == set(merged.obs)


def test_tests_under_the_name_of_the_labels_are_still_tests(cells):
    from recall_py.adata.stored import read_merging

    adata = cells.copy()
    recall_py.tl.test_clusters(adata, "group", key_added="group")
    assert not read_merging(adata, "group").merges_clusters
    with pytest.raises(KeyError, match="which merge nothing"):
        recall_py.pl.merges(adata, "group")


@pytest.mark.parametrize("method", ["pairs", "knockoffs"])
def test_new_names_are_never_those_of_cells_outside_the_restriction(cells, method):
    adata = cells.copy()
    with_the_new_name_outside(adata)
    with pytest.raises(ValueError, match=r"outside the restriction .* a,0"):
        recall_py.tl.leiden(adata, 0.2, restrict_to=("half", ["a"]), method=method, **BY_IGRAPH)
    assert "leiden_R" not in adata.obs


def test_external_labels_are_not_cut_anew_and_every_pair_is_compared_on_request(cells):
    adata = cells.copy()
    adata.obs["random"] = np.random.default_rng(0).choice(["x", "y", "z"], adata.n_obs)
    for column, n_standing in (("group", 3), ("random", 0)):
        recall_py.tl.test_clusters(adata, column, external=True, all_pairs=True)
        pairs = recall_py.get.pairs(adata, "recall_test")
        assert len(pairs) == 3
        assert pairs["passes"].sum() == n_standing
    recall_py.tl.test_clusters(adata, "group", external=False, all_pairs=True)
    formed = recall_py.get.pairs(adata, "recall_test")
    recall_py.tl.test_clusters(adata, "group", external=True, all_pairs=True)
    # A cut where null cells look best makes better nulls than the cut of the real cells.
    assert (recall_py.get.pairs(adata, "recall_test")["evidence"] > formed["evidence"]).all()
