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
    verbose = verbose, batch = batch, features = features, assay = given$assay, layer = layer, programmes = programmes,
    alpha = alpha, external = external, all.pairs = all.pairs, merge.small = merge.small, cores = cores
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
  SummarizedExperiment::colData(object)[[given$column]] <- unname(final_labels(found, given))
  S4Vectors::metadata(object)$recall_merges[[given$column]] <- pair_record(found, given)
  object
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

sce_labels <- function(object, group.by, assay, features, batch, cluster.name = NULL) {
  for (package in c("SingleCellExperiment", "SummarizedExperiment", "S4Vectors")) refuse_absent(package)
  counts <- sce_counts(object, assay)
  columns <- SummarizedExperiment::colData(object)
  labels <- named_labels(column_of(columns, one_text(group.by, "group.by")), group.by)
  batches <- if (is.null(batch)) NULL else column_of(columns, batch)
  cells <- if (is.null(colnames(object))) as.character(seq_len(ncol(object))) else colnames(object)
  readable <- matrix_readable(counts, cells, features, batches, batch, paste0("assay '", assay, "'"))
  column <- if (is.null(cluster.name)) paste0(group.by, "_merged") else one_text(cluster.name, "cluster.name")
  c(labels_given(readable, labels, column), list(start_column = group.by))
}

matrix_labels <- function(counts, group.by, features, batch) {
  refuse_no_genes(counts)
  if (length(group.by) != ncol(counts)) {
    refuse("group.by has ", length(group.by), " labels for ", ncol(counts), " cells; pass one label for each column.")
  }
  if (!is.null(batch) && length(batch) != ncol(counts)) {
    refuse("batch has ", length(batch), " values for ", ncol(counts), " cells; pass one for each column.")
  }
  cells <- if (is.null(colnames(counts))) as.character(seq_len(ncol(counts))) else colnames(counts)
  readable <- matrix_readable(counts, cells, features, batch, if (!is.null(batch)) "batch", "the matrix")
  c(labels_given(readable, named_labels(group.by, "group.by"), "merged"), list(start_column = "group.by"))
}

matrix_readable <- function(counts, cells, features, batches, batch, where) {
  if (anyDuplicated(rownames(counts))) {
    refuse("Gene names are not unique: ", listed(unique(rownames(counts)[duplicated(rownames(counts))])),
           ". Mend them: make.unique(rownames(...))")
  }
  chosen <- pick(features, rownames(counts))
  list(
    cells = cells, batches = batches_of(batches, batch), batch_key = batch,
    read = function(positions) {
      read <- read_matrix(counts[, positions + 1, drop = FALSE], chosen, where)$counts
      list(x = array(read@x), i = array(read@i), p = array(read@p), genes = as.list(rownames(read)),
           cells = as.list(cells[positions + 1]), selection = selection_of(features), source = "X")
    }
  )
}
