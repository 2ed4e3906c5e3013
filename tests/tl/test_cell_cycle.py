"""Cycling and resting cells of one type: one cluster by default, with that reason wherever a merge is explained."""

from __future__ import annotations

import io
import re
import warnings
from html import unescape

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from command import recall

import recall_py
from recall_py import CalibrationWarning
from recall_py.adata.programmes import table
from recall_py.adata.stored import read_merging
from recall_py.report.merging_command import repeat
from recall_py.report.page import report_page

pytestmark = pytest.mark.filterwarnings("ignore:Writing zarr v2", "ignore:.*default backend for leiden:FutureWarning")
REASON = "cycling and resting cells of one type"
WHOLE = rf"nly genes of the cell cycle tell them apart \(\d\.\d\d with them\): {REASON}"


@pytest.fixture(scope="module")
def cells():
    """Three groups with a graph; the first two differ in genes of the cell cycle alone."""
    adata = recall_py.datasets.simulate(180, 200, group_shares=(0.4, 0.3, 0.3), n_markers=30, mean_depth=2000)
    rows = table()
    symbols = rows[rows["programme"].isin(["cycle_s", "cycle_g2m"]) & rows["species"].eq("human")]["symbol"].unique()
    cycling = np.flatnonzero(adata.var["marker_of"].isin(["group0", "group1"]))
    names = adata.var_names.to_numpy(dtype=object, copy=True)
    names[cycling] = symbols[: cycling.size]
    adata.var_names = names
    adata.layers["counts"] = adata.X.copy()
    sc.pp.log1p(adata)
    sc.pp.neighbors(adata, use_rep="X", n_neighbors=45, method="gauss", transformer="sklearn")
    return adata


@pytest.fixture(scope="module")
def merged(cells):
    return recall_py.tl.merge_clusters(cells, "group", copy=True)


@pytest.fixture(scope="module")
def path(cells, tmp_path_factory):
    path = tmp_path_factory.mktemp("cycling") / "in.h5ad"
    cells.write_h5ad(path)
    return path


@pytest.fixture
def log():
    """What scanpy logs."""
    sc.settings.logfile = io.StringIO()
    with sc.settings.verbosity.override("info"):
        yield sc.settings.logfile
    sc.settings.logfile = ""


