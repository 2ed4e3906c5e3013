# Results as data frames.

RecallIterations <- function(obj) recall_table(obj, "iterations")

RecallPairs <- function(obj) recall_table(obj, "pairs")

RecallMarkers <- function(obj, by = c("pair", "cluster")) {
  recall_table(obj, if (match.arg(by) == "pair") "markers" else "cluster_markers")
}

recall_table <- function(obj, name) {
  record <- recall_record(obj)
  if (is.null(record)) {
    stop("This object holds no result of recallpy. Make one: obj <- FindClustersRecall(obj)", call. = FALSE)
  }
  warn_of_other_cells(obj, record)
  if (is.null(record[[name]])) stop("TestClusters makes no search, so there are no iterations.", call. = FALSE)
  record[[name]]
}

recall_record <- function(obj) UseMethod("recall_record")

recall_record.Seurat <- function(obj) SeuratObject::Misc(obj, slot = "recall")

recall_record.SingleCellExperiment <- function(obj) S4Vectors::metadata(obj)[["recall"]]

recall_record.default <- function(obj) attr(obj, "recall")
