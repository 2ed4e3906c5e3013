"""Queries on a reference: left-out types and donors, sorted cells of another set; beside ingest and a regression.

``python -m benchmarks.mapping``
"""

from __future__ import annotations

import argparse
import time
import warnings

import anndata as ad
import numpy as np
import scanpy as sc
from sklearn.linear_model import LogisticRegression

from benchmarks.datasets import read
from benchmarks.machine import describe_machine
from benchmarks.tables import RESULTS, write_csv, write_markdown
from recall_py import get, tl

SORTED = {"bcell": "bcells", "cd56_NK": "nk", "regulatory T": "regulatoryt"}
"""What the sorted types of the smaller set are called in the larger."""
CD4 = ("Naive CD4 T", "Memory CD4 T")
MARKERS = {
    "Naive CD4 T": ["CD3D", "IL7R"],
    "CD8 T": ["CD8A", "CD8B"],
    "NK": ["GNLY", "NKG7"],
    "B": ["CD79A", "MS4A1"],
    "CD14+ Mono": ["CD14", "S100A8"],
    "FCGR3A+ Mono": ["FCGR3A", "MS4A7"],
    "DC": ["FCER1A"],
    "Platelet": ["PPBP"],
}
"""Genes of the tutorial of PBMC 3k by which cells of another set are called."""
CLEAR = 0.5
"""Standard deviations by which the markers of a type lead those of the next; other cells are not called."""
T_CELLS = ("regulatoryt", "memoryt", "thelper", "naivet")
"""Sorted CD4 T cells, of which the kinds overlap."""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default=RESULTS)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    _, machine = describe_machine("scikit-learn")
    rows = []
    for found in (left_out_types, left_out_donors, sorted_cells, resting_cells):
        for row in found():
            rows.append(row)
            print(row, flush=True)
    write_csv(rows, "mapping", args.out)
    write_markdown(
        [("Accuracy, and what is called new", TEXT, rows)],
        "mapping",
        title="Queries on a reference",
        machine=machine,
        command="python -m benchmarks.mapping",
        folder=args.out,
    )


TEXT = """Accuracy is that of the label, over query cells whose type the reference has: `map_query` (every cell that is
no new group), `sc.tl.ingest` and a logistic regression on 30 principal components of the reference. "Unfit" is the
share of cells with `mapped_fits` False, "new" that of cells in a group that stands the test: of cells whose type the
reference has (false novelty; the target is 5 %), and of cells whose type was left out. "Differ" are labels whose query
cells the test tells from their reference cells, of the labels that were tested. CPU seconds are those of `map_query`.

Left-out types: a random half of the pancreas set is the reference, without one type; the other half is the query, and
is said to be of the same platform. Left-out donors: the reference has all donors but one; two are mice, four are human.
Sorted: `zheng_facs3_500` on `zheng_facs9`, without the cells that both hold; with "CD4 alike" four kinds of sorted CD4
T cells count as one, because the kinds overlap. Resting: the control half of `kang_pbmc_stim` on PBMC 3k, naive and
memory CD4 T cells as one; the labels of the query are calls, not truth: the type whose markers, as mean z-scores of
log-normalised counts, lead those of the next by half a standard deviation. Cells without a call are mapped and not
counted."""


def left_out_types():
    """Half of the pancreas on the other half without one type."""
    adata = read("pancreas_baron350")
    half = np.random.default_rng(0).random(adata.n_obs) < 0.5
    truth = adata.obs["annotation"].astype(str).to_numpy()
    for kind in np.unique(truth):
        query, reference = adata[~half].copy(), adata[half & (truth != kind)].copy()
        found = mapped(query, reference, "annotation", same_platform=True)
        yield scored(f"type {kind}", query, reference, "annotation", found)


def left_out_donors():
    """One donor of the pancreas on the others."""
    adata = read("pancreas_baron350")
    for donor in adata.obs["batch"].unique():
        of_donor = (adata.obs["batch"] == donor).to_numpy()
        query, reference = adata[of_donor].copy(), adata[~of_donor].copy()
        found = mapped(query, reference, "annotation", same_platform=False)
        yield scored(f"donor {donor}", query, reference, "annotation", found)


def sorted_cells():
    """Sorted cells of one set on those of another, without cells that both hold."""
    query, reference = read("zheng_facs3_500"), read("zheng_facs9")
    barcodes = reference.obs_names.str.extract("([ACGT]{14})")[0]
    query = query[~query.obs_names.str[:14].isin(barcodes)].copy()
    query.obs["truth"] = query.obs["truth"].astype(str).map(SORTED)
    found = mapped(query, reference, "truth", same_platform=False)
    yield scored("sorted", query, reference, "truth", found)
    yield scored("sorted, CD4 alike", query, reference, "truth", found, alike=T_CELLS)


