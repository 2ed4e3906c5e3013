"""The report of merged and tested clusters: the answer first, and why each merge was made."""

import re
import shlex
import warnings
from datetime import UTC, datetime
from functools import cache
from html import unescape
from types import SimpleNamespace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc

import recall_py
from recall_py import CalibrationWarning
from recall_py.adata.stored import read_merging
from recall_py.report.merging_command import repeat
from recall_py.report.merging_sentences import warnings_of
from recall_py.report.page import report_page, write_report

HOSTILE = "<script>alert('1')</script>&\"x"
pytestmark = pytest.mark.filterwarnings("ignore:Writing zarr v2")


@pytest.fixture(scope="module")
def cells():
    """Two groups, of which one is cut in two, with a graph and a UMAP; clustered, merged and tested."""
    adata = recall_py.datasets.simulate(180, 120, group_shares=(0.6, 0.4), n_markers=40, mean_depth=2000)
    adata.layers["counts"] = adata.X.copy()
    half = np.random.default_rng(0).permutation(adata.n_obs) < adata.n_obs // 2
    is_first = (adata.obs["group"] == "group0").to_numpy()
    adata.obs["cut"] = pd.Categorical(np.where(is_first, np.where(half, "naive", HOSTILE), "B"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        sc.pp.normalize_total(adata)
        sc.pp.log1p(adata)
        sc.pp.pca(adata, n_comps=10)
        sc.pp.neighbors(adata, n_neighbors=10)
        adata.obsm["X_umap"] = adata.obsm["X_pca"][:, :2].copy()
        tl = recall_py.tl
        tl.leiden(adata, 2, flavor="igraph", n_iterations=2)
        adata.obs["all"] = "one"
        tl.merge_clusters(adata, "all")
        tl.merge_clusters(adata, "cut", all_pairs=True)
        tl.merge_clusters(adata, "group", all_pairs=True, external=True)
        tl.test_clusters(adata, "cut", all_pairs=True)
    return adata


def page_of(adata, key):
    return report_page(adata, key, source="in.h5ad", target="out.h5ad")


@pytest.fixture(scope="module")
def made(cells):
    """The page of a result of `cells`, by its key; each is made once."""
    return cache(lambda key: page_of(cells, key))


def table(page, name):
    """Rows of a table of the page as texts."""
    inside = re.search(rf'<table class="sortable" id="table-{name}">.*?</table>', page, re.DOTALL)[0]
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", inside, re.DOTALL)[1:]
    return [[unescape(re.sub("<[^>]*>", "", cell)) for cell in re.findall(r"<td[^>]*>.*?</td>", row)] for row in rows]


def with_record(adata, key, *, outcomes=None, **changed):
    """A copy with a record that says something else."""
    other = adata.copy()
    record = other.uns[key]["recall"]
    record |= changed
    if outcomes:
        found = record["outcomes"]
        found |= {name: np.full(len(found[name]), value) for name, value in outcomes.items()}
    return other


def said_in_warnings(adata, key):
    get = recall_py.get
    return " ".join(warnings_of(read_merging(adata, key), get.merges(adata, key), get.pairs(adata, key)))


def test_page_of_a_clustering_has_its_sections_in_order(made, cells):
    page = made("leiden")
    anchors = re.findall(r'<section id="([a-z]+)"', page)
    how = ["parameters", "reproduce", "methods", "versions", "cite"]
    assert anchors == ["umap", "reasons", "clusters", "markers", "pairs", *how]
    assert anchors == re.findall(r'href="#([a-z]+)"', page)
    assert "Not shown" not in page
    assert page.count("<img ") == 5
    n_start, n_left = cells.obs["leiden_start"].nunique(), cells.obs["leiden"].nunique()
    assert f"180 cells fell into {n_start} clusters at the start (Leiden, resolution 2" in page
    assert n_left < n_start
    assert len(table(page, "merges")) == n_start - n_left == page.count("are one")
    assert {row[0]: int(row[1]) for row in table(page, "clusters")} == cells.obs["leiden"].value_counts().to_dict()


def test_page_names_file_date_version_and_the_paragraph_for_a_paper(made, cells):
    page = unescape(made("leiden"))
    facts = re.search(r'<dl class="versions">(.*?)</dl>', page)[1]
    assert "<dt>File</dt><dd>in.h5ad</dd>" in facts
    assert f"{datetime.now(UTC):%Y-%m-%d}" in facts
    assert f"recall_py {recall_py.__version__}" in facts
    assert recall_py.get.methods_text(cells, "leiden") in page


def test_three_digits_are_shown_and_all_are_kept_for_sorting_and_the_file(made, cells):
    page = made("leiden")
    pairs = recall_py.get.pairs(cells).sort_values("evidence", kind="stable")
    shown = [row[4] for row in table(page, "pairs")]
    assert shown == [f"{value:.3g}" for value in pairs["evidence"]]
    inside = re.search(r'id="table-pairs">.*?</table>', page, re.DOTALL)[0]
    kept = [float(value) for value in re.findall(r'data-v="([^"]*)"', inside)]
    assert all(np.isclose(kept, value, rtol=1e-6).any() for value in pairs["evidence"])
    for cell in re.findall(r'<td class="n"[^>]*>([^<]*)</td>', page):
        digits = cell.replace(",", "").partition("e")[0].replace(".", "").lstrip("-0")
        assert len(digits) <= 3 or cell.replace(",", "").isdigit()


def test_every_table_can_be_downloaded_and_scrolled_by_keyboard(made):
    page = made("leiden")
    names = re.findall(r'<table class="sortable" id="(table-[a-z]+)">', page)
    assert len(names) == page.count("<table")
    assert re.findall(r'<button type="button" class="csv" data-of="([^"]*)" hidden>', page) == names
    assert page.count('<div class="wide') == page.count('tabindex="0"') == len(names) + page.count("<img ")


def test_page_has_a_dark_and_a_printed_form(made):
    style = re.search(r"<style>(.*?)</style>", made("leiden"), re.DOTALL)[1]
    assert "@media (prefers-color-scheme: dark)" in style
    assert "@media print" in style
    assert "(max-width: 40rem)" in style


def test_stability_of_the_cells_is_shown_after_many_runs(cells):
    adata = cells.copy()
    recall_py.tl.leiden(adata, "auto", key_added="auto")
    page = page_of(adata, "auto")
    assert "How certain the cluster of each cell is" in page
    assert "How certain the cluster of each cell is" not in page_of(cells, "leiden")


def test_hundred_clusters_with_long_names_make_a_page_below_five_megabytes():
    adata = recall_py.datasets.simulate(600, 60, random_state=0)
    adata.obs["many"] = pd.Categorical([f"a kind of cell with a very long name, number {i % 100}" for i in range(600)])
    adata.obsm["X_umap"] = np.random.default_rng(0).normal(size=(600, 2))
    recall_py.tl.test_clusters(adata, "many")
    page = page_of(adata, "recall_test")
    assert len(page) < 5e6
    assert len(table(page, "clusters")) == 100


def test_names_of_large_unions_are_shortened_in_text_and_whole_in_the_file_of_a_table(cells):
    adata = cells.copy()
    long = " + ".join(f"a kind of cell, number {i}" for i in range(50))
    adata.obs["cut_merged"] = adata.obs["cut_merged"].cat.rename_categories({"B": long})
    record = adata.uns["cut_merged"]["recall"]
    record["labels"] = np.where(record["labels"] == "B", long, record["labels"].astype(object)).astype(str)
    outcomes = record["outcomes"]
    for side in ("group", "reference"):
        outcomes[side] = np.where(outcomes[side] == "B", long, outcomes[side].astype(object)).astype(str)
    page = page_of(adata, "cut_merged")
    assert long not in re.sub(r'data-v="[^"]*"', "", page)
    assert f'data-v="{long}"' in page


def test_every_merge_has_a_heading_and_a_sentence(made, cells):
    page = unescape(made("cut_merged"))
    (merge,) = recall_py.get.merges(cells, "cut_merged").to_dict("records")
    assert f"<h3>Why clusters {merge['group']} and {merge['reference']} are one" in page
    assert merge["reason"] in page


@pytest.mark.parametrize("near", [True, False])
def test_near_outcomes_are_flagged(cells, near):
    page = page_of(with_record(cells, "cut_merged", outcomes={"near": near}), "cut_merged")
    n_told = len(recall_py.get.pairs(cells, "cut_merged")) + 1 if near else 0
    assert page.count('<span class="flag">near</span>') == n_told
    assert ("1 merge and 1 pair are near the threshold" in page) == near
    assert ("stay apart" in page) == near
    assert ("another seed may turn it." in page) == near


def test_text_of_the_user_is_escaped(made):
    for key in ("cut_merged", "recall_test"):
        page = made(key)
        assert page.count("<script>") == 1
        assert "&lt;script&gt;alert(" in page
        assert any(HOSTILE in row[0] for row in table(page, "clusters"))


def test_tests_say_what_each_label_would_be_merged_with(made, cells):
    page = made("recall_test")
    clusters = recall_py.get.clusters(cells, "recall_test").set_index("cluster")
    for name, *_, supported, would, _, _, _, _ in table(page, "clusters"):
        assert (supported == "yes") == clusters.loc[name, "supported"]
        assert would == (clusters.loc[name, "merge_with"] or "–")
    said = unescape(page)
    assert f"2 of 3 labels would be merged, the nearest first: {HOSTILE} (with naive)" in said
    assert "are not told apart</h3>" in said
    assert 'id="umap"' not in page
    assert 'tr class="fails"' in page


def test_start_that_may_be_too_coarse_is_said_with_what_to_try(made, cells):
    assert "may be too coarse" in said_in_warnings(cells, "group_merged")
    assert "Start from finer labels" in said_in_warnings(cells, "group_merged")
    reasons = re.search(r'<section id="reasons">.*?</section>', made("group_merged"), re.DOTALL)[0]
    assert "No clusters were joined." in reasons
    assert "<img " not in reasons
    adata = cells.copy()
    adata.uns["group_merged"]["recall"]["clustering"] = {"algorithm": "leiden", "resolution": 0.5, "graph": "g"}
    assert "Try a higher resolution, such as 1, and see" in said_in_warnings(adata, "group_merged")


def test_one_cluster_and_nothing_to_compare_are_said(made, cells):
    assert "so nothing was compared" in said_in_warnings(cells, "all_merged")
    page = made("all_merged")
    assert "1 cluster in all_merged" in page
    assert table(page, "pairs") == []
    adata = cells[cells.obs["group"] == "group0"].copy()
    with pytest.warns(CalibrationWarning, match="One cluster is left"):
        recall_py.tl.merge_clusters(adata, "cut", all_pairs=True, key_added="left")
    assert "One cluster is left of the 2 at the start" in said_in_warnings(adata, "left")
    assert "After 1 merge, one cluster is left." in page_of(adata, "left")


def test_untested_labels_and_pairs_without_a_batch_in_common_are_said(cells):
    adata = with_record(cells, "cut_merged", untested=np.array(["B"]), outcomes={"kind": "batch"})
    said = said_in_warnings(adata, "cut_merged")
    assert "Too small to be tested, with fewer than 3 cells: B. They stay as they are" in said
    assert "1 pair of neighbours has too few cells in the same batches" in said


def test_page_is_the_same_from_a_file(made, cells, tmp_path):
    cells.write_h5ad(tmp_path / "x.h5ad")
    back = ad.read_h5ad(tmp_path / "x.h5ad")
    write_report(back, tmp_path / "page.html", "leiden", source="in.h5ad", target="out.h5ad")
    pages = [(tmp_path / "page.html").read_text(encoding="utf-8"), made("leiden")]
    texts = [re.sub('data:image[^"]*"', "", page) for page in pages]
    assert texts[0] == texts[1]


def test_what_is_missing_is_said(cells):
    adata = cells.copy()
    del adata.obsm["X_umap"], adata.layers["counts"]
    page = unescape(page_of(adata, "leiden"))
    assert "Not shown: the file has no UMAP" in page
    assert page.count("<img ") == 3


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("leiden", "recall-py cluster in.h5ad -o out.h5ad --algorithm leiden"),
        ("leiden", "--flavor igraph --n-iterations 2"),
        ("leiden", "--resolution 2"),
        ("cut_merged", "recall-py merge in.h5ad -o out.h5ad --groupby cut --all-pairs --seed 0"),
        ("group_merged", "--groupby group --external --all-pairs"),
        ("recall_test", "recall-py test in.h5ad --groupby cut --all-pairs --seed 0"),
    ],
)
def test_command_names_what_was_asked(cells, key, said):
    assert said in repeat(read_merging(cells, key), "in.h5ad", "out.h5ad")


