"""The report: one page that loads nothing, says what was found, and can be read by everybody."""

import re
import shlex
import warnings
from html import unescape
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
from command import recall
from scipy import sparse

import recall_py
from recall_py import CalibrationWarning
from recall_py.adata.stored import read_run
from recall_py.report.command import reproduce
from recall_py.report.page import report_page, write_report
from recall_py.report.sentences import explained, summary, warnings_of

PBMC = Path(__file__).parents[2] / "data" / "pbmc68k.h5ad"
LEIDEN = {"algorithm": "leiden", "graph": "umap", "n_iterations": -1, "key_added": "leiden"}
HOSTILE = "<script>alert('1')</script>&\"x"


@pytest.fixture(scope="module")
def pbmc():
    adata = ad.read_h5ad(PBMC)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        recall_py.tl.leiden(adata, 4, method="knockoffs")
    adata.obsm["X_umap"] = np.random.default_rng(0).normal(size=(adata.n_obs, 2))
    return adata


@pytest.fixture(scope="module")
def page(pbmc, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(pbmc, path, source="in.h5ad", target="out.h5ad")
    return path.read_text(encoding="utf-8")


def table(page, name):
    """Rows of a table of the page as texts."""
    inside = re.search(rf'<table class="sortable" id="table-{name}">.*?</table>', page, re.DOTALL)[0]
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", inside, re.DOTALL)[1:]
    return [[unescape(re.sub("<[^>]*>", "", cell)) for cell in re.findall(r"<td[^>]*>.*?</td>", row)] for row in rows]


def test_page_loads_nothing(page):
    assert "default-src 'none'" in page
    links = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert links
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in links)
    assert not re.search(r"@import|url\(", page)


def test_page_has_every_picture_and_section(page):
    assert page.count("<img ") == 6
    assert "Not shown" not in page
    anchors = re.findall(r'href="#([a-z]+)"', page)
    assert anchors == re.findall(r'<section id="([a-z]+)"', page)
    assert {"search", "tree", "umap", "clusters", "pairs", "markers", "nulls", "reproduce", "cite"} <= set(anchors)


def test_tables_hold_what_was_found(page, pbmc):
    sizes = pbmc.obs["leiden"].value_counts()
    clusters = table(page, "clusters")
    assert {row[0]: int(row[1]) for row in clusters} == sizes.to_dict()
    pairs = recall_py.get.pairs(pbmc)
    assert [int(row[4]) for row in table(page, "pairs")] == sorted(pairs["n_selected"])
    steps = recall_py.get.iterations(pbmc)
    assert [int(row[2]) for row in table(page, "steps")] == steps["n_clusters"].tolist()


def test_share_of_expressing_cells_is_that_of_the_counts(page, pbmc):
    expressed = pbmc.X.toarray() > 0
    for cluster, gene, *_, inside, outside in table(page, "markers")[::40]:
        column = expressed[:, pbmc.var_names.get_loc(gene)]
        member = (pbmc.obs["leiden"] == cluster).to_numpy()
        assert float(inside) == pytest.approx(100 * column[member].mean(), rel=5e-3)
        assert float(outside) == pytest.approx(100 * column[~member].mean(), rel=5e-3)


def test_summary_says_what_happened(page, pbmc):
    run = read_run(pbmc, "leiden")
    text = unescape(" ".join(summary(run)))
    steps = recall_py.get.iterations(pbmc)
    weakest = recall_py.get.pairs(pbmc)["n_selected"].min()
    assert f"700 cells fell into {steps['n_clusters'].iloc[0]} clusters" in text
    assert f"{run.n_clusters} clusters are left, and every tested pair has markers" in text
    assert f"{weakest} genes, where 20 are needed" in text
    assert text in unescape(page)


def test_page_says_what_was_joined_why_and_how_sure(page, pbmc):
    run = read_run(pbmc, "leiden")
    said = dict(explained(run))
    assert list(said) == ["What became of the start", "Why", "How sure"]
    start = np.asarray(run.record["start"])
    became = [run.codes[start == piece] for piece in range(start.max() + 1)]
    n_pieces = np.bincount([np.bincount(codes).argmax() for codes in became], minlength=run.n_clusters)
    assert said["What became of the start"].startswith(f"Of the {len(became)} clusters of the start, {n_pieces.max()}")
    steps = recall_py.get.iterations(pbmc)
    assert f"{steps['n_failing'].iloc[0]} of {steps['n_pairs'].iloc[0]} tested pairs failed" in said["Why"]
    for heading, text in said.items():
        assert f"<dt>{heading}</dt><dd>{text}</dd>" in unescape(page)


