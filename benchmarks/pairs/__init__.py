"""Rank-sum tests of all pairs of clusters."""
