"""Where the numbers of a count matrix lie, in memory, in a file or in blocks of dask, and reading them in blocks."""
