# Writing: labels and the record of a run into an object, and nothing else. Serves the Python entry as well.

# What the engine found, as plain R values.
record_of <- function(found, input) {
  record <- found[setdiff(names(found), c("labels", "messages"))]
  for (name in intersect(c("iterations", "pairs", "markers", "cluster_markers"), names(record))) {
    record[[name]] <- as_frame(record[[name]])
  }
  record$genes <- as.character(unlist(record$genes))
  record$untested <- as.character(unlist(record$untested))
  record$seconds <- unlist(record$seconds)
  if (!is.null(input$selection)) record$selection <- input$selection
  record$assay <- input$assay
  record$cells <- input$cells
  names(record)[names(record) == "level"] <- "resolution"
  record
}

as_frame <- function(columns) {
  values <- lapply(columns, function(column) if (length(column)) as.vector(unlist(column)) else logical())
  data.frame(values, stringsAsFactors = FALSE)
}

# Labels as a factor in numeric order, named by cell.
labels_of <- function(codes, cells) {
  codes <- as.integer(codes)
  structure(factor(codes, levels = seq(0, max(codes))), names = cells)
}

# Cells that took no part, as those outside a sketch, have no label: Seurat's FindClusters does the same.
store_in_seurat <- function(object, result, input, params, call, column = "recall_clusters") {
  everywhere <- result$labels[match(colnames(object), input$cells)]
  names(everywhere) <- colnames(object)
  object[[column]] <- everywhere
  SeuratObject::Idents(object) <- column
  object@misc[["recall"]] <- result$record
  log_command(object, "FindClustersRecall", input$assay, params, call)
}

# Made by hand: LogSeuratCommand reads the frames of the R call, and this is also called from Python.
log_command <- function(object, command, assay, params, call) {
  name <- if (command == "FindClustersRecall") paste(command, assay, sep = ".") else command # as FindClusters
  class <- methods::getClass("SeuratCommand", where = asNamespace("SeuratObject"))
  params <- params[!vapply(params, is.null, logical(1))]
  object@commands[[name]] <- methods::new(class, name = name, time.stamp = Sys.time(), assay.used = assay,
                                          call.string = call, params = params)
  object
}

became <- function(before, after) {
  counted <- if (before == 1) "1 cluster" else paste(before, "clusters")
  if (after < before) paste(counted, "became", after) else paste0(counted, ", none merged")
}

# A call as it was written; an object in it, as do.call leaves it, is not written out.
call_text <- function(call) {
  written <- lapply(as.list(call), function(part) {
    if (is.language(part) || (is.atomic(part) && length(part) < 20)) part else as.name("object")
  })
  text <- paste(trimws(deparse(as.call(written))), collapse = " ")
  sub(".Seurat(", "(", text, fixed = TRUE)
}

store_in_sce <- function(object, result, column = "recall_clusters") {
  labels <- unname(result$labels)
  SummarizedExperiment::colData(object)[[column]] <- labels
  SingleCellExperiment::colLabels(object) <- labels
  S4Vectors::metadata(object)[["recall"]] <- result$record
  object
}
