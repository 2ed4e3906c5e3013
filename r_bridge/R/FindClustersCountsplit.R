# Clusters of one half of the counts, tested on the other. The original's arguments, position by position, then its seed.

FindClustersCountsplit <- function(seurat_obj, ...) UseMethod("FindClustersCountsplit")

FindClustersCountsplit.Seurat <- function(seurat_obj, resolution_start = 0.8, reduction_percentage = 0.2,
                                          num_clusters_start = 20, dims = 1:10, algorithm = "louvain",
                                          null_method = "ZIP", assay = "RNA", cores = 1,
                                          shared_memory_max = 8000 * 1024^2, verbose = TRUE, seed = 0, alpha = 0.05,
                                          max_iterations = 50, layer = "counts", ...) {
  refuse_unnamed(list(...))
  refuse_unknown_names(typed_names(sys.call(), parent.frame()), names(formals()))
  refuse_absent("Seurat")
  resolution <- one_number(resolution_start, "resolution_start", above = 0)
  reduction <- one_number(reduction_percentage, "reduction_percentage", above = 0, below = 1)
  n_dims <- n_dims_given(dims)
  algorithm <- one_of(algorithm, "algorithm", c("louvain", "leiden"))
  one_of(null_method, "null_method", NULL_METHODS)
  one_whole(num_clusters_start, "num_clusters_start", 1)
  one_whole(cores, "cores", 1)
  verbose <- one_flag(verbose, "verbose")
  seed <- one_whole(seed, "seed", 0)
  alpha <- one_number(alpha, "alpha", above = 0, below = 1)
  max_iterations <- one_whole(max_iterations, "max_iterations", 1)
  input <- seurat_input(seurat_obj, assay, one_text(layer, "layer"), rownames(seurat_obj[[known_assay(seurat_obj, assay)]]))
  n_variable <- length(SeuratObject::VariableFeatures(seurat_obj))
  folds <- halves_of(input, seed)
  train <- graph_of_half(folds[[1]], if (n_variable) n_variable else 2000, n_dims)
  test <- Seurat::NormalizeData(SeuratObject::CreateSeuratObject(folds[[2]]), verbose = FALSE)
  steps <- list()
  repeat {
    labels <- clusters_of_half(train, resolution, algorithm, seed)
    failing <- pair_without_markers(test, labels, alpha)
    steps[[length(steps) + 1]] <- data.frame(resolution = resolution, n_clusters = nlevels(labels), failing = failing)
    say(paste0("resolution ", signif(resolution, 4), ": ", nlevels(labels), " clusters, ",
               if (nzchar(failing)) paste(failing, "have no markers") else "every pair has markers"), verbose)
    if (!nzchar(failing) || length(steps) == max_iterations) break
    resolution <- (1 - reduction) * resolution
  }
  steps <- do.call(rbind, steps)
  for (text in countsplit_warnings(steps, labels)) warning(text, call. = FALSE)
  store_countsplit(seurat_obj, labels, steps, input, list(
    resolution_start = resolution_start, reduction_percentage = reduction_percentage,
    num_clusters_start = num_clusters_start, dims = dims, algorithm = algorithm, null_method = null_method,
    assay = assay, cores = cores, shared_memory_max = shared_memory_max, verbose = verbose, seed = seed, alpha = alpha,
    max_iterations = max_iterations, layer = layer
  ), call_text(sys.call()))
}

FindClustersCountsplit.default <- function(seurat_obj, ...) {
  refuse("FindClustersCountsplit takes a Seurat object, not an object of class ", class(seurat_obj)[1],
         ". For a matrix: FindClustersCountsplit(CreateSeuratObject(counts))")
}

n_dims_given <- function(dims) {
  if (identical(dims, "auto")) refuse("dims is \"auto\"; pass the first components, such as dims = 1:10.")
  n_dims(dims)
}

# Two matrices that sum to the counts: each molecule goes to either by itself.
halves_of <- function(input, seed) {
  first <- as.numeric(call_engine("half", array(input$x), seed))
  lapply(list(first, input$x - first), function(x) {
    half <- methods::new("dgCMatrix", x = x, i = input$i, p = input$p,
                         Dim = c(length(input$genes), length(input$cells)), Dimnames = list(input$genes, input$cells))
    Matrix::drop0(half)
  })
}

# Seurat's own steps, on one half alone; the genes are chosen on it too.
graph_of_half <- function(counts, n_features, n_dims) {
  object <- Seurat::NormalizeData(SeuratObject::CreateSeuratObject(counts), verbose = FALSE)
  object <- Seurat::FindVariableFeatures(object, selection.method = "vst", nfeatures = n_features, verbose = FALSE)
  object <- Seurat::ScaleData(object, verbose = FALSE)
  n_pcs <- min(50, dim(object[[SeuratObject::DefaultAssay(object)]]) - 1, length(SeuratObject::VariableFeatures(object)) - 1)
  if (n_dims > n_pcs) refuse("dims = 1:", n_dims, " are more components than these cells have; at most 1:", n_pcs, ".")
  object <- Seurat::RunPCA(object, npcs = max(2, n_dims), verbose = FALSE)
  Seurat::FindNeighbors(object, dims = seq_len(n_dims), verbose = FALSE)
}

clusters_of_half <- function(object, resolution, algorithm, seed) {
  found <- Seurat::FindClusters(object, resolution = resolution, algorithm = ALGORITHMS[[algorithm]],
                                random.seed = max(seed, algorithm == "leiden"), verbose = FALSE)
  stats::setNames(droplevels(found$seurat_clusters), colnames(object))
}

FEWEST <- 3 # cells of a cluster that can be tested

# The first pair of clusters of which no gene differs, by Wilcoxon's test with Bonferroni's correction; "" for none.
pair_without_markers <- function(object, labels, alpha) {
  SeuratObject::Idents(object) <- labels
  large <- levels(labels)[table(labels) >= FEWEST]
  for (pair in if (length(large) > 1) utils::combn(large, 2, simplify = FALSE)) {
    # Seurat says each time that presto would be faster, and warns where no gene passes its own thresholds.
    markers <- suppressMessages(suppressWarnings(
      Seurat::FindMarkers(object, ident.1 = pair[1], ident.2 = pair[2], verbose = FALSE)
    ))
    if (!any(markers$p_val_adj < alpha, na.rm = TRUE)) return(paste(pair, collapse = " and "))
  }
  ""
}

countsplit_warnings <- function(steps, labels) {
  failing <- utils::tail(steps$failing, 1)
  small <- levels(labels)[table(labels) < FEWEST]
  c(
    if (nzchar(failing)) {
      paste0("NOT CALIBRATED: the search was cut off after ", nrow(steps), " iterations; clusters ", failing,
             " have no markers. Raise max_iterations.")
    },
    if (length(small)) paste0("Too small to be tested, with fewer than ", FEWEST, " cells: ", listed(small), "."),
    if (nrow(steps) == 1 && !nzchar(failing)) {
      "No pair of clusters failed at the start, so the start may be too coarse. Pass a higher resolution_start."
    }
  )
}

store_countsplit <- function(object, labels, steps, input, params, call) {
  everywhere <- stats::setNames(labels[match(colnames(object), input$cells)], colnames(object))
  object[["countsplit_clusters"]] <- everywhere
  SeuratObject::Idents(object) <- "countsplit_clusters"
  object@misc[["countsplit"]] <- steps
  log_command(object, "FindClustersCountsplit", input$assay, params, call)
}
