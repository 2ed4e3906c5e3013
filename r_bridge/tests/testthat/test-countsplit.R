split_quietly <- function(object, ...) quietly(FindClustersCountsplit(object, ..., verbose = FALSE))

test_that("arguments and defaults are the original's, position by position", {
  original <- list(
    resolution_start = 0.8, reduction_percentage = 0.2, num_clusters_start = 20, dims = 1:10, algorithm = "louvain",
    null_method = "ZIP", assay = "RNA", cores = 1, shared_memory_max = 8000 * 1024^2, verbose = TRUE
  )
  found <- formals(getS3method("FindClustersCountsplit", "Seurat"))
  expect_equal(names(found)[1], "seurat_obj")
  expect_equal(names(found)[1 + seq_along(original)], names(original))
  expect_equal(lapply(found[1 + seq_along(original)], eval), original)
})

test_that("kinds of cells are told apart, and one kind is not split", {
  skip_without_seurat()
  object <- as_seurat(kinds_of_cells(3, each = 50))
  before <- object
  found <- split_quietly(object, 4, 0.5)
  expect_identical(object, before)
  expect_equal(rand_index(found$countsplit_clusters, rep(1:3, each = 50)), 1)
  expect_identical(SeuratObject::Idents(found), found$countsplit_clusters)
  steps <- found@misc$countsplit
  expect_equal(steps$resolution, 4 * 0.5^(seq_len(nrow(steps)) - 1))
  expect_gt(nrow(steps), 1)
  expect_match(head(steps$failing, -1), "^[0-9]+ and [0-9]+$")
  expect_equal(tail(steps$failing, 1), "")
  expect_equal(SeuratObject::Command(found, "FindClustersCountsplit", "resolution_start"), 4)
  one <- split_quietly(as_seurat(kinds_of_cells(1, each = 150)), 1.5, 0.5)
  expect_equal(nlevels(one$countsplit_clusters), 1)
})

test_that("halves sum to the counts, and are those of the seed", {
  skip_without_seurat()
  counts <- kinds_of_cells()
  input <- seurat_input(as_seurat(counts), "RNA", "counts", rownames(counts))
  folds <- halves_of(input, 3L)
  expect_equal(as.matrix(folds[[1]] + folds[[2]]), as.matrix(counts))
  expect_lt(abs(sum(folds[[1]]) / sum(counts) - 0.5), 0.02)
  expect_identical(halves_of(input, 3L), folds)
  expect_false(identical(halves_of(input, 4L), folds))
})

test_that("what is found by Leiden, and what a search that is cut off says", {
  skip_without_seurat()
  object <- as_seurat(kinds_of_cells(2, each = 40))
  found <- split_quietly(object, 1, algorithm = "leiden", seed = 1)
  expect_equal(rand_index(found$countsplit_clusters, rep(1:2, each = 40)), 1)
  expect_warning(
    expect_warning(FindClustersCountsplit(object, 3, 0.01, verbose = FALSE, max_iterations = 1),
                   "NOT CALIBRATED: the search was cut off after 1"),
    "Too small to be tested"
  )
})

test_that("what cannot be done is refused", {
  skip_without_seurat()
  object <- as_seurat(kinds_of_cells(2, each = 20))
  expect_error(FindClustersCountsplit(object, algorithm = "kmeans"), "Available: louvain, leiden")
  expect_error(FindClustersCountsplit(object, resolution_start = 0), "resolution_start is 0; one number above 0")
  expect_error(FindClustersCountsplit(object, q = 0.1), "Unknown argument q")
  expect_error(FindClustersCountsplit(object, dims = 2:4), "pass the first components")
  expect_error(FindClustersCountsplit(object, dims = 1:400), "more components than these cells have")
  expect_error(FindClustersCountsplit(kinds_of_cells()), "takes a Seurat object")
})
