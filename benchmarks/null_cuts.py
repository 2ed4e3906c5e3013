"""The evidence that cuts of one population reach: the tail of p-values, and whether these are conservative.

``python -m benchmarks.null_cuts [--seeds 5] [--batches 2 6]``

The cuts are those of ``benchmarks.power``, by further seeds: one population, real or simulated, cut at random, along
depth and the first component, by 2-means and by Leiden. Cuts that the cell cycle tells apart are not counted. With
``--batches`` the cells are in batches, each of which has lost other shares of the counts of each gene.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.stats import binomtest
from threadpoolctl import threadpool_limits

from benchmarks.machine import describe_machine
from benchmarks.power.pairs import every_null_cut
from benchmarks.tables import RESULTS, write_csv, write_markdown
from recall_py.method.pairs.batches import shared
from recall_py.method.pairs.lead import NULL_FALL, NULL_LEAD, compare, p_value
from recall_py.method.pairs.pooled import PooledPair
from recall_py.method.params import MergeParams

PICTURE = RESULTS.parents[1] / "docs" / "null_cuts.png"
SOUGHT = ("component", "2-means", "Leiden")
"""Cuts that look for a difference, as a clustering does."""
TAIL = 0.2
"""Share of these cuts that the tail is fitted to."""
LEVELS = (0.05, 0.01, 0.002)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="number of panels")
    parser.add_argument("--batches", type=int, nargs="+", help="the cuts in so many batches, beside those without")
    parser.add_argument("--out", default=RESULTS)
    parser.add_argument("--picture", default=PICTURE)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    _, machine = describe_machine("scikit-learn")
    command = f"python -m benchmarks.null_cuts --seeds {args.seeds}"
    numbers, name = args.batches or (), "null_cuts_in_batches" if args.batches else "null_cuts"
    rows = pd.DataFrame([row for seed in range(args.seeds) for n in (1, *numbers) for row in panel(seed, n)])
    write_csv(rows, name, args.out)
    if not numbers:
        draw(rows, args.picture)
    write_markdown(
        in_batches(rows) if numbers else summary(rows),
        name,
        title="Cuts of one population" + " in batches" * bool(numbers),
        machine=machine,
        command=command + " --batches" * bool(numbers) + "".join(f" {n}" for n in numbers),
        folder=args.out,
    )


def panel(seed, n_batches=1):
    """One row for each null cut, of those with batches in which the two parts can be compared."""
    for number, pair in enumerate(every_null_cut(np.random.default_rng([1, seed]), first_seed=3 * (seed + 1))):
        if pair.answer == "null":
            found = evidence(pair, [seed, number], n_batches)
            if found is not None:
                yield {
                    "batches": n_batches,
                    "seed": seed,
                    "family": pair.family,
                    "cut": pair.what.partition(",")[0],
                    "smaller": pair.size,
                    "evidence": found,
                }
    print(f"panel {seed}, {n_batches} batches: {number + 1} cuts", flush=True)


def evidence(pair, seed, n_batches=1):
    """The lead of a pair beside that which is needed, as shipped; None where no batch has enough cells of both."""
    counts, batches, told_in = pair.counts, None, None
    is_first = np.arange(counts.shape[0]) < pair.n_first
    if n_batches > 1:
        rng = np.random.default_rng([*seed, n_batches])
        batches = rng.integers(n_batches, size=is_first.size).astype(np.int32)
        told_in, others = shared(batches[is_first], batches[~is_first])
        if not told_in.size:
            return None
        kept = np.isin(batches, [*told_in, *others])
        counts, batches, is_first = with_effects(counts[kept], batches[kept], rng), batches[kept], is_first[kept]
    pooled, _ = PooledPair.of(
        counts,
        int(is_first.sum()),
        (~is_first).astype(np.int64),
        batches,
        told_in=told_in,
        exact=False,
        left_out=pair.left_out,
    )
    with threadpool_limits(1, user_api="blas"):
        found = compare(pooled, np.random.default_rng(seed), threshold=1.0, n_draws=MergeParams.n_draws, n_best=0)
    return found.lead.times


def with_effects(counts, batches, rng):
    """Counts of which each batch has lost up to half of each gene, other shares of other genes."""
    share = rng.uniform(0.5, 1, size=(int(batches.max()) + 1, counts.shape[1]))
    found = counts.tocoo()
    thinned = rng.binomial(found.data.astype(np.int64), share[batches[found.row], found.col])
    return sparse.csr_array((thinned, (found.row, found.col)), shape=counts.shape)


def tail(rows):
    """A power law for the largest fifth: from where it holds for all, and how fast it falls (Hill's estimator)."""
    values = np.sort(rows.loc[rows["cut"].isin(SOUGHT), "evidence"])
    start = np.quantile(values, 1 - TAIL)
    fall = 1 / np.log(values[values > start] / start).mean()
    return start * TAIL ** (1 / fall), fall


def summary(rows):
    """The tail, and shares of p-values at most some levels: by the shipped constants and by those of other families."""
    left_out = pd.Series(np.nan, index=rows.index)
    fits = []
    for family in rows["family"].unique():
        own = rows["family"] == family
        lead, fall = tail(rows[~own])
        left_out[own] = np.minimum((rows.loc[own, "evidence"] / lead) ** -fall, 1.0)
        fits.append((lead, fall))
    lead, fall = tail(rows)
    leads, falls = np.transpose(fits)
    shipped = pd.Series(p_value(rows["evidence"].to_numpy()), index=rows.index)
    sought = rows["cut"].isin(SOUGHT)
    real = ~rows["family"].str.startswith("simulated")
    lines = [
        {"cuts": told, "number": int(chosen.sum()), "p-values": name, **below(p[chosen])}
        for told, chosen in {
            "real": real,
            "simulated": ~real,
            "real, that look for a difference": real & sought,
            "simulated, that look for a difference": ~real & sought,
        }.items()
        for name, p in {"shipped": shipped, "tail of other families": left_out}.items()
    ]
    by_size = [
        {"cells of the smaller": f"{least} to {most}", "number": int(chosen.sum()), **below(shipped[chosen])}
        for least, most in ((10, 19), (20, 39), (40, 79), (80, 149), (150, 400))
        for chosen in [sought & rows["smaller"].between(least, most)]
    ]
    by_family = [
        {
            "population": family,
            "number": int((rows["family"] == family).sum()),
            "largest evidence": float(rows.loc[rows["family"] == family, "evidence"].max()),
            **below(shipped[rows["family"] == family]),
        }
        for family in rows["family"].unique()
    ]
    fitted = (
        f"Of the {int(sought.sum())} cuts that look for a difference, the share above an evidence x is (x / a)^-b in "
        f"the largest fifth: a = {lead:.3f}, b = {fall:.2f}; with one family left out a = {leads.min():.3f} to "
        f"{leads.max():.3f}, b = {falls.min():.2f} to {falls.max():.2f}. "
        f"Shipped: a = {NULL_LEAD:g}, b = {NULL_FALL:g}. "
        "Below: shares of p-values at most each level, and the 95 % interval as if cuts were independent; they share "
        "cells."
    )
    return [
        ("p-values", fitted, lines),
        ("By size", "Cuts that look for a difference, by the shipped constants.", by_size),
        ("By population", "All cuts.", by_family),
    ]


def in_batches(rows):
    """Shares of small p-values of the same cuts without batches and with."""
    lines = [
        {"batches": n, "cuts": told, "number": int(chosen.sum()), **below(p_value(rows.loc[chosen, "evidence"]))}
        for told, which in (("all", np.ones(len(rows), bool)), ("that look for a difference", rows["cut"].isin(SOUGHT)))
        for n in rows["batches"].unique()
        for chosen in [which & (rows["batches"] == n)]
    ]
    text = (
        "Cells of the same cuts in batches at random, each with other shares of the counts of each gene, from .5 to 1, "
        "and compared within batches; cuts without a batch that has 5 cells of both are not counted."
    )
    return [("p-values", text, lines)]


def draw(rows, path):
    """The share of cuts with a p-value of at most each level, beside the level."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 4.2), layout="constrained")
    axis = figure.add_subplot()
    real, sought = ~rows["family"].str.startswith("simulated"), rows["cut"].isin(SOUGHT)
    levels = np.geomspace(1e-3, 1, 200)
    for told, chosen, style in (
        ("real, cut by a clustering", real & sought, "C0-"),
        ("real, all cuts", real, "C0:"),
        ("simulated, cut by a clustering", ~real & sought, "C1-"),
        ("simulated, all cuts", ~real, "C1:"),
    ):
        p = p_value(rows.loc[chosen, "evidence"].to_numpy())
        axis.plot(levels, [(p <= level).mean() for level in levels], style, label=f"{told} ({chosen.sum():,})")
    axis.plot(levels, levels, color="0.5", lw=1, label="as many as the p-value says")
    axis.set(xscale="log", yscale="log", xlim=(1e-3, 1), ylim=(5e-4, 1.1))
    axis.set(xlabel="p-value of a pair", ylabel="share of null cuts with at most that")
    axis.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=150)


def below(p):
    """Shares of p-values at most each level."""
    found = {}
    for level in LEVELS:
        hits = int((p <= level).sum())
        if not len(p):
            continue
        low, high = binomtest(hits, len(p)).proportion_ci(method="wilson")
        found[f"p at most {level:g}"] = f"{hits / len(p):.4f} ({low:.4f} to {high:.4f})"
    return found


if __name__ == "__main__":
    main()
