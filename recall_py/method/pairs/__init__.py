"""Tests of pairs of clusters: rank sums, the filter, and the two kinds of null that real genes are compared with."""
