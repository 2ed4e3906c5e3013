# Makes testthat/harmony.csv: Harmony's coordinates of shifted_samples(), by harmonypy. Needs Seurat, and a Python with
# harmonypy 2.1: RETICULATE_PYTHON=.../bin/python Rscript r_bridge/tests/make_harmony.R, in the checkout.
folder <- "r_bridge/tests/testthat"
source(file.path(folder, "helper-data.R"))
object <- usual_steps(shifted_samples())
scores <- SeuratObject::Embeddings(object, "pca")[, 1:5]
batches <- reticulate::import("pandas")$DataFrame(list(donor = object$donor))
found <- reticulate::import("harmonypy")$run_harmony(scores, batches, "donor", random_state = 0L)$Z_corr
if (nrow(found) != nrow(scores)) found <- t(found)
dimnames(found) <- list(colnames(object), paste0("harmony_", 1:5))
write.csv(round(found, 3), file.path(folder, "harmony.csv"), quote = FALSE)
