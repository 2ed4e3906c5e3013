# What an object holds and what recall-py would do with it, in the words of recall-py info; called from Python alone.

FEW <- 1000 # cells whose counts are looked at

facts_of <- function(object, file, layer = "counts") {
  if (kind_of(object) == "Seurat") facts_of_seurat(object, file, layer) else facts_of_sce(object, file, layer)
}

facts_of_seurat <- function(object, file, layer) {
  assay <- SeuratObject::DefaultAssay(object)
  kinds <- vapply(names(object), function(name) class(object[[name]])[1], "")
  with_layers <- vapply(SeuratObject::Assays(object), function(name) {
    paste0(name, " (", paste(SeuratObject::Layers(object[[name]]), collapse = ", "), ")")
  }, "")
  graphs <- names(kinds)[kinds == "Graph"]
  usual <- paste0(assay, "_snn")
  counts <- first_counts(function() {
    source <- counts_assay(object, assay, layer)
    part <- object[[source$assay]]
    genes <- shared_features(part, source$layers, rownames(part))$features
    join_layers(part, source$layers, genes, utils::head(colnames(part), FEW), source$assay, only = TRUE)
    paste0("assay '", source$assay, "', ", paste(source$layers, collapse = ", "))
  })
  chosen <- seurat_features(object, assay, rownames(object[[assay]]), NULL)$features
  c(
    object = paste0("Seurat, made with SeuratObject ", object@version, ", default assay ", assay),
    `cells x genes` = size_of(object),
    assays = paste(with_layers, collapse = "; "),
    counts = counts$said,
    `genes used` = if (is.null(chosen)) GENES_SELECTED else paste(thousands(length(chosen)), "variable features"),
    neighbours = if (length(graphs)) paste(graphs, collapse = ", ") else GRAPH_MADE,
    embeddings = none_or(SeuratObject::Reductions(object)),
    labels = labels_in(object[[]]),
    results = results_in(object@misc),
    clustering = command_for(counts, file, if (length(graphs) && !usual %in% graphs) {
      paste(" --obsp", utils::tail(graphs, 1))
    })
  )
}

facts_of_sce <- function(object, file, layer) {
  counts <- first_counts(function() {
    matrix <- sce_counts(object, layer)
    read_matrix(matrix[, seq_len(min(FEW, ncol(matrix))), drop = FALSE], NULL, paste0("assay '", layer, "'"))
    paste0("assay '", layer, "'")
  })
  c(
    object = class(object)[1],
    `cells x genes` = size_of(object),
    assays = none_or(SummarizedExperiment::assayNames(object)),
    counts = counts$said,
    `genes used` = GENES_SELECTED,
    neighbours = GRAPH_MADE,
    embeddings = none_or(SingleCellExperiment::reducedDimNames(object)),
    labels = labels_in(SummarizedExperiment::colData(object)),
    results = results_in(S4Vectors::metadata(object)),
    clustering = command_for(counts, file)
  )
}

GENES_SELECTED <- "no variable features: they are selected on the counts"
GRAPH_MADE <- "none: cluster has Seurat make one from the counts"

first_counts <- function(read) {
  tryCatch(list(said = paste0(read(), ": raw integer counts")), error = function(error) {
    list(said = paste0("NONE. ", conditionMessage(error)), error = conditionMessage(error))
  })
}

command_for <- function(counts, file, options = "") {
  if (!is.null(counts$error)) return(paste0("CANNOT BE DONE YET. ", counts$error))
  paste0("recall-py cluster ", file, " -o labelled.rds", options)
}

size_of <- function(object) paste(thousands(ncol(object)), "x", thousands(nrow(object)))

thousands <- function(number) format(number, big.mark = ",", trim = TRUE)

none_or <- function(names) if (length(names)) paste(names, collapse = ", ") else "none"

# Columns that may be labels of groups, with how many there are.
labels_in <- function(frame) {
  frame <- frame[!grepl("^n(Count|Feature)_", colnames(frame))]
  counted <- vapply(as.list(frame), function(column) {
    if (is.factor(column) || is.atomic(column)) length(unique(column[!is.na(column)])) else 0L
  }, 0L)
  counted <- counted[counted >= 2 & counted <= 60]
  if (!length(counted)) return("no column of the metadata has labels of groups")
  paste0(names(counted), " (", counted, ")", collapse = ", ")
}

results_in <- function(kept) {
  merged <- vapply(kept[["recall_merges"]], function(record) {
    paste0(record$column, ": ", nrow(record$clusters), " clusters, merged from ", length(record$start_labels))
  }, "")
  searched <- if (!is.null(kept[["recall"]])) {
    paste0("recall: ", kept[["recall"]]$n_clusters, " clusters, ",
           if (isTRUE(kept[["recall"]]$converged)) "calibrated" else "NOT CALIBRATED")
  }
  if (length(c(merged, searched))) paste(c(merged, searched), collapse = "; ") else "none of recallpy"
}