@pytest.mark.parametrize(
    ("clustering", "said"),
    [
        ({"use_weights": False, "directed": True}, "--no-use-weights --directed"),
        (
            {"directed": False, "partition_type": "CPMVertexPartition"},
            "--partition-type CPMVertexPartition --no-directed",
        ),
        ({"layer": "raw counts", "neighbors_key": "wnn"}, "--layer 'raw counts' --neighbors-key wnn"),
        ({"batch_key": "lab", "obsp": "g"}, "--batch-key lab --obsp g"),
        ({"modality": "rna"}, "recall_py.tl.leiden(adata, resolution=2.0, modality='rna', random_state=0)"),
        ({"graph": "adjacency"}, "recall_py.tl.leiden(adata, resolution=2.0, random_state=0, adjacency=graph)"),
        ({"max_comm_size": 30}, "recall_py.tl.leiden(adata, resolution=2.0, max_comm_size=30, random_state=0)"),
    ],
)
def test_options_of_the_clustering_are_told(cells, clustering, said):
    result = read_merging(cells, "leiden")
    how = {"algorithm": "leiden", "resolution": 2.0, "graph": "obsp['connectivities']", **clustering}
    told = SimpleNamespace(
        key="leiden",
        clustering=how,
        around=result.around,
        record=result.record,
        params=result.params,
        seed=0,
        merges_clusters=True,
    )
    command = repeat(told, "in.h5ad", "out.h5ad")
    assert said in command
    if command.startswith("recall-py"):
        assert shlex.split(command)[-2:] == ["--seed", "0"]


def test_genes_by_name_and_restrictions_are_told(cells):
    adata = cells.copy()
    genes = adata.var_names[:60].tolist()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        options = {"flavor": "igraph", "n_iterations": 2, "restrict_to": ("group", ["group0"])}
        recall_py.tl.leiden(adata, 1, **options)
        recall_py.tl.leiden(adata, 1, **options, genes=genes, key_added="named")
    assert "--restrict-to group:group0 --seed 0" in repeat(read_merging(adata, "leiden_R"), "in.h5ad", "out.h5ad")
    call = repeat(read_merging(adata, "named"), "in.h5ad", "out.h5ad")
    assert "restrict_to=('group', ['group0']), key_added='named'" in call
    assert "genes=adata.uns['named']['recall']['genes']" in call
    assert "Only those of group:group0 took part." in page_of(adata, "leiden_R")