def quietly(function, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        return function(*args, **kwargs)


def test_states_are_merged_with_their_reason_and_types_stay(merged):
    assert merged.obs["group_merged"].cat.categories.tolist() == ["group0 + group1", "group2"]
    (merge,) = recall_py.get.merges(merged, "group_merged").to_dict("records")
    assert merge["programmes"] == REASON
    assert f"with them): {REASON}." in merge["reason"]
    assert merge["evidence"] <= merge["threshold"] < merge["evidence_with_programmes"]
    (pair,) = recall_py.get.pairs(merged, "group_merged").to_dict("records")
    assert pair["programmes"] == ""
    assert np.isnan(pair["evidence_with_programmes"])
    assert not set(pair["genes"]) & set(table()["symbol"])


def test_one_argument_lets_all_genes_count(cells):
    found = quietly(recall_py.tl.merge_clusters, cells, "group", programmes=(), copy=True)
    assert found.obs["group_merged"].nunique() == 3
    assert not recall_py.get.pairs(found, "group_merged")["programmes"].any()


@pytest.mark.parametrize("run", [recall_py.tl.leiden, recall_py.tl.louvain])
def test_clusterings_of_the_graph_do_the_same(cells, run):
    options = {"flavor": "igraph", "n_iterations": 2} if run is recall_py.tl.leiden else {}
    states, types = (
        quietly(run, cells, 1.5, copy=True, programmes=programmes, **options).obs[run.__name__].nunique()
        for programmes in ((), "cell_cycle")
    )
    assert (states, types) == (3, 2)
    assert (
        recall_py.get.merges(quietly(run, cells, 1.5, copy=True, **options), run.__name__)["programmes"]
        .eq(REASON)
        .any()
    )


def test_tests_give_the_reason_and_merge_nothing(cells):
    adata = cells.copy()
    recall_py.tl.test_clusters(adata, "group", all_pairs=True)
    pairs = recall_py.get.pairs(adata, "recall_test")
    assert pairs["programmes"].tolist().count(REASON) == 1
    failing = pairs[~pairs["passes"]]
    assert (failing["programmes"] == REASON).all()
    page = unescape(report_page(adata, "recall_test", source="in.h5ad", target="out.h5ad"))
    assert page.count(f"with them): {REASON}.") == 1


def test_programme_with_few_genes_is_not_assessable_and_counts(cells, log):
    adata = cells.copy()
    others = ~adata.var_names.isin(table()["symbol"])
    few = np.flatnonzero(~others)[:4]
    genes = [*adata.var_names[few], *adata.var_names[others]]
    quietly(recall_py.tl.merge_clusters, adata, "group", genes=genes)
    assert "cell_cycle: not assessable (4 genes), counted" in log.getvalue()
    found, mitochondrial = read_merging(adata, "group_merged").programmes
    assert str(found) == "cell_cycle: not assessable (4 genes)"
    assert str(mitochondrial) == "mitochondrial: not assessable (0 genes)"
    assert not recall_py.get.merges(adata, "group_merged")["programmes"].any()


def test_log_says_what_does_not_count_and_why_two_are_one(cells, log):
    recall_py.tl.merge_clusters(cells, "group", copy=True)
    said = log.getvalue()
    assert "cell_cycle: 60 genes, not counted" in said
    assert said.count(f"with them): {REASON}") == 1


@pytest.mark.parametrize("run", [recall_py.tl.leiden, recall_py.tl.louvain])
def test_knockoffs_let_all_genes_count_and_refuse_others(cells, run):
    with pytest.raises(ValueError, match=r"programmes cannot be used with method='knockoffs'"):
        run(cells, method="knockoffs", programmes=())


@pytest.mark.parametrize(
    "call",
    [
        lambda adata, **names: recall_py.tl.leiden(adata, **names),
        lambda adata, **names: recall_py.tl.louvain(adata, **names),
        lambda adata, **names: recall_py.tl.merge_clusters(adata, "group", **names),
        lambda adata, **names: recall_py.tl.test_clusters(adata, "group", **names),
    ],
)
def test_unknown_programmes_are_refused_before_anything_is_done(call):
    with pytest.raises(ValueError, match=r"Unknown programmes 'cycle'\. Available: cell_cycle, "):
        call(None, programmes=["cycle"])


@pytest.mark.parametrize("kind", ["h5ad", "zarr"])
@pytest.mark.parametrize("programmes", [("cell_cycle", "ribosomal"), ()])
def test_record_goes_through_a_file(cells, kind, programmes, tmp_path):
    adata = quietly(recall_py.tl.merge_clusters, cells, "group", programmes=programmes, copy=True)
    getattr(adata, f"write_{kind}")(tmp_path / f"x.{kind}")
    back = getattr(ad, f"read_{kind}")(tmp_path / f"x.{kind}")
    for read in (recall_py.get.merges, recall_py.get.pairs):
        pd.testing.assert_frame_equal(read(back, "group_merged"), read(adata, "group_merged"))
    assert read_merging(back, "group_merged").programmes == read_merging(adata, "group_merged").programmes
    assert tuple(found.programme for found in read_merging(back, "group_merged").programmes) == programmes


def test_report_says_why_and_what_does_not_count(merged):
    page = unescape(report_page(merged, "group_merged", source="in.h5ad", target="out.h5ad"))
    assert len(re.findall(WHOLE, page)) == 1
    assert f"<td>{REASON}</td>" in page
    assert "Known programmes of genes: cell_cycle: 60 genes, not counted; mitochondrial: not assessable (0" in page


@pytest.mark.parametrize(
    ("programmes", "said", "in_python"),
    [
        (("cell_cycle", "mitochondrial"), None, None),
        ((), "--programmes none", "programmes=()"),
        (("ribosomal", "cell_cycle"), "--programmes ribosomal,cell_cycle", "programmes=('ribosomal', 'cell_cycle')"),
    ],
)
def test_how_to_repeat_it_names_programmes_that_are_not_the_usual(cells, programmes, said, in_python):
    adata = quietly(recall_py.tl.merge_clusters, cells, "group", programmes=programmes, copy=True)
    command = repeat(read_merging(adata, "group_merged"), "in.h5ad", "out.h5ad")
    assert (said or "") in command
    assert ("--programmes" in command) == (said is not None)
    genes = adata.var_names[::-1]
    quietly(recall_py.tl.merge_clusters, adata, "group", programmes=programmes, genes=genes, key_added="named")
    assert (in_python or "") in repeat(read_merging(adata, "named"), "in.h5ad", "out.h5ad")


def test_commands_give_the_reason(path, tmp_path):
    run = recall("merge", path, "-o", tmp_path / "merged.h5ad", "--groupby", "group")
    assert run.returncode == 0, run.stderr
    assert "programmes" in run.stdout
    assert "cycling" in run.stdout
    assert "programmes: cell_cycle: 60 genes, not counted" in run.stdout
    run = recall("test", path, "--groupby", "group", "--all-pairs")
    assert f"with them): {REASON}\n" in run.stdout
    assert "programmes: cell_cycle: 60 genes, not counted" in run.stdout
    options = ("--resolution", 1.5, "--flavor", "igraph", "--n-iterations", 2)
    run = recall("cluster", path, "-o", tmp_path / "clustered.h5ad", *options)
    assert f"with them): {REASON}" in run.stderr
    found = ad.read_h5ad(tmp_path / "clustered.h5ad")
    assert found.obs["leiden"].nunique() == 2


@pytest.mark.parametrize(("named", "programmes"), [("none", []), ("cell_cycle,ribosomal", ["cell_cycle", "ribosomal"])])
def test_commands_take_programmes_by_name(path, named, programmes, tmp_path):
    target = tmp_path / "out.h5ad"
    for words in (("merge", "--groupby", "group"), ("test", "--groupby", "group"), ("cluster", "--flavor", "igraph")):
        run = recall(words[0], path, "-o", target, *words[1:], "--programmes", named, "--quiet")
        assert run.returncode == 0, run.stderr
        (entry,) = [entry for entry in ad.read_h5ad(target).uns.values() if "recall" in entry]
        assert entry["recall"]["programmes"]["programme"].tolist() == programmes
        target.unlink()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("merge", "--groupby", "group", "--programmes", "cycle"), "Unknown --programmes 'cycle'. Available: cell_cy"),
        (("merge", "--groupby", "group", "--genes", "genes.txt"), "Let them count: --programmes none"),
        (("cluster", "--method", "knockoffs", "--programmes", "none"), "--programmes cannot be used with --method kn"),
    ],
)
def test_commands_refuse_in_their_own_words(cells, path, words, message, tmp_path):
    (tmp_path / "genes.txt").write_text("\n".join(cells.var_names[cells.var_names.isin(table()["symbol"])]))
    run = recall(words[0], path, "-o", "out.h5ad", *words[1:], cwd=tmp_path)
    assert run.returncode == 2
    assert message in run.stderr
