"""Graphs that the packages themselves make: ``tl.leiden`` takes them, but not with knockoffs, which were not there."""

import os
from pathlib import Path

import anndata as ad
import graphs
import pytest
import scanpy as sc
from on_graph import IGRAPH, assert_unions, check_leiden, shares

import recall_py

SHARED = Path(os.environ.get("RECALL_PY_SHARED", Path(__file__).parents[3] / "shared"))

pytestmark = pytest.mark.filterwarnings("default")  # of the packages


@pytest.mark.parametrize(
    ("package", "arguments"),
    [
        ("bbknn", {}),
        ("harmonypy", {}),
        ("muon", {"modality": "rna"}),
        ("squidpy", {"neighbors_key": "spatial_neighbors"}),
    ],
)
def test_graph_of_the_package(package, arguments):
    pytest.importorskip(package)
    check_leiden(graphs.MAKERS[package](), **arguments)


@pytest.mark.parametrize(("package", "by"), [("bbknn", "bbknn"), ("harmonypy", r"the representation 'X_pca_harmony'")])
def test_knockoffs_are_refused(package, by):
    pytest.importorskip(package)
    with pytest.raises(ValueError, match=rf"made by {by}\. Knockoff genes did not pass through it"):
        recall_py.tl.leiden(graphs.MAKERS[package](), method="knockoffs")


@pytest.mark.parametrize("batch_key", [None, "batch"])
def test_conditions_stay_together_after_harmonypy(batch_key):
    """Interferon moves every cell. Clusters at the start hold cells with and without it, and so do the final ones."""
    harmonypy = pytest.importorskip("harmonypy")
    file = SHARED / "data" / "kang_pbmc_stim.h5ad"
    if not file.is_file():
        pytest.skip(f"{file} is absent (set RECALL_PY_SHARED)")
    adata = ad.read_h5ad(file)
    sc.pp.highly_variable_genes(adata, n_top_genes=2000, flavor="seurat_v3", batch_key="batch")
    log = graphs.log_normalised(adata)
    scores = sc.pp.pca(log[:, log.var["highly_variable"]].X, n_comps=30)
    adata.obsm["X_pca_harmony"] = harmonypy.run_harmony(scores, adata.obs, "batch", verbose=False).Z_corr
    sc.pp.neighbors(adata, use_rep="X_pca_harmony")
    recall_py.tl.leiden(adata, batch_key=batch_key, **IGRAPH)
    start, final = adata.obs["leiden_start"], adata.obs["leiden"]
    assert_unions(final, start)
    assert final.nunique() > 3
    for labels in (start, final):
        of_condition = shares(labels, adata.obs["batch"])
        assert (of_condition.to_numpy() >= 0.05).all(), of_condition
