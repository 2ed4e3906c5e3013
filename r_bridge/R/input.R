# Reading: the counts of the genes that take part, as the vectors of a dgCMatrix, and nothing changed.
# This file and store.R also serve the Python entry (rpy2), so they call neither reticulate nor message().

BLOCK <- 4096 # cells of an on-disk matrix that are in memory at a time

seurat_input <- function(object, assay = "RNA", layer = "counts", features = NULL, batch = NULL) {
  source <- counts_assay(object, assay, layer)
  counts <- object[[source$assay]]
  chosen <- seurat_features(object, c(assay, source$assay, SeuratObject::DefaultAssay(object)), rownames(counts), features)
  cells <- colnames(counts)
  shared <- shared_features(counts, source$layers, chosen$features)
  read <- join_layers(counts, source$layers, shared$features, cells, source$assay)
  labels <- if (is.null(batch)) NULL else column_of(object[[]], batch, "batch")[match(cells, colnames(object))]
  input <- new_input(read$counts, read$totals, labels, batch, chosen$selection)
  input$notes <- c(taken_from(assay, source$assay), chosen$notes, shared$notes)
  input$assay <- source$assay
  input
}

# Knockoff genes would have to pass through whatever has integrated the samples, and cannot.
integration_in <- function(object) {
  if (!methods::is(object, "Seurat")) return(character())
  found <- grep("integrated|harmony|mnn|scvi|scanvi", c(SeuratObject::Reductions(object), SeuratObject::Assays(object)),
                ignore.case = TRUE, value = TRUE)
  if (!length(found)) return(character())
  paste0("This object was integrated (", listed(found), "), but knockoff genes cannot pass through that: clusters are ",
         "found on uncorrected components, and may be those of the samples. On the graph of the integration: ",
         "FindClustersCalibrated(obj)")
}

sce_input <- function(object, assay = "counts", features = NULL, batch = NULL) {
  for (package in c("SingleCellExperiment", "SummarizedExperiment", "S4Vectors")) refuse_absent(package)
  counts <- sce_counts(object, assay)
  labels <- if (is.null(batch)) NULL else column_of(SummarizedExperiment::colData(object), batch, "batch")
  read <- read_matrix(counts, pick(features, rownames(object)), paste0("assay '", assay, "'"))
  new_input(read$counts, read$totals, labels, batch, selection_of(features))
}

sce_counts <- function(object, assay) {
  known <- SummarizedExperiment::assayNames(object)
  if (!one_text(assay, "assay") %in% known) {
    refuse("This object has no assay '", assay, "'. It has: ", listed(known), ". Pass assay = \"...\" with raw counts.")
  }
  refuse_no_genes(SummarizedExperiment::assay(object, assay))
}

# Which of the two classes of objects this is, or what else.
kind_of <- function(object) {
  package <- attr(class(object), "package")
  if (!is.null(package) && package != ".GlobalEnv") refuse_absent(package)
  for (kind in c("Seurat", "SingleCellExperiment")) if (methods::is(object, kind)) return(kind)
  class(object)[1]
}

# Names of the cells, no two alike.
cells_of <- function(object) {
  if (is.null(colnames(object))) as.character(seq_len(ncol(object))) else make.unique(colnames(object))
}

# A Seurat object with the counts and the metadata of a SingleCellExperiment.
seurat_of <- function(object, assay = "counts") {
  for (package in c("SingleCellExperiment", "SummarizedExperiment", "SeuratObject")) refuse_absent(package)
  counts <- read_matrix(sce_counts(object, assay), NULL, paste0("assay '", assay, "'"))$counts
  colnames(counts) <- cells_of(counts)
  columns <- Filter(function(column) is.atomic(column) || is.factor(column), as.list(SummarizedExperiment::colData(object)))
  metadata <- as.data.frame(columns, row.names = colnames(counts), optional = TRUE)
  SeuratObject::CreateSeuratObject(counts, meta.data = if (length(columns)) metadata)
}

matrix_input <- function(counts, features = NULL, batch = NULL) {
  refuse_no_genes(counts)
  if (!is.null(batch) && length(batch) != ncol(counts)) {
    stop("batch has ", length(batch), " values for ", ncol(counts), " cells; pass one for each column.", call. = FALSE)
  }
  read <- read_matrix(counts, pick(features, rownames(counts)), "the matrix")
  new_input(read$counts, read$totals, batch, "batch", selection_of(features))
}

