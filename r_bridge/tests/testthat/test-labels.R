test_that("labels of the data's own clustering are tested against synthetic nulls", {
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
  expect_error(RecallIterations(good), "TestClusters makes no search")
})

test_that("labels from elsewhere are tested against knockoffs, every pair", {
  skip_without_seurat()
  object <- as_seurat(kinds_of_cells(4, n_genes = 200))
  object$gate <- rep(c("w", "x", "y", "z"), each = 60)
  found <- TestClusters(object, "gate", external = TRUE)
  expect_equal(nrow(found), 6)
  expect_true(all(found$passes))
  expect_equal(attr(found, "recall")$params$pair_test, "knockoff")
  expect_error(TestClusters(object, "gate", pair_test = "knockoff"), "external = TRUE")
})

test_that("identities can be tested, and bad labels are refused", {
  skip_without_seurat()
  object <- cluster_quietly(as_seurat(kinds_of_cells()), 2)
  expect_equal(TestClusters(object, "ident"), TestClusters(object, "recall_clusters"))
  expect_error(TestClusters(object, "nosuch"), "no column 'nosuch'.*There are: ")
  object$one <- "a"
  expect_error(TestClusters(object, "one"), "has one label")
  object$hole <- replace(object$donor, 3, NA)
  expect_error(TestClusters(object, "hole"), "no label for 1 cells")
  expect_error(FindClustersRecall(object, batch = "hole"), "no value for 1 cells")
})

test_that("an object without a result says how to make one", {
  skip_without_seurat()
  expect_error(RecallPairs(as_seurat(kinds_of_cells())), "obj <- FindClustersRecall\\(obj\\)")
})
