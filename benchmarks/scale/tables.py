"""Tables of the scaling benchmark, from the rows of its CSV."""

import numpy as np
import pandas as pd

STAGES = (
    "read",
    "select",
    "prepare",
    "fit",
    "draw",
    "knockoffs",
    "normalise",
    "sort",
    "scale",
    "components",
    "neighbours",
    "graph",
    "Leiden",
    "tests",
    "search",
    "markers",
    "write",
)
"""In the order in which they are shown."""
FIT_FROM = 10_000
"""Exponents are fitted from so many cells on, where there are two sizes at least; below, what is constant decides."""


def sections_of(rows, args):
    """Headings, texts and tables of the page."""
    what = (
        f"Counts after the real cells of {args.source} (`benchmarks/scale/data.py`): {args.genes:,} genes, "
        f"{args.selected:,} of them selected. One fresh process for each run, imports and compilation before the "
        "first stage. scanpy: normalize_total, log1p, subset, scale, PCA (50), neighbours (15), one Leiden. "
        "resolution, merge: Leiden with knockoffs, the same graph parameters and components. calibrated: "
        'null cells and the filter, as `preset = "calibrated"` ran once. All with `flavor="igraph", n_iterations=2`, '
        "from the same resolution. run: "
        "without reading, selection and writing; whole: with them; each ratio is to scanpy's. Peak: resident memory of "
        "the whole process. Input memory: the file is read whole and genes are selected by seurat_v3 in each run; "
        "selected: the marked genes alone are read, in blocks. With --keep, the command is that of the last "
        "runs, and the others were made by like ones."
    )
    inside = (
        "Wall seconds. What lies within another stage counts for the inner one: graph is without the search for "
        "neighbours where that has its own column, search without Leiden and tests, knockoffs without fit and draw. "
        "Leiden and tests are sums over the steps of the search."
    )
    return [
        ("Runs", what, runs(rows)),
        (
            "Search",
            "The resolutions of the steps, what was found at each, and what it took.",
            searches(rows),
        ),
        ("Seconds of each stage", inside, by_stage(rows, "wall_s")),
        ("CPU seconds of each stage", "All threads.", by_stage(rows, "cpu_s")),
        (
            "Peak memory in each stage",
            "MiB of the whole process while the stage was the innermost.",
            by_stage(rows, "peak_mib"),
        ),
        (
            "Growth",
            f"Exponent b of seconds = a cells^b, least squares on the logarithms, sizes from {FIT_FROM:,} on where "
            "there are two; runs that finished.",
            growth(rows),
        ),
    ]


def runs(rows):
    """One row for each run, with its ratio to scanpy on the same cells."""
    keys = ["input", "cells"]
    totals = {name: rows[rows["stage"] == name].set_index([*keys, "method"]) for name in ("run", "whole")}
    found = []
    for (how, n_cells, method), run in totals["run"].iterrows():
        row = {"input": how, "cells": f"{n_cells:,}", "method": method, "ended": run["ended"]}
        for name, table in totals.items():
            this, base = (_finished(table, (how, n_cells, other)) for other in (method, "scanpy"))
            row[f"{name} [s]"] = this["wall_s"]
            row[f"{name}, ratio"] = this["wall_s"] / base["wall_s"]
        row["CPU [s]"] = this["cpu_s"]
        row["CPU, ratio"] = this["cpu_s"] / base["cpu_s"]
        row["peak [GB]"] = this["peak_mib"] * 2**20 / 1e9
        row["peak, ratio"] = this["peak_mib"] / base["peak_mib"]
        row |= {name: _whole(run.get(name)) for name in ("steps", "clusters", "components")}
        found.append(row)
    return found


def _finished(table, run):
    """The totals of a run, NaN where it was ended or is not there."""
    if run in table.index and table.loc[run, "ended"] == "done":
        return table.loc[run]
    return pd.Series({"wall_s": np.nan, "cpu_s": np.nan, "peak_mib": np.nan})


def _whole(number):
    return None if number is None or pd.isna(number) else int(number)


def searches(rows):
    """One row for each search, each cell with all its steps."""
    steps = ("resolution", "clusters there", "failing pairs", "Leiden [s]", "tests [s]")
    if not set(steps) <= set(rows):
        return []
    found = rows[(rows["stage"] == "run") & rows["resolution"].notna()]
    return [
        {"input": run["input"], "cells": f"{run['cells']:,}", "method": run["method"]}
        | {name: run[name] for name in (*steps, "reason")}
        for _, run in found.iterrows()
    ]


def by_stage(rows, quantity):
    """One row for each run, one column for each stage."""
    wide = rows[rows["stage"].isin(STAGES)].pivot_table(quantity, ["input", "cells", "method"], "stage", sort=False)
    return [
        {"input": how, "cells": f"{n_cells:,}", "method": method}
        | {name: float(values[name]) for name in STAGES if name in wide}
        for (how, n_cells, method), values in wide.iterrows()
    ]


def growth(rows):
    """One row for each method, the exponent of each stage in a column."""
    found = []
    for (how, method), of_method in rows.groupby(["input", "method"], sort=False):
        fitted = {name: exponent(of_method[of_method["stage"] == name])[0] for name in ("run", "whole", *STAGES)}
        found.append({"input": how, "method": method} | fitted)
    return [{name: row[name] for name in row if any(other[name] is not None for other in found)} for row in found]


def exponent(rows):
    """b and a of seconds = a cells^b, and the sizes it was fitted to; nothing where there are fewer than two sizes."""
    rows = rows[(rows["wall_s"] > 0) & (rows["ended"] == "done")]
    large = rows[rows["cells"] >= FIT_FROM]
    rows = large if len(large) > 1 else rows
    if len(rows) < 2:
        return None, None, None
    b, log_a = np.polyfit(np.log(rows["cells"].astype(float)), np.log(rows["wall_s"].astype(float)), 1)
    return float(b), float(np.exp(log_a)), (int(rows["cells"].min()), int(rows["cells"].max()))
