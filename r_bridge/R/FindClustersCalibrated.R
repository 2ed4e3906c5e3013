# Seurat's own clusters of the graph of an object, merged where one population would explain two as well.

FindClustersCalibrated <- function(object, ...) UseMethod("FindClustersCalibrated")

FindClustersCalibrated.Seurat <- function(object, graph.name = NULL, resolution = 0.8, algorithm = 1, random.seed = 0,
                                          cluster.name = NULL, verbose = TRUE, batch = NULL, features = NULL,
                                          assay = NULL, layer = "counts", programmes = c("cell_cycle", "mitochondrial"),
                                          alpha = 0.05, cores = NULL, ...) {
  refuse_absent("Seurat")
  others <- list(...)
  refuse_unnamed(others)
  refuse_unknown_names(typed_names(sys.call(), parent.frame()), c(names(formals()), seurat_options()))
  options <- pair_options(random.seed, cores, programmes, alpha)
  given <- graph_clusters(object, graph.name, resolution, algorithm, random.seed, cluster.name, assay, layer, features,
                          batch, programmes, alpha, verbose, others)
  say(given$notes, verbose)
  found <- compare_pairs("merge", given, options, verbose)
  store_clusters(object, given, found, "FindClustersCalibrated", c(list(
    graph.name = given$graph_name, resolution = resolution, algorithm = algorithm, random.seed = random.seed,
    cluster.name = given$column, verbose = verbose, batch = batch, features = features, assay = given$assay,
    layer = layer, programmes = as.character(programmes), alpha = alpha, cores = cores
  ), others), call_text(sys.call()), c(given$column, "seurat_clusters"))
}

FindClustersCalibrated.default <- function(object, ...) refuse_no_seurat(object)

# What FindClusters takes beside what is said here.
seurat_options <- function() {
  known <- names(formals(utils::getS3method("FindClusters", "default", envir = asNamespace("Seurat"))))
  setdiff(known, c("object", "...", "method"))
}

# What the engine finds of labels, told while it goes on.
compare_pairs <- function(doing, given, options, verbose) {
  counts <- given$read(as.integer(call_engine("sampled", given$codes, given$batches, module = PAIRS)))
  fields <- c("codes", "names", "column", "start_column", "graph", "graph_name", "batches", "batch_key", "clustering")
  plain <- sapply(fields, function(field) given[[field]], simplify = FALSE)
  found <- call_engine(doing, plain, counts, options, say = if (verbose) tell,
                       tick = if (verbose && interactive()) show_pairs, module = PAIRS)
  if (doing == "merge") say(became(length(given$names), length(found$labels)), verbose)
  for (text in unlist(found$messages)) warning(text, call. = FALSE)
  found
}

# A bar as Seurat's: it stands in one line, and ends with it.
show_pairs <- function(done, known) {
  share <- done / known
  bar <- paste0(strrep("*", round(50 * share)), strrep("-", 50 - round(50 * share)))
  cat("\r|", bar, "| ", done, " of ", known, " pairs", if (done == known) "\n", sep = "", file = stderr())
  NULL
}
