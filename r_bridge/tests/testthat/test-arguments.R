# Wrong calls by the dozen: each is refused in R's words before Python is asked for anything.

test_that("what cannot be is refused before Python starts", {
  skip_without_seurat()
  testthat::local_mocked_bindings(import = function(...) stop("Python was asked"), .package = "reticulate")
  counts <- kinds_of_cells()
  bare <- as_seurat(counts)
  object <- usual_steps(bare)
  sct <- quietly({
    sct <- Seurat::SCTransform(bare, variable.features.n = 120, verbose = FALSE)
    Seurat::FindNeighbors(Seurat::RunPCA(sct, npcs = 5, verbose = FALSE), dims = 1:5, verbose = FALSE)
  })
  SeuratObject::DefaultAssay(sct) <- "SCT"
  sct[["RNA"]] <- NULL
  refused <- function(name, arguments, said) {
    found <- tryCatch(suppressMessages(do.call(name, arguments)), error = identity)
    call <- paste(name, paste(names(arguments), collapse = " "))
    expect_match(conditionMessage(found), said, info = call, fixed = TRUE)
    expect_null(conditionCall(found), info = call)
  }
  # Of every function that has the argument: a value, and what is said of it.
  wrong <- list(
    random.seed = list(-1, NA, NULL, 1.5, "1", c(1, 2)), seed = list(-1, NA, NULL, 1.5, "1"),
    cores = list(0, NA, "all", 1.5, c(1, 2)), verbose = list(NULL, "no", NA, c(TRUE, FALSE)),
    alpha = list(0, 1, NULL, NA, "0.05", c(0.01, 0.05)), external = list(NA, "yes", NULL),
    all.pairs = list(1, NULL), merge.small = list(NA, "no"), resolution = list(c(0.4, 0.8), "0.8", NULL, NA, 0, Inf),
    resolution_start = list(c(1, 2), -1, NULL, "1"), reduction_percentage = list(0, 1, 2, NA), algorithm = list(0, "leidn", NULL, NA),
    cluster.name = list("", NA, 3, character(), c("a", "b")), graph.name = list(1, c("a", "b"), ""),
    assay = list(NA, 1, c("RNA", "ADT")), layer = list(NULL, NA, c("counts", "data")), batch = list(NA, c("donor", "depth")),
    features = list(1:3, NA, character()), group.by = list(NULL, NA, "", c("donor", "depth")), dims = list(NULL, 10, 2:5, "all"),
    null_method = list("zip", NULL), q = list(0, 2, NA), n_draws = list(0, "two"), max_iterations = list(0, NA),
    num_clusters_start = list(0, NA), knockoffs = list("x"), group.singletons = list(NA)
  )
  beside <- list(FindClustersCalibrated = "group.singletons", FindClustersRecall = c("n_draws", "max_iterations", "knockoffs"))
  n_calls <- 0
  for (name in c("FindClustersCalibrated", "MergeClusters", "TestClusters", "FindClustersRecall", "FindClustersCountsplit")) {
    taken <- c(names(formals(getS3method(name, "Seurat"))), beside[[name]])
    for (argument in intersect(names(wrong), taken)) for (value in wrong[[argument]]) {
      refused(name, c(list(object), stats::setNames(list(value), argument)), paste(argument, "is "))
      n_calls <- n_calls + 1
    }
    refused(name, list(object, n_jobs = 2), "Unknown argument n_jobs. There are: ")
    refused(name, list(object, assay = "nosuch"), "no assay 'nosuch'. It has: RNA. Pass assay = \"RNA\"")
    refused(name, list(object, layer = "nosuch"), "no layer 'nosuch'. It has: counts, data, scale.data")
    refused(name, list(object, layer = "data"), "values that are not integers")
    if ("batch" %in% taken) refused(name, list(object, batch = "nosuch"), "no column 'nosuch' in the cell metadata")
    if ("features" %in% taken) refused(name, list(object, features = "nosuch"), "no genes of this object: nosuch")
    if ("graph.name" %in% taken) refused(name, list(object, graph.name = "pca"), "no graph 'pca'. It has: RNA_nn, RNA_snn")
    if ("programmes" %in% taken) refused(name, list(object, programmes = NA), "programmes names NA. Available: ")
    refused(name, list(sct), "add them: obj[[\"RNA\"]] <- CreateAssay5Object(counts)")
    refused(name, list(1:3), "object of class integer")
  }
  expect_gt(n_calls, 150)
  refused("FindClustersCalibrated", list(object, 0.8), "graph.name is 0.8; one name is needed")
  refused("FindClustersCalibrated", list(object, batch.key = "donor"), "Did you mean batch?")
  refused("FindClustersCalibrated", list(object, seed = 1), "Did you mean random.seed?")
  refused("TestClusters", list(object, merge.small = TRUE), "Unknown argument merge.small")
  refused("MergeClusters", list(counts, 1:3), "group.by has 3 labels for 180 cells")
  refused("MergeClusters", list(counts, as.list(1:180)), "a vector of labels is needed")
  refused("FindClustersRecall", list(counts, features = 1:3), "features is 1, 2, 3; a vector of names")
})
