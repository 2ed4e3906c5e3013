"""Labels that look like markup of the terminal, like a formula or like HTML are shown as they are."""

import anndata as ad
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from command import recall
from scipy import sparse

import recall_py

mpl.use("Agg")
NAMES = ["[red]x[/red]", "$a_b$", "$a_c$ & <b>d</b>", "[/]"]
pytestmark = pytest.mark.filterwarnings("ignore::recall_py.CalibrationWarning")


@pytest.fixture(scope="module")
def merged():
    """Four labels of two groups."""
    rng = np.random.default_rng(0)
    label = np.arange(240) % 4
    counts = rng.poisson(np.where(np.arange(80) // 40 == (label // 2)[:, None], 6.0, 1.0)).astype(np.float32)
    adata = ad.AnnData(sparse.csr_matrix(counts))
    adata.obs_names = [f"cell{i}" for i in range(240)]
    adata.var_names = [f"$g_{{{i}}}$" for i in range(80)]
    adata.obs["label"] = pd.Categorical.from_codes(label, NAMES)
    adata.obsm["X_umap"] = rng.normal(size=(240, 2))
    recall_py.tl.merge_clusters(adata, "label", all_pairs=True)
    assert adata.obs["label_merged"].nunique() == 2
    return adata


PICTURES = {
    "merges": (recall_py.pl.merges, NAMES),
    "evidence": (lambda adata, key, **how: recall_py.pl.evidence(adata, key, **how), ["$a_b$"]),
    "pairs": (recall_py.pl.pairs, NAMES),
    "markers": (recall_py.pl.markers, ["$g_{"]),
    "umap_compare": (lambda adata, key, **how: recall_py.pl.umap_compare(adata, "label", key, **how), NAMES),
}


@pytest.mark.parametrize("picture", PICTURES)
def test_pictures_show_labels_and_genes_as_they_are(merged, picture):
    draw, names = PICTURES[picture]
    figure = draw(merged, "label_merged", return_fig=True)
    figure.canvas.draw()
    mpl.pyplot.close(figure)
    texts = [text for text in figure.findobj(mpl.text.Text) if any(name in text.get_text() for name in names)]
    assert all(any(name in text.get_text() for text in texts) for name in names)
    assert not any(text.get_parse_math() for text in texts)


def test_numbers_at_axes_stay_formulas():
    from matplotlib import pyplot as plt

    from recall_py.pl._figure import hand_over

    figure, axis = plt.subplots()
    axis.set(xscale="log", xlim=(1, 1000), title="$a$")
    hand_over(figure, axis, given=False, show=None, save=None, return_fig=True)
    figure.canvas.draw()
    assert all(label.get_parse_math() for label in axis.get_xticklabels())
    assert not axis.title.get_parse_math()
    plt.close(figure)


def test_terminal_and_report_show_labels_as_they_are(merged, tmp_path):
    adata = merged.copy()
    del adata.obs["label_merged"], adata.uns["label_merged"]
    adata.write_h5ad(tmp_path / "in.h5ad")
    run = recall(
        *("merge", "in.h5ad", "-o", "out.h5ad", "--groupby", "label", "--all-pairs", "--report", "page.html"),
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stderr
    told = "".join(run.stdout.split())
    assert "[red]x[/red]" in told
    assert "$a_b$" in told
    assert "[/]" in told
    page = (tmp_path / "page.html").read_text()
    assert "[red]x[/red]" in page
    assert "$a_b$" in page
    assert "&lt;b&gt;d&lt;/b&gt;" in page
    assert "<b>d</b>" not in page
    run = recall("test", "in.h5ad", "--groupby", "label", "--all-pairs", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "[/]" in run.stdout
