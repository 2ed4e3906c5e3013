# Calibrated clusters: the original's arguments, position by position, then those of the Python engine.

FindClustersRecall <- function(seurat_obj, ...) UseMethod("FindClustersRecall")

FindClustersRecall.Seurat <- function(seurat_obj, resolution_start = 0.8, reduction_percentage = 0.2,
                                      num_clusters_start = 20, dims = 1:10, algorithm = "louvain", null_method = "ZIP",
                                      assay = "RNA", cores = 1, shared_memory_max = 8000 * 1024^2, verbose = TRUE,
                                      seed = 0, strategy = NULL, q = 0.05, pair_test = NULL, batch = NULL,
                                      features = NULL, layer = "counts", preset = "recall", ...) {
  call <- match.call()
  if (missing(dims)) dims <- default_dims(preset)
  asked <- asked_for(resolution_start, reduction_percentage, num_clusters_start, dims, algorithm, null_method, cores,
                     seed, strategy, q, pair_test, preset, ...)
  input <- seurat_input(seurat_obj, assay, layer, features, batch)
  say(input$notes, verbose)
  result <- cluster_input(input, asked, verbose)
  store_in_seurat(seurat_obj, result, input, list(
    resolution_start = resolution_start, reduction_percentage = reduction_percentage,
    num_clusters_start = num_clusters_start, dims = dims, algorithm = algorithm, null_method = null_method,
    assay = assay, cores = cores, shared_memory_max = shared_memory_max, verbose = verbose, seed = seed,
    strategy = strategy, q = q, pair_test = pair_test, batch = batch, features = features, layer = layer,
    preset = preset, ...
  ), deparse(call))
}

FindClustersRecall.SingleCellExperiment <- function(seurat_obj, resolution_start = 0.8, reduction_percentage = 0.2,
                                                    num_clusters_start = 20, dims = 1:10, algorithm = "louvain",
                                                    null_method = "ZIP", assay = "counts", cores = 1,
                                                    shared_memory_max = 8000 * 1024^2, verbose = TRUE, seed = 0,
                                                    strategy = NULL, q = 0.05, pair_test = NULL, batch = NULL,
                                                    features = NULL, preset = "recall", ...) {
  if (missing(dims)) dims <- default_dims(preset)
  asked <- asked_for(resolution_start, reduction_percentage, num_clusters_start, dims, algorithm, null_method, cores,
                     seed, strategy, q, pair_test, preset, ...)
  input <- sce_input(seurat_obj, assay, features, batch)
  result <- cluster_input(input, asked, verbose)
  store_in_sce(seurat_obj, result)
}

FindClustersRecall.dgCMatrix <- function(seurat_obj, resolution_start = 0.8, reduction_percentage = 0.2,
                                         num_clusters_start = 20, dims = 1:10, algorithm = "louvain",
                                         null_method = "ZIP", assay = NULL, cores = 1,
                                         shared_memory_max = 8000 * 1024^2, verbose = TRUE, seed = 0, strategy = NULL,
                                         q = 0.05, pair_test = NULL, batch = NULL, features = NULL, preset = "recall",
                                         ...) {
  if (missing(dims)) dims <- default_dims(preset)
  asked <- asked_for(resolution_start, reduction_percentage, num_clusters_start, dims, algorithm, null_method, cores,
                     seed, strategy, q, pair_test, preset, ...)
  result <- cluster_input(matrix_input(seurat_obj, features, batch), asked, verbose)
  structure(result$labels, recall = result$record)
}

# Matrices of other kinds, on disk as well, are converted as they are read.
FindClustersRecall.default <- function(seurat_obj, ...) {
  refuse_no_matrix(seurat_obj, "FindClustersRecall")
  FindClustersRecall.dgCMatrix(seurat_obj, ...)
}

# The number of components: the original's ten, or those above the noise where the preset says so.
default_dims <- function(preset) if (identical(preset, "recall")) 1:10 else "auto"

# Arguments of the engine, under its names.
asked_for <- function(resolution_start, reduction_percentage, num_clusters_start, dims, algorithm, null_method, cores,
                      seed, strategy, q, pair_test, preset, offset = 1, n_draws = NULL, min_auc = NULL,
                      exact_below = NULL, max_iterations = 50, raise_start = FALSE, n_top_genes = 2000, graph = NULL,
                      knockoffs = NULL, ...) {
  refuse_unknown(list(...), c("offset", "n_draws", "min_auc", "exact_below", "max_iterations", "raise_start",
                              "n_top_genes", "graph", "knockoffs"))
  by_number <- algorithm %in% c("kmeans", "ward")
  list(
    options = list(
      start = if (by_number) whole(num_clusters_start) else resolution_start, algorithm = algorithm,
      reduction = reduction_percentage, dims = n_dims(dims), null_method = null_method, fdr = q,
      offset = whole(offset), strategy = strategy, pair_test = pair_test, n_draws = whole(n_draws), min_auc = min_auc,
      exact_below = whole(exact_below), max_iterations = whole(max_iterations), raise_start = raise_start,
      preset = preset, graph = graph, seed = whole(seed), n_jobs = whole(cores)
    ),
    n_top_genes = whole(n_top_genes),
    knockoffs = knockoffs
  )
}

refuse_unknown <- function(dots, known) {
  if (!length(dots)) return(invisible())
  named <- names(dots)
  if (is.null(named) || !all(nzchar(named))) stop("There are more unnamed arguments than this function has.", call. = FALSE)
  stop("Unknown argument ", paste(named, collapse = ", "), ". Beside the documented ones these are known: ",
       paste(known, collapse = ", "), ".", call. = FALSE)
}

whole <- function(number) {
  if (is.null(number)) return(NULL)
  name <- deparse(substitute(number))
  if (!is.numeric(number) || length(number) != 1 || is.na(number) || number != round(number)) {
    stop(name, " is ", paste(format(number), collapse = ", "), "; one whole number is needed.", call. = FALSE)
  }
  as.integer(number)
}

n_dims <- function(dims) {
  if (identical(dims, "auto")) return(dims)
  if (!is.numeric(dims) || !length(dims) || !identical(as.numeric(dims), as.numeric(seq_along(dims)))) {
    stop("dims is ", paste(format(dims), collapse = ", "), "; pass the first components, such as dims = 1:10.",
         call. = FALSE)
  }
  length(dims)
}
