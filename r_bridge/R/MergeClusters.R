# Given labels, merged where one population would explain two as well.

MergeClusters <- function(object, ...) UseMethod("MergeClusters")

MergeClusters.Seurat <- function(object, group.by = "ident", graph.name = NULL, random.seed = 0, cluster.name = NULL,
                                 verbose = TRUE, batch = NULL, features = NULL, assay = NULL, layer = "counts",
                                 programmes = c("cell_cycle", "mitochondrial"), alpha = 0.05,
                                 external = FALSE, all.pairs = FALSE, merge.small = FALSE,
                                 cores = NULL, ...) {
  refuse_unnamed(list(...))
  refuse_unknown_names(typed_names(sys.call(), parent.frame()), names(formals()))
  options <- pair_options(random.seed, cores, programmes, alpha, external, all.pairs, merge.small)
  given <- object_labels(object, group.by, graph.name, cluster.name, assay, layer, features, batch)
  say(given$notes, one_flag(verbose, "verbose"))
  found <- compare_pairs("merge", given, options, verbose)
  store_clusters(object, given, found, "MergeClusters", list(
    group.by = group.by, graph.name = given$graph_name, random.seed = random.seed, cluster.name = given$column,
    verbose = verbose, batch = batch, features = features, assay = given$assay, layer = layer,
    programmes = as.character(programmes), alpha = alpha, external = external, all.pairs = all.pairs, merge.small = merge.small, cores = cores
  ), call_text(sys.call()))
}

MergeClusters.SingleCellExperiment <- function(object, group.by = "label", random.seed = 0, cluster.name = NULL,
                                               verbose = TRUE, batch = NULL, features = NULL, assay = "counts",
                                               programmes = c("cell_cycle", "mitochondrial"), alpha = 0.05,
                                               external = FALSE, all.pairs = FALSE,
                                               merge.small = FALSE, cores = NULL, ...) {
  refuse_unnamed(list(...))
  refuse_unknown_names(typed_names(sys.call(), parent.frame()), names(formals()))
  options <- pair_options(random.seed, cores, programmes, alpha, external, all.pairs, merge.small)
  given <- sce_labels(object, group.by, assay, features, batch, cluster.name)
  found <- compare_pairs("merge", given, options, one_flag(verbose, "verbose"))
  store_merges_in_sce(object, given, found)
}

MergeClusters.default <- function(object, group.by, random.seed = 0, verbose = TRUE, batch = NULL, features = NULL,
                                  programmes = c("cell_cycle", "mitochondrial"), alpha = 0.05,
                                  external = FALSE, all.pairs = FALSE, merge.small = FALSE,
                                  cores = NULL, ...) {
  refuse_no_matrix(object, "MergeClusters")
  refuse_unnamed(list(...))
  refuse_unknown_names(typed_names(sys.call(), parent.frame()), names(formals()))
  options <- pair_options(random.seed, cores, programmes, alpha, external, all.pairs, merge.small)
  given <- matrix_labels(object, group.by, features, batch)
  found <- compare_pairs("merge", given, options, one_flag(verbose, "verbose"))
  structure(final_labels(found, given), recall_merges = list(merged = pair_record(found, given)))
}

matrix_labels <- function(counts, group.by, features, batch) {
  refuse_no_genes(counts)
  if (!is.atomic(group.by) && !is.factor(group.by)) refuse("group.by is ", shown(group.by), "; a vector of labels is needed.")
  if (length(group.by) != ncol(counts)) {
    refuse("group.by has ", length(group.by), " labels for ", ncol(counts), " cells; pass one label for each column.")
  }
  if (!is.null(batch) && length(batch) != ncol(counts)) {
    refuse("batch has ", length(batch), " values for ", ncol(counts), " cells; pass one for each column.")
  }
  readable <- matrix_readable(counts, cells_of(counts), features, batch, if (!is.null(batch)) "batch", "the matrix")
  c(labels_given(readable, named_labels(group.by, "group.by"), "merged"), list(start_column = "group.by"))
}
