# Labels, their graph and the counts of few of their cells for the pair test, and its result in the object.
# This file also serves the Python entry (rpy2), so it calls neither reticulate nor message().

# What is asked of the pair test, under the names of the engine.
pair_options <- function(random.seed, cores, programmes, alpha, external = FALSE, all.pairs = FALSE, merge.small = TRUE) {
  list(seed = one_whole(random.seed, "random.seed", 0), n_jobs = threads(cores), programmes = some_programmes(programmes),
       alpha = one_number(alpha, "alpha", above = 0, below = 1), external = one_flag(external, "external"),
       all_pairs = one_flag(all.pairs, "all.pairs"), merge_small = one_flag(merge.small, "merge.small"))
}

# Clusters of Seurat's own on the graph of the object.
graph_clusters <- function(object, graph.name = NULL, resolution = 0.8, algorithm = 1, random.seed = 0,
                           cluster.name = NULL, assay = NULL, layer = "counts", features = NULL, batch = NULL,
                           programmes = character(), alpha = 0.05, verbose = TRUE, others = list()) {
  refuse_no_seurat(object)
  refuse_absent("Seurat")
  resolution <- one_number(resolution, "resolution", above = 0)
  algorithm <- algorithm_number(algorithm)
  random.seed <- one_whole(random.seed, "random.seed", 0)
  verbose <- one_flag(verbose, "verbose")
  if (!is.null(others$group.singletons) && !one_flag(others$group.singletons, "group.singletons")) {
    refuse("group.singletons = FALSE leaves cells that are no cluster, which cannot be compared. Leave it out.")
  }
  graph.name <- graph_named(object, graph.name, assay)
  usual <- paste0(graph.name, "_res.", resolution)
  column <- if (is.null(cluster.name)) paste0(usual, "_calibrated") else one_text(cluster.name, "cluster.name")
  refuse_counts <- readable(object, graph.name, assay, layer, features, batch, colnames(object[[graph.name]]))
  if (algorithm == 4 && random.seed == 0) random.seed <- 1L # as Seurat does, with a warning
  found <- do.call(Seurat::FindClusters, c(
    list(object = object[[graph.name]], resolution = resolution, algorithm = algorithm, random.seed = random.seed,
         verbose = verbose), others
  ))
  given <- labels_given(refuse_counts, found[[1]], column)
  given$start_column <- if (is.null(cluster.name)) usual else paste0(column, "_start")
  asked <- c(list(graph.name = graph.name, resolution = resolution, algorithm = algorithm, random.seed = random.seed,
                  cluster.name = cluster.name, batch = batch, features = features, assay = assay, layer = layer,
                  programmes = as.character(programmes), alpha = alpha), others)
  given$clustering <- list(algorithm = names(ALGORITHMS)[algorithm], resolution = resolution, random_seed = random.seed,
                           call = written_call("FindClustersCalibrated", asked))
  with_graph(given, object, graph.name)
}

refuse_no_seurat <- function(object) {
  if (methods::is(object, "Seurat")) return(invisible())
  refuse("FindClustersCalibrated takes a Seurat object with a neighbour graph, not an object of class ",
         class(object)[1], ". For labels of other objects: MergeClusters(object, labels)")
}

# A call with what was asked, as R reads it; long vectors are named only.
written_call <- function(name, asked) {
  asked <- Filter(Negate(is.null), asked)
  values <- vapply(asked, function(value) {
    if (is.integer(value)) value <- as.numeric(value)
    if (length(value) > 20) "..." else if (length(value)) paste(deparse(value), collapse = " ") else "NULL"
  }, "")
  paste0(name, "(object, ", paste(names(asked), "=", values, collapse = ", "), ")")
}

# Labels that the object has, with its graph where that is of the same cells.
object_labels <- function(object, group.by = "ident", graph.name = NULL, cluster.name = NULL, assay = NULL,
                          layer = "counts", features = NULL, batch = NULL) {
  group.by <- one_text(group.by, "group.by")
  if (!is.null(graph.name)) graph_named(object, graph.name, assay)
  assay <- if (is.null(assay)) SeuratObject::DefaultAssay(object) else known_assay(object, assay)
  labels <- if (group.by == "ident") SeuratObject::Idents(object) else column_of(object[[]], group.by, "group.by")
  labels <- stats::setNames(as_labels(labels), colnames(object))
  usual <- paste0(assay, "_snn")
  of_cells <- function(name) setequal(colnames(object[[name]]), names(labels)[!is.na(labels)])
  if (is.null(graph.name) && usual %in% names(object) && of_cells(usual)) graph.name <- usual
  cells <- if (is.null(graph.name)) names(labels) else colnames(object[[graph.name]])
  column <- if (is.null(cluster.name)) paste0(group.by, "_merged") else one_text(cluster.name, "cluster.name")
  given <- labels_given(readable(object, graph.name, assay, layer, features, batch, cells),
                        named_labels(labels[cells], group.by), column)
  given$start_column <- group.by
  if (is.null(graph.name)) given else with_graph(given, object, graph.name)
}

