# The same labels as in Python, and from the original's knockoffs those of the original.

test_that("golden data give the labels of the Python call", {
  skip_without_seurat()
  for (name in c("pbmc68k", "celseq2_3cl", "pbmc3k_500c")) {
    data <- golden(name)
    object <- as_seurat(data$counts, data$variable)
    for (algorithm in c("louvain", "leiden")) {
      found <- cluster_quietly(object, 2, algorithm = algorithm, seed = 3)
      expected <- python_labels(data$counts, data$variable, 2, algorithm = algorithm, random_state = 3L)
      expect_identical(codes(found$recall_clusters), expected, info = paste(name, algorithm))
    }
  }
})

test_that("PBMC 3k gives the labels of the Python call, also in split layers and with NB-depth", {
  skip_without_seurat()
  counts <- pbmc3k()
  object <- quietly(SeuratObject::CreateSeuratObject(counts))
  variable <- quietly(SeuratObject::VariableFeatures(Seurat::FindVariableFeatures(object, verbose = FALSE)))
  rownames(counts) <- rownames(object) # underscores are dashes now
  SeuratObject::VariableFeatures(object) <- variable
  found <- cluster_quietly(object, 1.5)
  expect_gt(nlevels(found$recall_clusters), 3)
  expect_identical(codes(found$recall_clusters), python_labels(counts, variable, 1.5))
  object[["RNA"]] <- split(object[["RNA"]], f = rep(c("b", "a"), length.out = ncol(object)))
  SeuratObject::VariableFeatures(object) <- variable
  expect_identical(cluster_quietly(object, 1.5)$recall_clusters, found$recall_clusters)
  depth <- cluster_quietly(object, 1.5, null_method = "NB-depth")
  expect_identical(codes(depth$recall_clusters), python_labels(counts, variable, 1.5, null_method = "NB-depth"))
})

test_that("genes that the engine selects give the labels of the Python call", {
  skip_without_seurat()
  data <- golden("pbmc68k")
  ad <- reticulate::import("anndata", convert = FALSE)
  found <- cluster_quietly(SeuratObject::CreateSeuratObject(data$counts), 2, n_top_genes = 300)
  adata <- ad$AnnData(reticulate::r_to_py(data$counts)$T$tocsr())
  reticulate::import("recall_py")$tl$recall(adata, 2, n_top_genes = 300L)
  expect_identical(codes(found$recall_clusters),
                   as.integer(reticulate::py_to_r(adata$obs["recall_clusters"]$astype("int64")$tolist())))
})

test_that("the original's knockoffs give the original's clusters", {
  skip_without_seurat()
  floors <- c(celseq2_3cl = 1, pbmc3k_500c = 0.9, pbmc68k = 0.9, pbmc68k_start4 = 0.9) # as tests/test_parity.py
  for (name in names(floors)) {
    data <- golden(if (name == "pbmc68k_start4") "pbmc68k" else name)
    object <- as_seurat(data$counts, data$variable)
    genes <- intersect(rownames(data$counts), data$variable)
    found <- cluster_quietly(object, if (name == "pbmc68k_start4") 4 else 0.8, knockoffs = data$knockoffs[genes, ])
    final <- utils::read.delim(file.path(golden_folder(name), "final_labels.tsv"))$louvain
    log <- readLines(file.path(golden_folder(name), "recall_log_louvain.txt"))
    n_steps <- sum(startsWith(log, "Resolution param"))
    agreement <- rand_index(found$recall_clusters, final)
    expect_gte(agreement, floors[[name]])
    expect_lte(abs(nrow(RecallIterations(found)) - n_steps), 1)
    expect_true(SeuratObject::Misc(found, "recall")$converged)
  }
})

test_that("tests of labels are those of the Python call", {
  skip_without_seurat()
  data <- golden("pbmc68k")
  kind <- utils::read.delim(file.path(data$folder, "truth.tsv"))$truth
  chosen <- intersect(rownames(data$counts), data$variable)
  found <- TestClusters(data$counts, kind, external = TRUE, features = chosen)
  ad <- reticulate::import("anndata", convert = FALSE)
  adata <- ad$AnnData(reticulate::r_to_py(data$counts[chosen, ])$T$tocsr())
  adata$obs["kind"] <- reticulate::r_to_py(as.list(kind))
  recall <- reticulate::import("recall_py")
  recall$tl$test_clusters(adata, "kind", external = TRUE)
  expected <- recall$get$pairs(adata, "recall_test")
  # Python has labels of text in natural order, R as sort() has them, so the pairs come in another order.
  by_pair <- function(group, reference, evidence) {
    names <- mapply(function(...) paste(sort(c(...)), collapse = " / "), group, reference)
    stats::setNames(evidence, names)[order(names)]
  }
  values <- lapply(c("group", "reference", "evidence"), function(name) unlist(expected[name]$tolist()))
  expect_equal(by_pair(found$group, found$reference, found$evidence), do.call(by_pair, values))
})
