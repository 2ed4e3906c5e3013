"""Pictures show what was found: what is drawn is compared with the stored result."""

import warnings
from pathlib import Path

import anndata as ad
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import same_color
from matplotlib.patches import Rectangle

import recall_py
from recall_py import CalibrationWarning
from recall_py.adata.stored import read_run
from recall_py.method.params import PartitionParams
from recall_py.pl._figure import FAILING, palette
from recall_py.pl._start import start_and_end_of_search
from recall_py.report.page import report_page
from recall_py.run.calibration import Calibration
from recall_py.run.cluster import cluster_adata
from recall_py.words import percent, shortened

mpl.use("Agg")
PBMC = Path(__file__).parents[2] / "data" / "pbmc68k.h5ad"
LEIDEN = {"algorithm": "leiden", "graph": "umap", "n_iterations": -1}
PICTURES = ("search", "pairs", "tree", "markers", "knockoffs")


def run_quietly(function, adata, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        function(adata, *args, **kwargs)


@pytest.fixture(scope="module")
def pbmc():
    """One object with searches that end at 1, 2, about ten, 14 and 45 clusters, by merging, and against null cells."""
    adata = ad.read_h5ad(PBMC)
    tl = recall_py.tl
    run_quietly(tl.leiden, adata, 4, method="knockoffs")
    run_quietly(tl.recall, adata, 4, **LEIDEN, strategy="merge", key_added="merged")
    against_null_cells = Calibration(
        start=1,
        partition=PartitionParams(),
        pair_test="synthetic",
        strategy="merge",
        n_draws=1,
        seed=0,
        n_jobs=None,
    )
    options = {"restrict_to": None, "copy": False, "progress": False}
    run_quietly(cluster_adata, adata, against_null_cells, key_added="synthetic", **options)
    for n_clusters in (1, 2, 14, 45):
        options = {"num_clusters_start": n_clusters, "max_iterations": 1, "key_added": f"k{n_clusters}"}
        run_quietly(tl.recall, adata, algorithm="kmeans", **options)
    adata.obsm["X_umap"] = np.random.default_rng(0).normal(size=(adata.n_obs, 2))
    return adata


@pytest.fixture(autouse=True)
def _no_figure_is_left():
    plt.close("all")
    yield
    plt.close("all")


@pytest.mark.parametrize(
    ("key", "picture"),
    [
        *((key, picture) for key in ("leiden", "k1", "k45") for picture in PICTURES),
        *(("merged", "tree"), ("k2", "pairs"), ("synthetic", "knockoffs"), ("synthetic", "markers")),
    ],
)
def test_every_picture_is_drawn_for_any_number_of_clusters(pbmc, picture, key, tmp_path):
    path = tmp_path / "picture.png"
    assert getattr(recall_py.pl, picture)(pbmc, key, save=path) is None
    pixels = plt.imread(path)
    assert pixels.std() > 0.01
    assert not plt.get_fignums()


@pytest.mark.parametrize("picture", PICTURES)
def test_pictures_follow_the_conventions_of_scanpy(pbmc, picture):
    draw = getattr(recall_py.pl, picture)
    assert isinstance(draw(pbmc, return_fig=True), mpl.figure.Figure)
    assert draw(pbmc, show=False) is not None
    figure, axis = plt.subplots()
    options = {"panels": ["filter"]} if picture == "knockoffs" else {}
    assert draw(pbmc, ax=axis, show=False, **options) is axis
    assert axis.has_data()
    assert plt.fignum_exists(figure.number)


@pytest.mark.parametrize("picture", PICTURES)
def test_pictures_change_nothing(pbmc, picture):
    before = {slot: list(getattr(pbmc, slot)) for slot in ("obs", "var", "uns", "obsm", "layers")}
    getattr(recall_py.pl, picture)(pbmc, return_fig=True)
    assert {slot: list(getattr(pbmc, slot)) for slot in before} == before


def test_search_marks_every_step_and_names_its_failing_pairs(pbmc):
    steps = recall_py.get.iterations(pbmc)
    axis = recall_py.pl.search(pbmc, show=False)
    drawn = np.concatenate([marks.get_offsets() for marks in axis.collections[:2]])
    np.testing.assert_array_equal(np.sort(drawn[:, 1]), np.sort(steps["n_clusters"]))
    assert [text.get_text() for text in axis.texts] == [str(n) for n in steps["n_failing"] if n]
    result = axis.collections[-1].get_offsets()[0]
    assert result.tolist() == [len(steps), pbmc.obs["leiden"].nunique()]


@pytest.mark.parametrize("key", ["k14", "k45"])
def test_pairs_outlines_failing_pairs_and_no_others(pbmc, key):
    axis = recall_py.pl.pairs(pbmc, key, show=False)
    outlined = [p for p in axis.patches if isinstance(p, Rectangle) and same_color(p.get_edgecolor(), FAILING)]
    pairs = recall_py.get.pairs(pbmc, key)
    assert len(outlined) == 2 * int((~pairs["passes"]).sum()) > 0
    names = [text.get_text() for text in axis.get_xticklabels()]
    rows = pairs.loc[~pairs["passes"], ["group", "reference"]].to_numpy()
    failing = {frozenset(shortened(name, 24) for name in pair) for pair in rows}
    found = {frozenset((names[round(p.get_x() + 0.44)], names[round(p.get_y() + 0.44)])) for p in outlined}
    assert found == failing


def test_pairs_says_how_far_a_failing_pair_is_from_passing(pbmc):
    axis = recall_py.pl.pairs(pbmc, "k14", show=False)
    pairs = recall_py.get.pairs(pbmc, "k14")
    failing = pairs.loc[~pairs["passes"], "false_share"]
    assert (failing > 0.05).all()
    assert (pairs.loc[pairs["passes"], "false_share"] <= 0.05).all()
    written = sorted(text.get_text() for text in axis.texts if text.get_text().endswith("%"))
    assert written == sorted(2 * [percent(share) for share in failing])
    assert "where 5 % is needed" in axis.get_xlabel()
    title = recall_py.pl.knockoffs(pbmc, "k14", show=False)[0].get_title()
    assert f"at best {percent(failing.max())} of genes would be false; 5 % at most may be" in title


def test_pictures_of_records_without_false_share_are_drawn(pbmc):
    adata = pbmc.copy()
    del adata.uns["k14"]["recall"]["pairs"]["false_share"]
    assert "outlined and crossed" in recall_py.pl.pairs(adata, "k14", show=False).get_xlabel()
    assert "false_share" not in recall_py.get.pairs(adata, "k14")
    assert report_page(adata, "k14", source="a", target="b")


@pytest.mark.parametrize(
    ("share", "text"), [(0.05, "5 %"), (0.0504, "5.04 %"), (0.163, "16 %"), (1.0, "100 %"), (1.3, "100 %")]
)
def test_shares_near_the_target_are_told_from_it(share, text):
    assert percent(share) == text


def test_pairs_hatches_what_was_not_tested(pbmc):
    axis = recall_py.pl.pairs(pbmc, "leiden", show=False)
    (hatched,) = [patch.get_path() for patch in axis.patches if patch.get_hatch()]
    n_untested = len(pbmc.uns["leiden"]["recall"]["untested"])
    assert (hatched.codes == hatched.MOVETO).sum() == n_untested * 2 * (pbmc.obs["leiden"].nunique() - 1) > 0


@pytest.mark.parametrize("key", ["leiden", "merged", "synthetic", "k45"])
def test_flow_holds_every_cell_at_every_step(pbmc, key):
    flow = recall_py.get.flow(pbmc, key)
    steps = recall_py.get.iterations(pbmc, key)
    assert (flow.groupby("step")["n_cells"].sum() == pbmc.n_obs).all()
    assert flow.groupby("step")["target"].nunique().tolist() == steps["n_clusters"].tolist()
    last = flow[flow["step"] == flow["step"].max()].groupby("target")["n_cells"].sum()
    assert last.tolist() == pbmc.obs[key].value_counts().sort_index(key=lambda i: i.astype(int)).tolist()
    assert flow.loc[flow["fails"], "step"].nunique() == (steps["n_failing"] > 0).sum()


def test_flow_of_merges_leads_from_the_start_to_the_labels(pbmc):
    flow = recall_py.get.flow(pbmc, "merged")
    became = np.arange(flow.loc[flow["step"] == 0, "target"].nunique())
    for step in range(1, flow["step"].max() + 1):
        onwards = flow[flow["step"] == step].set_index("source")["target"]
        assert onwards.index.is_unique
        became = onwards.loc[became].to_numpy()
    start = np.asarray(pbmc.uns["merged"]["recall"]["start"])
    assert became[start].astype(str).tolist() == pbmc.obs["merged"].tolist()


@pytest.mark.parametrize("key", ["leiden", "merged"])
def test_tree_draws_a_bar_for_every_cluster_as_high_as_it_has_cells(pbmc, key):
    axis = recall_py.pl.tree(pbmc, key, show=False)
    bars = pd.DataFrame({"x": [p.get_x() for p in axis.patches], "cells": [p.get_height() for p in axis.patches]})
    assert (bars.groupby("x")["cells"].sum() == pbmc.n_obs).all()
    last = bars[bars["x"] == bars["x"].max()]["cells"]
    assert sorted(last) == sorted(pbmc.obs[key].value_counts())
    n_start = recall_py.get.iterations(pbmc, key)["n_clusters"].iloc[0]
    assert (bars["x"] == bars["x"].min()).sum() == n_start
    assert bars["x"].nunique() <= 14


def test_tree_has_the_colours_of_uns(pbmc):
    adata = pbmc.copy()
    own = [mpl.colors.to_hex(mpl.colormaps["viridis"](i / 12)) for i in range(adata.obs["leiden"].nunique())]
    adata.uns["leiden_colors"] = own
    axis = recall_py.pl.tree(adata, show=False)
    last = max(patch.get_x() for patch in axis.patches)
    drawn = [mpl.colors.to_hex(patch.get_facecolor()) for patch in axis.patches if patch.get_x() == last]
    assert sorted(drawn) == sorted(own)
    assert palette(adata, read_run(adata, "leiden")) == own


@pytest.mark.parametrize(("key", "pair"), [("leiden", ("0", "1")), ("synthetic", None), ("k14", None)])
def test_recomputed_pair_is_the_stored_one_bit_for_bit(pbmc, key, pair):
    from recall_py.adata.recomputed import pair_detail, weakest_pair

    run = read_run(pbmc, key)
    stored = recall_py.get.markers(pbmc, key)
    if pair is None:
        first = recall_py.get.pairs(pbmc, key).query("passes").iloc[0]
        pair = (first["group"], first["reference"])
    detail = pair_detail(pbmc, run, pair)
    rows = stored[(stored["group"] == detail.group) & (stored["reference"] == detail.reference)]
    assert detail.genes[detail.selected].tolist() == rows["gene"].tolist()
    np.testing.assert_array_equal(detail.w[detail.selected], rows["w"])
    np.testing.assert_array_equal(detail.log10_p[detail.selected], rows["log10_p"])
    np.testing.assert_array_equal(detail.log10_p_null[detail.selected], rows["log10_p_knockoff"])
    assert weakest_pair(run) is not None


def test_knockoffs_draws_every_gene_and_the_threshold(pbmc):
    axes = recall_py.pl.knockoffs(pbmc, pair=("0", "1"), show=False)
    assert sum(len(marks.get_offsets()) for marks in axes[0].collections) == 765
    pair = recall_py.get.pairs(pbmc).iloc[0]
    threshold = axes[0].lines[1]
    assert threshold.get_ydata()[0] - threshold.get_xdata()[0] == pytest.approx(pair["threshold"])
    assert len(axes[2].collections[0].get_offsets()) == 765


def test_pair_whose_counts_have_changed_is_refused(pbmc):
    adata = pbmc.copy()
    adata.X = adata.X[np.random.default_rng(0).permutation(adata.n_obs)]
    with pytest.raises(ValueError, match=r"The counts in X give .* selected genes .* Run the clustering again"):
        recall_py.pl.knockoffs(adata, pair=("0", "1"))


def test_labels_that_have_changed_are_refused(pbmc):
    with pytest.raises(ValueError, match=r"obs\['leiden'\] is not what uns\['leiden'\] was recorded for"):
        recall_py.pl.pairs(pbmc[:500].copy())


def test_pair_that_was_not_tested_is_named_with_those_that_were(pbmc):
    with pytest.raises(KeyError, match="has no cluster 'x'"):
        recall_py.pl.knockoffs(pbmc, pair=("0", "x"))
    untested = pbmc.uns["leiden"]["recall"]["untested"][0]
    with pytest.raises(KeyError, match=r"were not tested against each other\. Cluster 0 was tested against: 1"):
        recall_py.pl.knockoffs(pbmc, pair=("0", untested))
    with pytest.raises(ValueError, match=r"Unknown panels depth\. Available: filter, variance, zeros"):
        recall_py.pl.knockoffs(pbmc, panels=["depth"])


def test_genes_that_are_gone_are_named(pbmc):
    gene = pbmc.uns["leiden"]["recall"]["genes"][0]
    with pytest.raises(KeyError, match=f"such as {gene}, are not in X any more"):
        recall_py.pl.knockoffs(pbmc[:, 1:].copy())


def test_expression_is_the_mean_and_share_of_the_cells(pbmc):
    from recall_py.adata.recomputed import cluster_expression

    run = read_run(pbmc, "leiden")
    genes = pbmc.var_names[[3, 100, 50]].to_numpy()
    mean, share = cluster_expression(pbmc, run, genes)
    counts = pbmc.X.toarray().astype(float)
    values = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)[:, [3, 100, 50]]
    for code, name in enumerate(run.names):
        cells = (pbmc.obs["leiden"] == name).to_numpy()
        np.testing.assert_allclose(mean[code], values[cells].mean(axis=0), rtol=1e-6)
        np.testing.assert_allclose(share[code], (values[cells] > 0).mean(axis=0), rtol=1e-12)


