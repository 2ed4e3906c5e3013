# What became of the clusters, as data frames and as a picture.

ClusterMerges <- function(object, cluster.name = NULL) merges_record(object, cluster.name)$merges

ClusterPairs <- function(object, cluster.name = NULL) merges_record(object, cluster.name)$pairs

utils::globalVariables(".data")

MergesPlot <- function(object, cluster.name = NULL) {
  refuse_absent("ggplot2")
  record <- merges_record(object, cluster.name)
  drawn <- tree_of_merges(record)
  ggplot2::ggplot() +
    ggplot2::geom_segment(ggplot2::aes(x = .data$x, y = .data$y, xend = .data$xend, yend = .data$yend,
                                       colour = .data$near), drawn$lines) +
    ggplot2::geom_text(ggplot2::aes(.data$x, .data$y, label = .data$label, colour = .data$near), drawn$merges,
                       hjust = -0.15, vjust = -0.4, size = 3) +
    ggplot2::geom_text(ggplot2::aes(.data$x, .data$y, label = .data$label), drawn$ends, hjust = 0, fontface = "bold") +
    ggplot2::scale_y_continuous(NULL, breaks = drawn$leaves$y, labels = drawn$leaves$label) +
    ggplot2::scale_x_continuous(NULL, breaks = NULL, expand = ggplot2::expansion(c(0.02, 0.35))) +
    ggplot2::scale_colour_manual(values = c(`FALSE` = "grey30", `TRUE` = "#d55e00"), guide = "none") +
    ggplot2::labs(title = drawn$title, caption = "numbers: times the lead that is needed; coloured: near the threshold") +
    ggplot2::theme_minimal() +
    ggplot2::theme(panel.grid = ggplot2::element_blank())
}

# The tree as lines: each merge joins two nodes, which are named by the labels at the start that they are made of.
tree_of_merges <- function(record) {
  merges <- record$merges
  parts <- lapply(record$clusters$start, known_parts, labels = record$start_labels)
  name_of <- function(members) paste(sort(match(members, record$start_labels)), collapse = " ")
  node_of <- function(text) name_of(known_parts(text, record$start_labels))
  nodes <- list()
  lines <- list()
  joins <- list()
  order <- unlist(lapply(parts, function(members) leaf_order(members, merges, record$start_labels)))
  for (at in seq_along(order)) nodes[[name_of(order[at])]] <- list(x = 0, y = -at)
  for (row in seq_len(nrow(merges))) {
    sides <- lapply(c(merges$group_start[row], merges$reference_start[row]), function(text) nodes[[node_of(text)]])
    x <- max(sides[[1]]$x, sides[[2]]$x) + 1
    ys <- c(sides[[1]]$y, sides[[2]]$y)
    near <- merges$near[row]
    members <- c(known_parts(merges$group_start[row], record$start_labels),
                 known_parts(merges$reference_start[row], record$start_labels))
    nodes[[name_of(members)]] <- list(x = x, y = mean(ys))
    lines <- c(lines, list(data.frame(x = c(sides[[1]]$x, sides[[2]]$x, x), y = c(ys, ys[1]), xend = x,
                                      yend = c(ys, ys[2]), near = near)))
    label <- if (merges$kind[row] == "small") "small" else format(round(merges$evidence[row], 2), nsmall = 2)
    joins <- c(joins, list(data.frame(x = x, y = mean(ys), label = label, near = near)))
  }
  depth <- max(vapply(nodes, function(node) node$x, 0)) + 1
  last <- lapply(parts, function(members) nodes[[name_of(members)]])
  ends <- data.frame(x = depth, y = vapply(last, function(node) node$y, 0),
                     label = paste0(" ", record$clusters$cluster, " (", record$clusters$n_cells, ")"))
  lines <- c(lines, list(data.frame(x = vapply(last, function(node) node$x, 0), y = ends$y, xend = depth, yend = ends$y,
                                    near = FALSE)))
  none <- data.frame(x = numeric(), y = numeric(), label = character(), near = logical())
  list(lines = do.call(rbind, lines), merges = do.call(rbind, c(list(none), joins)), ends = ends,
       leaves = data.frame(y = -seq_along(order), label = order),
       title = became(length(order), nrow(record$clusters)))
}

# Labels at the start that a name stands for: "3 + 7", or "T cells + NK", where a label may hold " + " itself.
known_parts <- function(text, labels) {
  if (text %in% labels) return(text)
  parts <- strsplit(text, " + ", fixed = TRUE)[[1]]
  found <- character()
  while (length(parts)) {
    ends <- Filter(function(end) paste(parts[seq_len(end)], collapse = " + ") %in% labels, seq_along(parts))
    end <- if (length(ends)) max(unlist(ends)) else 1
    found <- c(found, paste(parts[seq_len(end)], collapse = " + "))
    parts <- parts[-seq_len(end)]
  }
  found
}

# Leaves of one cluster from top to bottom, so that what was merged stands together.
leaf_order <- function(members, merges, labels) {
  if (length(members) == 1) return(members)
  groups <- as.list(members)
  for (row in seq_len(nrow(merges))) {
    first <- known_parts(merges$group_start[row], labels)
    second <- known_parts(merges$reference_start[row], labels)
    if (!all(c(first, second) %in% members)) next
    at <- vapply(groups, function(group) any(group %in% c(first, second)), TRUE)
    groups <- c(list(unlist(groups[at])), groups[!at])
  }
  unlist(groups)
}

# The record of the last run, or of that which wrote a column; a record of other cells says so.
merges_record <- function(object, cluster.name = NULL) {
  if (is.data.frame(object)) {
    refuse("TestClusters merges nothing. Merge: MergeClusters(object, group.by = \"...\")")
  }
  records <- merges_records(object)
  if (!length(records)) {
    refuse("This object holds no merges. Make them: obj <- FindClustersCalibrated(obj), or ",
           "obj <- MergeClusters(obj, group.by = \"...\")")
  }
  if (is.null(cluster.name)) cluster.name <- utils::tail(names(records), 1)
  if (!one_text(cluster.name, "cluster.name") %in% names(records)) {
    refuse("No run has written '", cluster.name, "'. Runs have written: ", listed(names(records)), ".")
  }
  record <- records[[cluster.name]]
  warn_of_other_cells(object, record)
  record
}

merges_records <- function(object) UseMethod("merges_records")

merges_records.Seurat <- function(object) object@misc[["recall_merges"]]

merges_records.SingleCellExperiment <- function(object) S4Vectors::metadata(object)[["recall_merges"]]

merges_records.default <- function(object) attr(object, "recall_merges")

warn_of_other_cells <- function(object, record) {
  if (is.data.frame(object)) return(invisible())
  cells <- if (is.null(dim(object))) names(object) else colnames(object)
  if (is.null(record$cells) || is.null(cells)) return(invisible())
  gone <- sum(!record$cells %in% cells)
  new <- if (is.null(record$column) || is.null(dim(object)) || !methods::is(object, "Seurat")) 0 else {
    labels <- if (record$column %in% colnames(object[[]])) object[[]][[record$column]] else NULL
    sum(!cells[!is.na(labels)] %in% record$cells)
  }
  if (gone || new) {
    warning("This is what was found for ", length(record$cells), " cells", if (gone) paste0(", of which ", gone,
            " are not in the object any more"), if (new) paste0("; ", new, " cells of the object were not among them"),
            ". Run it again on these cells.", call. = FALSE)
  }
}
