# Seurat's own clusters of the object's graph, merged by pairs.

with_graph <- function(k = 3, each = 60, ...) usual_steps(as_seurat(kinds_of_cells(k, each, ...)))

calibrate_quietly <- function(object, ...) quietly(FindClustersCalibrated(object, ..., verbose = FALSE))

# Two samples of three kinds of cells, each with its own cells; the second has a shift in half of the genes.
two_samples <- function(each = 80) {
  counts <- kinds_of_cells(3, each, n_genes = 200, markers = 40)
  object <- as_seurat(counts)
  object[["RNA"]] <- split(object[["RNA"]], f = object$donor)
  SeuratObject::VariableFeatures(object) <- rownames(counts)
  usual_steps(object)
}

kind_of <- function(object) {
  each <- ncol(object) / 3
  rep(1:3, each = each)
}

test_that("labels are unions of FindClusters' own, and stand where Seurat's do", {
  skip_without_seurat()
  object <- with_graph()
  before <- object
  found <- calibrate_quietly(object, resolution = 3)
  expect_identical(object, before)
  own <- quietly(Seurat::FindClusters(object, resolution = 3, verbose = FALSE))
  expect_identical(found$RNA_snn_res.3, own$RNA_snn_res.3)
  expect_gt(nlevels(own$seurat_clusters), 3)
  expect_equal(rand_index(found$seurat_clusters, kind_of(found)), 1)
  expect_equal(levels(found$seurat_clusters), c("0", "1", "2"))
  expect_false(is.unsorted(rev(table(found$seurat_clusters))))
  expect_identical(found$RNA_snn_res.3_calibrated, found$seurat_clusters)
  expect_identical(SeuratObject::Idents(found), found$seurat_clusters)
  expect_true(all(rowSums(table(found$RNA_snn_res.3, found$seurat_clusters) > 0) == 1))
  expect_equal(SeuratObject::Command(found, "FindClustersCalibrated", "resolution"), 3)
  expect_equal(setdiff(names(found@misc), names(object@misc)), "recall_merges")
  for (slot in setdiff(methods::slotNames(object), c("meta.data", "active.ident", "misc", "commands"))) {
    expect_identical(methods::slot(found, slot), methods::slot(object, slot), info = slot)
  }
})

test_that("merges are told with their reasons, and drawn", {
  skip_without_seurat()
  object <- with_graph()
  expect_message(found <- FindClustersCalibrated(object, resolution = 3, cluster.name = "mine"), "are one: .* times the lead")
  expect_true(all(c("mine", "mine_start", "seurat_clusters") %in% colnames(found[[]])))
  merges <- ClusterMerges(found)
  expect_equal(nrow(merges), nlevels(found$mine_start) - nlevels(found$mine))
  expect_true(all(merges$evidence <= merges$threshold))
  expect_type(merges$genes, "character")
  expect_match(merges$reason, "times as far as needed")
  expect_true(all(ClusterPairs(found)$passes))
  skip_if_not_installed("ggplot2")
  picture <- MergesPlot(found)
  expect_equal(picture$labels$title, paste(nlevels(found$mine_start), "clusters became 3"))
  drawn <- ggplot2::layer_data(picture, 2)
  expect_equal(nrow(drawn), nrow(merges))
  again <- calibrate_quietly(found, resolution = 1)
  expect_error(ClusterMerges(again, "nosuch"), "Runs have written: mine, RNA_snn_res.1_calibrated")
  expect_identical(ClusterMerges(again, "mine"), merges)
  expect_s3_class(MergesPlot(again), "ggplot")
})

test_that("every algorithm of Seurat's, by number and by name", {
  skip_without_seurat()
  object <- with_graph()
  names <- c("louvain", "multilevel", "slm", "leiden")
  for (number in 1:4) {
    by_number <- calibrate_quietly(object, algorithm = number, random.seed = 1)
    by_name <- calibrate_quietly(object, algorithm = names[number], random.seed = 1)
    expect_identical(by_number$seurat_clusters, by_name$seurat_clusters)
    own <- quietly(Seurat::FindClusters(object, algorithm = number, random.seed = 1, verbose = FALSE))
    expect_identical(by_number$RNA_snn_res.0.8, own$RNA_snn_res.0.8)
    expect_equal(levels(by_number$seurat_clusters)[1], levels(own$seurat_clusters)[1])
  }
})

