# What to run, so that reticulate finds recall_py. Nothing is installed behind the user's back.

install_recallpy <- function(source = "path/to/recall", envname = "r-recallpy") {
  lines <- c(
    sprintf("reticulate::virtualenv_create(\"%s\")", envname),
    sprintf("reticulate::virtualenv_install(\"%s\", \"%s\")", envname, source),
    sprintf("Sys.setenv(RETICULATE_PYTHON = reticulate::virtualenv_python(\"%s\"))  # in ~/.Rprofile, to keep it", envname)
  )
  cat("recall_py needs Python 3.11 or newer. Run this in a fresh R session, with the folder of your copy of recall_py ",
      "(the one that holds pyproject.toml) in the second line:\n\n", paste0("  ", lines, "\n"), "\n", sep = "")
  cat("To use an environment that has recall_py already:\n\n",
      "  Sys.setenv(RETICULATE_PYTHON = \"/path/to/its/bin/python\")\n\n", sep = "")
  cat("Then see whether it works:\n\n  reticulate::import(\"recall_py\")$`__version__`\n", sep = "")
  invisible(lines)
}
