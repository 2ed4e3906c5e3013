original <- list(
  resolution_start = 0.8, reduction_percentage = 0.2, num_clusters_start = 20, dims = 1:10, algorithm = "louvain",
  null_method = "ZIP", assay = "RNA", cores = 1, shared_memory_max = 8000 * 1024^2, verbose = TRUE
)

test_that("arguments and defaults are the original's, position by position", {
  found <- formals(getS3method("FindClustersRecall", "Seurat"))
  expect_equal(names(found)[1], "seurat_obj")
  expect_equal(names(found)[1 + seq_along(original)], names(original))
  expect_equal(lapply(found[1 + seq_along(original)], eval), original)
})

test_that("labels are in the metadata and are the identities, in numeric order", {
  skip_without_seurat()
  object <- as_seurat(kinds_of_cells(12, each = 30, n_genes = 330, markers = 25))
  found <- cluster_quietly(object, 2)
  labels <- found@meta.data$recall_clusters
  expect_s3_class(labels, "factor")
  expect_gt(nlevels(labels), 10)
  expect_equal(levels(labels), as.character(seq(0, nlevels(labels) - 1)))
  expect_equal(unname(SeuratObject::Idents(found)), unname(labels))
  expect_equal(names(SeuratObject::Idents(found)), colnames(object))
  expect_false(is.unsorted(rev(table(labels))))
  expect_equal(rand_index(labels, rep(1:12, each = 30)), 1)
})

test_that("the record holds the search, and the object is otherwise unchanged", {
  skip_without_seurat()
  object <- quietly({
    object <- Seurat::NormalizeData(as_seurat(kinds_of_cells()), verbose = FALSE)
    object <- Seurat::ScaleData(object, verbose = FALSE)
    object <- Seurat::RunPCA(object, npcs = 5, verbose = FALSE)
    Seurat::FindNeighbors(object, dims = 1:5, verbose = FALSE)
  })
  object@misc$mine <- "kept"
  before <- object
  found <- cluster_quietly(object)
  expect_otherwise_unchanged(before, found)
  expect_identical(object, before)
  record <- SeuratObject::Misc(found, "recall")
  expect_true(record$converged)
  expect_equal(record$resolution, RecallIterations(found)$level[nrow(RecallIterations(found))])
  expect_equal(record$pairs, RecallPairs(found))
  expect_s3_class(RecallMarkers(found), "data.frame")
  expect_true(all(RecallMarkers(found)$gene %in% rownames(object)))
  command <- found@commands[["FindClustersRecall.RNA"]]
  expect_equal(command$resolution_start, 0.8)
  expect_equal(SeuratObject::Command(found, "FindClustersRecall.RNA", "null_method"), "ZIP")
})

test_that("a second run takes the place of the first", {
  skip_without_seurat()
  first <- cluster_quietly(as_seurat(kinds_of_cells()))
  second <- cluster_quietly(first, 2, algorithm = "leiden")
  expect_otherwise_unchanged(as_seurat(kinds_of_cells()), second)
  expect_equal(RecallIterations(second)$level[1], 2)
})

test_that("a run with the same seed gives the same labels, with any number of cores", {
  skip_without_seurat()
  object <- as_seurat(kinds_of_cells(4, n_genes = 200))
  one <- cluster_quietly(object, 3, seed = 5)
  two <- cluster_quietly(object, 3, seed = 5, cores = 2)
  expect_identical(one$recall_clusters, two$recall_clusters)
  expect_identical(RecallMarkers(one), RecallMarkers(two))
})

test_that("R's random numbers are left alone", {
  skip_without_seurat()
  object <- as_seurat(kinds_of_cells())
  set.seed(3)
  expected <- stats::runif(2)
  set.seed(3)
  first <- stats::runif(1)
  cluster_quietly(object)
  expect_equal(c(first, stats::runif(1)), expected)
})

test_that("verbose tells each step, and FALSE tells nothing", {
  skip_without_seurat()
  object <- as_seurat(kinds_of_cells())
  expect_message(suppressWarnings(FindClustersRecall(object)), "resolution 0.8: 3 clusters, 0 of 3 pairs fail")
  expect_silent(suppressWarnings(FindClustersRecall(object, verbose = FALSE)))
})

test_that("a start at which nothing fails warns with the name that R has for it", {
  skip_without_seurat()
  expect_warning(FindClustersRecall(as_seurat(kinds_of_cells()), verbose = FALSE), "resolution_start")
})

test_that("one kind of cell gives one cluster, an empty table of pairs, and a warning", {
  skip_without_seurat()
  object <- as_seurat(kinds_of_cells(1, each = 150))
  suppressWarnings(expect_warning(found <- FindClustersRecall(object, verbose = FALSE), "One cluster is left"))
  expect_equal(levels(found$recall_clusters), "0")
  expect_equal(levels(SeuratObject::Idents(found)), "0")
  expect_equal(dim(RecallPairs(found)), c(0L, 9L))
  expect_equal(dim(RecallMarkers(found)), c(0L, 8L))
  expect_equal(nrow(RecallMarkers(found, by = "cluster")), 0)
})

test_that("every algorithm and strategy is at hand", {
  skip_without_seurat()
  object <- as_seurat(kinds_of_cells())
  truth <- rep(1:3, each = 60)
  for (algorithm in c("louvain", "leiden", "kmeans", "ward")) {
    found <- cluster_quietly(object, num_clusters_start = 5, algorithm = algorithm)
    expect_equal(rand_index(found$recall_clusters, truth), 1, info = algorithm)
  }
  merged <- cluster_quietly(object, 4, strategy = "merge")
  expect_true(any(nzchar(RecallIterations(merged)$merged)))
  within <- cluster_quietly(object, batch = "donor", null_method = "NB-depth", graph = "umap")
  expect_equal(rand_index(within$recall_clusters, truth), 1)
})
