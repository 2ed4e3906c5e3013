# The page seurat.md and its pictures, from the vignette of the R package, with what R prints:
#   r_bridge/tests/run Rscript docs/tutorials/seurat.R

library <- tempfile()
dir.create(library)
stopifnot(system2("R", c("CMD", "INSTALL", "-l", library, "r_bridge"), stdout = FALSE, stderr = FALSE) == 0)
.libPaths(c(library, .libPaths()))

knitr::opts_knit$set(base.dir = file.path(getwd(), "docs", "tutorials"), progress = FALSE)
knitr::opts_chunk$set(fig.path = "seurat/")
page <- knitr::knit("r_bridge/vignettes/pbmc3k.Rmd", tempfile(), quiet = TRUE)
body <- sub("(?s)^---.*?\n---\n", "", paste(readLines(page), collapse = "\n"), perl = TRUE)
picture <- "(?s)<div class=\"figure\">\\s*<img src=\"([^\"]+)\" alt=\"([^\"]*)\" *.*?</div>"
body <- gsub(picture, "![\\2](\\1)", body, perl = TRUE)
made <- paste0("Made by `r_bridge/tests/run Rscript docs/tutorials/seurat.R` on ", Sys.Date(), ", with R ", getRversion(),
               ", Seurat ", packageVersion("Seurat"), " and recallpy ", packageVersion("recallpy"), ".")
writeLines(c("# In R: PBMC 3k, with one line changed", "", made, body), "docs/tutorials/seurat.md")