taken_from <- function(assay, source) {
  if (assay == source) return(character())
  paste0("Assay '", assay, "' holds no raw counts: they are taken from assay '", source, "'.")
}

ADD_COUNTS <- "Raw counts are needed; add them: obj[[\"RNA\"]] <- CreateAssay5Object(counts)"

known_assay <- function(object, assay) {
  known <- SeuratObject::Assays(object)
  if (one_text(assay, "assay") %in% known) return(assay)
  with_counts <- Filter(function(name) !inherits(object[[name]], "SCTAssay"), known)
  refuse("This object has no assay '", assay, "'. It has: ", listed(known), if (length(with_counts)) paste0(
    ". Pass assay = \"", with_counts[1], "\".") else paste0(", with corrected counts. ", ADD_COUNTS))
}

# Genes are named, and are the rows.
refuse_no_genes <- function(counts) {
  if (is.null(rownames(counts))) {
    stop("The matrix has no row names. Name its genes: rownames(counts) <- ...", call. = FALSE)
  }
  barcodes <- function(names) mean(grepl("^([^_]*_)?[ACGT]{8,}([-_.].*)?$", names)) > 0.5
  genes <- function(names) sum(grepl("^(MT-|mt-|RP[SL][0-9]|Rp[sl][0-9]|ENS[A-Z]*G[0-9]{6})", names)) >= 10
  cells_in_rows <- barcodes(rownames(counts)) || (!is.null(colnames(counts)) && genes(colnames(counts)))
  if (cells_in_rows && !genes(rownames(counts))) {
    stop("The matrix seems to have cells in its rows (", listed(rownames(counts)[1:2]), ") and genes in its columns; ",
         "genes x cells is needed. Turn it: Matrix::t(counts)", call. = FALSE)
  }
  counts
}

# Which assay and which of its layers hold raw counts. Corrected counts (SCT) and integrated data are none.
counts_assay <- function(object, assay, layer) {
  known_assay(object, assay)
  of_sct <- inherits(object[[assay]], "SCTAssay")
  named <- SeuratObject::Layers(object[[assay]])
  for (name in unique(c(assay, "RNA"))) {
    if (!name %in% SeuratObject::Assays(object) || inherits(object[[name]], "SCTAssay")) next
    layers <- count_layers(object[[name]], layer, name)
    if (length(layers)) return(list(assay = name, layers = layers))
  }
  if (layer != "counts" && !of_sct) {
    refuse("Assay '", assay, "' has no layer '", layer, "'. It has: ", listed(named), ". Leave layer out, or pass that ",
           "which has raw counts.")
  }
  stop("Assay '", assay, "' has no raw counts (", if (of_sct) "SCT holds corrected counts, ", "layers: ", listed(named),
       "), and there is no ", if (assay != "RNA") "assay 'RNA' to take them from" else "other assay to take them from",
       ". ", ADD_COUNTS, call. = FALSE)
}

# The layer itself, or the parts it is split into.
count_layers <- function(assay, layer, assay_name) {
  known <- SeuratObject::Layers(assay)
  found <- if (layer %in% known) layer else known[startsWith(known, paste0(layer, "."))]
  if (methods::is(assay, "StdAssay")) { # before SeuratObject meets a matrix that it cannot read
    stored <- methods::slot(assay, "layers")
    for (name in found) refuse_foreign(stored[[name]], paste0("layer '", name, "' of assay '", assay_name, "'"))
  }
  Filter(function(name) all(dim(SeuratObject::LayerData(assay, layer = name)) > 0), found)
}

# Genes that take part: those given, else the variable features, else none, for the engine to select.
seurat_features <- function(object, assays, genes, features) {
  if (!is.null(features)) {
    some_names(features, "features")
    dashed <- gsub("_", "-", features, fixed = TRUE) # Seurat renames genes so
    features <- ifelse(features %in% genes, features, dashed)
    return(list(features = pick(features, genes), selection = selection_of(features), notes = character()))
  }
  for (name in unique(assays)) {
    variable <- intersect(genes, SeuratObject::VariableFeatures(object[[name]]))
    if (!length(variable)) next
    notes <- if (name == assays[1]) character() else paste0("The variable features are those of assay '", name, "'.")
    return(list(features = variable, selection = paste0("VariableFeatures of ", name), notes = notes))
  }
  list(features = NULL, selection = NULL, notes = paste0(
    "Assay '", assays[1], "' has no variable features: they are selected on the counts (vst), for this run only. ",
    "To choose them yourself: obj <- FindVariableFeatures(obj)"
  ))
}