@pytest.mark.filterwarnings("ignore::recall_py.CalibrationWarning")
def test_tests_by_the_filter_of_earlier_versions_are_explained(pbmc):
    options = {"num_clusters_start": 14, "max_iterations": 1}
    adata = recall_py.tl.recall(pbmc, algorithm="kmeans", key_added="labels", **options, copy=True)
    found = adata.uns["labels"]["recall"]
    kept = ("version", "source", "selection", "genes", "labels", "pairs", "markers", "untested")
    asked = {name.removeprefix("filter_"): value for name, value in found["params"].items()}
    adata.uns["recall_test"] = {
        "params": {**asked, "groupby": "labels"},
        "recall": {name: found[name] for name in kept},
    }
    page = unescape(report_page(adata, "recall_test", source="in.h5ad", target="out.h5ad"))
    assert "recall_py.tl.test_clusters(adata, 'labels')" in page
    worst = recall_py.get.pairs(adata, "recall_test").sort_values("false_share").iloc[-1]
    said = dict(explained(read_run(adata, "recall_test")))
    assert f"{worst['group']} and {worst['reference']}: at best" in said["What failing means"]
    assert "took part in the clustering" not in said["How sure"]


@pytest.mark.filterwarnings("ignore::recall_py.CalibrationWarning")
def test_search_that_was_cut_off_is_not_called_calibrated(pbmc):
    adata = recall_py.tl.recall(pbmc, 4, **LEIDEN, max_iterations=1, copy=True)
    run = read_run(adata, "leiden")
    assert "every tested pair has markers" not in " ".join(summary(run))
    assert warnings_of(run)[0].startswith("NOT CALIBRATED: the search was cut off")


@pytest.mark.filterwarnings("ignore::recall_py.CalibrationWarning")
def test_one_cluster_is_said_in_words(pbmc, tmp_path):
    adata = recall_py.tl.recall(pbmc, algorithm="kmeans", num_clusters_start=1, copy=True)
    write_report(adata, tmp_path / "one.html", "recall_clusters")
    page = (tmp_path / "one.html").read_text(encoding="utf-8")
    assert "So there was no pair to test." in page
    assert table(page, "pairs") == []


def test_text_of_the_user_is_escaped(tmp_path):
    adata = ad.read_h5ad(PBMC)
    adata.obs[HOSTILE] = adata.obs["annotation"].cat.rename_categories({"CD34+": HOSTILE})
    adata.var_names = [f"{name}<b>" for name in adata.var_names]
    adata.layers[HOSTILE] = adata.X.copy()
    recall_py.tl.test_clusters(adata, HOSTILE, external=True, layer=HOSTILE)
    write_report(adata, tmp_path / "page.html", "recall_test", source=HOSTILE, target=HOSTILE)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<script>") == 1
    assert "<b>" not in page
    assert "&lt;script&gt;alert(" in page
    assert any(HOSTILE in row for row in table(page, "clusters"))


def test_report_goes_on_without_counts_and_umap_and_says_what_is_missing(pbmc, tmp_path):
    adata = pbmc.copy()
    adata.X = np.log1p(adata.X.toarray())
    del adata.obsm["X_umap"]
    write_report(adata, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<img ") == 3
    assert "Not shown: X holds values that are not integers" in unescape(page)
    assert "Not shown: the file has no UMAP" in unescape(page)


@pytest.mark.filterwarnings("ignore::recall_py.CalibrationWarning")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"strategy": "merge", "reduction_percentage": 0.3}, "--strategy merge --reduction 0.3 --graph umap"),
        ({"graph": "snn", "dims": 10}, "--algorithm leiden --resolution 0.5 --n-iterations -1 --dims 10"),
        ({"flavor": "igraph", "n_iterations": 2}, "--flavor igraph --n-iterations 2"),
        ({"batch_key": "half", "null_method": "NB"}, "--batch-key half"),
        ({"restrict_to": ("annotation", ["CD19+ B", "CD34+"]), "dims": 9}, "--restrict-to 'annotation:CD19+ B,CD34+'"),
    ],
)
def test_command_names_what_was_asked(options, said):
    adata = ad.read_h5ad(PBMC)
    adata.obs["half"] = (np.arange(adata.n_obs) % 2).astype(str)
    recall_py.tl.recall(adata, 0.5, random_state=7, **{**LEIDEN, **options})
    command = reproduce(read_run(adata, "leiden"), "in.h5ad", "out.h5ad")
    assert said in command
    assert command.endswith("--seed 7")


def test_command_of_the_report_gives_the_same_labels(tmp_path):
    arguments = ("--algorithm", "kmeans", "--num-clusters-start", 12, "--seed", 3, "--key-added", "my groups")
    source, page = tmp_path / "in.h5ad", tmp_path / "page.html"
    first, second = tmp_path / "first.h5ad", tmp_path / "second.h5ad"
    adata = ad.read_h5ad(PBMC)
    adata.obsm["X_umap"] = np.zeros((adata.n_obs, 2))
    adata.write_h5ad(source)
    run = recall("recall", source, "-o", first, *arguments, "--report", page, "--quiet")
    assert run.returncode == 0, run.stderr
    said = unescape(re.search("<pre>(.*?)</pre>", page.read_text(encoding="utf-8"), re.DOTALL)[1])
    words = shlex.split(said)
    assert words[:5] == ["recall-py", "recall", str(source), "-o", str(first)]
    again = recall(*words[1:4], second, *words[5:], "--quiet")
    assert again.returncode == 0, again.stderr
    one, two = ad.read_h5ad(first), ad.read_h5ad(second)
    assert one.obs["my groups"].tolist() == two.obs["my groups"].tolist()
    assert recall_py.get.pairs(one, "my groups").equals(recall_py.get.pairs(two, "my groups"))


