"""Hot paths of recall_py, timed by asv; see the README of the benchmarks."""
