"""``pl.subclusters``: a box for each label, with its cells and what is inside of it."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from matplotlib.patches import Rectangle

import recall_py

mpl.use("Agg")
pytestmark = pytest.mark.filterwarnings("ignore::recall_py.CalibrationWarning")
IGRAPH = {"flavor": "igraph", "n_iterations": 2}


@pytest.fixture(scope="module")
def cells():
    """Four types under two labels; one is looked into, then both are as one."""
    adata = recall_py.datasets.simulate(
        400, 200, group_shares=(0.3, 0.3, 0.2, 0.2), n_markers=40, log2_fold_change=3, random_state=1
    )
    adata.obs["coarse"] = adata.obs["group"].astype(str).map(dict.fromkeys(["group0", "group1"], "a")).fillna("$b$")
    recall_py.tl.subcluster(adata, "coarse", "a", **IGRAPH)
    recall_py.tl.subcluster(adata, "coarse_R", ["a,0", "$b$"], key_added="deep", **IGRAPH)
    return adata


def boxes(axis):
    return {box.get_gid(): box for box in axis.patches if isinstance(box, Rectangle)}


@pytest.mark.parametrize("key", ["coarse_R", "deep"])
def test_boxes_are_as_high_as_they_have_cells_and_lie_beside_what_they_are_inside_of(cells, key):
    axis = recall_py.pl.subclusters(cells, key, show=False)
    drawn = boxes(axis)
    table = recall_py.get.subclusters(cells, key).set_index("label")
    left = set(cells.obs[key].cat.categories)
    assert set(drawn) == left | (set(table["parent"]) - {""})
    for label, box in drawn.items():
        parts = [part for part in drawn if table["parent"][part] == label]
        assert box.get_height() == (sum(drawn[part].get_height() for part in parts) or table["n_cells"][label])
        parent = table["parent"][label]
        if parent:
            outer = drawn[parent]
            assert box.get_x() == outer.get_x() + 1
            assert outer.get_y() <= box.get_y()
            assert box.get_y() + box.get_height() <= outer.get_y() + outer.get_height()
    assert sum(drawn[label].get_height() for label in left) == cells.n_obs
    assert f"became {len(left)} clusters" in axis.get_title()
    texts = [text.get_text() for text in axis.texts]
    assert any(text.startswith("a,1 (") and text.count(",") == 2 for text in texts)
    plt.close("all")


def test_colours_are_those_of_the_labels(cells):
    adata = cells.copy()
    adata.uns["deep_colors"] = ["#000000"] * 2 + ["#0000ff"] * (adata.obs["deep"].nunique() - 2)
    drawn = boxes(recall_py.pl.subclusters(adata, "deep", show=False))
    for label, colour in zip(adata.obs["deep"].cat.categories, adata.uns["deep_colors"], strict=True):
        assert mpl.colors.to_hex(drawn[label].get_facecolor()) == colour
    plt.close("all")


def test_labels_without_a_tree_are_refused(cells):
    with pytest.raises(KeyError, match="holds no result"):
        recall_py.pl.subclusters(cells, "coarse")
