# One run of FindClustersRecall in a fresh process, for benchmarks/r_bridge.py: Rscript r_bridge.R FILE START

suppressPackageStartupMessages({
  library(Seurat)
  library(recallpy)
})

# Memory of this process in MiB, as Linux tells it.
memory <- function(name) {
  status <- readLines("/proc/self/status")
  as.numeric(gsub("[^0-9]", "", status[startsWith(status, name)])) / 1024
}

arguments <- commandArgs(trailingOnly = TRUE)
adata <- reticulate::import("recall_py", convert = FALSE)$datasets$pbmc68k()
small <- reticulate::py_to_r(adata$X$T$tocsc())
dimnames(small) <- list(paste0("g", seq_len(nrow(small))), paste0("c", seq_len(ncol(small))))
invisible(suppressWarnings(FindClustersRecall(small, verbose = FALSE)))
rm(adata, small)

object <- readRDS(arguments[1])
invisible(gc())
before <- memory("VmRSS:")
writeLines("5", "/proc/self/clear_refs") # the peak starts anew
taken <- system.time(
  found <- suppressWarnings(FindClustersRecall(object, as.numeric(arguments[2]), verbose = FALSE))
)
peak <- memory("VmHWM:")
cat(sprintf('{"seconds": %.6f, "cpu": %.6f, "engine": %.6f, "before": %.3f, "peak": %.3f, "labels": [%s]}\n',
            taken[["elapsed"]], taken[["user.self"]] + taken[["sys.self"]], sum(Misc(found, "recall")$seconds), before,
            peak, paste(as.character(found$recall_clusters), collapse = ", ")))
