"""Power and false splits of the test of a pair, by several rules on the same cells.

``python -m benchmarks.power [--seed 0] [--cache FILE]``
"""

from __future__ import annotations

import argparse
import pickle
import time
from itertools import islice
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.power.pairs import every_pair
from recall_py.method.pairs.pooled import PooledPair

RANKS = np.array([1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 75, 100, 150, 200])
N_DRAWS = 7


def order_statistics(log10_p):
    """-log10 p at the ranks; the last gene's where there are fewer."""
    ordered = -np.sort(log10_p)
    return ordered[np.minimum(RANKS, ordered.size) - 1]


def measured(pair, number, *, without_cycle):
    """The real genes' and every null draw's order statistics."""
    counts = pair.counts[:, ~pair.cycle] if without_cycle else pair.counts
    pieces = (np.arange(counts.shape[0]) >= pair.n_first).astype(np.int64)
    pooled, _ = PooledPair.of(counts, pair.n_first, pieces, None, exact=pair.size < 10)
    cuts = islice(pooled.null_cuts(np.random.default_rng([number, int(without_cycle)])), N_DRAWS)
    null = np.array([order_statistics(cut.genes.log10_p) for cut in cuts])
    return order_statistics(pooled.real_cut().log10_p), null


def panel(seed):
    """One row for each pair, with and without the genes of the cell cycle."""
    rows = []
    begun = time.process_time()
    for number, pair in enumerate(every_pair(np.random.default_rng(seed))):
        row = {
            "set": pair.set,
            "family": pair.family,
            "what": pair.what,
            "answer": pair.answer,
            "first": pair.n_first,
            "second": pair.counts.shape[0] - pair.n_first,
            "ceiling": pair.ceiling,
        }
        with threadpool_limits(1, user_api="blas"):
            row["all"] = measured(pair, number, without_cycle=False)
            row["without cycle"] = measured(pair, number, without_cycle=True) if pair.cycle.any() else row["all"]
        rows.append(row)
        if number % 200 == 0:
            print(f"{number} pairs, {time.process_time() - begun:.0f} s of CPU", flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, help="where the order statistics are kept between runs")
    args = parser.parse_args()
    if args.cache is not None and args.cache.exists():
        rows = pickle.loads(args.cache.read_bytes())
    else:
        rows = panel(args.seed)
        if args.cache is not None:
            args.cache.write_bytes(pickle.dumps(rows))
    print(len(rows))


if __name__ == "__main__":
    main()
