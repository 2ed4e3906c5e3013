"""Pictures of merged and tested clusters show what the record says."""

import warnings

import anndata as ad
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from matplotlib.colors import same_color, to_hex
from matplotlib.patches import Rectangle

import recall_py
from recall_py import CalibrationWarning
from recall_py.adata.stored import read_merging
from recall_py.pl._evidence import told_pairs
from recall_py.pl._figure import FAILING, palette
from recall_py.pl._joins import final_trees
from recall_py.pl._start import start_and_result

mpl.use("Agg")
pytestmark = [
    pytest.mark.filterwarnings("ignore:Writing zarr v2"),
    pytest.mark.filterwarnings("ignore::recall_py.CalibrationWarning"),
]
MERGED = ("leiden", "leiden_R", "cut_merged", "one", "fine")


@pytest.fixture(scope="module")
def cells():
    """Three groups, clustered, merged and tested; with one cluster, with 40, and with near outcomes."""
    adata = recall_py.datasets.simulate(210, 150, group_shares=(0.4, 0.35, 0.25), n_markers=30, mean_depth=2000)
    adata.layers["counts"] = adata.X.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        sc.pp.normalize_total(adata)
        sc.pp.log1p(adata)
        sc.pp.pca(adata, n_comps=10)
        sc.pp.neighbors(adata, n_neighbors=10)
        adata.obsm["X_umap"] = adata.obsm["X_pca"][:, :2].copy()
        tl, options = recall_py.tl, {"flavor": "igraph", "n_iterations": 2}
        tl.leiden(adata, 2, **options)
        tl.louvain(adata, 1, flavor="igraph")
        tl.leiden(adata, 1, restrict_to=("group", ["group0"]), **options)
        adata.obs["all"] = "everything"
        tl.merge_clusters(adata, "all", key_added="one")
        group = adata.obs["group"].astype(str)
        piece = np.random.default_rng(0).integers(0, 14, adata.n_obs)
        adata.obs["cut"] = pd.Categorical(group + np.where(piece % 2, " with a name that is long", " and short"))
        adata.obs["fine_labels"] = pd.Categorical(group + " " + pd.Series(piece, group.index).astype(str))
        tl.merge_clusters(adata, "cut", all_pairs=True)
        tl.merge_clusters(adata, "fine_labels", key_added="fine", merge_small=True)
        tl.test_clusters(adata, "cut")
    return adata


@pytest.fixture(autouse=True)
def _no_figure_is_left():
    plt.close("all")
    yield
    plt.close("all")


def with_outcomes(adata, key, **changed):
    """A copy with columns of the outcomes changed."""
    other = adata.copy()
    outcomes = other.uns[key]["recall"]["outcomes"]
    outcomes |= {name: np.full(len(outcomes[name]), value) for name, value in changed.items()}
    return other


@pytest.mark.parametrize("picture", ["merges", "evidence", "pairs", "markers", "umap_compare"])
@pytest.mark.parametrize("key", MERGED)
def test_every_picture_is_drawn(cells, picture, key, tmp_path):
    draw = getattr(recall_py.pl, picture)
    path = tmp_path / "picture.png"
    named = (None, key) if picture == "umap_compare" else (key,)
    before = {slot: list(getattr(cells, slot)) for slot in ("obs", "uns", "obsm")}
    assert draw(cells, *named, save=path) is None
    assert plt.imread(path).std() > 0.01
    assert not plt.get_fignums()
    assert {slot: list(getattr(cells, slot)) for slot in before} == before


@pytest.mark.parametrize("key", MERGED)
def test_trees_hold_every_cluster_and_cell(cells, key):
    result = read_merging(cells, key)
    merges = recall_py.get.merges(cells, key)
    trees = final_trees(result, merges)
    assert [tree.n_cells for tree in trees] == result.sizes.tolist()
    leaves = {leaf.members[0]: leaf.n_cells for tree in trees for leaf in tree.leaves()}
    start = cells.obs[result.start_column].astype(str)[result.codes >= 0].value_counts()
    assert {result.start_names[code]: size for code, size in leaves.items()} == start.to_dict()
    assert sorted(join.row for tree in trees for join in tree.joins()) == list(range(len(merges)))
    for tree in trees:
        for join in tree.joins():
            group, reference = join.parts
            assert (group.n_cells, reference.n_cells) == tuple(merges.loc[join.row, ["n_group", "n_reference"]])


