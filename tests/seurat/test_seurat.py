"""Seurat objects over rpy2, in a real R with Seurat 5; see r_bridge/tests/run."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import searches
from command import recall
from golden import golden, shared_folder
from scipy import sparse

from recall_py import CalibrationWarning, get, seurat, tl

pytestmark = [
    pytest.mark.r,
    pytest.mark.filterwarnings("ignore::recall_py.CalibrationWarning"),
    pytest.mark.filterwarnings("ignore:Assay 'RNA' has no variable features"),
]

METADATA = """
function(object) {
    n <- ncol(object)
    object$text <- rep(c("b", "a"), length.out = n)
    object$text_na <- replace(object$text, 2, NA)
    object$kind <- factor(object$text, levels = c("b", "unused", "a"))
    object$kind_na <- replace(object$kind, 3, NA)
    object$grade <- factor(object$text, levels = c("b", "a"), ordered = TRUE)
    object$count <- seq_len(n)
    object$count_na <- replace(object$count, 1, NA)
    object$flag <- seq_len(n) %% 2 == 0
    object$flag_na <- replace(object$flag, 4, NA)
    object$share <- seq_len(n) / 7
    object$share_na <- replace(object$share, 5, NA)
    object
}
"""


@pytest.fixture(scope="module")
def ro():
    """R with Seurat 5 in this process; skipped visibly where it cannot be had."""
    from recall_py.seurat._values import robjects

    try:
        found = robjects()
    except ImportError as error:
        pytest.skip(str(error))
    found.r("suppressPackageStartupMessages(library(Seurat))")
    return found


@pytest.fixture
def pbmc(ro):
    """The golden 700 PBMC as a Seurat object with metadata of every type, and as AnnData."""
    data = golden("pbmc68k")
    adata = ad.AnnData(sparse.csr_matrix(data.counts.astype(np.float32)))
    adata.obs_names, adata.var_names = data.lines("barcodes.tsv"), data.genes
    adata.var["highly_variable"] = True
    return ro.r(METADATA)(seurat.to_seurat(adata)), adata


def frame_of(ro, robj, column):
    return ro.r("function(object, column) object[[]][[column]]")(robj, column)


def labels_in(ro, robj, column="recall_clusters"):
    return np.array([int(label) for label in ro.r["as.character"](frame_of(ro, robj, column))])


def identical(ro, a, b):
    return bool(ro.r["identical"](a, b)[0])


def test_labels_are_those_of_the_python_call(ro, pbmc):
    robj, adata = pbmc
    found = seurat.find_clusters(robj, 4)
    tl.recall(adata, 4)
    np.testing.assert_array_equal(labels_in(ro, found), adata.obs["recall_clusters"].astype(int))
    assert labels_in(ro, found).max() > 3
    idents = ro.r("function(object) as.character(SeuratObject::Idents(object))")(found)
    assert list(idents) == adata.obs["recall_clusters"].tolist()
    misc = ro.r("function(object) SeuratObject::Misc(object, 'recall')")(found)
    np.testing.assert_allclose(misc.rx2("iterations").rx2("level"), get.iterations(adata, "recall_clusters")["level"])
    assert list(misc.rx2("markers").rx2("gene")) == get.markers(adata, "recall_clusters")["gene"].tolist()
    logged = ro.r("function(object) object@commands[['FindClustersRecall.RNA']]@params$start")(found)
    assert logged[0] == 4


def test_the_object_that_came_in_is_not_changed(ro, pbmc):
    robj, _ = pbmc
    before = ro.r["serialize"](robj, ro.NULL)
    found = seurat.find_clusters(robj, 2)
    seurat.to_anndata(robj)
    assert identical(ro, before, ro.r["serialize"](robj, ro.NULL))
    same = ro.r("""function(a, b) identical(a@assays, b@assays) && identical(a@reductions, b@reductions) &&
        identical(a[[]], b[[]][colnames(a[[]])])""")
    assert same(robj, found)[0]


def test_split_layers_and_batches(ro, pbmc):
    robj, adata = pbmc
    split = ro.r("""function(object) {
        variable <- VariableFeatures(object)
        object[["RNA"]] <- suppressWarnings(split(object[["RNA"]], f = object$text))
        VariableFeatures(object) <- variable
        object
    }""")(robj)
    found = seurat.find_clusters(split, 2, batch="text", null_method="NB", strategy="merge", n_jobs=1)
    adata.obs["text"] = pd.Categorical(["b", "a"] * 350)
    tl.recall(adata, 2, batch_key="text", null_method="NB", strategy="merge")
    np.testing.assert_array_equal(labels_in(ro, found), adata.obs["recall_clusters"].astype(int))


def test_genes_chosen_by_itself_and_a_doubtful_outcome_are_warned_about(pbmc):
    adata = pbmc[1].copy()
    del adata.var["highly_variable"]
    bare = seurat.to_seurat(adata)
    with pytest.warns(UserWarning, match="no variable features|too coarse") as caught:
        seurat.find_clusters(bare, 0.2, n_top_genes=300)
    said = {str(one.message): one.category for one in caught}
    assert any(text.startswith("Assay 'RNA' has no variable features") for text in said)
    assert any("start may be too coarse" in text and said[text] is CalibrationWarning for text in said)


def test_bad_input_is_an_error_with_the_sentence_of_r(ro, pbmc):
    robj, _ = pbmc
    with pytest.raises(ValueError, match=r"^This object has no assay 'nosuch'\. It has: RNA"):
        seurat.find_clusters(robj, assay="nosuch")
    with pytest.raises(ValueError, match="Unknown strategy"):
        seurat.find_clusters(robj, strategy="nosuch")
    with pytest.raises(ValueError, match="cells of adata are not in the object of R, such as 'x'"):
        seurat.labels_to_seurat(ad.AnnData(np.ones((1, 2)), obs=pd.DataFrame({"k": ["a"]}, index=["x"])), robj, "k")
    with pytest.raises(ValueError, match="X holds values that are no counts"):
        seurat.to_seurat(ad.AnnData(np.array([[0.5, 1], [2, 3]])))
    with pytest.raises(KeyError, match="nosuch"):
        seurat.labels_to_seurat(ad.AnnData(np.ones((1, 2))), robj, "nosuch")


def test_metadata_types_become_those_of_pandas(ro, pbmc):
    adata = seurat.to_anndata(pbmc[0])
    obs = adata.obs
    assert obs["kind"].cat.categories.tolist() == ["b", "unused", "a"]
    assert obs["grade"].cat.ordered
    assert obs["kind_na"].isna().to_numpy().nonzero()[0].tolist() == [2]
    assert obs["count"].dtype == np.int32
    assert obs["count_na"].dtype == "Int32"
    assert obs["flag"].dtype == bool
    assert obs["flag_na"].isna().sum() == 1
    assert obs["share_na"].isna().to_numpy().nonzero()[0].tolist() == [4]
    assert obs["text_na"].isna().to_numpy().nonzero()[0].tolist() == [1]


def test_round_trip_keeps_counts_names_types_and_reductions(ro, pbmc):
    original = ro.r("""function(object) {
        object <- NormalizeData(object, verbose = FALSE)
        object <- ScaleData(object, verbose = FALSE)
        object <- suppressWarnings(RunPCA(object, npcs = 12, verbose = FALSE))
        set.seed(1)
        flat <- matrix(rnorm(2 * ncol(object)), ncol = 2, dimnames = list(colnames(object), c("umap_1", "umap_2")))
        object[["umap"]] <- CreateDimReducObject(flat, key = "umap_", assay = "RNA")
        object
    }""")(pbmc[0])
    back = seurat.to_seurat(seurat.to_anndata(original))
    for what in (
        "LayerData(object, layer = 'counts')",
        "object[[]]",
        "dimnames(object)",
        "VariableFeatures(object)",
        "Embeddings(object, 'pca')",
        "Loadings(object, 'pca')[sort(rownames(Loadings(object, 'pca'))), ]",
        "Stdev(object, 'pca')",
        "Embeddings(object, 'umap')",
        "Key(object[['umap']])",
        "Reductions(object)",
    ):
        read = ro.r(f"function(object) {what}")
        assert identical(ro, read(original), read(back)), what
    assert ro.r("function(object) class(object[['RNA']])")(back)[0] == "Assay5"


def test_round_trip_survives_an_h5ad_file(ro, pbmc, tmp_path):
    found = seurat.find_clusters(pbmc[0], 2)
    seurat.to_anndata(found).write_h5ad(tmp_path / "cells.h5ad")
    back = seurat.to_seurat(ad.read_h5ad(tmp_path / "cells.h5ad"))
    for column in ("kind", "kind_na", "grade", "count", "count_na", "flag", "flag_na", "share_na", "recall_clusters"):
        assert identical(ro, frame_of(ro, found, column), frame_of(ro, back, column)), column


def test_labels_go_back_to_the_object_by_name(ro, pbmc):
    robj, _ = pbmc
    adata = seurat.to_anndata(robj)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        searches.leiden(adata, 2, preset="recall")
    part = adata[adata.obs_names[::-1][:600]]
    back = seurat.labels_to_seurat(part, robj, "leiden")
    labels = frame_of(ro, back, "leiden")
    named = pd.Series(list(ro.r["as.character"](labels)), index=adata.obs_names)
    assert (named[part.obs_names] == part.obs["leiden"]).all()
    assert sum(ro.r["is.na"](labels)) == 100
    assert identical(ro, frame_of(ro, back, "kind_na"), frame_of(ro, robj, "kind_na"))


def test_full_pbmc3k_has_the_labels_of_the_python_call(ro):
    file = shared_folder() / "data" / "pbmc3k.h5ad"
    if not file.is_file():
        pytest.skip(f"{file} is absent (set RECALL_PY_SHARED)")
    adata = ad.read_h5ad(file)
    adata = adata[:, np.asarray((adata.X > 0).sum(axis=0)).ravel() >= 3].copy()
    adata.var_names = [name.replace("_", "-") for name in adata.var_names]
    tl.recall(adata, 1.5)  # without variable features: both select by themselves
    found = seurat.find_clusters(seurat.to_seurat(adata), 1.5)
    np.testing.assert_array_equal(labels_in(ro, found), adata.obs["recall_clusters"].astype(int))


def test_a_notebook_hands_objects_over(ro):
    pytest.importorskip("IPython")
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    try:
        lines = [
            "%load_ext rpy2.ipython",
            "%%R -o obj\nset.seed(1)\nmeans <- matrix(1, 120, 120)\n"
            "means[1:50, 1:60] <- 8\nmeans[51:100, 61:120] <- 8\ncounts <- matrix(rpois(120 * 120, means), 120)\n"
            "dimnames(counts) <- list(paste0('g', 1:120), paste0('c', 1:120))\n"
            "obj <- SeuratObject::CreateSeuratObject(as(counts, 'dgCMatrix'))",
            "from recall_py import seurat; obj = seurat.find_clusters(obj, 2)",
            "%%R -i obj -o sizes\nsizes <- as.integer(table(SeuratObject::Idents(obj)))",
        ]
        for line in lines:
            shell.run_cell(line).raise_error()
        assert list(shell.user_ns["sizes"]) == [60, 60]
    finally:
        InteractiveShell.clear_instance()


def run_command(*arguments):
    command = [str(Path(sys.executable).with_name("recall-py")), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


WITH_GRAPH = """
function(object) {
    object <- NormalizeData(object, verbose = FALSE)
    object <- ScaleData(object, verbose = FALSE)
    object <- suppressWarnings(RunPCA(object, npcs = 12, verbose = FALSE))
    FindNeighbors(object, dims = 1:10, verbose = FALSE)
}
"""


@pytest.fixture
def with_graph(ro, pbmc):
    """The same Seurat object with its own graph."""
    return ro.r(WITH_GRAPH)(pbmc[0])


def test_calibrated_clusters_are_unions_of_those_of_seurat(ro, with_graph):
    before = ro.r["serialize"](with_graph, ro.NULL)
    said = []
    found = seurat.find_clusters_calibrated(with_graph, resolution=2, batch="text", say=said.append)
    assert identical(ro, before, ro.r["serialize"](with_graph, ro.NULL))
    by_seurat = ro.r("function(object) FindClusters(object, resolution = 2, verbose = FALSE)$seurat_clusters")
    start = frame_of(ro, found, "RNA_snn_res.2")
    assert identical(ro, ro.r["as.character"](start), ro.r["as.character"](by_seurat(with_graph)))
    table = pd.crosstab(list(ro.r["as.character"](start)), labels_in(ro, found, "seurat_clusters"))
    assert ((table > 0).sum(axis=1) == 1).all()
    assert table.shape[1] < table.shape[0]
    merges = [text for text in said if " are one: " in text]
    assert len(merges) == table.shape[0] - table.shape[1]
    sizes = table.sum(axis=0)
    assert sizes.index.tolist() == list(range(len(sizes)))
    assert sizes.is_monotonic_decreasing
    idents = ro.r("function(object) as.character(Idents(object))")(found)
    assert list(idents) == list(ro.r["as.character"](frame_of(ro, found, "RNA_snn_res.2_calibrated")))
    record = ro.r("function(object) Misc(object, 'recall_merges')[['RNA_snn_res.2_calibrated']]")(found)
    assert len(record.rx2("merges").rx2("group")) == len(merges)
    assert ro.r("function(object) 'FindClustersCalibrated' %in% Command(object)")(found)[0]


def test_the_pair_test_from_seurat_is_that_of_python(ro, with_graph):
    found = seurat.find_clusters_calibrated(with_graph, resolution=2, algorithm="slm")
    adata = seurat.to_anndata(found)
    graph = ro.r("function(object) as.matrix(as(object[['RNA_snn']], 'dgCMatrix'))")(found)
    adata.obsp["connectivities"] = sparse.csr_matrix(np.array(graph))
    adata.uns["neighbors"] = {"connectivities_key": "connectivities", "distances_key": "distances", "params": {}}
    tl.merge_clusters(adata, "RNA_snn_res.2", merge_small=True)
    table = pd.crosstab(adata.obs["RNA_snn_res.2_merged"], labels_in(ro, found, "seurat_clusters"))
    assert table.shape[0] == table.shape[1] == (table > 0).sum().sum()
    merged = seurat.merge_clusters(found, "RNA_snn_res.2", merge_small=True)
    names = list(ro.r["as.character"](frame_of(ro, merged, "RNA_snn_res.2_merged")))
    assert names == adata.obs["RNA_snn_res.2_merged"].tolist()
    tl.test_clusters(adata, "RNA_snn_res.2")
    pd.testing.assert_frame_equal(seurat.test_clusters(found, "RNA_snn_res.2"), get.pairs(adata, "recall_test"))


def test_arguments_of_the_pair_test_are_checked_as_in_r(ro, with_graph):
    for options, said in [
        ({"graph_name": "nosuch"}, r"no graph 'nosuch'\. It has: RNA_nn, RNA_snn"),
        ({"resolution": -1}, "resolution is -1; one number above 0 is needed"),
        ({"algorithm": "nosuch"}, 'algorithm is "nosuch"\\. Available: 1 or "louvain"'),
        ({"random_state": -1}, "random.seed is -1; one whole number from 0 on"),
        ({"programmes": "nosuch"}, "programmes names nosuch"),
        ({"batch": "nosuch"}, "no column 'nosuch'"),
        ({"assay": "nosuch"}, "no assay 'nosuch'"),
    ]:
        with pytest.raises(ValueError, match=said):
            seurat.find_clusters_calibrated(with_graph, **options)
    with pytest.raises(ValueError, match="no graph 'RNA_snn', nor any other"):
        seurat.find_clusters_calibrated(seurat.to_seurat(seurat.to_anndata(with_graph)))
    for name in ("preset", "pair_test"):
        with pytest.raises(TypeError, match="find_clusters_calibrated"):
            seurat.find_clusters(with_graph, **{name: "calibrated"})


def test_command_line_reads_and_writes_rds(ro, pbmc, tmp_path):
    robj, adata = pbmc
    source, target = tmp_path / "cells.rds", tmp_path / "labelled.rds"
    ro.r["saveRDS"](robj, str(source))
    done = run_command("recall", source, "-o", target, "--resolution", 2, "--seed", 3)
    assert done.returncode == 0, done.stderr
    assert f"wrote {target}" in done.stdout
    found = ro.r["readRDS"](str(target))
    tl.recall(adata, 2, random_state=3)
    np.testing.assert_array_equal(labels_in(ro, found), adata.obs["recall_clusters"].astype(int))
    assert identical(ro, ro.r("function(o) o@assays")(robj), ro.r("function(o) o@assays")(found))
    assert not list(Path(tmp_path).glob(".*"))


def test_command_line_clusters_merges_and_tests_as_r_does(ro, pbmc, with_graph, tmp_path):
    source, bare, target = (tmp_path / name for name in ("cells.rds", "bare.rds", "labelled.rds"))
    ro.r["saveRDS"](with_graph, str(source))
    ro.r["saveRDS"](pbmc[0], str(bare))
    page, summary = tmp_path / "page.html", tmp_path / "summary.json"
    done = run_command("cluster", source, "-o", target, "--report", page, "--json", summary)
    assert done.returncode == 0, done.stderr
    expected = seurat.find_clusters_calibrated(with_graph)
    found = ro.r["readRDS"](str(target))
    assert identical(ro, frame_of(ro, found, "seurat_clusters"), frame_of(ro, expected, "seurat_clusters"))
    call = "FindClustersCalibrated(object, graph.name = &quot;RNA_snn&quot;, resolution = 0.8, algorithm = 1"
    assert call in page.read_text()
    assert json.loads(summary.read_text())["clustering"]["resolution"] == 0.8
    done = run_command("cluster", bare, "-o", target, "--key-added", "mine", "--resolution", 2, "--quiet")
    assert done.returncode == 0, done.stderr
    found = ro.r["readRDS"](str(target))
    assert labels_in(ro, found, "mine").max() > 2
    assert not ro.r("function(object) 'seurat_clusters' %in% colnames(object[[]])")(found)[0]
    done = run_command("cluster", bare, "-o", target)
    assert "The object had no neighbour graph: made by NormalizeData, FindVariableFeatures" in done.stdout
    done = run_command("merge", target, "-o", tmp_path / "merged.rds", "--groupby", "RNA_snn_res.0.8")
    assert done.returncode == 0, done.stderr
    assert ro.r("function(object) !is.null(object$RNA_snn_res.0.8_merged)")(
        ro.r["readRDS"](str(tmp_path / "merged.rds"))
    )
    done = run_command("test", target, "--groupby", "seurat_clusters")
    assert "pairs are supported by their genes" in done.stdout, done.stderr
    for arguments, said in [
        (("cluster", source, "-o", target, "--method", "knockoffs"), "recall-py recall"),
        (("cluster", source, "-o", target, "--flavor", "igraph"), "--flavor means nothing to an object of R"),
        (("cluster", source, "-o", target, "--obsp", "nosuch"), 'It has: RNA_nn, RNA_snn. Pass --obsp "RNA_snn"'),
        (("cluster", source, "-o", target, "--n-jobs", 0), "error: --n-jobs is 0; one whole number from 1 on"),
        (("test", source, "--groupby", "text", "-o", target), "-o means nothing here"),
    ]:
        done = run_command(*arguments)
        assert done.returncode == 2
        assert said in done.stderr


def test_command_line_does_the_same_in_a_single_cell_experiment(ro, pbmc, tmp_path):
    robj, adata = pbmc
    made = """function(object) {
        suppressPackageStartupMessages(library(SingleCellExperiment))
        counts <- unname(SeuratObject::LayerData(object, layer = "counts"))
        rownames(counts) <- rownames(object) # the cells have no names
        cut <- rep(c("b", "a", "c"), length.out = ncol(object))
        SingleCellExperiment(list(counts = counts), colData = DataFrame(cut = cut))
    }"""
    source, bare, target = (tmp_path / name for name in ("sce.rds", "bare.rds", "labelled.rds"))
    ro.r["saveRDS"](ro.r(made)(robj), str(source))
    ro.r["saveRDS"](robj, str(bare))
    column = "function(object, name) as.character(SummarizedExperiment::colData(object)[[name]])"

    def labels(path, name):
        return list(ro.r(column)(ro.r["readRDS"](str(path)), name))

    done = recall("cluster", source, "-o", target)
    assert done.returncode == 0, done.stderr
    assert "The object had no neighbour graph: made by NormalizeData" in done.stdout
    assert recall("cluster", bare, "-o", tmp_path / "of_seurat.rds").returncode == 0
    of_seurat = frame_of(ro, ro.r["readRDS"](str(tmp_path / "of_seurat.rds")), "seurat_clusters")
    assert labels(target, "seurat_clusters") == list(ro.r["as.character"](of_seurat))
    facts = recall("info", target).stdout
    assert "assay 'counts': raw integer counts" in facts
    assert f"clusters, merged from {len(set(labels(target, 'RNA_snn_res.0.8')))}" in facts

    page = tmp_path / "page.html"
    done = recall("merge", source, "-o", tmp_path / "merged.rds", "--groupby", "cut", "--report", page)
    assert done.returncode == 0, done.stderr
    adata.obs["cut"] = pd.Categorical(labels(source, "cut"))
    tl.merge_clusters(adata, "cut")
    assert labels(tmp_path / "merged.rds", "cut_merged") == adata.obs["cut_merged"].tolist()
    assert page.is_file()
    assert "of 3 pairs are supported" in recall("test", source, "--groupby", "cut").stdout
    done = recall("recall", source, "-o", tmp_path / "searched.rds", "--resolution", 2)
    assert done.returncode == 0, done.stderr
    tl.recall(adata, 2)
    assert labels(tmp_path / "searched.rds", "recall_clusters") == adata.obs["recall_clusters"].astype(str).tolist()
    for arguments, said in [
        (("merge", source, "-o", target, "--groupby", "cut", "--obsp", "x"), "holds no neighbour graph"),
        (("cluster", source, "-o", target, "--layer", "nosuch"), "no assay 'nosuch'. It has: counts. Pass --layer"),
        (("merge", source, "-o", target, "--groupby", "nosuch"), "no column 'nosuch'"),
    ]:
        done = recall(*arguments)
        assert done.returncode == 2
        assert said in done.stderr


def test_command_line_says_what_a_seurat_object_holds(ro, with_graph, tmp_path):
    source = tmp_path / "cells.rds"
    integrated = "function(object) { object[['harmony']] <- object[['pca']]; object }"
    ro.r["saveRDS"](ro.r(integrated)(with_graph), str(source))
    facts = recall("info", source).stdout
    for said in ("RNA (counts, data, scale.data)", "RNA_nn, RNA_snn", "pca, harmony", "raw integer counts", "kind (2)"):
        assert said in facts
    assert f"recall-py cluster {source} -o labelled.rds" in facts
    done = recall("knockoffs", source, "-o", tmp_path / "augmented.h5ad")
    assert done.returncode == 0, done.stderr
    assert ad.read_h5ad(tmp_path / "augmented.h5ad").n_vars == 2 * len(ro.r["rownames"](with_graph))
    done = recall("recall", source, "-o", tmp_path / "labelled.rds", "--quiet")
    assert "warning: This object was integrated (harmony)" in done.stderr


def test_command_line_refuses_what_is_no_seurat_object(ro, tmp_path):
    source = tmp_path / "numbers.rds"
    ro.r["saveRDS"](ro.IntVector([1, 2]), str(source))
    done = run_command("cluster", source, "-o", tmp_path / "out.rds")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {source} holds an object of class integer, neither a Seurat")
    source.write_text("nonsense")
    done = run_command("cluster", source, "-o", tmp_path / "out.rds")
    assert done.returncode == 2
    assert "is not a readable .rds file" in done.stderr
