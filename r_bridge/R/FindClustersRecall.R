# The original: knockoff genes clustered beside the real ones. Its arguments, position by position, then the engine's.

FindClustersRecall <- function(seurat_obj, ...) UseMethod("FindClustersRecall")

FindClustersRecall.Seurat <- function(seurat_obj, resolution_start = 0.8, reduction_percentage = 0.2,
                                      num_clusters_start = 20, dims = 1:10, algorithm = "louvain", null_method = "ZIP",
                                      assay = "RNA", cores = 1, shared_memory_max = 8000 * 1024^2, verbose = TRUE,
                                      seed = 0, strategy = NULL, q = 0.05, batch = NULL, features = NULL,
                                      layer = "counts", ...) {
  refuse_of_others(typed_names(sys.call(), parent.frame()), names(formals()), list(...))
  asked <- asked_for(resolution_start, reduction_percentage, num_clusters_start, dims, algorithm, null_method, cores,
                     seed, strategy, q, verbose, ...)
  input <- seurat_input(seurat_obj, assay, one_text(layer, "layer"), features, batch)
  for (text in integration_in(seurat_obj)) warning(text, call. = FALSE)
  say(input$notes, verbose)
  result <- cluster_input(input, asked, verbose)
  store_in_seurat(seurat_obj, result, input, list(
    resolution_start = resolution_start, reduction_percentage = reduction_percentage,
    num_clusters_start = num_clusters_start, dims = dims, algorithm = algorithm, null_method = null_method,
    assay = assay, cores = cores, shared_memory_max = shared_memory_max, verbose = verbose, seed = seed,
    strategy = strategy, q = q, batch = batch, features = features, layer = layer, ...
  ), call_text(sys.call()))
}

FindClustersRecall.SingleCellExperiment <- function(seurat_obj, resolution_start = 0.8, reduction_percentage = 0.2,
                                                    num_clusters_start = 20, dims = 1:10, algorithm = "louvain",
                                                    null_method = "ZIP", assay = "counts", cores = 1,
                                                    shared_memory_max = 8000 * 1024^2, verbose = TRUE, seed = 0,
                                                    strategy = NULL, q = 0.05, batch = NULL, features = NULL, ...) {
  refuse_of_others(typed_names(sys.call(), parent.frame()), names(formals()), list(...))
  asked <- asked_for(resolution_start, reduction_percentage, num_clusters_start, dims, algorithm, null_method, cores,
                     seed, strategy, q, verbose, ...)
  input <- sce_input(seurat_obj, assay, features, batch)
  result <- cluster_input(input, asked, verbose)
  store_in_sce(seurat_obj, result)
}

FindClustersRecall.dgCMatrix <- function(seurat_obj, resolution_start = 0.8, reduction_percentage = 0.2,
                                         num_clusters_start = 20, dims = 1:10, algorithm = "louvain",
                                         null_method = "ZIP", assay = NULL, cores = 1,
                                         shared_memory_max = 8000 * 1024^2, verbose = TRUE, seed = 0, strategy = NULL,
                                         q = 0.05, batch = NULL, features = NULL, ...) {
  refuse_of_others(typed_names(sys.call(), parent.frame()), names(formals()), list(...))
  asked <- asked_for(resolution_start, reduction_percentage, num_clusters_start, dims, algorithm, null_method, cores,
                     seed, strategy, q, verbose, ...)
  input <- matrix_input(seurat_obj, features, batch)
  result <- cluster_input(input, asked, verbose)
  structure(result$labels, recall = result$record)
}

# Matrices of other kinds, on disk as well, are converted as they are read.
FindClustersRecall.default <- function(seurat_obj, ...) {
  refuse_no_matrix(seurat_obj, "FindClustersRecall")
  FindClustersRecall.dgCMatrix(seurat_obj, ...)
}

NULL_METHODS <- c("ZIP", "NB", "NB-depth", "permutation", "ZIP-copula", "NB-copula", "Poisson-copula",
                  "Gaussian-copula")
OF_THE_ENGINE <- c("offset", "n_draws", "min_auc", "exact_below", "max_iterations", "raise_start", "n_top_genes",
                   "graph", "knockoffs")

# Arguments that are of other functions, or were once of this one; R would take some of them for others.
refuse_of_others <- function(typed, known, dots) {
  calibrated <- "For null cells of each pair of clusters, on the object's own graph: FindClustersCalibrated(obj)"
  hints <- list(
    preset = paste0("FindClustersRecall takes no preset: it is the original. ", calibrated),
    pair_test = paste0("FindClustersRecall takes no pair_test: it tests with knockoff genes, as the original. ", calibrated),
    reduction = paste0("FindClustersRecall takes no reduction: knockoff genes need components of their own. ",
                       "To cluster on a reduction, make its graph: obj <- FindNeighbors(obj, reduction = \"...\", ",
                       "dims = 1:10), then FindClustersCalibrated(obj)"),
    resolution = "FindClustersRecall takes resolution_start in the place of resolution.",
    random.seed = "FindClustersRecall takes seed in the place of random.seed."
  )
  refuse_unnamed(dots)
  refuse_unknown_names(typed, c(known, OF_THE_ENGINE), hints)
}

# Arguments of the engine, under its names.
asked_for <- function(resolution_start, reduction_percentage, num_clusters_start, dims, algorithm, null_method, cores,
                      seed, strategy, q, verbose, offset = 1, n_draws = NULL, min_auc = NULL, exact_below = NULL,
                      max_iterations = 50, raise_start = FALSE, n_top_genes = 2000, graph = NULL, knockoffs = NULL,
                      ...) {
  one_flag(verbose, "verbose")
  algorithm <- one_of(algorithm, "algorithm", c("louvain", "leiden", "kmeans", "ward"))
  by_number <- algorithm %in% c("kmeans", "ward")
  n_start <- one_whole(num_clusters_start, "num_clusters_start", 1)
  resolution_start <- one_number(resolution_start, "resolution_start", above = 0)
  if_given <- function(value, check, ...) if (is.null(value)) NULL else check(value, ...)
  list(
    options = list(
      start = if (by_number) n_start else resolution_start, algorithm = algorithm,
      reduction = one_number(reduction_percentage, "reduction_percentage", above = 0, below = 1),
      dims = n_dims(dims), null_method = one_of(null_method, "null_method", NULL_METHODS),
      fdr = one_number(q, "q", above = 0, most = 1), offset = one_whole(offset, "offset", 0),
      strategy = if_given(strategy, one_of, "strategy", c("resolution", "merge")),
      n_draws = if_given(n_draws, one_whole, "n_draws", 1), min_auc = if_given(min_auc, one_number, "min_auc", 0.5, 1),
      exact_below = if_given(exact_below, one_whole, "exact_below", 0),
      max_iterations = one_whole(max_iterations, "max_iterations", 1), raise_start = one_flag(raise_start, "raise_start"),
      graph = if_given(graph, one_of, "graph", c("snn", "umap")), seed = one_whole(seed, "seed", 0),
      n_jobs = one_whole(cores, "cores", 1)
    ),
    n_top_genes = one_whole(n_top_genes, "n_top_genes", 1),
    knockoffs = knockoffs
  )
}

n_dims <- function(dims) {
  if (identical(dims, "auto")) return(dims)
  if (!is.numeric(dims) || !length(dims) || !identical(as.numeric(dims), as.numeric(seq_along(dims)))) {
    refuse("dims is ", shown(dims), "; pass the first components, such as dims = 1:10.")
  }
  length(dims)
}
