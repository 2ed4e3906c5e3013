# Counts that the tests share, and what they expect of every object.

skip_without_engine <- function() {
  found <- tryCatch(reticulate::py_module_available("recall_py.seurat.from_r"), error = function(error) FALSE)
  skip_if_not(found, "recall_py is not in the Python that reticulate found")
}

skip_without_seurat <- function() {
  skip_without_engine()
  skip_if_not_installed("Seurat", "5.0.0")
}

# Counts with `k` kinds of cells, each with marker genes of its own; genes x cells.
kinds_of_cells <- function(k = 3, each = 60, n_genes = 150, markers = 40, seed = 1) {
  set.seed(seed)
  base <- stats::rgamma(n_genes, 2, 2)
  kind <- rep(seq_len(k), each = each)
  means <- outer(base, rep(1, length(kind)))
  for (one in seq_len(k)) {
    if (k > 1) means[(one - 1) * markers + seq_len(markers), kind == one] <- 6
  }
  counts <- matrix(stats::rpois(length(means), means), n_genes,
                   dimnames = list(paste0("gene", seq_len(n_genes)), paste0("cell", seq_along(kind))))
  methods::as(counts, "dgCMatrix")
}

as_seurat <- function(counts, variable = rownames(counts)) {
  object <- SeuratObject::CreateSeuratObject(counts)
  SeuratObject::VariableFeatures(object) <- variable
  object$donor <- rep(c("b", "a"), length.out = ncol(object))
  object$depth <- Matrix::colSums(counts)
  object
}

# Two samples of three kinds of cells; half of the genes have more counts in the second.
shifted_samples <- function(each = 80) {
  counts <- kinds_of_cells(3, each, n_genes = 240)
  shifted <- seq(2, ncol(counts), by = 2)
  set.seed(3)
  counts[121:240, shifted] <- counts[121:240, shifted] + stats::rpois(120 * length(shifted), 1)
  as_seurat(methods::as(counts, "CsparseMatrix"))
}

usual_steps <- function(object, dims = 1:5, ...) {
  quietly({
    object <- Seurat::NormalizeData(object, verbose = FALSE)
    object <- Seurat::ScaleData(object, verbose = FALSE)
    object <- Seurat::RunPCA(object, npcs = 10, verbose = FALSE)
    Seurat::FindNeighbors(object, dims = dims, verbose = FALSE, ...)
  })
}

quietly <- function(code) suppressMessages(suppressWarnings(code))

cluster_quietly <- function(object, ...) quietly(FindClustersRecall(object, ..., verbose = FALSE))

# Everything but the labels, the identities, the record and the logged command is as it was.
expect_otherwise_unchanged <- function(before, after, column = "recall_clusters") {
  expect_equal(setdiff(colnames(after[[]]), column), colnames(before[[]]))
  expect_identical(after@meta.data[colnames(before[[]])], before@meta.data)
  for (slot in setdiff(methods::slotNames(before), c("meta.data", "active.ident", "misc", "commands"))) {
    expect_identical(methods::slot(after, slot), methods::slot(before, slot), info = slot)
  }
  expect_equal(setdiff(names(after@misc), names(before@misc)), "recall")
  for (name in names(before@misc)) expect_identical(after@misc[[name]], before@misc[[name]])
  logged <- setdiff(names(after@commands), names(before@commands))
  expect_length(logged, 1)
  for (name in names(before@commands)) expect_identical(after@commands[[name]], before@commands[[name]])
}

# Labels and record, without the seconds that the stages took.
without_seconds <- function(labels) {
  record <- attr(labels, "recall")
  structure(labels, recall = record[setdiff(names(record), "seconds")])
}

# Adjusted Rand index of two labellings.
rand_index <- function(a, b) {
  table <- table(a, b)
  pairs <- function(n) sum(n * (n - 1) / 2)
  expected <- pairs(rowSums(table)) * pairs(colSums(table)) / pairs(sum(table))
  (pairs(table) - expected) / ((pairs(rowSums(table)) + pairs(colSums(table))) / 2 - expected)
}

# The folder of golden values, or NULL.
golden_folder <- function(name) {
  checkout <- Sys.getenv("RECALL_PY_CHECKOUT")
  shared <- Sys.getenv("RECALL_PY_SHARED")
  found <- Filter(dir.exists, file.path(c(checkout, shared), c("data/golden", "golden"), name))
  skip_if(!length(found), paste("the golden folder", name, "is not at hand (RECALL_PY_CHECKOUT, RECALL_PY_SHARED)"))
  found[1]
}

read_counts_of <- function(folder, file, rows) {
  counts <- Matrix::readMM(gzfile(file.path(folder, file)))
  counts <- methods::as(methods::as(methods::as(counts, "dMatrix"), "generalMatrix"), "CsparseMatrix")
  dimnames(counts) <- list(rows, readLines(file.path(folder, "barcodes.tsv")))
  counts
}

golden <- function(name) {
  folder <- golden_folder(name)
  variable <- readLines(file.path(folder, "variable_features.txt"))
  counts <- read_counts_of(folder, "counts.mtx.gz", readLines(file.path(folder, "genes.tsv")))
  list(counts = counts, variable = variable, folder = folder,
       knockoffs = read_counts_of(folder, "knockoffs_zip.mtx.gz", variable))
}

# The real PBMC 3k counts, genes x cells.
pbmc3k <- function() {
  file <- file.path(Sys.getenv("RECALL_PY_SHARED"), "data", "pbmc3k.h5ad")
  skip_if_not(file.exists(file), "pbmc3k.h5ad is not at hand (RECALL_PY_SHARED)")
  adata <- reticulate::import("anndata", convert = FALSE)$read_h5ad(file)
  counts <- reticulate::py_to_r(adata$X$T$tocsc())
  dimnames(counts) <- list(reticulate::py_to_r(adata$var_names$tolist()), reticulate::py_to_r(adata$obs_names$tolist()))
  counts[Matrix::rowSums(counts > 0) >= 3, ]
}

# The same run in Python alone: tl.recall on AnnData, as codes.
python_labels <- function(counts, variable, ...) {
  ad <- reticulate::import("anndata", convert = FALSE)
  pandas <- reticulate::import("pandas", convert = FALSE)
  var <- pandas$DataFrame(list(highly_variable = as.list(rownames(counts) %in% variable)),
                          index = as.list(rownames(counts)))
  obs <- pandas$DataFrame(index = as.list(colnames(counts)))
  adata <- ad$AnnData(reticulate::r_to_py(counts)$T$tocsr(), obs = obs, var = var)
  reticulate::import("warnings")$simplefilter("ignore")
  reticulate::import("recall_py")$tl$recall(adata, ...)
  as.integer(reticulate::py_to_r(adata$obs["recall_clusters"]$astype("int64")$tolist()))
}

codes <- function(labels) as.integer(as.character(unname(labels)))