# The genes that every layer has: a gene that a sample was not measured for would tell that sample apart from others.
shared_features <- function(assay, layers, features) {
  if (length(layers) < 2) return(list(features = features, notes = character()))
  of_layers <- lapply(layers, function(layer) SeuratObject::Features(assay, layer = layer))
  asked <- if (is.null(features)) rownames(assay) else features
  shared <- Reduce(intersect, of_layers, asked)
  if (length(shared) == length(asked)) return(list(features = asked, notes = character()))
  sizes <- paste0(layers, ": ", lengths(of_layers))
  if (!length(shared)) {
    stop("The layers have no gene in common (", listed(sizes), "). Name their genes alike first.", call. = FALSE)
  }
  list(features = shared, notes = paste0("The samples have different genes (", listed(sizes), "): ", length(shared),
                                         " of the ", length(asked), " genes that were to take part are in all of them, ",
                                         "and only these do."))
}

# Split layers side by side in the order of the `cells`, and no others read where they are `only` some.
join_layers <- function(assay, layers, features, cells, name, only = FALSE) {
  parts <- lapply(layers, function(layer) {
    matrix <- SeuratObject::LayerData(assay, layer = layer)
    if (only) matrix <- matrix[, intersect(cells, colnames(matrix)), drop = FALSE]
    if (ncol(matrix)) read_matrix(matrix, features, paste0("layer '", layer, "' of assay '", name, "'"))
  })
  parts <- Filter(Negate(is.null), parts)
  counts <- if (length(parts) == 1) parts[[1]]$counts else do.call(cbind, lapply(parts, `[[`, "counts"))
  totals <- unlist(lapply(parts, `[[`, "totals"))
  missing <- setdiff(cells, colnames(counts))
  if (length(missing)) {
    stop(length(missing), " cells of assay '", name, "' are in none of its layers ", listed(layers), ": ",
         listed(missing), ". Leave them out: obj[, ...]", call. = FALSE)
  }
  if (!identical(colnames(counts), cells)) {
    order <- match(cells, colnames(counts))
    counts <- counts[, order, drop = FALSE]
    totals <- totals[order]
  }
  list(counts = counts, totals = totals)
}

# Counts of `features` (all where NULL) as a dgCMatrix, and each cell's total over all genes.
read_matrix <- function(matrix, features, where) {
  if (in_memory(matrix)) {
    matrix <- as_dgCMatrix(matrix, where)
    if (is.null(features)) return(list(counts = refuse_no_counts(matrix, where), totals = NULL))
    counts <- if (identical(features, rownames(matrix))) matrix else matrix[features, , drop = FALSE]
    return(list(counts = refuse_no_counts(counts, where), totals = Matrix::colSums(matrix)))
  }
  starts <- seq(1, ncol(matrix), by = BLOCK)
  blocks <- lapply(starts, function(start) {
    cells <- start:min(start + BLOCK - 1, ncol(matrix))
    block <- as_dgCMatrix(matrix[, cells], where)
    list(counts = if (is.null(features)) block else block[features, , drop = FALSE], totals = Matrix::colSums(block))
  })
  counts <- do.call(cbind, lapply(blocks, `[[`, "counts"))
  list(counts = refuse_no_counts(counts, where),
       totals = if (is.null(features)) NULL else unlist(lapply(blocks, `[[`, "totals")))
}

in_memory <- function(matrix) is.matrix(matrix) || methods::is(matrix, "Matrix")

# Refuses a matrix of a package that is not installed, as an object that was made where BPCells is.
refuse_foreign <- function(matrix, where) {
  package <- attr(class(matrix), "package")
  if (!is.null(package) && !package %in% c(".GlobalEnv", "Matrix") && !requireNamespace(package, quietly = TRUE)) {
    stop(where, " is a ", class(matrix)[1], " of package ", package, ", which is not installed. Install it, or bring ",
         "the counts into memory where it is: as(counts, \"dgCMatrix\")", call. = FALSE)
  }
}

