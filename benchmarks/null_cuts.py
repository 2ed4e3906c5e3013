"""The evidence that cuts of one population reach: the tail of p-values, and whether these are conservative.

``python -m benchmarks.null_cuts [--seeds 5]``

The cuts are those of ``benchmarks.power``, by further seeds: one population, real or simulated, cut at random, along
depth and the first component, by 2-means and by Leiden. Cuts that the cell cycle tells apart are not counted.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from threadpoolctl import threadpool_limits

from benchmarks.machine import describe_machine
from benchmarks.power.pairs import every_null_cut
from benchmarks.tables import RESULTS, write_csv, write_markdown
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
    parser.add_argument("--out", default=RESULTS)
    parser.add_argument("--picture", default=PICTURE)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    _, machine = describe_machine("scikit-learn")
    rows = pd.DataFrame([row for seed in range(args.seeds) for row in panel(seed)])
    write_csv(rows, "null_cuts", args.out)
    draw(rows, args.picture)
    write_markdown(
        summary(rows),
        "null_cuts",
        title="Cuts of one population",
        machine=machine,
        command=f"python -m benchmarks.null_cuts --seeds {args.seeds}",
        folder=args.out,
    )


def panel(seed):
    """One row for each null cut."""
    for number, pair in enumerate(every_null_cut(np.random.default_rng([1, seed]), first_seed=3 * (seed + 1))):
        if pair.answer == "null":
            yield {
                "seed": seed,
                "family": pair.family,
                "cut": pair.what.partition(",")[0],
                "smaller": pair.size,
                "evidence": evidence(pair, [seed, number]),
            }
    print(f"panel {seed}: {number + 1} cuts", flush=True)


def evidence(pair, seed):
    """The lead of a pair beside that which is needed, as shipped."""
    pieces = (np.arange(pair.counts.shape[0]) >= pair.n_first).astype(np.int64)
    pooled, _ = PooledPair.of(pair.counts, pair.n_first, pieces, None, exact=False, left_out=pair.left_out)
    with threadpool_limits(1, user_api="blas"):
        found = compare(pooled, np.random.default_rng(seed), threshold=1.0, n_draws=MergeParams.n_draws, n_best=0)
    return found.lead.times


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
