"""Calibration on a sketch: which cells it holds, what labels the others get, and what is left in the object."""

from __future__ import annotations

import json

import anndata as ad
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import searches
from command import recall
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse, stats
from sklearn.metrics import adjusted_rand_score

import recall_py
from recall_py.counts.matrix import CountMatrix
from recall_py.datasets import pbmc68k, simulate
from recall_py.method.clustering.sketch import N_VOTES, carry_labels, leverage_sample
from recall_py.method.params import RunParams, SearchParams

mpl.use("Agg")
OPTIONS = {"resolution": 1, "flavor": "igraph", "n_iterations": 2, "dims": 10}


@pytest.fixture(scope="module")
def cells():
    """A common kind, a less common and a rare one, far apart, in two batches."""
    found = simulate(1500, 400, group_shares=[0.7, 0.25, 0.05], n_markers=60, log2_fold_change=3)
    found.obs["half"] = pd.Categorical(np.where(np.arange(found.n_obs) % 2, "odd", "even"))
    return found


@pytest.fixture(scope="module")
def sketched(cells):
    return searches.leiden(cells, sketch=500, copy=True, **OPTIONS)


def test_first_cell_is_drawn_in_proportion_to_its_leverage(rng):
    scores = rng.standard_normal((6, 2)) * [3.0, 1.0]
    expected = (scores**2 / (scores**2).sum(axis=0)).sum(axis=1) / 2
    drawn = np.sum([leverage_sample(scores, 1, seed) for seed in range(4000)], axis=0)
    assert stats.chisquare(drawn, 4000 * expected).pvalue > 1e-4


def test_scale_of_a_component_does_not_matter(rng):
    scores = rng.standard_normal((300, 5))
    np.testing.assert_array_equal(leverage_sample(scores, 40, 1), leverage_sample(scores * [1e2, 1, 1, 1e-2, 1], 40, 1))


def test_a_component_of_rounding_has_no_say(rng):
    scores = rng.standard_normal((300, 3))
    noisy = np.column_stack([scores, 1e-12 * rng.standard_normal(300), np.zeros(300)])
    np.testing.assert_array_equal(leverage_sample(scores, 40, 0), leverage_sample(noisy, 40, 0))


def test_sample_has_the_size_asked_for_and_depends_on_the_seed(rng):
    scores = rng.standard_normal((300, 5))
    scores[:20] = 0.0  # leverage of nothing: drawn last, but drawn
    samples = [leverage_sample(scores, n, seed) for n in (1, 40, 299, 300) for seed in (0, 0, 1)]
    assert [int(sample.sum()) for sample in samples] == [1] * 3 + [40] * 3 + [299] * 3 + [300] * 3
    np.testing.assert_array_equal(samples[3], samples[4])
    assert (samples[3] != samples[5]).any()


@given(seed=st.integers(0, 2**32 - 1), n_cells=st.integers(2, 60), n_clusters=st.integers(1, 5))
def test_label_is_the_commonest_of_the_nearest(seed, n_cells, n_clusters):
    rng = np.random.default_rng(seed)
    scores = rng.standard_normal((n_cells, 3))
    sampled = np.zeros(n_cells, dtype=bool)
    sampled[rng.permutation(n_cells)[: rng.integers(1, n_cells)]] = True
    labels = rng.integers(n_clusters, size=sampled.sum()).astype(np.int32)
    found = carry_labels(scores, sampled, labels)
    np.testing.assert_array_equal(found[sampled], labels)
    for cell in np.flatnonzero(~sampled):
        nearest = np.argsort(((scores[sampled] - scores[cell]) ** 2).sum(axis=1))[:N_VOTES]
        votes = np.bincount(labels[nearest], minlength=n_clusters)
        best = np.flatnonzero(votes == votes.max())
        assert found[cell] == (labels[nearest[0]] if labels[nearest[0]] in best else best[0])


def test_labels_are_the_same_for_any_number_of_threads(rng, monkeypatch):
    monkeypatch.setattr("recall_py.method.clustering.sketch._BLOCK", 70)
    scores = rng.standard_normal((500, 4))
    sampled = rng.random(500) < 0.3
    labels = rng.integers(3, size=sampled.sum()).astype(np.int32)
    one, three = (carry_labels(scores, sampled, labels, n_jobs=n_jobs) for n_jobs in (1, 3))
    np.testing.assert_array_equal(one, three)