# Labels of a column of a SingleCellExperiment, whose neighbours are told by their profiles.
sce_labels <- function(object, group.by, assay, features, batch, cluster.name = NULL) {
  for (package in c("SingleCellExperiment", "SummarizedExperiment", "S4Vectors")) refuse_absent(package)
  counts <- sce_counts(object, assay)
  columns <- SummarizedExperiment::colData(object)
  labels <- named_labels(column_of(columns, group.by, "group.by"), group.by)
  batches <- if (is.null(batch)) NULL else column_of(columns, batch, "batch")
  readable <- matrix_readable(counts, cells_of(object), features, batches, batch, paste0("assay '", assay, "'"))
  column <- if (is.null(cluster.name)) paste0(group.by, "_merged") else one_text(cluster.name, "cluster.name")
  c(labels_given(readable, labels, column), list(start_column = group.by))
}

matrix_readable <- function(counts, cells, features, batches, batch, where) {
  if (anyDuplicated(rownames(counts))) {
    refuse("Gene names are not unique: ", listed(unique(rownames(counts)[duplicated(rownames(counts))])),
           ". Mend them: make.unique(rownames(...))")
  }
  chosen <- pick(features, rownames(counts))
  list(
    cells = cells, batches = batches_of(batches, batch), batch_key = batch, notes = character(),
    read = function(positions) {
      read <- read_matrix(counts[, positions + 1, drop = FALSE], chosen, where)$counts
      list(x = array(read@x), i = array(read@i), p = array(read@p), genes = as.list(rownames(read)),
           cells = as.list(cells[positions + 1]), selection = selection_of(features), source = "X")
    }
  )
}

# The graph that is asked for, or that of the default assay.
graph_named <- function(object, graph.name, assay) {
  graphs <- Filter(function(name) methods::is(object[[name]], "Graph"), names(object))
  if (!is.null(assay)) known_assay(object, assay)
  if (is.null(graph.name)) {
    graph.name <- paste0(if (is.null(assay)) SeuratObject::DefaultAssay(object) else assay, "_snn")
  }
  graph.name <- one_text(graph.name, "graph.name")
  if (graph.name %in% graphs) return(graph.name)
  if (!length(graphs)) {
    refuse("This object has no graph '", graph.name, "', nor any other. Make one first: ",
           "obj <- FindNeighbors(obj, dims = 1:10), after NormalizeData, FindVariableFeatures, ScaleData and RunPCA.")
  }
  refuse("This object has no graph '", graph.name, "'. It has: ", listed(graphs), ". Pass graph.name = \"",
         utils::tail(graphs, 1), "\", or make one: obj <- FindNeighbors(obj, dims = 1:10)")
}

# Where the counts and the genes are; a function that reads those of some cells, by their positions from 0.
readable <- function(object, graph.name, assay, layer, features, batch, cells) {
  if (is.null(assay)) assay <- intersect(SeuratObject::DefaultAssay(object[[graph.name]]), SeuratObject::Assays(object))
  if (!length(assay)) assay <- SeuratObject::DefaultAssay(object)
  source <- counts_assay(object, assay, one_text(layer, "layer"))
  counts <- object[[source$assay]]
  chosen <- seurat_features(object, c(assay, source$assay, SeuratObject::DefaultAssay(object)), rownames(counts), features)
  shared <- shared_features(counts, source$layers, chosen$features)
  labels <- if (is.null(batch)) NULL else column_of(object[[]], batch, "batch")[match(cells, colnames(object))]
  counts_of <- function(some) join_layers(counts, source$layers, shared$features, some, source$assay, only = TRUE)$counts
  counts_of(utils::head(cells, 100)) # what is no count is refused before anything is computed
  list(
    cells = cells, batches = batches_of(labels, batch), batch_key = batch, assay = source$assay,
    notes = c(taken_from(assay, source$assay), chosen$notes, shared$notes),
    read = function(positions) {
      some <- cells[positions + 1]
      read <- counts_of(some)
      list(x = array(read@x), i = array(read@i), p = array(read@p), genes = as.list(rownames(read)),
           cells = as.list(some), selection = chosen$selection,
           source = paste0("layers['", layer, "']"))
    }
  )
}

# Text is sorted alike in every locale.
as_labels <- function(labels) {
  if (is.factor(labels)) return(droplevels(labels))
  factor(labels, levels = sort(unique(labels), method = "radix"))
}

labels_given <- function(readable, labels, column) {
  labels <- as_labels(labels)
  c(readable, list(codes = array(as.integer(labels) - 1L), names = as.list(levels(labels)), column = column))
}

