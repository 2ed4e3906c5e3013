"""The method, on plain arrays: null genes, clusters, tests of pairs, and the search. It knows no files, no AnnData."""