def test_tree_of_a_union_that_is_called_as_another_cluster():
    adata = recall_py.datasets.simulate(120, 60, group_shares=(0.6, 0.4), n_markers=20, mean_depth=2000)
    half = np.random.default_rng(0).permutation(adata.n_obs) < 60
    adata.obs["cut"] = np.where(adata.obs["group"] == "group0", np.where(half, "a", "b"), "a + b")
    recall_py.tl.merge_clusters(adata, "cut")
    (joined,) = [
        tree
        for tree in final_trees(read_merging(adata, "cut_merged"), recall_py.get.merges(adata, "cut_merged"))
        if tree.parts
    ]
    assert len(joined.members) == 2
    assert recall_py.pl.merges(adata, "cut_merged", show=False).get_title() == "3 clusters became 2"


def test_merges_writes_the_evidence_on_each_bracket_and_names_both_ends(cells):
    merges = recall_py.get.merges(cells, "cut_merged")
    axis = recall_py.pl.merges(cells, "cut_merged", show=False)
    texts = [text.get_text() for text in axis.texts]
    for evidence in merges["evidence"]:
        assert f"{evidence:.2f}" in texts
    result = read_merging(cells, "cut_merged")
    assert sum(f"({size})" in text for text in texts for size in result.sizes) >= result.n_clusters
    names = [label.get_text() for label in axis.get_yticklabels()]
    assert len(names) == result.start_names.size
    assert max(map(len, names)) < 40
    squares = [line.get_color() for line in axis.lines if line.get_marker() == "s"]
    assert squares == palette(cells, result)


def test_near_merges_have_the_colour_and_are_explained(cells):
    def near_lines(axis):
        return [line for line in axis.lines if same_color(line.get_color(), FAILING)]

    none = recall_py.pl.merges(with_outcomes(cells, "cut_merged", near=False), "cut_merged", show=False)
    assert not near_lines(none)
    assert none.get_legend() is None
    adata = with_outcomes(cells, "cut_merged", near=True)
    axis = recall_py.pl.merges(adata, "cut_merged", show=False)
    assert len(near_lines(axis)) == len(recall_py.get.merges(adata, "cut_merged")) + 1
    assert "near" in axis.get_legend().get_texts()[0].get_text()


def test_small_clusters_that_joined_are_called_small(cells):
    merges = recall_py.get.merges(cells, "fine")
    axis = recall_py.pl.merges(cells, "fine", show=False)
    assert [text.get_text() for text in axis.texts].count("small") == (merges["kind"] == "small").sum() > 0
    assert "small" in axis.get_xlabel()
    assert read_merging(cells, "fine").start_names.size > 35


def test_one_cluster_is_said_in_words(cells):
    assert recall_py.pl.merges(cells, "one", show=False).get_title() == "1 cluster at the start: nothing to merge"
    (axis,) = recall_py.pl.evidence(cells, "one", show=False)
    assert "No two clusters" in axis.texts[0].get_text()


def test_pictures_follow_the_conventions_of_scanpy(cells):
    assert isinstance(recall_py.pl.merges(cells, return_fig=True), mpl.figure.Figure)
    assert isinstance(recall_py.pl.evidence(cells, return_fig=True), mpl.figure.Figure)
    figure, axis = plt.subplots()
    assert recall_py.pl.merges(cells, ax=axis, show=False) is axis
    assert plt.fignum_exists(figure.number)


def test_evidence_draws_the_nearest_first_with_what_the_record_has(cells):
    shown = told_pairs(cells, "fine")
    assert len(shown) == 12
    assert (shown["kind"] == "pair").all()
    away = (shown["evidence"] - shown["threshold"]).abs()
    assert away.is_monotonic_increasing
    axes = recall_py.pl.evidence(cells, "fine", show=False)
    for axis, (_, pair) in zip(axes, shown.iterrows(), strict=True):
        real, null, needed = (line.get_ydata() for line in axis.lines)
        np.testing.assert_array_equal(real, pair["real"])
        np.testing.assert_array_equal(null, pair["null"])
        np.testing.assert_array_equal(needed, pair["needed"])
        assert [label.get_text() for label in axis.get_xticklabels()] == [str(rank) for rank in pair["ranks"]]
        assert f"of {pair['threshold']:g}" in axis.get_title()


def test_evidence_of_tests_shows_what_fails(cells):
    shown = told_pairs(cells, "recall_test")
    pairs = recall_py.get.pairs(cells, "recall_test")
    assert len(shown) == (~pairs["passes"] | pairs["near"]).sum() > 0


