"""The paragraph for a paper says what the record says, of every kind of result."""

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from on_graph import IGRAPH, with_graph

import recall_py
from recall_py import CalibrationWarning
from recall_py.adata.methods import CITATION
from recall_py.adata.programmes import table

text_of = recall_py.get.methods_text
pytestmark = pytest.mark.filterwarnings("ignore::recall_py.CalibrationWarning")


@pytest.fixture(scope="module")
def cells():
    """Two groups in two batches, of which one is cut in two, with a result of every kind."""
    adata = with_graph(
        recall_py.datasets.simulate(180, 120, group_shares=(0.6, 0.4), n_markers=40, mean_depth=2000, n_batches=2)
    )
    half = np.random.default_rng(0).permutation(adata.n_obs) < adata.n_obs // 2
    adata.obs["cut"] = pd.Categorical(adata.obs["group"].astype(str) + np.where(half, "a", "b"))
    tl = recall_py.tl
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        tl.leiden(adata, 2, **IGRAPH, batch_key="batch", alpha=0.01)
        tl.leiden(adata, "auto", key_added="auto")
        tl.louvain(adata, 1.5, programmes=())
        tl.merge_clusters(adata, "cut", all_pairs=True)
        tl.test_clusters(adata, "cut", external=True)
        tl.leiden(adata, 1.5, method="knockoffs", key_added="knockoffs")
        tl.recall(adata, algorithm="kmeans", num_clusters_start=3, strategy="merge", null_method="NB")
        tl.subcluster(adata, "cut", "group0a", flavor="igraph", n_iterations=2)
    return adata


ALL = ["leiden", "auto", "louvain", "cut_merged", "recall_test", "knockoffs", "recall_clusters", "cut_R"]


@pytest.mark.parametrize("key", ALL)
def test_every_paragraph_has_genes_counts_seed_version_and_citation(cells, key):
    text = text_of(cells, key)
    for said in (
        ", from layers['counts']",
        "seed was 0",
        f"recall_py {recall_py.__version__}",
        CITATION,
    ):
        assert said in text
    assert "\n" not in text
    assert "  " not in text
    assert "{" not in text


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("leiden", "by Leiden (resolution 2, flavor igraph, 2 iterations)"),
        ("leiden", "the neighbour graph obsp['connectivities'] (15 neighbours)"),
        ("leiden", "alpha = 0.01: "),
        ("leiden", "within the batches of obs['batch'] alone"),
        ("auto", "32 runs of Leiden at resolutions from 0.25 to 2"),
        ("auto", "alpha = 0.05, the default"),
        ("louvain", "by Louvain (resolution 1.5, flavor igraph, the best of 10 orders"),
        ("cut_merged", "180 cells had 4 clusters in obs['cut']."),
        ("cut_merged", "Every two of these were compared by their raw counts (120 genes, all genes, "),
        ("recall_test", "cut as the labels are, and the two were called unsupported"),
        ("knockoffs", "starting at resolution 1.5"),
        ("knockoffs", "drawn by the null model ZIP"),
        ("recall_clusters", "by k-means, starting at number of clusters 3"),
        ("recall_clusters", "drawn by the null model NB"),
        ("recall_clusters", "the nearest failing pair was merged"),
        ("cut_R", "of cut:group0a were clustered on a neighbour graph made anew among these cells"),
    ],
)
def test_what_was_asked_is_said(cells, key, said):
    assert said in text_of(cells, key)


@pytest.mark.parametrize("key", ["auto", "louvain", "cut_merged"])
def test_what_was_not_asked_is_not_said(cells, key):
    assert "batch" not in text_of(cells, key)
    assert "obsm" not in text_of(cells, key)


@pytest.mark.parametrize(
    ("key", "start"), [("leiden", "leiden_start"), ("louvain", "louvain_start"), ("cut_merged", "cut")]
)
def test_numbers_of_clusters_are_those_of_the_labels(cells, key, start):
    n_start, n_left = cells.obs[start].nunique(), cells.obs[key].nunique()
    assert n_left < n_start
    text = text_of(cells, key)
    assert f"{n_start} clusters" in text.partition("Every two")[0]
    assert f"After {n_start - n_left} merge" in text
    assert f", {n_left} clusters are left." in text


def test_tests_say_how_many_pairs_are_not_supported(cells):
    pairs = recall_py.get.pairs(cells, "recall_test")
    assert f"Of {len(pairs)} pairs that were compared, {int((~pairs['passes']).sum())} " in text_of(
        cells, "recall_test"
    )


def test_programmes_are_named_where_they_do_not_count():
    adata = with_graph(recall_py.datasets.pbmc68k()[:200].copy())
    known = table().query("programme == 'mitochondrial' and symbol != ''")["symbol"].unique()[:20]
    adata.var_names = [*known, *(f"gene{i}" for i in range(adata.n_vars - 20))]
    recall_py.tl.leiden(adata, 1, **IGRAPH)
    assert "Genes of the mitochondrion did not count." in text_of(adata)


@pytest.mark.parametrize("n_near", [0, 1, 2])
def test_near_outcomes_are_counted(cells, n_near):
    adata = cells.copy()
    near = adata.uns["cut_merged"]["recall"]["outcomes"]["near"]
    near[:] = np.arange(len(near)) < n_near
    said = {0: "", 1: "1 outcome is near the threshold", 2: "2 outcomes are near the threshold"}[n_near]
    assert said in text_of(adata, "cut_merged")
    assert ("near the threshold" in text_of(adata, "cut_merged")) == bool(n_near)


def test_search_that_was_cut_off_says_so(cells):
    adata = cells.copy()
    adata.uns["knockoffs"]["recall"]["converged"] = False
    assert "this is not calibrated" in text_of(adata, "knockoffs")
    assert "not calibrated" not in text_of(cells, "knockoffs")


def test_paragraph_outlives_cells_that_are_taken_out_and_a_file(cells, tmp_path):
    cells[:100].copy().write_h5ad(tmp_path / "some.h5ad")
    back = ad.read_h5ad(tmp_path / "some.h5ad")
    assert [text_of(back, key) for key in ALL] == [text_of(cells, key) for key in ALL]


def test_key_without_a_result_is_refused_with_those_that_there_are(cells):
    with pytest.raises(KeyError, match=r"uns\['x'\] holds no result of recall_py\. Results are stored under: leiden"):
        text_of(cells, "x")