# Any kind of matrix as a dgCMatrix.
as_dgCMatrix <- function(matrix, where) {
  if (methods::is(matrix, "dgCMatrix")) return(matrix)
  refuse_foreign(matrix, where)
  tryCatch(
    {
      if (is.matrix(matrix)) storage.mode(matrix) <- "double"
      if (methods::is(matrix, "Matrix")) matrix <- methods::as(methods::as(matrix, "dMatrix"), "generalMatrix")
      methods::as(matrix, if (methods::is(matrix, "Matrix")) "CsparseMatrix" else "dgCMatrix")
    },
    error = function(error) {
      stop(where, " is a ", class(matrix)[1], " that cannot be read as a sparse matrix (", conditionMessage(error),
           ").", call. = FALSE)
    }
  )
}

# Refuses what is no raw count, before anything is computed.
refuse_no_counts <- function(counts, where) {
  values <- counts@x
  problem <- if (anyNA(values)) "missing values" else if (any(values < 0)) "negative values" else if (any(values != round(values))) {
    paste("values that are not integers, such as", format(values[values != round(values)][1], digits = 4))
  }
  if (!is.null(problem)) {
    stop(where, " holds ", problem, ", but raw counts are needed: the null genes are drawn from count distributions. ",
         "Pass the layer or assay that has them.", call. = FALSE)
  }
  counts
}

new_input <- function(counts, totals, labels, batch, selection) {
  refuse_unusable(counts)
  if (anyNA(labels)) {
    stop("'", batch, "' has no value for ", sum(is.na(labels)), " cells. Leave those cells out first.", call. = FALSE)
  }
  list(x = counts@x, i = counts@i, p = counts@p, genes = rownames(counts), cells = colnames(counts), totals = totals,
       batch = if (is.null(labels)) NULL else as.character(labels), selection = selection, notes = character())
}

refuse_unusable <- function(counts) {
  if (ncol(counts) < 2) {
    stop("There are ", ncol(counts), " cells; clustering needs at least two.", call. = FALSE)
  }
  if (anyDuplicated(rownames(counts))) {
    stop("Gene names are not unique: ", listed(unique(rownames(counts)[duplicated(rownames(counts))])),
         ". Mend them: make.unique(rownames(...))", call. = FALSE)
  }
  empty <- which(diff(counts@p) == 0)
  if (length(empty)) {
    names <- if (is.null(colnames(counts))) empty else colnames(counts)[empty]
    stop(length(empty), if (length(empty) == 1) " cell has" else " cells have", " no counts in the ", nrow(counts),
         " selected genes: ", listed(names), ". Leave them out, or select more genes.", call. = FALSE)
  }
}

# Genes that were asked for, in the order of the rows: the draws of a seed follow that order.
pick <- function(features, genes) {
  if (is.null(features)) return(NULL)
  absent <- setdiff(some_names(features, "features"), genes)
  if (length(absent)) {
    stop(length(absent), " of the features are no genes of this object: ", listed(absent), ".", call. = FALSE)
  }
  intersect(genes, features)
}

selection_of <- function(features) if (is.null(features)) NULL else "features"

column_of <- function(frame, name, argument) {
  if (one_text(name, argument) %in% colnames(frame)) return(frame[[name]])
  refuse("There is no column '", name, "' in the cell metadata. There are: ", listed(colnames(frame)), ".")
}

refuse_absent <- function(package) {
  if (!requireNamespace(package, quietly = TRUE)) {
    stop("The package ", package, " is needed for this object and is not installed.", call. = FALSE)
  }
}

refuse_no_matrix <- function(object, called) {
  if (length(dim(object)) == 2 && !is.data.frame(object)) return(invisible())
  stop(called, " takes a Seurat object, a SingleCellExperiment or a matrix of counts, genes x cells, not an object of ",
       "class ", class(object)[1], ".", call. = FALSE)
}

listed <- function(names) {
  shown <- paste(utils::head(names, 5), collapse = ", ")
  if (!length(names)) "none" else if (length(names) > 5) paste0(shown, " and ", length(names) - 5, " more") else shown
}