test_that("given labels are merged, and identities are tested", {
  skip_without_seurat()
  object <- with_graph()
  kind <- kind_of(object)
  object$split <- ifelse(kind == 1, rep(c("1a", "1b"), length.out = ncol(object)), kind)
  found <- quietly(MergeClusters(object, group.by = "split", verbose = FALSE))
  expect_setequal(levels(found$split_merged), c("1a + 1b", "2", "3"))
  expect_identical(SeuratObject::Idents(found), found$split_merged)
  expect_false("seurat_clusters" %in% colnames(found[[]]))
  expect_equal(ClusterMerges(found)$group_start, "1a")
  SeuratObject::Idents(object) <- "split"
  expect_equal(quietly(MergeClusters(object, verbose = FALSE))$ident_merged, found$split_merged)
  tested <- TestClusters(object)
  within <- tested$group %in% c("1a", "1b") & tested$reference %in% c("1a", "1b")
  expect_equal(tested$passes, !within)
})

test_that("a batch holds no clusters apart", {
  skip_without_seurat()
  counts <- kinds_of_cells(2, 100)
  shifted <- rep(c(FALSE, TRUE), 100)
  set.seed(2)
  counts[101:150, shifted] <- counts[101:150, shifted] + stats::rpois(50 * 100, 4)
  object <- as_seurat(methods::as(counts, "CsparseMatrix"))
  object$sample <- ifelse(shifted, "b", "a")
  object$both <- paste(rep(1:2, each = 100), object$sample)
  expect_equal(nlevels(quietly(MergeClusters(object, "both", verbose = FALSE))$both_merged), 4)
  object$piece <- paste(rep(1:2, each = 100), rep(c("x", "x", "y", "y"), 50))
  within <- quietly(MergeClusters(object, "piece", batch = "sample", verbose = FALSE))
  expect_equal(rand_index(within$piece_merged, rep(1:2, each = 100)), 1)
})

test_that("genes of the cell cycle do not count unless that is asked for", {
  skip_without_seurat()
  cycle <- reticulate::import("recall_py.adata.programmes")
  expect_setequal(recallpy:::PROGRAMMES, c("cell_cycle", unlist(cycle$programmes())))
  s_phase <- reticulate::py_to_r(cycle$table()[["symbol"]]$tolist())[1:80]
  counts <- kinds_of_cells(2, 100, n_genes = 200)
  rownames(counts)[1:80] <- unlist(s_phase)
  rownames(counts) <- make.unique(rownames(counts))
  labels <- rep(c("cycling", "resting"), each = 100)
  kept <- quietly(MergeClusters(counts, labels, programmes = NULL, verbose = FALSE))
  expect_equal(nlevels(kept), 2)
  merged <- quietly(MergeClusters(counts, labels, verbose = FALSE))
  expect_equal(nlevels(merged), 1)
  expect_equal(ClusterMerges(merged)$programmes, "cycling and resting cells of one type")
})

test_that("integrated layers are clustered on their own graph", {
  skip_without_seurat()
  object <- two_samples()
  for (method in c("CCAIntegration", "RPCAIntegration")) {
    name <- tolower(sub("Integration", "", method))
    integrated <- quietly(Seurat::IntegrateLayers(object, method = getExportedValue("Seurat", method), orig.reduction = "pca",
                                                  features = rownames(object), new.reduction = name, dims = 1:5, k.weight = 20, verbose = FALSE))
    integrated <- quietly(Seurat::FindNeighbors(integrated, reduction = name, dims = 1:5, verbose = FALSE))
    found <- calibrate_quietly(integrated, resolution = 2, batch = "donor")
    expect_equal(rand_index(found$seurat_clusters, kind_of(found)), 1, info = method)
  }
})

