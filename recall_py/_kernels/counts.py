"""Sums over stored counts, and the counts of some genes put into their columns."""

from __future__ import annotations

import numpy as np

from recall_py._kernels._jit import jit


@jit
def add_up(cells, genes, values, totals, stored, sums, squares, largest):
    """Total of each cell; number, sum, sum of squares and largest of the non-zero values of each gene."""
    for i in range(values.size):
        value = np.float64(values[i])
        if value != 0:
            gene = genes[i]
            totals[cells[i]] += value
            stored[gene] += 1
            sums[gene] += value
            squares[gene] += value * value
            largest[gene] = max(largest[gene], value)


@jit
def add_up_below(genes, values, ceiling, found):
    """Sum and sum of squares of the values of each gene up to its `ceiling`, and the number of those above."""
    for i in range(values.size):
        gene = genes[i]
        value = np.float64(values[i])
        if value > ceiling[gene]:
            found[2, gene] += 1
        else:
            found[0, gene] += value
            found[1, gene] += value * value


@jit
def place(cells, genes, values, column, free, out_cells, out_values):
    """Put the non-zero values of the genes that have a `column` behind those that are there already."""
    for i in range(values.size):
        at = column[genes[i]]
        if at >= 0 and values[i] != 0:
            out_cells[free[at]] = cells[i]
            out_values[free[at]] = values[i]
            free[at] += 1
