# Arguments are checked here, before Python starts. This file also serves the Python entry (rpy2).

PROGRAMMES <- c("cell_cycle", "cycle_s", "cycle_g2m", "cycle_hallmark", "cycle_macosko", "dissociation", "ribosomal",
                "mitochondrial")
ALGORITHMS <- c(louvain = 1, multilevel = 2, slm = 3, leiden = 4) # Seurat's numbers

refuse <- function(...) stop(..., call. = FALSE)

shown <- function(value) {
  if (is.null(value)) return("NULL")
  if (!is.atomic(value) && !is.list(value)) return(paste("of class", class(value)[1]))
  if (length(value) == 0) return("empty")
  text <- if (is.character(value)) paste0("\"", value, "\"") else format(value, trim = TRUE)
  listed(unlist(lapply(text, substr, 1, 60)))
}

one_number <- function(value, name, least = -Inf, most = Inf, above = -Inf, below = Inf) {
  fits <- is.numeric(value) && length(value) == 1 && !is.na(value) && value >= least && value <= most &&
    value > above && value < below
  if (fits) return(as.numeric(value))
  range <- c(if (is.finite(above)) paste("above", above), if (is.finite(least)) paste("from", least, "on"),
             if (is.finite(below)) paste("below", below), if (is.finite(most)) paste("up to", most))
  refuse(name, " is ", shown(value), "; one number", if (length(range)) paste0(" ", paste(range, collapse = " and ")),
         " is needed.")
}

one_whole <- function(value, name, least = -Inf) {
  fits <- is.numeric(value) && length(value) == 1 && !is.na(value) && value == round(value) && value >= least &&
    abs(value) <= .Machine$integer.max
  if (fits) return(as.integer(value))
  refuse(name, " is ", shown(value), "; one whole number", if (is.finite(least)) paste(" from", least, "on"),
         " is needed.")
}

one_flag <- function(value, name) {
  if (is.logical(value) && length(value) == 1 && !is.na(value)) return(value)
  refuse(name, " is ", shown(value), "; TRUE or FALSE is needed.")
}

one_text <- function(value, name) {
  if (is.character(value) && length(value) == 1 && !is.na(value) && nzchar(value)) return(value)
  refuse(name, " is ", shown(value), "; one name is needed.")
}

one_of <- function(value, name, known) {
  if (is.character(value) && length(value) == 1 && value %in% known) return(value)
  refuse(name, " is ", shown(value), ". Available: ", paste(known, collapse = ", "), ".")
}

some_names <- function(value, name) {
  if (is.character(value) && length(value) && !anyNA(value)) return(value)
  refuse(name, " is ", shown(value), "; a vector of names is needed.")
}

# Seurat's number of an algorithm, which may be given by name.
algorithm_number <- function(algorithm) {
  if (length(algorithm) == 1 && !is.na(algorithm)) {
    if (is.numeric(algorithm) && algorithm %in% ALGORITHMS) return(as.integer(algorithm))
    if (is.character(algorithm) && tolower(algorithm) %in% names(ALGORITHMS)) {
      return(as.integer(ALGORITHMS[[tolower(algorithm)]]))
    }
  }
  refuse("algorithm is ", shown(algorithm), ". Available: ",
         paste0(ALGORITHMS, " or \"", names(ALGORITHMS), "\"", collapse = ", "), ".")
}

some_programmes <- function(programmes) {
  unknown <- setdiff(as.character(programmes), PROGRAMMES)
  if (!length(unknown)) return(as.list(as.character(programmes)))
  refuse("programmes names ", listed(unknown), ". Available: ", paste(PROGRAMMES, collapse = ", "),
         "; NULL lets all genes count.")
}

threads <- function(cores) if (is.null(cores)) NULL else one_whole(cores, "cores", 1)

# What was typed must be the name of an argument, in full: R would take reduction for reduction_percentage.
refuse_unknown_names <- function(typed, known, hints = list()) {
  known <- setdiff(known, "...")
  unknown <- setdiff(typed[nzchar(typed)], known)
  if (!length(unknown)) return(invisible())
  if (unknown[1] %in% names(hints)) refuse(hints[[unknown[1]]])
  near <- known[startsWith(known, unknown[1]) | endsWith(known, unknown[1]) | startsWith(unknown[1], known)]
  refuse("Unknown argument ", paste(unknown, collapse = ", "), ".",
         if (length(near)) paste0(" Did you mean ", near[1], "?"), " There are: ", paste(known, collapse = ", "), ".")
}

# Names of the arguments of a call as they were typed, also where a function hands its own on.
typed_names <- function(call, caller) {
  handed_on <- vapply(as.list(call)[-1], identical, TRUE, quote(...))
  c(names(call)[-1], if (any(handed_on)) eval(quote(...names()), caller))
}

refuse_unnamed <- function(dots) {
  if (length(dots) && (is.null(names(dots)) || !all(nzchar(names(dots))))) {
    refuse("There are more unnamed arguments than this function has.")
  }
}
