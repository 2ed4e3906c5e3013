"""``pp.embed`` with the packages behind it: batches are mixed, kinds of cells are not, and the seed decides."""

import os
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
import scanpy as sc
from sklearn.neighbors import NearestNeighbors

import recall_py

SHARED = Path(os.environ.get("RECALL_PY_SHARED", Path(__file__).parents[3] / "shared"))

pytestmark = pytest.mark.filterwarnings("default")  # of the packages


@pytest.fixture(scope="module")
def cells():
    """Two groups in two batches that differ more than the groups do."""
    adata = recall_py.datasets.simulate(
        300, 200, group_shares=(0.5, 0.5), n_batches=2, batch_sd=0.7, n_markers=30, mean_depth=3000
    )
    adata.layers["counts"] = adata.X.copy()
    sc.pp.normalize_total(adata)
    sc.pp.log1p(adata)
    sc.pp.pca(adata, n_comps=10)
    return adata


def like_their_neighbours(adata, slot, column):
    """Share of the 15 nearest cells that have the same value, on average."""
    near = NearestNeighbors(n_neighbors=16).fit(adata.obsm[slot]).kneighbors(return_distance=False)
    values = adata.obs[column].to_numpy()
    return float((values[near] == values[:, None]).mean())


def check(cells, method, least_of_groups, **options):
    adata = cells.copy()
    recall_py.pp.embed(adata, method, batch_key="batch", **options)
    slot = f"X_{method}"
    assert adata.obsm[slot].dtype == np.float32
    assert adata.obsm[slot].shape[0] == adata.n_obs
    assert like_their_neighbours(adata, "X_pca", "batch") > 0.9
    assert like_their_neighbours(adata, slot, "batch") < 0.7
    assert like_their_neighbours(adata, slot, "group") > least_of_groups
    again = cells.copy()
    recall_py.pp.embed(again, method, batch_key="batch", key_added="again", **options)
    np.testing.assert_array_equal(again.obsm["again"], adata.obsm[slot])
    sc.pp.neighbors(adata, use_rep=slot)
    recall_py.tl.leiden(adata, batch_key="batch", flavor="igraph", n_iterations=2, directed=False)
    assert adata.obs["leiden"].nunique() == 2
    assert (
        adata.obs.groupby("leiden", observed=True)["group"].agg(lambda of: of.value_counts(normalize=True).max()) > 0.9
    ).all()


def test_harmony(cells):
    pytest.importorskip("harmonypy")
    check(cells, "harmony", 0.9)


def test_scvi(cells):
    pytest.importorskip("scvi")
    check(cells, "scvi", 0.8, n_latent=5, train={"max_epochs": 150, "accelerator": "cpu", "enable_progress_bar": False})


def test_clusters_of_one_condition_are_flagged_without_harmony_and_mixed_with_it():
    pytest.importorskip("harmonypy")
    file = SHARED / "data" / "kang_pbmc_stim.h5ad"
    if not file.is_file():
        pytest.skip(f"{file} is absent (set RECALL_PY_SHARED)")
    adata = ad.read_h5ad(file)
    adata.layers["counts"] = adata.X.copy()
    sc.pp.highly_variable_genes(adata, n_top_genes=2000, flavor="seurat_v3", batch_key="batch")
    sc.pp.normalize_total(adata)
    sc.pp.log1p(adata)
    sc.pp.pca(adata, n_comps=30)
    sc.pp.neighbors(adata)
    options = {"batch_key": "batch", "flavor": "igraph", "n_iterations": 2, "directed": False}
    with pytest.warns(recall_py.CalibrationWarning, match="type or batch effect cannot be told apart"):
        recall_py.tl.leiden(adata, key_added="alone", **options)
    assert recall_py.get.pairs(adata, "alone")["kind"].eq("batch").any()
    recall_py.pp.embed(adata, "harmony", batch_key="batch")
    sc.pp.neighbors(adata, use_rep="X_harmony")
    recall_py.tl.leiden(adata, key_added="together", **options)
    assert not recall_py.get.pairs(adata, "together")["kind"].eq("batch").any()
    shares = adata.obs.groupby("together", observed=True)["batch"].value_counts(normalize=True)
    assert shares.groupby(level=0).min().min() > 0.05
