# Tests of given labels: which neighbours are told apart better than null cells of one population are.

TestClusters <- function(object, ...) UseMethod("TestClusters")

TestClusters.Seurat <- function(object, group.by = "ident", external = FALSE, graph.name = NULL, random.seed = 0,
                                verbose = TRUE, batch = NULL, features = NULL, assay = NULL, layer = "counts",
                                programmes = c("cell_cycle", "mitochondrial"), alpha = 0.05, all.pairs = FALSE,
                                cores = NULL, ...) {
  refuse_of_filter(typed_names(sys.call(), parent.frame()), names(formals()), list(...))
  options <- pair_options(random.seed, cores, programmes, alpha, external, all.pairs)
  given <- object_labels(object, group.by, graph.name, NULL, assay, layer, features, batch)
  say(given$notes, one_flag(verbose, "verbose"))
  tested_table(compare_pairs("test", given, options, verbose = FALSE), given)
}

TestClusters.SingleCellExperiment <- function(object, group.by = "label", external = FALSE, random.seed = 0,
                                              batch = NULL, features = NULL, assay = "counts",
                                              programmes = c("cell_cycle", "mitochondrial"), alpha = 0.05,
                                              all.pairs = FALSE, cores = NULL, ...) {
  refuse_of_filter(typed_names(sys.call(), parent.frame()), names(formals()), list(...))
  options <- pair_options(random.seed, cores, programmes, alpha, external, all.pairs)
  given <- sce_labels(object, group.by, assay, features, batch)
  tested_table(compare_pairs("test", given, options, verbose = FALSE), given)
}

# Matrices of all kinds, on disk as well, are converted as they are read.
TestClusters.default <- function(object, group.by, external = FALSE, random.seed = 0, batch = NULL, features = NULL,
                                 programmes = c("cell_cycle", "mitochondrial"), alpha = 0.05, all.pairs = FALSE,
                                 cores = NULL, ...) {
  refuse_no_matrix(object, "TestClusters")
  refuse_of_filter(typed_names(sys.call(), parent.frame()), names(formals()), list(...))
  options <- pair_options(random.seed, cores, programmes, alpha, external, all.pairs)
  given <- matrix_labels(object, group.by, features, batch)
  tested_table(compare_pairs("test", given, options, verbose = FALSE), given)
}

OF_THE_FILTER <- c("q", "offset", "pair_test", "null_method", "n_draws", "min_auc", "exact_below", "n_top_genes")

# Arguments of the knockoff filter, which TestClusters took once.
refuse_of_filter <- function(typed, known, dots) {
  refuse_unnamed(dots)
  gone <- paste0("TestClusters takes no ", OF_THE_FILTER, " any more: neighbouring labels are compared with null cells ",
                 "of their own. Leave it out.")
  renamed <- c(seed = "TestClusters takes random.seed, as FindClusters, in the place of seed.")
  refuse_unknown_names(typed, known, c(stats::setNames(gone, OF_THE_FILTER), renamed))
}