def test_markers_of_a_pair_stand_on_the_side_of_the_higher_cluster(pbmc):
    axis = recall_py.pl.markers(pbmc, pair=("1", "0"), show=False)
    assert axis.get_xlabel() == "W: higher in 0 | higher in 1"
    table = recall_py.get.markers(pbmc).query("group == '0' and reference == '1'").set_index("gene")
    genes = [text.get_text() for text in axis.get_yticklabels()]
    for gene, bar in zip(genes, axis.patches, strict=True):
        assert abs(bar.get_width()) == pytest.approx(table.loc[gene, "w"])
        assert (bar.get_width() > 0) == (table.loc[gene, "auc"] < 0.5)


def test_key_without_a_result_is_refused(pbmc):
    with pytest.raises(KeyError, match=r"uns\['x'\] holds no result of recall_py"):
        recall_py.pl.pairs(pbmc, "x")


def test_start_of_the_search_can_stand_for_the_plain_clusters(pbmc):
    figure = recall_py.pl.umap_compare(pbmc, None, "merged", return_fig=True)
    n_start = recall_py.get.iterations(pbmc, "merged")["n_clusters"].iloc[0]
    assert figure.axes[0].get_title() == f"start of the search, {n_start} clusters"
    assert "start" not in pbmc.obs


