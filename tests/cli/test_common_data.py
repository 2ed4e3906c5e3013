"""Data as it often is: each has a way through the commands, and what is done to it is said."""

from __future__ import annotations

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from command import recall
from scipy import sparse

N_CELLS, N_GENES = 120, 90


def make_adata():
    """Three groups of cells with coordinates, so that no picture is computed."""
    rng = np.random.default_rng(4)
    group = np.arange(N_CELLS) % 3
    mean = np.where(np.arange(N_GENES) // 30 == group[:, None], 9.0, 1.0)
    adata = ad.AnnData(sparse.csr_matrix(rng.poisson(mean).astype(np.float32)))
    adata.obs_names = [f"cell{i}" for i in range(N_CELLS)]
    adata.var_names = [f"gene{i}" for i in range(N_GENES)]
    adata.obs["group"] = pd.Categorical.from_codes(group, ["big, round", 'of "type" 2', "c"])
    adata.obsm["X_umap"] = adata.obsm["X_pca"] = rng.normal(size=(N_CELLS, 2)) + 20 * group[:, None]
    return adata


def clustered(adata, folder, *options, command="cluster"):
    """What a command ended with, and what it wrote."""
    adata.write_h5ad(folder / "in.h5ad")
    run = recall(command, folder / "in.h5ad", "-o", folder / "out.h5ad", *options)
    assert run.returncode == 0, run.stderr
    return run, ad.read_h5ad(folder / "out.h5ad")


MARKS = {
    "text": pd.Categorical(["TRUE"] * 80 + ["FALSE"] * 10),
    "numbers": [1] * 80 + [0] * 10,
    "nullable": pd.array([True] * 80 + [None] * 5 + [False] * 5, dtype="boolean"),
}


@pytest.mark.parametrize("marks", MARKS)
def test_marks_of_genes_may_be_text_numbers_or_missing(marks, tmp_path):
    adata = make_adata()
    adata.var["highly_variable"] = MARKS[marks]
    _, found = clustered(adata, tmp_path)
    assert found.uns["leiden"]["recall"]["genes"].tolist() == [f"gene{i}" for i in range(80)]


def test_marks_that_are_neither_true_nor_false_are_named(tmp_path):
    adata = make_adata()
    adata.var["highly_variable"] = ["maybe"] * N_GENES
    adata.write_h5ad(tmp_path / "in.h5ad")
    run = recall("cluster", tmp_path / "in.h5ad", "-o", tmp_path / "out.h5ad")
    assert run.returncode == 2
    assert "var['highly_variable'] holds maybe, where True and False are expected" in run.stderr


def test_dense_matrix_that_was_never_written_is_not_read_through(tmp_path):
    adata = make_adata()
    adata.write_h5ad(tmp_path / "in.h5ad")
    with h5py.File(tmp_path / "in.h5ad", "r+") as file:
        wide = file["obsm"].create_dataset("wide", shape=(N_CELLS, 1 << 40), dtype="f4", chunks=(N_CELLS, 100))
        wide.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    run = recall("info", tmp_path / "in.h5ad")
    assert run.returncode in (0, 2), run.stderr


def test_mark_without_a_value_is_named(tmp_path):
    adata = make_adata()
    adata.var["highly_variable"] = True
    adata.write_h5ad(tmp_path / "in.h5ad")
    with h5py.File(tmp_path / "in.h5ad", "r+") as file:
        del file["var/highly_variable"]
        file["var/highly_variable"] = h5py.Empty("f4")
    run = recall("info", tmp_path / "in.h5ad")
    assert run.returncode == 0, run.stderr
    assert "var['highly_variable'] holds Empty" in run.stdout


@pytest.mark.parametrize("label", ["big, round", 'of "type" 2', "c"])
def test_labels_with_commas_and_quotes_are_named_as_they_are(label, tmp_path):
    _, found = clustered(make_adata(), tmp_path, "--restrict-to", f"group:{label}")
    assert found.obs["leiden_R"][found.obs["group"] == label].str.startswith(f"{label},").all()
    _, found = clustered(make_adata(), tmp_path, "--restrict-to", f"group:c,{label}" if label != "c" else "group:c")
    assert set(found.uns["leiden_R"]["recall"]["clustering"]["restrict_to"][1:]) == {"c", label}


@pytest.mark.parametrize("command", ["cluster", "merge", "recall"])
def test_estimated_counts_are_rounded_where_that_is_asked_for_and_kept(command, tmp_path):
    adata = make_adata()
    counts = adata.X.copy()
    adata.X.data = adata.X.data + np.random.default_rng(0).uniform(-0.3, 0.3, adata.X.nnz).astype(np.float32)
    adata.write_h5ad(tmp_path / "in.h5ad")
    options = {"cluster": (), "merge": ("--groupby", "group"), "recall": ("--max-iterations", 3, "--dims", 5)}[command]
    refused = recall(command, tmp_path / "in.h5ad", "-o", tmp_path / "out.h5ad", *options)
    assert refused.returncode == 2
    assert refused.stderr.rstrip().endswith("but no logarithms, can be rounded: --round-counts")
    _, found = clustered(adata, tmp_path, *options, "--round-counts", command=command)
    assert abs(found.layers["counts"] - counts).max() == 0
    assert abs(found.X - adata.X).max() == 0


def test_logarithms_are_never_rounded(tmp_path):
    adata = make_adata()
    adata.X.data = np.log1p(adata.X.data)
    adata.write_h5ad(tmp_path / "in.h5ad")
    run = recall("cluster", tmp_path / "in.h5ad", "-o", tmp_path / "out.h5ad", "--round-counts")
    assert run.returncode == 2
    assert "these may be logarithms" in run.stderr


def with_cells_empty_in_marked_genes():
    adata = make_adata()
    adata.var["highly_variable"] = np.arange(N_GENES) < 60
    counts = adata.X.tolil()
    counts[:8, :60] = 0
    adata.X = counts.tocsr()
    return adata


def test_cells_without_counts_in_the_genes_keep_a_cluster(tmp_path):
    run, found = clustered(with_cells_empty_in_marked_genes(), tmp_path)
    assert "8 of the cells that were read have no counts in the 60 genes" in run.stderr
    assert found.obs["leiden"].notna().all()


@pytest.mark.parametrize("zeros", ["absent", "stored"])
def test_given_labels_of_cells_without_counts_in_the_genes_stay(zeros, tmp_path):
    adata = with_cells_empty_in_marked_genes()
    if zeros == "stored":
        adata.X = make_adata().X
        for row in range(8):
            here = slice(*adata.X.indptr[row : row + 2])
            adata.X.data[here][adata.X.indices[here] < 60] = 0
    run, found = clustered(adata, tmp_path, "--groupby", "group", command="merge")
    assert "8 of the cells that were read have no counts in the 60 genes" in run.stderr
    assert found.obs["group_merged"].notna().all()
    tested = recall("test", tmp_path / "in.h5ad", "--groupby", "group")
    assert tested.returncode == 0
    assert "8 of the cells that were read have no counts in the 60 genes" in tested.stderr


def test_the_search_leaves_out_cells_without_counts_in_the_genes(tmp_path):
    run, found = clustered(
        with_cells_empty_in_marked_genes(), tmp_path, "--dims", 5, "--max-iterations", 3, command="recall"
    )
    assert "8 cells have no counts in the 60 genes that take part" in run.stderr
    assert np.flatnonzero(found.obs["recall_clusters"].isna()).tolist() == list(range(8))
    page = recall("report", tmp_path / "out.h5ad", "-o", tmp_path / "out.html")
    assert page.returncode == 0, page.stderr


def test_empty_cells_are_told_by_counts_and_not_by_scaled_values(tmp_path):
    adata = make_adata()
    counts = adata.X.toarray()
    counts[5] = 0
    adata.layers["counts"] = sparse.csr_matrix(counts)
    adata.X = np.random.default_rng(1).normal(size=adata.shape)
    run, found = clustered(adata, tmp_path, "--drop-empty-cells")
    assert "dropped 1 cells without counts" in run.stdout
    assert "cell5" not in found.obs_names
    assert found.n_obs == N_CELLS - 1


def test_values_may_be_absent_beside_a_layer_of_counts(tmp_path):
    adata = make_adata()
    adata.layers["counts"] = adata.X
    adata.X = None
    _, found = clustered(adata, tmp_path, "--drop-empty-cells")
    assert found.X is None
    assert found.obs["leiden"].notna().all()


def test_counts_under_unique_names_are_taken_where_raw_has_doubled_ones(tmp_path):
    adata = make_adata()
    raw = adata.copy()
    raw.var_names = ["gene0", *raw.var_names[:-1]]
    adata.raw = raw
    _, found = clustered(adata, tmp_path)
    assert found.uns["leiden"]["recall"]["source"] == "X"


def test_marked_genes_that_raw_calls_otherwise_are_named(tmp_path):
    adata = make_adata()
    adata.raw = adata.copy()
    adata.var_names = [f"ENSG{i}" for i in range(N_GENES)]
    adata.X = np.log1p(adata.X)
    adata.var["highly_variable"] = True
    adata.write_h5ad(tmp_path / "in.h5ad")
    run = recall("cluster", tmp_path / "in.h5ad", "-o", tmp_path / "out.h5ad")
    assert run.returncode == 2
    assert "they are called gene0" in run.stderr
    assert "in var ENSG0" in run.stderr


FEW = {
    "two cells": lambda adata: adata[:2].copy(),
    "one gene": lambda adata: adata[:, :1].copy(),
    "no counts": lambda adata: ad.AnnData(sparse.csr_matrix(adata.shape, dtype=np.float32), adata.obs, adata.var),
}


@pytest.mark.parametrize("case", FEW)
def test_too_little_for_a_graph_is_said(case, tmp_path):
    adata = FEW[case](make_adata())
    adata.obsm.clear()
    adata.write_h5ad(tmp_path / "in.h5ad")
    run = recall("cluster", "in.h5ad", "-o", "out.h5ad", cwd=tmp_path)
    assert run.returncode == 2
    assert ("no counts to make a graph of" if case == "no counts" else "too few for a graph") in run.stderr


def test_components_that_are_no_numbers_are_named(tmp_path):
    adata = make_adata()
    adata.obsm["X_pca"][3] = np.nan
    adata.write_h5ad(tmp_path / "in.h5ad")
    run = recall("cluster", "in.h5ad", "-o", "out.h5ad", cwd=tmp_path)
    assert run.returncode == 2
    assert run.stderr == "error: obsm['X_pca'] has values that are infinite or NaN. Make it anew: sc.pp.pca(adata)\n"


def test_coordinates_in_one_table_as_old_files_have_them_stay(tmp_path):
    adata = make_adata()
    text, coordinates = "S9", adata.obsm.pop("X_umap")
    adata.obsm.clear()
    with h5py.File(tmp_path / "in.h5ad", "w") as file:
        file["X"] = adata.X.toarray()
        for slot, names in (("obs", adata.obs_names), ("var", adata.var_names)):
            file[slot] = np.array([(name.encode(),) for name in names], dtype=[("index", text)])
        file["obsm"] = np.array([(row,) for row in coordinates], dtype=[("X_umap", "f8", (2,))])
    run = recall("cluster", "in.h5ad", "-o", "out.h5ad", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    with h5py.File(tmp_path / "out.h5ad") as file:
        np.testing.assert_array_equal(file["obsm/X_umap"], coordinates)
        assert {*file["obsm"]} == {"X_pca", "X_umap"}
