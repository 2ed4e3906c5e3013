test_that("labels of the data's own clustering are tested against null cells of one population", {
  skip_without_seurat()
  object <- as_seurat(kinds_of_cells(each = 100))
  kind <- rep(1:3, each = 100)
  object$good <- kind
  object$split <- ifelse(kind == 1, rep(c("1a", "1b"), 150), kind) # by turns, as the donors: no kind of cell
  before <- object
  good <- TestClusters(object, "good")
  expect_true(all(good$passes))
  found <- TestClusters(object, "split")
  within <- found$group %in% c("1a", "1b") & found$reference %in% c("1a", "1b")
  expect_equal(sum(within), 1)
  expect_false(found$passes[within])
  expect_identical(object, before)
  expect_true(all(RecallMarkers(good)$gene %in% rownames(object)))
  expect_equal(nrow(RecallPairs(good)), 3)
  expect_error(RecallIterations(good), "TestClusters makes no search")
  expect_error(ClusterMerges(good), "TestClusters merges nothing")
})

test_that("labels from elsewhere, and every pair", {
  skip_without_seurat()
  object <- as_seurat(kinds_of_cells(5, n_genes = 240))
  object$gate <- rep(letters[1:5], each = 60)
  found <- TestClusters(object, "gate", external = TRUE, all.pairs = TRUE)
  expect_equal(nrow(found), 10)
  expect_true(all(found$passes))
})

test_that("bad labels and arguments of the filter are refused", {
  skip_without_seurat()
  object <- as_seurat(kinds_of_cells())
  expect_error(TestClusters(object, "nosuch"), "no column 'nosuch'.*There are: ")
  object$one <- "a"
  expect_error(TestClusters(object, "one"), "'one' has one label")
  object$hole <- replace(object$donor, 3, NA)
  expect_error(TestClusters(object, "hole"), "no label for 1 cells")
  expect_error(TestClusters(object, "donor", batch = "hole"), "no value for 1 cells")
  expect_error(FindClustersRecall(object, batch = "hole"), "no value for 1 cells")
  expect_error(TestClusters(object, "donor", pair_test = "knockoff"), "takes no pair_test any more")
  expect_error(TestClusters(object, "donor", seed = 3), "random.seed")
  expect_error(TestClusters(object, "donor", graph.name = "nosuch"), "no graph 'nosuch', nor any other")
  expect_error(TestClusters(kinds_of_cells(), 1:3), "3 labels for 180 cells")
})

test_that("an object without a result says how to make one", {
  skip_without_seurat()
  expect_error(RecallPairs(as_seurat(kinds_of_cells())), "obj <- FindClustersRecall\\(obj\\)")
})
