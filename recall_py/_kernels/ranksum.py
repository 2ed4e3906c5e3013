"""All-pairs Mann-Whitney counts in one pass over each gene's sorted non-zeros."""

from __future__ import annotations

import numpy as np

from recall_py._kernels._jit import jit


@jit
def _count_tie_group(counts, seen, u, ties):
    """Add one group of equal values to `u` and `ties`; `counts` is its size in each cluster."""
    n_clusters = counts.size
    for a in range(n_clusters):
        if counts[a] == 0.0:
            continue
        for b in range(n_clusters):
            u[a, b] += counts[a] * (seen[b] + 0.5 * counts[b])
        ties[a, a] += counts[a] ** 3 - counts[a]
        for b in range(a + 1, n_clusters):
            ties[a, b] += 3.0 * counts[a] * counts[b] * (counts[a] + counts[b])
    for a in range(n_clusters):
        seen[a] += counts[a]


@jit
def _count_sorted_run(begin, end, cells, starts_group, labels, counts, seen, u, ties):
    """Walk one ascending run of non-zeros."""
    n_clusters = seen.size
    position = begin
    while position < end:
        stop = position + 1
        while stop < end and not starts_group[stop]:
            stop += 1
        if stop == position + 1:
            a = labels[cells[position]]
            row = u[a]
            for b in range(n_clusters):
                row[b] += seen[b]
            seen[a] += 1.0
        else:
            counts[:] = 0.0
            for i in range(position, stop):
                counts[labels[cells[i]]] += 1.0
            _count_tie_group(counts, seen, u, ties)
        position = stop


@jit
def count_pairs(genes, indptr, cells, starts_group, n_below_zero, labels, sizes, u, ties):
    """Mann-Whitney counts and tie sums of every pair of clusters, for the given genes.

    ``u[g, a, b]`` becomes the number of (cell of a, cell of b) with a larger value in a, equal values counting 1/2.
    ``ties[g, a, a]`` becomes the sum of t^3 - t over the tie groups of cluster a, and ``ties[g, a, b]`` (a < b) the sum
    of 3 t_a t_b (t_a + t_b), so that the three add up to the tie sum of the pooled pair.
    """
    n_clusters = sizes.size
    seen = np.empty(n_clusters)
    counts = np.empty(n_clusters)
    zeros = np.empty(n_clusters)
    for g in range(genes.size):
        begin = indptr[genes[g]]
        end = indptr[genes[g] + 1]
        first_above = begin + n_below_zero[genes[g]]
        u[g] = 0.0
        ties[g] = 0.0
        seen[:] = 0.0
        zeros[:] = sizes
        for i in range(begin, end):
            zeros[labels[cells[i]]] -= 1.0
        _count_sorted_run(begin, first_above, cells, starts_group, labels, counts, seen, u[g], ties[g])
        _count_tie_group(zeros, seen, u[g], ties[g])
        _count_sorted_run(first_above, end, cells, starts_group, labels, counts, seen, u[g], ties[g])


@jit
def standardise_pairs(u, ties, sizes, first, second, z):
    """Normal score of each pair from its counts, with tie and continuity correction.

    ``z[q, g]`` is positive where cluster ``first[q]`` is the larger, and 0 where the gene is constant over the pair.
    """
    for q in range(first.size):
        a = first[q]
        b = second[q]
        n_a = sizes[a]
        n_b = sizes[b]
        n = n_a + n_b
        for g in range(u.shape[0]):
            tied = (ties[g, a, a] + ties[g, b, b] + ties[g, min(a, b), max(a, b)]) / (n**3 - n)
            # The least tied non-constant gene has 1 - tied = 3 / n; anything smaller is rounding.
            if 1.0 - tied < 1e-12:
                z[q, g] = 0.0
                continue
            deviation = u[g, a, b] - 0.5 * n_a * n_b
            corrected = max(abs(deviation) - 0.5, 0.0)
            score = corrected / np.sqrt(n_a * n_b / 12.0 * (n + 1.0) * (1.0 - tied))
            z[q, g] = score if deviation > 0.0 else -score
