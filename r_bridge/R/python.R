# Calling Python: plain arrays go there, plain vectors come back.

cluster_input <- function(input, asked, verbose) {
  knockoffs <- python_knockoffs(asked$knockoffs, input)
  found <- call_engine("cluster", python_matrix(input), asked$options, n_top_genes = asked$n_top_genes,
                       knockoffs = knockoffs, say = if (verbose) tell)
  for (text in unlist(found$messages)) warning(text, call. = FALSE)
  list(labels = labels_of(found$labels, input$cells), record = record_of(found, input))
}

# One-dimensional arrays become NumPy arrays that share R's memory; bare vectors would become lists.
python_matrix <- function(input) {
  list(x = array(input$x), i = array(input$i), p = array(input$p), genes = as.list(input$genes),
       totals = if (is.null(input$totals)) NULL else array(input$totals),
       batch = if (is.null(input$batch)) NULL else as.list(input$batch))
}

python_knockoffs <- function(knockoffs, input) {
  if (is.null(knockoffs)) return(NULL)
  if (length(dim(knockoffs)) != 2) refuse("knockoffs is ", shown(knockoffs), "; a matrix of counts is needed.")
  if (!identical(dim(knockoffs), c(length(input$genes), length(input$cells)))) {
    stop("knockoffs has ", paste(dim(knockoffs), collapse = " x "), " entries; one row for each of the ",
         length(input$genes), " selected genes and one column for each of the ", length(input$cells),
         " cells are needed.", call. = FALSE)
  }
  knockoffs <- refuse_no_counts(as_dgCMatrix(knockoffs, "knockoffs"), "knockoffs")
  list(x = array(knockoffs@x), i = array(knockoffs@i), p = array(knockoffs@p))
}

tell <- function(text) {
  message(text)
  NULL
}

say <- function(notes, verbose) if (verbose) for (note in notes) message(note)

SEARCH <- "recall_py.seurat.from_r"
PAIRS <- "recall_py.seurat.pairs_from_r"

call_engine <- function(name, ..., module = SEARCH) {
  engine <- python_engine(module)
  tryCatch(engine[[name]](...), error = function(error) stop(without_class(conditionMessage(error)), call. = FALSE))
}

# reticulate would download a Python of its own where it finds none; that is for the user to decide.
python_engine <- function(module = SEARCH) {
  asked <- Sys.getenv("RETICULATE_USE_MANAGED_VENV", NA)
  if (is.na(asked)) {
    Sys.setenv(RETICULATE_USE_MANAGED_VENV = "no")
    on.exit(Sys.unsetenv("RETICULATE_USE_MANAGED_VENV"))
  }
  tryCatch(reticulate::import(module), error = function(error) {
    stop("The Python package recall_py cannot be loaded", python_found(), ": ", first_line(conditionMessage(error)),
         "\nrecallpy::install_recallpy() says what to run.", call. = FALSE)
  })
}

python_found <- function() {
  if (!reticulate::py_available()) return(" (no Python was found)")
  paste0(" from ", reticulate::py_config()$python)
}

# The sentence alone, without the class of the error before it.
without_class <- function(text) sub("^([A-Za-z.]*(Error|Exception)): ", "", first_line(text))

first_line <- function(text) strsplit(text, "\n", fixed = TRUE)[[1]][1]
