# What Seurat 5 objects look like in earnest.

test_that("split layers give what the joined layer gives, in the order of the cells", {
  skip_without_seurat()
  counts <- kinds_of_cells()
  joined <- as_seurat(counts)
  parted <- joined
  parted[["RNA"]] <- split(parted[["RNA"]], f = parted$donor)
  SeuratObject::VariableFeatures(parted) <- rownames(counts)
  expect_equal(sort(SeuratObject::Layers(parted[["RNA"]])), c("counts.a", "counts.b"))
  before <- parted
  found <- cluster_quietly(parted, 2)
  expect_otherwise_unchanged(before, found)
  expect_identical(found$recall_clusters, cluster_quietly(joined, 2)$recall_clusters)
  expect_identical(RecallMarkers(found), RecallMarkers(cluster_quietly(joined, 2)))
  expect_equal(rand_index(found$recall_clusters, rep(1:3, each = 60)), 1)
})

test_that("depth is over all genes, in split layers as well", {
  skip_without_seurat()
  counts <- kinds_of_cells()
  joined <- as_seurat(counts, rownames(counts)[1:100])
  parted <- joined
  parted[["RNA"]] <- split(parted[["RNA"]], f = parted$donor)
  SeuratObject::VariableFeatures(parted) <- rownames(counts)[1:100]
  expect_identical(cluster_quietly(parted, 2, null_method = "NB-depth")$recall_clusters,
                   cluster_quietly(joined, 2, null_method = "NB-depth")$recall_clusters)
  totals <- recallpy:::seurat_input(parted)$totals
  expect_equal(unname(totals), unname(Matrix::colSums(counts)))
})

test_that("split layers are read in the order of the cells, by the genes that all of them have", {
  skip_without_seurat()
  counts <- kinds_of_cells()
  even <- seq(2, ncol(counts), by = 2)
  object <- SeuratObject::CreateSeuratObject(list(a = counts[, -even], b = counts[-1, even]))
  SeuratObject::VariableFeatures(object) <- rownames(counts)
  input <- recallpy:::seurat_input(object)
  expect_setequal(input$genes, rownames(counts)[-1])
  expect_equal(input$cells, colnames(object))
  expected <- counts[input$genes, input$cells]
  expect_equal(methods::new("dgCMatrix", x = input$x, i = input$i, p = input$p, Dim = dim(expected),
                            Dimnames = dimnames(expected)), expected)
  expect_match(input$notes, "149 of the 150 genes", all = FALSE)
})

test_that("split layers without variable features have genes selected over all cells", {
  skip_without_seurat()
  counts <- kinds_of_cells()
  joined <- SeuratObject::CreateSeuratObject(counts)
  parted <- joined
  parted[["RNA"]] <- split(parted[["RNA"]], f = rep(c("b", "a"), length.out = ncol(joined)))
  expect_identical(cluster_quietly(parted, 2, n_top_genes = 130)$recall_clusters,
                   cluster_quietly(joined, 2, n_top_genes = 130)$recall_clusters)
})

test_that("a v3-class assay inside a v5 object works", {
  skip_without_seurat()
  counts <- kinds_of_cells()
  object <- quietly(SeuratObject::CreateSeuratObject(SeuratObject::CreateAssayObject(counts)))
  expect_s4_class(object[["RNA"]], "Assay")
  SeuratObject::VariableFeatures(object) <- rownames(counts)
  before <- object
  found <- cluster_quietly(object, 2)
  expect_otherwise_unchanged(before, found)
  expect_identical(found$recall_clusters, cluster_quietly(as_seurat(counts), 2)$recall_clusters)
})

test_that("SCT takes its counts from RNA and its own variable features, and says so", {
  skip_without_seurat()
  skip_if_not_installed("sctransform")
  object <- as_seurat(kinds_of_cells())
  object <- quietly(Seurat::SCTransform(object, variable.features.n = 120, verbose = FALSE))
  expect_message(found <- suppressWarnings(FindClustersRecall(object, assay = "SCT")),
                 "Assay 'SCT' holds no raw counts: they are taken from assay 'RNA'")
  expect_setequal(SeuratObject::Misc(found, "recall")$genes, SeuratObject::VariableFeatures(object[["SCT"]]))
  expect_equal(SeuratObject::Misc(found, "recall")$assay, "RNA")
  expect_otherwise_unchanged(object, found)
  object[["RNA"]] <- NULL
  expect_error(FindClustersRecall(object, assay = "SCT"), "SCT holds corrected counts.*no assay 'RNA'")
})

test_that("an integrated assay takes its counts from RNA, or is refused", {
  skip_without_seurat()
  object <- quietly(Seurat::NormalizeData(as_seurat(kinds_of_cells()), verbose = FALSE))
  integrated <- SeuratObject::LayerData(object, layer = "data")[1:100, ]
  object[["integrated"]] <- quietly(SeuratObject::CreateAssay5Object(data = integrated))
  SeuratObject::DefaultAssay(object) <- "integrated"
  SeuratObject::VariableFeatures(object[["integrated"]]) <- rownames(integrated)
  expect_message(found <- suppressWarnings(FindClustersRecall(object, assay = "integrated")), "taken from assay 'RNA'")
  expect_equal(SeuratObject::Misc(found, "recall")$genes, rownames(integrated))
  object[["RNA"]] <- NULL
  expect_error(FindClustersRecall(object, assay = "integrated"), "'integrated' has no raw counts")
})

