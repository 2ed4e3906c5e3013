"""Pairs of groups of cells whose answer is known: which rules keep true pairs apart, and which split one population."""
