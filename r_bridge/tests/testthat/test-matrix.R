test_that("a dgCMatrix gives a factor named by cells, with the record", {
  skip_without_engine()
  counts <- kinds_of_cells()
  before <- counts
  before@x <- counts@x + 0 # a copy of the vectors
  found <- cluster_quietly(counts, 2)
  expect_identical(counts, before)
  expect_equal(names(found), colnames(counts))
  expect_equal(levels(found), c("0", "1", "2"))
  expect_equal(rand_index(found, rep(1:3, each = 60)), 1)
  expect_equal(RecallIterations(found)$n_clusters[nrow(RecallIterations(found))], 3)
  expect_true(all(RecallPairs(found)$passes))
})

test_that("every kind of matrix gives the same", {
  skip_without_engine()
  counts <- kinds_of_cells()
  expected <- without_seconds(cluster_quietly(counts, 2))
  integers <- as.matrix(counts)
  storage.mode(integers) <- "integer"
  kinds <- list(as.matrix(counts), integers, methods::as(counts, "RsparseMatrix"), methods::as(counts, "TsparseMatrix"))
  for (same in kinds) expect_identical(without_seconds(cluster_quietly(same, 2)), expected, info = class(same)[1])
})

test_that("a SingleCellExperiment gets labels, colLabels and the record, and is otherwise unchanged", {
  skip_without_engine()
  skip_if_not_installed("SingleCellExperiment")
  counts <- kinds_of_cells()
  object <- SingleCellExperiment::SingleCellExperiment(list(counts = counts),
                                                       colData = data.frame(donor = rep(c("a", "b"), 90)))
  found <- cluster_quietly(object, 2)
  expect_equal(unname(found$recall_clusters), unname(cluster_quietly(counts, 2)), ignore_attr = TRUE)
  expect_equal(SingleCellExperiment::colLabels(found), found$recall_clusters)
  expect_equal(nrow(RecallPairs(found)), 3)
  expect_identical(SummarizedExperiment::assay(found), counts)
  expect_identical(found$donor, object$donor)
  expect_equal(nrow(TestClusters(found)), 3)
  expect_error(FindClustersRecall(object, assay = "logcounts"), "no assay 'logcounts'. It has: counts")
})

test_that("what is no matrix of counts is refused with what was found", {
  expect_error(FindClustersRecall(1:3), "not an object of class integer")
  expect_error(FindClustersRecall(data.frame(a = 1)), "class data.frame")
  counts <- kinds_of_cells()
  broken <- counts
  broken@x[2] <- 0.5
  expect_error(FindClustersRecall(broken), "not integers, such as 0.5")
  broken@x[2] <- -1
  expect_error(FindClustersRecall(broken), "negative values")
  broken@x[2] <- NA
  expect_error(FindClustersRecall(broken), "missing values")
  empty <- counts
  empty[, 2] <- 0
  expect_error(FindClustersRecall(Matrix::drop0(empty)), "1 cell has no counts in the 150 selected genes: cell2")
  expect_error(FindClustersRecall(counts[, 1, drop = FALSE]), "at least two")
  expect_error(FindClustersRecall(unname(counts)), "row names")
  turned <- Matrix::t(counts)
  rownames(turned) <- paste0(vapply(seq_len(nrow(turned)), function(at) paste(rep(c("A", "C", "G"), length.out = 8 + at %% 9),
                                                                             collapse = ""), ""), "-", seq_len(nrow(turned)))
  expect_error(FindClustersRecall(turned), "cells in its rows .* Turn it: Matrix::t\\(counts\\)")
  twice <- counts
  rownames(twice)[2] <- "gene1"
  expect_error(FindClustersRecall(twice), "not unique: gene1")
  expect_error(FindClustersRecall(counts, features = c("gene1", "nosuch")), "1 of the features.*nosuch")
})

test_that("arguments that cannot be are refused in R's words", {
  skip_without_engine()
  counts <- kinds_of_cells()
  expect_error(FindClustersRecall(counts, n_neighbors = 2), "Unknown argument n_neighbors")
  expect_error(FindClustersRecall(counts, dims = 2:10), "dims = 1:10")
  expect_error(FindClustersRecall(counts, cores = 1.5), "cores is 1.5; one whole number")
  expect_error(FindClustersRecall(counts, null_method = "zip"), "Available: ")
  expect_error(FindClustersRecall(counts, algorithm = "hierarchical"), "louvain, leiden, kmeans, ward")
  expect_error(FindClustersRecall(counts, preset = "calibrated"), "no preset: it is the original.*FindClustersCalibrated")
  expect_error(FindClustersRecall(counts, pair_test = "synthetic"), "no pair_test.*FindClustersCalibrated")
  expect_error(FindClustersRecall(counts, q = 2), "q is 2; one number above 0 and up to 1")
  expect_error(FindClustersRecall(counts, cores = 0), "cores is 0; one whole number from 1 on")
  expect_error(FindClustersRecall(counts, seed = -1), "seed is -1; one whole number from 0 on")
  expect_error(FindClustersRecall(counts, resolution_start = c(1, 2)), "resolution_start is 1, 2; one number above 0")
  expect_error(FindClustersRecall(counts, verbose = NA), "verbose is NA; TRUE or FALSE")
  expect_error(FindClustersRecall(counts, reduction = "pca"), "takes no reduction.*FindNeighbors")
  expect_error(FindClustersRecall(counts, res = 2), "Unknown argument res. Did you mean resolution_start")
  expect_error(FindClustersRecall(counts[1:10, ], dims = 1:5), "10 genes are too few: with q = 0.05 and offset = 1")
  expect_error(FindClustersRecall(counts, batch = "a"), "batch has 1 values for 180 cells")
  expect_error(FindClustersRecall(counts, knockoffs = counts[1:3, ]), "knockoffs has 3 x 180 entries")
})

test_that("errors of the engine come as a sentence with R's names and values", {
  said <- tryCatch(FindClustersRecall(kinds_of_cells(), dims = 1:500), error = conditionMessage)
  expect_match(said, "^150 genes and 180 cells are too few for 500 principal components. Pass fewer: dims = 1:75.$")
  expect_equal(recallpy:::without_class("ValueError: a: b.\nTraceback"), "a: b.")
})