def test_kinds_of_cells_are_those_of_a_run_on_all(cells, sketched):
    whole = searches.leiden(cells, copy=True, **OPTIONS)
    assert whole.obs["leiden"].nunique() == 3
    assert adjusted_rand_score(whole.obs["leiden"], sketched.obs["leiden"]) == 1.0


def test_record_is_that_of_the_cells_of_the_sketch(cells, sketched):
    marked = sketched.obs["leiden_sketch"].to_numpy()
    assert marked.dtype == bool
    assert marked.sum() == sketched.uns["leiden"]["recall"]["sketch"] == 500
    sizes = sketched.obs["leiden"][marked].value_counts()
    pairs = recall_py.get.pairs(sketched)
    assert pairs["n_group"].tolist() == sizes[pairs["group"]].tolist()
    assert recall_py.get.flow(sketched)["n_cells"].sum() % 500 == 0
    part = cells[marked].copy()
    searches.leiden(part, **OPTIONS)
    assert adjusted_rand_score(part.obs["leiden"], sketched.obs["leiden"][marked]) == 1.0


def test_pictures_and_details_are_drawn_from_the_sketch(sketched):
    found = recall_py.get.pairs(sketched).iloc[0]
    for draw in (recall_py.pl.search, recall_py.pl.tree, recall_py.pl.pairs, recall_py.pl.markers):
        draw(sketched, show=False)
    recall_py.pl.knockoffs(sketched, pair=(found["group"], found["reference"]), show=False)
    plt.close("all")


@pytest.mark.parametrize("options", [{"preset": "calibrated"}, {"restrict_to": ("half", ["odd"])}], ids=str)
def test_other_settings_take_a_sketch(cells, options):
    found = searches.leiden(cells, sketch=400, copy=True, **OPTIONS | options)
    key = "leiden_R" if "restrict_to" in options else "leiden"
    took_part = (found.obs["half"] == "odd").to_numpy() | ("restrict_to" not in options)
    assert found.obs[key + "_sketch"].sum() == 400
    assert not found.obs[key + "_sketch"][~took_part].any()
    assert adjusted_rand_score(found.obs[key][took_part], found.obs["group"][took_part]) > 0.99
    assert len(recall_py.get.pairs(found, key)) == 3


def test_a_sketch_of_all_cells_is_a_run_on_all():
    adata = pbmc68k()
    options = OPTIONS | {"resolution": 2}
    whole, sketch = (searches.leiden(adata, copy=True, sketch=n, **options) for n in (None, adata.n_obs))
    assert whole.obs["leiden"].equals(sketch.obs["leiden"])
    assert "leiden_sketch" not in sketch.obs


def test_same_seed_gives_the_same_labels_on_any_number_of_threads(cells, sketched):
    again = searches.leiden(cells, sketch=500, copy=True, n_jobs=1, **OPTIONS)
    assert again.obs["leiden"].equals(sketched.obs["leiden"])
    other = searches.leiden(cells, sketch=500, copy=True, random_state=1, **OPTIONS)
    assert not other.obs["leiden_sketch"].equals(sketched.obs["leiden_sketch"])


def test_a_later_run_on_all_cells_takes_the_mark_away(sketched):
    adata = sketched.copy()
    searches.leiden(adata, **OPTIONS)
    assert "leiden_sketch" not in adata.obs
    assert recall_py.get.pairs(adata)["n_group"].max() > 500


def test_a_column_of_the_user_is_not_replaced(cells):
    adata = cells.copy()
    adata.obs["leiden_sketch"] = "mine"
    with pytest.raises(ValueError, match=r"obs\['leiden_sketch'\] is taken.*key_added"):
        searches.leiden(adata, sketch=500, **OPTIONS)
    assert (adata.obs["leiden_sketch"] == "mine").all()
    assert "leiden" not in adata.obs


def test_a_lost_mark_is_named(sketched):
    adata = sketched.copy()
    del adata.obs["leiden_sketch"]
    with pytest.raises(KeyError, match=r"leiden_sketch.*is gone"):
        recall_py.pl.markers(adata)