with_graph <- function(given, object, graph.name) {
  graph <- object[[graph.name]]
  given$graph <- list(x = array(graph@x), i = array(graph@i), p = array(graph@p))
  given$graph_name <- graph.name
  given
}

named_labels <- function(labels, name) {
  if (anyNA(labels)) {
    refuse("'", name, "' has no label for ", sum(is.na(labels)), " cells. Leave those cells out first.")
  }
  labels
}

batches_of <- function(labels, batch) {
  if (is.null(labels)) return(NULL)
  if (anyNA(labels)) {
    refuse("'", batch, "' has no value for ", sum(is.na(labels)), " cells. Leave those cells out first.")
  }
  array(as.integer(factor(labels)) - 1L)
}

# What the engine found of labels, as plain R values; it knows its cells.
pair_record <- function(found, given) {
  record <- list(column = given$column, start_column = given$start_column, graph = given$graph_name,
                 assay = given$assay, batch = given$batch_key, clustering = given$clustering, cells = given$cells)
  for (name in c("merges", "pairs", "clusters", "markers", "cluster_markers", "programmes")) record[[name]] <- as_frame(found[[name]])
  for (name in c("genes", "untested", "labels", "start_labels")) record[[name]] <- as.character(unlist(found[[name]]))
  record$params <- lapply(found$params, function(value) value)
  record$selection <- found$selection
  record$source <- found$source
  record$version <- found$version
  record$messages <- as.character(unlist(found$messages))
  record
}

# Final labels of the cells that took part, named by cell.
final_labels <- function(found, given) {
  names <- as.character(unlist(found$labels))
  structure(factor(names[as.integer(found$codes) + 1], levels = names), names = given$cells)
}

# Cells that took no part, as those outside a sketch, have no label: Seurat's FindClusters does the same.
store_clusters <- function(object, given, found, command, params, call, columns = given$column) {
  everywhere <- function(labels) stats::setNames(labels[match(colnames(object), given$cells)], colnames(object))
  if (!is.null(given$clustering)) {
    starting <- factor(unlist(given$names)[given$codes + 1], levels = unlist(given$names))
    object[[given$start_column]] <- everywhere(starting)
  }
  labels <- everywhere(final_labels(found, given))
  for (column in columns) object[[column]] <- labels
  SeuratObject::Idents(object) <- columns[1]
  record <- pair_record(found, given)
  record$column <- columns[1]
  records <- object@misc[["recall_merges"]]
  object@misc[["recall_merges"]] <- c(records[setdiff(names(records), columns[1])], stats::setNames(list(record), columns[1]))
  log_command(object, command, given$assay, params, call)
}

# Labels beside each other in the metadata of a SingleCellExperiment, and the record of the run that made them.
store_in_colData <- function(object, labels, columns, record) {
  for (at in seq_along(columns)) SummarizedExperiment::colData(object)[[columns[at]]] <- unname(labels[[at]])
  records <- S4Vectors::metadata(object)$recall_merges
  others <- records[setdiff(names(records), record$column)]
  S4Vectors::metadata(object)$recall_merges <- c(others, stats::setNames(list(record), record$column))
  object
}

store_merges_in_sce <- function(object, given, found) {
  store_in_colData(object, list(final_labels(found, given)), given$column, pair_record(found, given))
}

# Clusters of the Seurat object that seurat_of() made of a SingleCellExperiment, in this one.
clusters_to_sce <- function(object, clustered, columns) {
  record <- utils::tail(clustered@misc[["recall_merges"]], 1)[[1]]
  columns <- unique(c(record$start_column, columns))
  store_in_colData(object, as.list(clustered[[]][columns]), columns, record)
}

# A table of tests, with the record behind it.
tested_table <- function(found, given) {
  record <- pair_record(found, given)
  structure(record$pairs, recall = record)
}

# Seurat's own steps to a graph, where the object has none; for the command line.
make_graph <- function(object) {
  refuse_absent("Seurat")
  steps <- "FindNeighbors"
  if (!"pca" %in% SeuratObject::Reductions(object)) {
    steps <- c("NormalizeData", "FindVariableFeatures", "ScaleData", "RunPCA", steps)
    object <- Seurat::NormalizeData(object, verbose = FALSE)
    object <- Seurat::FindVariableFeatures(object, verbose = FALSE)
    object <- Seurat::ScaleData(object, verbose = FALSE)
    object <- Seurat::RunPCA(object, npcs = min(50, dim(object) - 1), verbose = FALSE)
  }
  n_dims <- min(10, ncol(object[["pca"]]))
  object <- Seurat::FindNeighbors(object, dims = seq_len(n_dims), verbose = FALSE)
  list(object = object, note = paste0("The object had no neighbour graph: made by ", paste(steps, collapse = ", "),
                                      " (dims = 1:", n_dims, ")."))
}
