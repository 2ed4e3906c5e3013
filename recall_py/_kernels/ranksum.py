"""All-pairs Mann-Whitney counts in one pass over each gene's sorted non-zeros."""

from __future__ import annotations

import numpy as np

from recall_py._kernels._jit import jit

_BITS = 11
_DIGITS = 1 << _BITS
LANES = 8
"""Clusters that a value is added to at once: loops of a fixed length take fewer steps than shorter ones of any."""


@jit
def _count_tie_group(members, n_members, counts, seen, u, ties):
    """Add a group of equal values; `members` are the clusters in it, and `counts` their cells, which become 0."""
    n_hubs = ties.shape[1] - 1
    for i in range(n_members):
        a = members[i]
        row = u[a]
        for c in range(0, min(a, n_hubs), LANES):
            for b in range(c, c + LANES):
                row[b] += counts[a] * seen[b]
        ties[a, n_hubs] += counts[a] ** 3 - counts[a]
        for j in range(n_members):
            b = members[j]
            if b < min(a, n_hubs):
                row[b] += 0.5 * counts[a] * counts[b]
                ties[a, b] += 3.0 * (counts[a] * counts[b]) * (counts[a] + counts[b])
    for i in range(n_members):
        a = members[i]
        seen[a] += counts[a]
        counts[a] = 0.0


@jit
def _count_sorted_run(begin, end, starts_group, clusters, members, counts, seen, u, ties):
    """Walk one ascending run of non-zeros; `clusters` are those of its cells."""
    n_hubs = ties.shape[1] - 1
    position = begin
    while position < end:
        stop = position + 1
        while stop < end and not starts_group[stop]:
            stop += 1
        if stop == position + 1:
            a = np.int64(clusters[position])
            row = u[a]
            for c in range(0, min(a, n_hubs), LANES):
                for b in range(c, c + LANES):
                    row[b] += seen[b]
            seen[a] += 1.0
        else:
            n_members = 0
            for i in range(position, stop):
                a = np.int64(clusters[i])
                if counts[a] == 0.0:
                    members[n_members] = a
                    n_members += 1
                counts[a] += 1.0
            _count_tie_group(members, n_members, counts, seen, u, ties)
        position = stop


@jit
def count_pairs(genes, indptr, cells, starts_group, n_below_zero, labels, sizes, u, ties):
    """Mann-Whitney counts and tie sums of pairs of clusters a > b, b below the number of hubs, for the given genes.

    ``u[g, a, b]`` becomes the number of (cell of a, cell of b) with a larger value in a, equal values counting 1/2.
    ``ties[g, a, n_hubs]`` becomes the sum of t^3 - t over the tie groups of cluster a, and ``ties[g, a, b]`` the sum of
    3 t_a t_b (t_a + t_b), so that the three add up to the tie sum of the pooled pair. The last dimension of `ties` is
    the number of hubs and one more; that of `u` is the number of hubs, rounded up to `LANES`, and what it holds
    elsewhere is of no use. A value costs as many steps as there are hubs below the code of its cluster: codes by
    decreasing size make it cheap.
    """
    n_clusters = sizes.size
    seen = np.empty(u.shape[2] + n_clusters)
    counts = np.zeros(n_clusters)
    members = np.empty(n_clusters, dtype=np.int64)
    longest = 0
    for g in range(genes.size):
        longest = max(longest, indptr[genes[g] + 1] - indptr[genes[g]])
    clusters = np.empty(longest, dtype=labels.dtype)
    for g in range(genes.size):
        begin = indptr[genes[g]]
        n_nonzero = indptr[genes[g] + 1] - begin
        n_below = n_below_zero[genes[g]]
        starts = starts_group[begin : begin + n_nonzero]
        u[g] = 0.0
        ties[g] = 0.0
        seen[:] = 0.0
        counts[:] = sizes
        for i in range(n_nonzero):
            a = labels[cells[begin + i]]
            clusters[i] = a
            counts[a] -= 1.0
        n_members = 0
        for a in range(n_clusters):
            if counts[a] > 0.0:
                members[n_members] = a
                n_members += 1
        if n_below > 0:
            zeros = counts.copy()
            at_zero = members[:n_members].copy()
            counts[:] = 0.0
            _count_sorted_run(0, n_below, starts, clusters, members, counts, seen, u[g], ties[g])
            counts[:] = zeros
            members[:n_members] = at_zero
        _count_tie_group(members, n_members, counts, seen, u[g], ties[g])
        _count_sorted_run(n_below, n_nonzero, starts, clusters, members, counts, seen, u[g], ties[g])