test_that("missing variable features are selected, which is said, and not stored", {
  skip_without_seurat()
  counts <- kinds_of_cells()
  object <- SeuratObject::CreateSeuratObject(counts)
  expect_message(found <- suppressWarnings(FindClustersRecall(object, 2, n_top_genes = 120)), "no variable features")
  expect_length(SeuratObject::Misc(found, "recall")$genes, 120)
  expect_length(SeuratObject::VariableFeatures(found), 0)
  expect_otherwise_unchanged(object, found)
})

test_that("variable features of the default assay serve where RNA has none", {
  skip_without_seurat()
  counts <- kinds_of_cells()
  object <- SeuratObject::CreateSeuratObject(counts)
  object[["other"]] <- SeuratObject::CreateAssay5Object(counts[1:120, ])
  SeuratObject::DefaultAssay(object) <- "other"
  SeuratObject::VariableFeatures(object[["other"]]) <- rownames(counts)[1:120]
  expect_message(found <- suppressWarnings(FindClustersRecall(object)), "variable features are those of assay 'other'")
  expect_length(SeuratObject::Misc(found, "recall")$genes, 120)
})

test_that("underscores in gene names work, as Seurat renames them and as a matrix has them", {
  skip_without_seurat()
  counts <- kinds_of_cells()
  rownames(counts) <- sub("gene", "my_gene_", rownames(counts))
  object <- quietly(SeuratObject::CreateSeuratObject(counts))
  found <- cluster_quietly(object, 2, features = rownames(counts)[1:120])
  expect_equal(SeuratObject::Misc(found, "recall")$genes, gsub("_", "-", rownames(counts)[1:120]))
  plain <- cluster_quietly(counts, 2, features = rownames(counts)[1:120])
  expect_equal(unname(plain[colnames(object)]), unname(found$recall_clusters))
  expect_equal(RecallMarkers(plain)$gene, gsub("-", "_", RecallMarkers(found)$gene))
})

test_that("a gene called knockoff1 is a gene like any other", {
  skip_without_seurat()
  counts <- kinds_of_cells()
  named <- counts
  rownames(named)[c(3, 90)] <- c("knockoff1", "all other genes")
  found <- cluster_quietly(as_seurat(named), 2)
  expect_identical(unname(found$recall_clusters), unname(cluster_quietly(as_seurat(counts), 2)$recall_clusters))
  expect_true("knockoff1" %in% RecallMarkers(found)$gene)
})

test_that("labels of a sketch are those of its cells; the others have none, as in Seurat", {
  skip_without_seurat()
  object <- quietly(Seurat::NormalizeData(as_seurat(kinds_of_cells(each = 100)), verbose = FALSE))
  object <- quietly(Seurat::SketchData(object, ncells = 150, method = "Uniform", sketched.assay = "sketch"))
  SeuratObject::VariableFeatures(object[["sketch"]]) <- rownames(object)
  found <- cluster_quietly(object, 2, assay = "sketch")
  sketched <- colnames(object) %in% colnames(object[["sketch"]])
  expect_equal(sum(sketched), 150)
  expect_equal(is.na(unname(found$recall_clusters)), !sketched)
  expect_equal(rand_index(found$recall_clusters[sketched], rep(1:3, each = 100)[sketched]), 1)
  expect_otherwise_unchanged(object, found)
})

test_that("an on-disk layer works where its package is there", {
  skip_without_seurat()
  skip_if_not_installed("BPCells")
  counts <- kinds_of_cells()
  folder <- withr::local_tempfile()
  BPCells::write_matrix_dir(methods::as(counts, "IterableMatrix"), folder)
  object <- SeuratObject::CreateSeuratObject(BPCells::open_matrix_dir(folder))
  SeuratObject::VariableFeatures(object) <- rownames(counts)
  expect_equal(cluster_quietly(object, 2)$recall_clusters, cluster_quietly(as_seurat(counts), 2)$recall_clusters)
})

test_that("an on-disk layer of a package that is not installed is refused with what to do", {
  skip_without_seurat()
  skip_if(requireNamespace("BPCells", quietly = TRUE), "BPCells is installed")
  methods::setClass("MatrixDir", representation(dir = "character"), where = globalenv())
  on.exit(methods::removeClass("MatrixDir", where = globalenv()))
  on_disk <- methods::new("MatrixDir", dir = "counts")
  attr(attr(on_disk, "class"), "package") <- "BPCells"
  object <- as_seurat(kinds_of_cells())
  object@assays[["RNA"]]@layers[["counts"]] <- on_disk
  expect_error(cluster_quietly(object), "layer 'counts' of assay 'RNA' is a MatrixDir of package BPCells, which is not")
})

test_that("a matrix that is not in memory is read in blocks of cells", {
  skip_without_engine()
  skip_if_not_installed("DelayedArray")
  counts <- kinds_of_cells()
  delayed <- DelayedArray::DelayedArray(counts)
  testthat::local_mocked_bindings(BLOCK = 50, .package = "recallpy")
  expect_identical(without_seconds(cluster_quietly(delayed, 2)), without_seconds(cluster_quietly(counts, 2)))
  chosen <- rownames(counts)[1:120]
  expect_identical(recallpy:::matrix_input(counts, chosen)[c("x", "i", "p", "genes", "totals")],
                   recallpy:::new_input(recallpy:::read_matrix(delayed, chosen, "it")$counts,
                                        recallpy:::read_matrix(delayed, chosen, "it")$totals, NULL, NULL,
                                        NULL)[c("x", "i", "p", "genes", "totals")])
})
