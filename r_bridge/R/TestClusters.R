# Tests of given labels: which pairs are told apart by genes that beat null genes.

TestClusters <- function(seurat_obj, ...) UseMethod("TestClusters")

TestClusters.Seurat <- function(seurat_obj, group.by, external = FALSE, null_method = "ZIP", assay = "RNA", cores = 1,
                                seed = 0, q = 0.05, pair_test = NULL, batch = NULL, features = NULL, layer = "counts",
                                verbose = TRUE, ...) {
  asked <- tests_asked_for(external, null_method, cores, seed, q, pair_test, ...)
  input <- seurat_input(seurat_obj, assay, layer, features, batch)
  say(input$notes, verbose)
  labels <- if (identical(group.by, "ident")) SeuratObject::Idents(seurat_obj) else column_of(seurat_obj[[]], group.by)
  test_input(input, labels[match(input$cells, colnames(seurat_obj))], group.by, asked)
}

TestClusters.SingleCellExperiment <- function(seurat_obj, group.by, external = FALSE, null_method = "ZIP",
                                              assay = "counts", cores = 1, seed = 0, q = 0.05, pair_test = NULL,
                                              batch = NULL, features = NULL, ...) {
  asked <- tests_asked_for(external, null_method, cores, seed, q, pair_test, ...)
  input <- sce_input(seurat_obj, assay, features, batch)
  test_input(input, column_of(SummarizedExperiment::colData(seurat_obj), group.by), group.by, asked)
}

TestClusters.dgCMatrix <- function(seurat_obj, group.by, external = FALSE, null_method = "ZIP", assay = NULL,
                                   cores = 1, seed = 0, q = 0.05, pair_test = NULL, batch = NULL, features = NULL,
                                   ...) {
  asked <- tests_asked_for(external, null_method, cores, seed, q, pair_test, ...)
  if (length(group.by) != ncol(seurat_obj)) {
    stop("group.by has ", length(group.by), " labels for ", ncol(seurat_obj), " cells; pass one label for each column.",
         call. = FALSE)
  }
  test_input(matrix_input(seurat_obj, features, batch), group.by, "group.by", asked)
}

# Matrices of other kinds, on disk as well, are converted as they are read.
TestClusters.default <- function(seurat_obj, ...) {
  refuse_no_matrix(seurat_obj, "TestClusters")
  TestClusters.dgCMatrix(seurat_obj, ...)
}

tests_asked_for <- function(external, null_method, cores, seed, q, pair_test, offset = 1, n_draws = NULL,
                            min_auc = 0.5, exact_below = 10, n_top_genes = 2000, ...) {
  refuse_unknown(list(...), c("offset", "n_draws", "min_auc", "exact_below", "n_top_genes"))
  if (identical(pair_test, "knockoff") && !isTRUE(external)) {
    stop("Knockoff genes can calibrate only labels that they helped to form: labels found on the same expression data ",
         "keep all of its double dipping. If these labels come from elsewhere (sorting, genotype, hashtags), pass ",
         "external = TRUE; otherwise leave pair_test out, for synthetic nulls.", call. = FALSE)
  }
  list(
    options = list(external = isTRUE(external), null_method = null_method, fdr = q, offset = whole(offset),
                   pair_test = pair_test, n_draws = whole(n_draws), min_auc = min_auc,
                   exact_below = whole(exact_below), random_state = whole(seed), n_jobs = whole(cores)),
    n_top_genes = whole(n_top_genes)
  )
}

test_input <- function(input, labels, named, asked) {
  if (anyNA(labels)) {
    stop("'", named, "' has no label for ", sum(is.na(labels)), " cells. Leave those cells out first.", call. = FALSE)
  }
  labels <- as.character(labels)
  if (length(unique(labels)) < 2) {
    stop("'", named, "' has one label; at least two are needed to test a pair.", call. = FALSE)
  }
  found <- call_engine("test", python_matrix(input), as.list(labels), asked$options, n_top_genes = asked$n_top_genes)
  record <- record_of(found, input)
  structure(record$pairs, recall = record)
}