@pytest.mark.parametrize("sketch", [1, 0, -5, 0.1, "all"])
def test_a_number_of_cells_is_needed(cells, sketch):
    with pytest.raises(ValueError, match=r"sketch is .*a number of cells is needed"):
        searches.leiden(cells, sketch=sketch)


def test_a_sketch_that_is_too_small_is_refused_before_anything_is_computed(cells, monkeypatch):
    monkeypatch.setattr("recall_py.run.cluster._components_of_real_genes", None)
    with pytest.raises(ValueError, match=r"A sketch of 15 cells .*15 cells are too few.* Or take a larger sketch"):
        searches.leiden(cells, sketch=15, **OPTIONS)


def test_a_number_from_numpy_is_taken(cells, sketched):
    found = searches.leiden(cells, sketch=np.int64(500), copy=True, **OPTIONS)
    assert found.obs["leiden"].equals(sketched.obs["leiden"])


def test_time_of_the_sketch_is_recorded(sketched):
    seconds = sketched.uns["leiden"]["recall"]["seconds"]
    assert next(iter(seconds)) == "sketch"
    assert "carry" in seconds


def test_counts_are_not_read_again_for_the_sketch(cells, tmp_path, monkeypatch):
    passes = []
    entries = CountMatrix.entries
    monkeypatch.setattr(CountMatrix, "entries", lambda self: passes.append(self.shape) or entries(self))
    cells.write_h5ad(tmp_path / "cells.h5ad")
    searches.leiden(ad.read_h5ad(tmp_path / "cells.h5ad", backed="r"), sketch=500, **OPTIONS)
    assert passes == [cells.shape] * 2


def test_a_batch_that_the_sketch_misses_is_named(cells):
    adata = cells.copy()
    adata.obs["batch"] = pd.Categorical(np.where(np.arange(adata.n_obs) < 2, "lonely", "rest"))
    with pytest.raises(ValueError, match=r"sketch of 60 cells .*Batch 'lonely' has (no|1) cell.* larger sketch"):
        searches.leiden(adata, sketch=60, batch_key="batch", **OPTIONS)


@pytest.mark.slow
def test_dask_and_files_give_the_same_sketch(cells, sketched, tmp_path, monkeypatch):
    da = pytest.importorskip("dask.array")
    from recall_py.run.workers import fits_workers

    for module in ("method.clustering.components", "run.workers"):
        monkeypatch.setattr(f"recall_py.{module}.GROUP", 512)
    for limit, sketch_by_workers in ((100, True), (700, False)):
        for module in ("method.clustering.components", "run.workers"):
            monkeypatch.setattr(f"recall_py.{module}.MANY_CELLS", limit)
        assert fits_workers(RunParams(search=SearchParams(start=1)), 500) == sketch_by_workers
        expected = searches.leiden(cells, sketch=500, copy=True, **OPTIONS)
        lazy = ad.AnnData(obs=cells.obs.copy(), var=cells.var.copy())
        lazy.X = da.from_array(cells.X.toarray(), chunks=(400, -1)).map_blocks(sparse.csr_matrix, dtype=np.float32)
        searches.leiden(lazy, sketch=500, **OPTIONS)
        assert lazy.obs["leiden"].equals(expected.obs["leiden"])
    plotted = cells.copy()
    plotted.obsm["X_umap"] = np.zeros((cells.n_obs, 2))
    plotted.write_h5ad(tmp_path / "cells.h5ad")
    options = ["--algorithm", "leiden", "--graph", "umap", "--key-added", "leiden", "--resolution", "1"]
    options += ["--sketch", "500", "--flavor", "igraph", "--n-iterations", "2", "--dims", "10"]
    written = ["--json", tmp_path / "out.json", "--report", tmp_path / "out.html"]
    run = recall("recall", tmp_path / "cells.h5ad", "-o", tmp_path / "out.h5ad", *options, *written)
    assert run.returncode == 0, run.stderr
    out = ad.read_h5ad(tmp_path / "out.h5ad")
    assert out.obs["leiden"].tolist() == sketched.obs["leiden"].tolist()
    assert out.obs["leiden_sketch"].equals(sketched.obs["leiden_sketch"])
    assert json.loads((tmp_path / "out.json").read_text())["search"]["sketch"] == 500
    page = (tmp_path / "out.html").read_text()
    assert "These cells are a sketch" in page
    assert "--sketch 500" in page