def test_colours_stay_from_the_start_of_a_search_to_its_end(pbmc):
    run = read_run(pbmc, "merged")
    shown = start_and_end_of_search(pbmc, run)
    of_start = dict(zip(shown.start.categories, shown.start_colours, strict=True))
    of_end = dict(zip(shown.result.cat.categories, shown.colours, strict=True))
    went = {name: pbmc.obs["merged"][shown.start == name].unique().tolist() for name in of_start}
    assert all(len(into) == 1 for into in went.values())  # merging makes unions
    alone = [name for name, into in went.items() if sum(into == other for other in went.values()) == 1]
    assert alone
    assert len({*of_start.values()}) == len(of_start)
    assert all(of_start[name] == of_end[went[name][0]] for name in alone)


@pytest.mark.filterwarnings("ignore::recall_py.CalibrationWarning")
def test_restricted_results_are_drawn_for_their_cells(pbmc):
    adata = pbmc.copy()
    restricted = {"restrict_to": ("leiden", ["0", "1"]), "dims": 20, "strategy": "merge", "key_added": "leiden_R"}
    recall_py.tl.recall(adata, 1, **LEIDEN, **restricted)
    run = read_run(adata, "leiden_R")
    inside = adata.obs["leiden"].isin(["0", "1"])
    assert run.sizes.sum() == inside.sum()
    assert (run.codes >= 0).tolist() == inside.tolist()
    for picture in PICTURES:
        assert getattr(recall_py.pl, picture)(adata, "leiden_R", return_fig=True)
