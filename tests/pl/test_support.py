"""The picture of how certain each cell's cluster is, and what all pictures take and return alike."""

import inspect
import warnings

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from on_graph import IGRAPH, with_graph

import recall_py
from recall_py import CalibrationWarning, pl

mpl.use("Agg")
pytestmark = pytest.mark.filterwarnings("ignore::recall_py.CalibrationWarning")
KEYS = dict.fromkeys(pl.__all__, "leiden") | {
    "compare": "compare",
    "evidence": "cut_merged",
    "merges": "cut_merged",
    "knockoffs": "ko",
    "search": "ko",
    "tree": "ko",
    "subclusters": "leiden_inner",
}
"""A result that each picture can be drawn of."""


@pytest.fixture(scope="module")
def cells():
    adata = with_graph(recall_py.datasets.simulate(180, 120, group_shares=(0.6, 0.4), n_markers=40, mean_depth=2000))
    adata.obsm["X_umap"] = adata.obsm["X_pca"][:, :2].copy()
    half = np.random.default_rng(0).permutation(adata.n_obs) < adata.n_obs // 2
    adata.obs["cut"] = pd.Categorical(adata.obs["group"].astype(str) + np.where(half, "a", "b"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        recall_py.tl.leiden(adata, "auto")
        recall_py.tl.leiden(adata, 2, restrict_to=("group", ["group0"]), **IGRAPH)
        recall_py.tl.merge_clusters(adata, "cut", all_pairs=True)
        recall_py.tl.leiden(adata, 1.5, method="knockoffs", key_added="ko")
        recall_py.tl.compare(adata, ["plain", "sc_shc"])
        recall_py.tl.subcluster(adata, "group", "group0", key_added="leiden_inner", **IGRAPH)
    return adata


@pytest.fixture(autouse=True)
def _no_figure_is_left():
    plt.close("all")
    yield
    plt.close("all")


def drawn(axis):
    """Value of each cell that has one, by its place."""
    (points,) = [found for found in axis.collections if found.get_array() is not None]
    return {tuple(place): value for place, value in zip(points.get_offsets().data, points.get_array(), strict=True)}


def by_place(adata, values):
    places = map(tuple, adata.obsm["X_umap"].astype(float))
    return {place: value for place, value in zip(places, values, strict=True) if np.isfinite(value)}


def test_cells_have_the_colour_of_their_stability(cells):
    axis = pl.support(cells, show=False)
    assert drawn(axis) == by_place(cells, cells.obs["leiden_stability"])
    assert axis.collections[1].get_clim() == (0.0, 1.0)
    assert axis.get_title() == "leiden: stability"


@pytest.mark.parametrize("key", ["cut_merged", "leiden_R"])
def test_without_runs_they_have_the_evidence_of_their_cluster(cells, key):
    evidence = recall_py.get.clusters(cells, key).set_index("cluster")["evidence"]
    axis = pl.support(cells, key, show=False)
    assert drawn(axis) == by_place(cells, cells.obs[key].astype(str).map(evidence))
    names = {text.get_text() for text in axis.texts}
    assert names == {name if len(name) <= 14 else f"{name[:11]}..." for name in evidence.index}


def test_least_certain_cells_lie_on_top(cells):
    axis = pl.support(cells, show=False)
    values = list(drawn(axis).values())
    assert values == sorted(values, reverse=True)


def test_what_is_missing_is_refused_with_the_line_that_mends_it(cells):
    adata = cells.copy()
    del adata.obs["leiden_stability"]
    with pytest.raises(KeyError, match=r"leiden_stability.*is gone\. Run recall_py\.tl\.leiden\(adata, 'auto'\) again"):
        pl.support(adata)
    del adata.obsm["X_umap"]
    with pytest.raises(KeyError, match=r"Run sc\.pp\.neighbors\(adata\) and sc\.tl\.umap\(adata\) first"):
        pl.support(adata)
    with pytest.raises(KeyError, match=r"compared by null cells|of which there are no merges"):
        pl.support(cells, "ko")


def draw(cells, picture, **options):
    if picture == "umap_compare":
        return pl.umap_compare(cells, "group", "leiden", **options)
    return getattr(pl, picture)(cells, KEYS[picture], **options)


@pytest.mark.parametrize("picture", pl.__all__)
def test_every_picture_is_saved_returned_and_drawn_on_axes_as_in_scanpy(cells, picture, tmp_path):
    assert set(inspect.signature(getattr(pl, picture)).parameters) >= {"ax", "show", "save", "return_fig"}
    assert draw(cells, picture, save=tmp_path / "x.png") is None
    assert plt.imread(tmp_path / "x.png").std() > 0.01
    assert not plt.get_fignums()
    assert isinstance(draw(cells, picture, return_fig=True), mpl.figure.Figure)
    axes = draw(cells, picture, show=False)
    assert all(isinstance(axis, mpl.axes.Axes) for axis in np.ravel(axes))
    figure, given = plt.subplots(1, np.size(axes) if picture in ("umap_compare", "knockoffs") else 1)
    returned = draw(cells, picture, ax=given, show=False)
    assert all(axis.figure is figure for axis in np.ravel(returned))
    assert any(axis.has_data() for axis in np.ravel(given))
    assert plt.fignum_exists(figure.number)


def test_evidence_shows_as_many_pairs_as_there_are_axes(cells):
    _, axes = plt.subplots(1, 2)
    pl.evidence(cells, "cut_merged", ax=axes, show=False)
    n_told = len(recall_py.get.merges(cells, "cut_merged"))
    assert sum(axis.has_data() for axis in axes) == min(2, n_told)
