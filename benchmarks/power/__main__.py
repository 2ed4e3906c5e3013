"""Power and false splits of the test of a pair, by several rules on the same cells.

``python -m benchmarks.power [--seed 0]``
"""

from __future__ import annotations

import argparse
import time
import warnings
from itertools import islice

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from benchmarks.machine import describe_machine
from benchmarks.power.pairs import every_pair
from benchmarks.tables import RESULTS, write_csv, write_markdown
from recall_py.method.pairs.filter import contrast, select
from recall_py.method.pairs.lead import compare, lead
from recall_py.method.pairs.pooled import PooledPair
from recall_py.method.params import MergeParams

N_DRAWS = MergeParams.n_draws
SHARE = 0.01
"""Null cuts that may stand, by which a threshold is chosen."""
CEILING = 0.95
"""True pairs that a classifier tells apart as well as this have to stand."""
SIZES = {"20 to 39": (20, 40), "40 to 79": (40, 80), "from 80": (80, 1000)}
USED = "lead of each gene"
"""As shipped: genes of the usual programmes left out, three draws where they leave no doubt."""
SEVEN = "the same, all genes, seven draws"


def excess(real, null):
    """Decades by which the 5th, 10th and 20th best genes exceed those of the best draw, the rule before."""
    places = np.array([4, 9, 19])
    return float((-np.sort(real)[places] - (-np.sort(null, axis=1)[:, places]).max(axis=0)).mean())


def ratio(real, null):
    """The largest ratio of the order statistics from the third to the 100th gene, two decades added."""
    places = np.array([3, 5, 7, 10, 15, 20, 30, 50, 75, 100]) - 1
    return float(((2 - np.sort(real)[places]) / (2 - np.sort(null, axis=1)[:, places]).max(axis=0)).max())


def selected(real, null):
    """Genes that the knockoff filter selects, the rule of the R package for null cells."""
    return float(select(np.array([contrast(real, draw) for draw in null]), fdr=0.05, offset=1).selected.sum())


RULES = {
    "ratio of the best genes": ratio,
    "excess in decades": excess,
    "genes the filter selects": selected,
}


def measured(pair, number):
    """Each rule's number for one pair."""
    pieces = (np.arange(pair.counts.shape[0]) >= pair.n_first).astype(np.int64)
    pooled, _ = PooledPair.of(pair.counts, pair.n_first, pieces, None, exact=False, left_out=pair.left_out)
    used = MergeParams()
    with threadpool_limits(1, user_api="blas"):
        rng = np.random.default_rng([number])
        found = compare(pooled, rng, threshold=used.threshold, n_draws=used.n_draws, n_best=0).lead.times
        cuts = islice(pooled.null_cuts(np.random.default_rng([number])), N_DRAWS)
        null = np.array([cut.genes.log10_p for cut in cuts])
        real = pooled.real_cut().log10_p
    return {USED: found, SEVEN: lead(real, null, pair.size).times} | {
        name: rule(real, null) for name, rule in RULES.items()
    }


def panel(seed):
    """One row for each pair."""
    begun = time.process_time()
    for number, pair in enumerate(every_pair(np.random.default_rng(seed))):
        if number % 100 == 0:
            print(f"{number} pairs, {time.process_time() - begun:.0f} s of CPU", flush=True)
        yield {
            "set": pair.set,
            "family": pair.family,
            "what": pair.what,
            "answer": pair.answer,
            "smaller": pair.size,
            "ceiling": pair.ceiling,
            **measured(pair, number),
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default=RESULTS)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    _, machine = describe_machine("scikit-learn")
    rows = list(panel(args.seed))
    write_csv(rows, "power", args.out)
    write_markdown(
        summary(pd.DataFrame(rows)),
        "power",
        title="Pairs with a known answer",
        machine=machine,
        command=f"python -m benchmarks.power --seed {args.seed}",
        folder=args.out,
    )


def summary(rows):
    """Rules beside each other, the rule in use by set, and null cuts by population."""
    real = ~rows["set"].str.startswith("simulated")
    null, true = rows["answer"] == "null", (rows["answer"] == "true") & (rows["ceiling"] >= CEILING)
    threshold = MergeParams.threshold
    rules = [
        {
            "rule": name,
            "threshold": "left out",
            **shares(rows, stands_left_out(rows, name, null & real), null, true, real),
        }
        for name in (USED, SEVEN, *RULES)
    ]
    rules.append(
        {"rule": USED, "threshold": f"{threshold:g}", **shares(rows, rows[USED] > threshold, null, true, real)}
    )
    stands = rows[USED] > threshold
    by_set = [
        {"set": name, **by_size(stands[true & (rows["set"] == name)], rows)} for name in rows.loc[true, "set"].unique()
    ]
    populations = [
        {
            "population": name,
            "cuts": int((null & (rows["set"] == name)).sum()),
            "stand": int(stands[null & (rows["set"] == name)].sum()),
            "largest": float(rows.loc[null & (rows["set"] == name), USED].max()),
        }
        for name in rows.loc[null, "set"].unique()
    ]
    return [("Rules", RULES_TOLD, rules), ("True pairs by set", BY_SET, by_set), ("Null cuts", NULL_TOLD, populations)]


RULES_TOLD = (
    "Left out: the threshold that 1 % of the null cuts of the other real populations pass, so that no pair is judged "
    "by a threshold that saw its family. False: null cuts that stand. Power: true pairs that stand, of kinds that a "
    "classifier tells apart with an area under the curve of .95 or more, by the cells of the smaller group; mean over "
    "sets. Worst: the set with the least power from 40 cells on. Simulated differences: 3 to 50 genes, fold 1.5 to 4."
)
BY_SET = (
    "The rule in use: share of true pairs that stand, by the cells of the smaller group; number of pairs in brackets."
)
NULL_TOLD = (
    "The rule in use, on one population cut in two. Cuts that the cell cycle tells apart are not counted. Simulated "
    "lines and circles are gradients, which a clustering cuts where nothing is."
)


def stands_left_out(rows, rule, null):
    """Whether each pair passes the threshold of the null cuts of other families."""
    stands = np.zeros(len(rows), dtype=bool)
    for family in rows["family"].unique():
        own = (rows["family"] == family).to_numpy()
        stands[own] = rows.loc[own, rule] > np.quantile(rows.loc[null & ~own, rule], 1 - SHARE)
    return pd.Series(stands, index=rows.index)


def shares(rows, stands, null, true, real):
    found = {"false, real": float(stands[null & real].mean()), "false, simulated": float(stands[null & ~real].mean())}
    sets = rows.loc[true, "set"].unique()
    for told, (least, below) in SIZES.items():
        chosen = true & rows["smaller"].between(least, below, inclusive="left")
        found[f"power, {told}"] = float(np.nanmean([stands[chosen & (rows["set"] == name)].mean() for name in sets]))
    large = true & (rows["smaller"] >= 40)
    found["worst"] = float(min(stands[large & (rows["set"] == name)].mean() for name in sets))
    differences = rows["set"] == "simulated differences"
    found["simulated differences"] = float(stands[differences].mean())
    found["states"] = float(stands[rows["answer"] == "state"].mean())
    return found


def by_size(stands, rows):
    found = {}
    for told, (least, below) in SIZES.items():
        chosen = stands[rows.loc[stands.index, "smaller"].between(least, below, inclusive="left")]
        found[told] = f"{chosen.mean():.2f} ({chosen.size})" if chosen.size else "-"
    return found


if __name__ == "__main__":
    main()