@jit
def standardise_pairs(u, ties, sizes, first, second, above, z):
    """Counts and normal score of each pair, with tie and continuity correction.

    `first` and `second` are the codes of each pair, in any order. ``above[q, g]`` becomes the count of cluster
    ``first[q]`` over ``second[q]``; ``z[q, g]`` is positive where ``first[q]`` is the larger, and 0 where the gene is
    constant over the pair.
    """
    n_hubs = ties.shape[2] - 1
    for q in range(first.size):
        a = max(first[q], second[q])
        b = min(first[q], second[q])
        n_a = sizes[a]
        n_b = sizes[b]
        n = n_a + n_b
        for g in range(u.shape[0]):
            over = u[g, a, b] if a == first[q] else n_a * n_b - u[g, a, b]
            above[q, g] = over
            tied = (ties[g, a, n_hubs] + ties[g, b, n_hubs] + ties[g, a, b]) / (n**3 - n)
            # The least tied non-constant gene has 1 - tied = 3 / n; anything smaller is rounding.
            if 1.0 - tied < 1e-12:
                z[q, g] = 0.0
                continue
            deviation = over - 0.5 * n_a * n_b
            corrected = max(abs(deviation) - 0.5, 0.0)
            score = corrected / np.sqrt(n_a * n_b / 12.0 * (n + 1.0) * (1.0 - tied))
            z[q, g] = score if deviation > 0.0 else -score


@jit
def sort_in_rows(keys, row, indptr):
    """The (n,) uint32 keys in ascending order within each row, the rows one after the other from `indptr` on.

    By digits of 11 bits, the lowest first (Knuth, *The Art of Computer Programming* 3, 5.2.5), and by rows at last.
    `keys` and `row` are used up.
    """
    n = keys.size
    sorted_keys = np.empty_like(keys)
    sorted_row = np.empty_like(row)
    begin = np.empty(_DIGITS, dtype=np.int64)
    for shift in (0, _BITS, 2 * _BITS):
        begin[:] = 0
        for i in range(n):
            begin[(keys[i] >> shift) & (_DIGITS - 1)] += 1
        before = 0
        for digit in range(_DIGITS):
            size = begin[digit]
            begin[digit] = before
            before += size
        for i in range(n):
            digit = (keys[i] >> shift) & (_DIGITS - 1)
            sorted_keys[begin[digit]] = keys[i]
            sorted_row[begin[digit]] = row[i]
            begin[digit] += 1
        keys, sorted_keys = sorted_keys, keys
        row, sorted_row = sorted_row, row
    end = indptr.copy()
    for i in range(n):
        sorted_keys[end[row[i]]] = keys[i]
        end[row[i]] += 1
    return sorted_keys


@jit
def count_two(indptr, keys, n_first, n_cells, u, ties):
    """Counts and tie sums of two parts, for :func:`standardise_pairs`: code 1 for the first part, 0 for the second.

    ``u[row, 1, 0]`` becomes the Mann-Whitney count of the first over the second, ``ties[row, 1, 1]`` the sum of
    t^3 - t over all tie groups. Rows are genes, or genes within batches, the batches of a gene one after the other.

    `keys` are the non-zeros of each row in ascending order, none negative; the last bit tells whether a cell is of the
    first part, the others the value. `n_first` and `n_cells` are the cells of the first part and of both, in each
    batch.
    """
    for row in range(u.shape[0]):
        begin = indptr[row]
        end = indptr[row + 1]
        batch = row % n_cells.size
        n_zeros = n_cells[batch] - (end - begin)
        zeros_first = n_first[batch]
        for at in range(begin, end):
            zeros_first -= int(keys[at] & 1)
        below = n_zeros - zeros_first
        over = 0.5 * zeros_first * below
        tied = float(n_zeros) ** 3 - n_zeros
        at = begin
        while at < end:
            stop = at
            first = 0
            while stop < end and keys[stop] >> 1 == keys[at] >> 1:
                first += int(keys[stop] & 1)
                stop += 1
            second = stop - at - first
            over += first * (below + 0.5 * second)
            below += second
            size = float(stop - at)
            tied += size**3 - size
            at = stop
        u[row, 1, 0] = over
        ties[row, 1, 1] = tied