def test_louvain_has_a_tree_too(cells):
    n_start, n_left = cells.obs["louvain_start"].nunique(), cells.obs["louvain"].nunique()
    title = recall_py.pl.merges(cells, "louvain", show=False).get_title()
    assert title.startswith(f"{n_start} clusters")
    assert title.endswith(f"became {n_left}" if n_left < n_start else "none merged")


def test_tests_alone_have_no_tree(cells):
    with pytest.raises(KeyError, match=r"merge nothing.*get\.clusters\(adata, 'recall_test'\)"):
        recall_py.pl.merges(cells, "recall_test")
    with pytest.raises(KeyError, match="records no start"):
        recall_py.pl.umap_compare(cells, None, "recall_test")


@pytest.mark.parametrize("picture", ["search", "tree", "knockoffs"])
def test_pictures_of_a_search_name_those_of_merges(cells, picture):
    with pytest.raises(KeyError, match=r"recall_py\.pl\.merges\(adata, 'leiden'\)"):
        getattr(recall_py.pl, picture)(cells)


def test_matrix_outlines_what_fails_and_dots_what_is_near(cells):
    axis = recall_py.pl.pairs(cells, "recall_test", show=False)
    pairs = recall_py.get.pairs(cells, "recall_test")
    outlined = [p for p in axis.patches if isinstance(p, Rectangle) and same_color(p.get_edgecolor(), FAILING)]
    solid = [p for p in outlined if p.get_linestyle() in ("-", "solid")]
    assert len(solid) == 2 * (~pairs["passes"]).sum() > 0
    assert len(outlined) - len(solid) == 2 * pairs["near"].sum()
    assert "above 1, a pair stands" in axis.get_xlabel()
    written = {text.get_text() for text in axis.texts}
    assert {f"{value:.2f}" for value in pairs["evidence"]} <= written


def test_pairs_without_a_batch_in_common_are_hatched(cells):
    adata = with_outcomes(cells, "cut_merged", kind="batch", evidence=np.nan, passes=True, near=False)
    axis = recall_py.pl.pairs(adata, "cut_merged", show=False)
    n = adata.obs["cut_merged"].nunique()
    (hatched,) = [patch.get_path() for patch in axis.patches if patch.get_hatch()]
    assert (hatched.codes == hatched.MOVETO).sum() == n * (n - 1)


def test_markers_of_a_pair_are_its_best_genes(cells):
    pair = recall_py.get.pairs(cells, "cut_merged").iloc[0]
    axis = recall_py.pl.markers(cells, "cut_merged", pair=(pair["group"], pair["reference"]), show=False)
    genes = {label.get_text() for label in axis.get_yticklabels()}
    assert genes
    assert genes <= set(pair["genes"])


def test_what_became_one_has_shades_of_one_colour(cells):
    result = read_merging(cells, "leiden")
    shown = start_and_result(cells, result)
    colour = dict(zip(shown.start.cat.categories, shown.start_colours, strict=True))
    assert len(set(colour.values())) == result.start_names.size
    final = palette(cells, result)
    for code, name in enumerate(result.start_names):
        if (result.merged_into == result.merged_into[code]).sum() == 1:
            assert colour[name] == final[result.merged_into[code]]
    adata = cells.copy()
    own = [to_hex(mpl.colormaps["viridis"](i / 50)) for i in range(adata.obs["leiden_start"].nunique())]
    adata.uns["leiden_start_colors"] = own
    assert start_and_result(adata, result).start_colours == own


def test_cells_outside_of_a_restricted_clustering_are_grey(cells):
    shown = start_and_result(cells, read_merging(cells, "leiden_R"))
    colour = dict(zip(shown.result.cat.categories, shown.colours, strict=True))
    assert colour["group1"] == colour["group2"] == "#d9d9d9"
    assert colour.keys() > {"group1", "group2"}


def test_pictures_are_the_same_from_a_file(cells, tmp_path):
    cells.write_h5ad(tmp_path / "x.h5ad")
    back = ad.read_h5ad(tmp_path / "x.h5ad")
    for key in ("leiden", "cut_merged"):
        one, two = (recall_py.pl.merges(adata, key, show=False) for adata in (cells, back))
        assert [text.get_text() for text in one.texts] == [text.get_text() for text in two.texts]
        assert recall_py.pl.evidence(back, key, show=False)[0].get_title()
        assert recall_py.pl.pairs(back, key, show=False).get_xlabel()


def test_labels_that_have_changed_are_refused(cells):
    with pytest.raises(ValueError, match="Run the clustering again"):
        recall_py.pl.merges(cells[:100].copy(), "cut_merged")