def resting_cells():
    """Resting blood cells of another laboratory on PBMC 3k, by calls from markers."""
    both, reference = read("kang_pbmc_stim"), read("pbmc3k")
    reference = reference[~reference.obs["annotation"].astype(str).str.startswith("unassigned")].copy()
    query = both[both.obs["batch"].astype(str).str.lower().str.startswith("c")].copy()
    values = query.copy()
    sc.pp.normalize_total(values, target_sum=1e4)
    sc.pp.log1p(values)
    sc.pp.scale(values)
    z = np.column_stack([np.asarray(values[:, genes].X).mean(axis=1) for genes in MARKERS.values()])
    first, second = np.sort(z, axis=1)[:, -1:-3:-1].T
    query.obs["annotation"] = np.array(list(MARKERS))[z.argmax(axis=1)]
    found = mapped(query, reference, "annotation", same_platform=False)
    clear = first - second >= CLEAR
    found |= {name: np.asarray(found[name])[clear] for name in ("ingest", "regression")}
    yield scored("resting, CD4 alike", query[clear].copy(), reference, "annotation", found, alike=CD4)


def mapped(query, reference, column, *, same_platform):
    """CPU seconds of a mapping that is written to the query, and the labels by ingest and by a regression."""
    begun = time.process_time()
    tl.map_query(query, reference, column, same_platform=same_platform)
    return {"seconds": time.process_time() - begun, **others(query, reference, column)}


def scored(name, query, reference, column, found, *, alike=()):
    """Accuracy of all three, and what is called new; labels that are `alike` count as one."""

    def merged(labels):
        labels = np.asarray(labels).astype(str)
        return np.where(np.isin(labels, alike), "alike", labels)

    truth, labels = merged(query.obs[column]), merged(query.obs["mapped"])
    known = np.isin(truth, merged(reference.obs[column]))
    unfit, is_new = ~query.obs["mapped_fits"].to_numpy(), np.char.startswith(labels, "new ")
    table = get.mapping(query)
    tested = table[(table["kind"] == "label") & (table["verdict"] != "untested")]
    of_left_out = {"unfit": unfit, "new": is_new} if not known.all() else {}
    return {
        "query": name,
        "cells": query.n_obs,
        "map_query": float((labels == truth)[known & ~is_new].mean()),
        "ingest": float((merged(found["ingest"]) == truth)[known].mean()),
        "regression": float((merged(found["regression"]) == truth)[known].mean()),
        "unfit, known": float(unfit[known].mean()),
        "new, known": float(is_new[known].mean()),
        **{f"{what}, left out": float(cells[~known].mean()) for what, cells in of_left_out.items()},
        "shift": float(query.uns["mapped"]["mapping"]["shift"]),
        "differ": f"{int((tested['verdict'] == 'differs').sum())} of {len(tested)}",
        "CPU s": found["seconds"],
    }


def others(query, reference, column):
    """Labels by scanpy's ingest and by a logistic regression, on components of the reference."""
    shared = reference.var_names[reference.var_names.isin(query.var_names)]
    labelled, asked = (
        ad.AnnData(cells[:, shared].X.copy(), var=reference[:, shared].var[[]]) for cells in (reference, query)
    )
    for cells in (labelled, asked):
        sc.pp.normalize_total(cells, target_sum=1e4)
        sc.pp.log1p(cells)
    labelled.obs[column] = reference.obs[column].astype(str).astype("category").to_numpy()
    sc.pp.highly_variable_genes(labelled, n_top_genes=min(2000, shared.size))
    chosen = labelled.var["highly_variable"].to_numpy()
    labelled, asked = labelled[:, chosen].copy(), asked[:, chosen].copy()
    sc.pp.pca(labelled, n_comps=30)
    sc.pp.neighbors(labelled)
    scores = np.asarray((asked.X - labelled.X.mean(axis=0)) @ labelled.varm["PCs"])
    regression = LogisticRegression(max_iter=2000).fit(labelled.obsm["X_pca"], labelled.obs[column].astype(str))
    sc.tl.ingest(asked, labelled, obs=column, embedding_method="pca")
    return {"ingest": asked.obs[column], "regression": regression.predict(scores)}


if __name__ == "__main__":
    main()
