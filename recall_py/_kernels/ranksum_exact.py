"""Exact permutation distribution of a tied rank sum, from tables over each gene's non-zeros."""

from __future__ import annotations

import numpy as np

from recall_py._kernels._jit import jit


@jit
def _rank_non_zeros(starts_group, ranks):
    """Doubled mid-ranks of ascending non-zeros among themselves, less 1."""
    first = 0
    while first < starts_group.size:
        last = first + 1
        while last < starts_group.size and not starts_group[last]:
            last += 1
        ranks[first:last] = first + last
        first = last


@jit
def _common_step(ranks):
    """Greatest common divisor of the differences of ascending ranks; 1 where all are equal."""
    step = 0
    for i in range(1, ranks.size):
        rest = ranks[i] - ranks[i - 1]
        while rest:
            step, rest = rest, step % rest
    return max(step, 1)


@jit
def _count_choices(ranks, step, lowest, highest, ways):
    """Count the choices of j non-zeros by their sum, one non-zero after the other (the shift algorithm).

    ``ways[j, r]`` becomes the number of choices of j whose ranks sum to ``j * ranks[0] + step * r``, for r from
    ``lowest[j]`` to ``highest[j]``; entries outside are left as they are.
    """
    lowest[0] = 0
    highest[0] = 0
    ways[0, 0] = 1.0
    for seen in range(ranks.size):
        shift = (ranks[seen] - ranks[0]) // step
        for j in range(min(seen + 1, ways.shape[0] - 1), 0, -1):
            # Ranks ascend, so the newest one is part of the largest sum.
            new_highest = highest[j - 1] + shift
            if j == seen + 1:
                lowest[j] = new_highest
                highest[j] = new_highest - 1
            ways[j, highest[j] + 1 : new_highest + 1] = 0.0
            highest[j] = new_highest
            begin = lowest[j - 1]
            n_sums = highest[j - 1] + 1 - begin
            fewer = ways[j - 1, begin : begin + n_sums]
            more = ways[j, begin + shift : begin + shift + n_sums]
            for r in range(n_sums):
                more[r] += fewer[r]


@jit
def _count_extreme(n_zeros, n_non_zeros, size, distance, bottom, step, lowest, highest, ways):
    """Number of choices of `size` cells whose doubled rank sum is at least `distance` > 0 from its mean."""
    centre = size * n_non_zeros
    # C(n_zeros, size - j), from j = size downwards.
    from_zeros = 1.0
    total = 0.0
    for n_from_zeros in range(size + 1):
        if n_from_zeros > 0:
            from_zeros *= n_zeros - n_from_zeros + 1
            from_zeros /= n_from_zeros
        j = size - n_from_zeros
        if j > n_non_zeros:
            continue
        base = j * (n_zeros + bottom)
        last_low = min((centre - distance - base) // step, highest[j])
        first_high = max(-((base - centre - distance) // step), lowest[j])
        found = 0.0
        for r in range(lowest[j], last_low + 1):
            found += ways[j, r]
        for r in range(first_high, highest[j] + 1):
            found += ways[j, r]
        total += from_zeros * found
    return total


@jit
def extreme_shares(genes, indptr, cells, starts_group, in_smaller, size, n_choices, most_non_zeros, shares):
    """Share of all choices of `size` cells at least as far from the mean rank sum as the observed one, gene by gene.

    Ranks are doubled, and taken less the rank of the zeros: a non-zero then counts the number of zeros plus its rank
    among the non-zeros (:func:`_rank_non_zeros`), a zero counts nothing, and the mean of the sum is `size` times the
    number of non-zeros. All of these are integers, so a sum on the border is never lost to rounding. Genes with the
    same ties as the one before share its table. `n_choices` is the number of all choices, and `most_non_zeros` the most
    that any of `genes` has.
    """
    n_cells = in_smaller.size
    most = min(size, most_non_zeros)
    # The largest sum is that of untied non-zeros; ties only lower it.
    ways = np.empty((most + 1, most * max(2 * most_non_zeros - most - 1, 0) + 1))
    lowest = np.empty(most + 1, dtype=np.int64)
    highest = np.empty(most + 1, dtype=np.int64)
    scratch = np.empty(most_non_zeros, dtype=np.int64)
    ranks = scratch[:0]
    previous = starts_group[:0]
    bottom = 0
    step = 1
    for g in range(genes.size):
        begin = indptr[genes[g]]
        groups = starts_group[begin : indptr[genes[g] + 1]]
        n_zeros = n_cells - groups.size
        if g == 0 or not np.array_equal(groups, previous):
            ranks = scratch[: groups.size]
            _rank_non_zeros(groups, ranks)
            bottom = ranks[0] if groups.size > 0 else 0
            step = _common_step(ranks)
            _count_choices(ranks, step, lowest, highest, ways)
        previous = groups
        observed = 0
        for i in range(groups.size):
            if in_smaller[cells[begin + i]]:
                observed += n_zeros + ranks[i]
        distance = abs(observed - size * groups.size)
        if distance == 0:
            shares[g] = 1.0
            continue
        n_extreme = _count_extreme(n_zeros, groups.size, size, distance, bottom, step, lowest, highest, ways)
        shares[g] = min(n_extreme / n_choices, 1.0)