test_that("Harmony's coordinates have their graph used, and the original warns of them", {
  skip_without_seurat()
  object <- usual_steps(shifted_samples())
  uncorrected <- calibrate_quietly(object)
  expect_equal(nlevels(uncorrected$seurat_clusters), 6) # three kinds of cells in two samples
  scores <- as.matrix(utils::read.csv(test_path("harmony.csv"), row.names = 1)) # made by ../make_harmony.R
  expect_equal(rownames(scores), colnames(object))
  object[["harmony"]] <- SeuratObject::CreateDimReducObject(scores, key = "harmony_", assay = "RNA")
  object <- quietly(Seurat::FindNeighbors(object, reduction = "harmony", dims = 1:5, verbose = FALSE))
  for (batch in list(NULL, "donor")) {
    found <- calibrate_quietly(object, resolution = 2, batch = batch)
    expect_equal(rand_index(found$seurat_clusters, kind_of(found)), 1)
  }
  expect_warning(FindClustersRecall(object, verbose = FALSE), "integrated \\(harmony\\).*FindClustersCalibrated")
})

test_that("weighted nearest neighbours, SCT and a sketch have graphs of their own", {
  skip_without_seurat()
  object <- with_graph()
  proteins <- kinds_of_cells(3, 60, n_genes = 30, markers = 8, seed = 2)
  rownames(proteins) <- paste0("protein", 1:30)
  object[["ADT"]] <- SeuratObject::CreateAssay5Object(proteins)
  two <- quietly({
    object <- Seurat::NormalizeData(object, assay = "ADT", normalization.method = "CLR", margin = 2, verbose = FALSE)
    object <- Seurat::ScaleData(object, assay = "ADT", features = rownames(proteins), verbose = FALSE)
    object <- Seurat::RunPCA(object, assay = "ADT", features = rownames(proteins), npcs = 5, reduction.name = "apca",
                             verbose = FALSE)
    Seurat::FindMultiModalNeighbors(object, list("pca", "apca"), dims.list = list(1:5, 1:4), knn.range = 100, verbose = FALSE)
  })
  found <- calibrate_quietly(two, graph.name = "wsnn", resolution = 2)
  expect_equal(rand_index(found$wsnn_res.2_calibrated, kind_of(found)), 1)
  expect_true(all(found@misc$recall_merges[[1]]$genes %in% rownames(found[["RNA"]])))

  sketched <- quietly(Seurat::SketchData(with_graph(each = 80), ncells = 150, method = "Uniform", sketched.assay = "sketch",
                                         verbose = FALSE))
  SeuratObject::DefaultAssay(sketched) <- "sketch"
  SeuratObject::VariableFeatures(sketched) <- rownames(sketched)
  found <- calibrate_quietly(usual_steps(sketched), resolution = 2)
  inside <- colnames(found) %in% colnames(found[["sketch"]])
  expect_equal(is.na(unname(found$seurat_clusters)), !inside)
  expect_equal(rand_index(found$seurat_clusters[inside], rep(1:3, each = 80)[inside]), 1)

  skip_if_not_installed("sctransform")
  corrected <- quietly({
    corrected <- Seurat::SCTransform(as_seurat(kinds_of_cells()), variable.features.n = 120, verbose = FALSE)
    corrected <- Seurat::RunPCA(corrected, npcs = 10, verbose = FALSE)
    Seurat::FindNeighbors(corrected, dims = 1:5, verbose = FALSE)
  })
  expect_message(found <- suppressWarnings(FindClustersCalibrated(corrected)), "taken from assay 'RNA'")
  expect_equal(rand_index(found$SCT_snn_res.0.8_calibrated, kind_of(found)), 1)
  corrected[["RNA"]] <- NULL
  expect_error(FindClustersCalibrated(corrected), "SCT holds corrected counts")
})

test_that("samples with different genes are compared by those that they share, which is said", {
  skip_without_seurat()
  counts <- kinds_of_cells(3, 60, n_genes = 200)
  even <- seq(2, ncol(counts), by = 2)
  object <- quietly(SeuratObject::CreateSeuratObject(list(a = counts[1:190, -even], b = counts[11:200, even])))
  SeuratObject::VariableFeatures(object) <- rownames(counts)
  object$kind <- rep(1:3, each = 60)[match(colnames(object), colnames(counts))]
  said <- "different genes \\(counts.a: 190, counts.b: 190\\): 180 of the 200"
  expect_message(found <- suppressWarnings(FindClustersRecall(object, 2)), said)
  expect_equal(rand_index(found$recall_clusters, object$kind), 1)
  expect_message(found <- suppressWarnings(FindClustersCalibrated(usual_steps(object))), said)
  expect_equal(rand_index(found$seurat_clusters, object$kind), 1)
  expect_setequal(found@misc$recall_merges[[1]]$genes, rownames(counts)[11:190])
})