def test_report_command_finds_the_one_result_and_asks_where_there_are_more(pbmc, tmp_path):
    adata = pbmc.copy()
    adata.write_h5ad(tmp_path / "labelled.h5ad")
    run = recall("report", tmp_path / "labelled.h5ad", "-o", tmp_path / "page.html")
    assert run.returncode == 0, run.stderr
    assert "clusters in leiden" in (tmp_path / "page.html").read_text(encoding="utf-8")
    adata.uns["other"] = adata.uns["leiden"]
    adata.write_h5ad(tmp_path / "two.h5ad")
    run = recall("report", tmp_path / "two.h5ad", "-o", tmp_path / "two.html")
    assert run.returncode == 2
    assert "holds 2 results: leiden, other. Choose one: --key leiden" in run.stderr
    assert not (tmp_path / "two.html").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("report", PBMC, "-o", "page.html"), "holds no result. Make one first: recall-py cluster"),
        (("report", PBMC), "No output file. Pass -o OUT."),
        (("report", PBMC, "-o", PBMC), "is the input file itself"),
        (("cluster", PBMC, "-o", "out.h5ad", "--report", PBMC), "is the input"),
        (("cluster", PBMC, "-o", "out.h5ad", "--report", "absent/page.html"), "The folder absent does not exist"),
    ],
)
def test_report_in_a_wrong_place_is_refused_before_anything_is_computed(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = recall(*arguments)
    assert run.returncode == 2
    assert message in run.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_report_of_a_hundred_thousand_cells_is_below_five_megabytes(pbmc, tmp_path):
    """The cells of a run, each 143 times, with the record adapted; what grows with cells is the UMAP alone.

    One count for each copy is enough: no picture shows the counts of single cells.
    """
    times = 143
    obs = pbmc.obs.iloc[np.tile(np.arange(pbmc.n_obs), times)].copy()
    obs.index = [f"cell{i}" for i in range(len(obs))]
    rng = np.random.default_rng(0)
    umap = np.tile(pbmc.obsm["X_umap"], (times, 1)) + rng.normal(0, 0.3, (len(obs), 2))
    n_copies = len(obs) - pbmc.n_obs
    copies = sparse.csr_matrix(
        (np.ones(n_copies), np.zeros(n_copies, dtype=int), np.arange(n_copies + 1)), (n_copies, pbmc.n_vars)
    )
    counts = sparse.vstack((pbmc.X, copies), format="csr")
    adata = ad.AnnData(counts, obs=obs, var=pbmc.var, obsm={"X_umap": umap})
    record = dict(pbmc.uns["leiden"]["recall"])
    record["pairs"] = {**record["pairs"], **{n: record["pairs"][n] * times for n in ("n_group", "n_reference")}}
    record["flow"] = {**record["flow"], "n_cells": record["flow"]["n_cells"] * times}
    record["start"] = np.tile(record["start"], times)
    adata.uns["leiden"] = {**pbmc.uns["leiden"], "recall": record}
    write_report(adata, tmp_path / "large.html")
    page = (tmp_path / "large.html").read_text(encoding="utf-8")
    assert page.count("<img ") == 5  # the pair is not that of the record, and that is said
    assert len(page.encode()) < 5_000_000


def test_strides_go_from_the_call_to_record_pictures_and_command(tmp_path):
    adata = recall_py.datasets.pbmc68k()
    options = {**LEIDEN, "flavor": "igraph", "n_iterations": 2}
    recall_py.tl.recall(adata, 6, **options, bisect=True)
    steps = recall_py.get.iterations(adata)
    found = adata.uns["leiden"]["recall"]
    assert found["params"]["search_bisect"]
    at = steps["level"].tolist().index(found["level"])
    assert steps["n_failing"].iloc[at] == 0
    if steps["n_failing"].iloc[0]:
        finer = steps["level"][steps["level"] > found["level"]].min()
        assert steps.set_index("level")["n_failing"][finer] > 0
    assert not np.allclose(np.diff(np.log(steps["level"])), np.log(0.8))
    recall_py.pl.search(adata, save=tmp_path / "search.png")
    recall_py.pl.tree(adata, save=tmp_path / "tree.png")
    assert "--bisect" in reproduce(read_run(adata, "leiden"), "in.h5ad", "out.h5ad")
