"""Graphs of integrated data, as the packages record them, are refused: knockoffs did not pass through."""

import numpy as np
import pytest
import scanpy as sc

import recall_py

pytestmark = pytest.mark.filterwarnings("default")  # of the packages


@pytest.fixture
def two_batches():
    adata = recall_py.datasets.pbmc68k()
    adata.obs["batch"] = np.where(np.arange(adata.n_obs) % 2, "a", "b")
    log = adata.copy()
    sc.pp.normalize_total(log)
    sc.pp.log1p(log)
    adata.obsm["X_pca"] = sc.pp.pca(log.X, n_comps=10)
    return adata


def test_graph_of_bbknn_is_refused(two_batches):
    bbknn = pytest.importorskip("bbknn")
    bbknn.bbknn(two_batches, batch_key="batch")
    with pytest.raises(ValueError, match=r"made by bbknn\. Knockoff genes did not pass through it"):
        recall_py.tl.leiden(two_batches)


def test_graph_on_components_of_harmonypy_is_refused(two_batches):
    harmonypy = pytest.importorskip("harmonypy")
    corrected = harmonypy.run_harmony(two_batches.obsm["X_pca"], two_batches.obs, "batch").Z_corr
    two_batches.obsm["X_pca_harmony"] = corrected if len(corrected) == two_batches.n_obs else corrected.T
    sc.pp.neighbors(two_batches, use_rep="X_pca_harmony")
    with pytest.raises(ValueError, match="made by the representation 'X_pca_harmony'"):
        recall_py.tl.leiden(two_batches)