test_that("a record knows its cells", {
  skip_without_seurat()
  found <- calibrate_quietly(with_graph(), resolution = 3)
  expect_silent(ClusterMerges(found))
  file <- tempfile(fileext = ".rds")
  saveRDS(found, file)
  expect_identical(ClusterMerges(readRDS(file)), ClusterMerges(found))
  part <- found[, 1:100]
  expect_warning(ClusterMerges(part), "180 cells, of which 80 are not in the object any more. Run it again")
  expect_error(ClusterMerges(quietly(merge(part, found[, 101:180]))), "holds no merges. Make them")
  again <- calibrate_quietly(usual_steps(part))
  expect_silent(ClusterMerges(again))
  searched <- cluster_quietly(found, 2)
  expect_silent(RecallPairs(searched))
  expect_warning(RecallPairs(searched[, 1:100]), "of which 80 are not")
  skip_if_not_installed("SingleCellExperiment")
  expect_s4_class(quietly(Seurat::as.SingleCellExperiment(found)), "SingleCellExperiment")
})

test_that("other classes have their labels merged", {
  skip_without_engine()
  counts <- kinds_of_cells()
  labels <- rep(c("1a", "1b", "2", "2", "3", "3"), each = 30)
  labels[1:60] <- c("1a", "1b")
  plain <- quietly(MergeClusters(counts, labels, verbose = FALSE))
  expect_equal(names(plain), colnames(counts))
  expect_setequal(levels(plain), c("1a + 1b", "2", "3"))
  expect_equal(quietly(MergeClusters(as.matrix(counts), labels, verbose = FALSE)), plain)
  expect_equal(nrow(ClusterMerges(plain)), 1)
  skip_if_not_installed("SingleCellExperiment")
  object <- SingleCellExperiment::SingleCellExperiment(list(counts = counts), colData = data.frame(label = labels))
  found <- quietly(MergeClusters(object, verbose = FALSE))
  expect_equal(as.character(found$label_merged), as.character(unname(plain)))
  expect_equal(ClusterMerges(found), ClusterMerges(plain))
  expect_error(FindClustersCalibrated(object), "takes a Seurat object.*MergeClusters")
})

test_that("what is recorded of a run makes it again", {
  skip_without_seurat()
  object <- with_graph()
  found <- calibrate_quietly(object, resolution = 3, programmes = NULL, alpha = 0.01, batch = "donor", cluster.name = "mine")
  logged <- SeuratObject::Command(found, "FindClustersCalibrated")
  expect_equal(logged$alpha, 0.01)
  expect_equal(logged$programmes, character())
  record <- found@misc$recall_merges$mine
  expect_equal(record$params$alpha, 0.01)
  expect_equal(nrow(record$programmes), 0)
  expect_match(record$clustering$call, "batch = \"donor\".*programmes = NULL, alpha = 0.01", fixed = FALSE)
  again <- quietly(eval(parse(text = record$clustering$call)))
  expect_identical(again$mine, found$mine)
  merged <- quietly(MergeClusters(found, "mine_start", verbose = FALSE))
  expect_equal(SeuratObject::Command(merged, "MergeClusters", "programmes"), c("cell_cycle", "mitochondrial"))
})

test_that("an object that Seurat made long ago, and one without a graph", {
  skip_without_seurat()
  expect_error(FindClustersCalibrated(as_seurat(kinds_of_cells())), "no graph 'RNA_snn', nor any other. Make one first")
  for (small in list(SeuratObject::pbmc_small, quietly(SeuratObject::UpdateSeuratObject(SeuratObject::pbmc_small)))) {
    expect_s3_class(calibrate_quietly(small)$seurat_clusters, "factor")
  }
  expect_error(ClusterMerges(with_graph()), "obj <- FindClustersCalibrated\\(obj\\)")
})
