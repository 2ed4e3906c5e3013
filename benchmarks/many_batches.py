"""Fifty batches of 1,000 cells: time and memory of the embeddings and of the calibration with and without batches.

``python -m benchmarks.many_batches``

Needs ``pip install 'recall-py[harmony,torch]'``.
"""

from __future__ import annotations

import argparse
import io
import json
import warnings

import scanpy as sc
from sklearn.metrics import adjusted_rand_score

from benchmarks.default import LEIDEN
from benchmarks.machine import describe_machine
from benchmarks.scale.stages import Meter
from benchmarks.tables import RESULTS, write_csv, write_markdown
from recall_py import get, pp, tl
from recall_py.datasets import simulate

N_BATCHES, N_CELLS, N_GENES = 50, 50_000, 1000
SHARES = (0.4, 0.3, 0.15, 0.1, 0.05)
RESOLUTION = 1.5
"""High enough that Leiden splits types."""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default=RESULTS)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    _, machine = describe_machine("harmonypy", "torch")
    compile_kernels()
    out = io.StringIO()
    found = run(Meter(out))
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    rows = [
        {
            "stage": line["stage"],
            "wall s": line["wall_s"],
            "CPU s": line["cpu_s"],
            "peak memory, MiB": round(line["peak_mib"]),
            **found.get(line["stage"], {}),
        }
        for line in lines
        if "stage" in line
    ]
    write_csv(rows, "many_batches", args.out)
    write_markdown(
        [("Time and memory", TEXT, rows)],
        "many_batches",
        title="Fifty batches of 1,000 cells",
        machine=machine,
        command="python -m benchmarks.many_batches",
        folder=args.out,
    )


TEXT = f"""Simulated: {N_CELLS:,} cells of {len(SHARES)} types in {N_BATCHES} batches, {N_GENES:,} genes that all take
part. Peak memory is that of the whole process while the stage ran, with the counts and all that the stages before left.
Calibration is `tl.merge_clusters` on the Leiden clusters of the Harmony graph, resolution {RESOLUTION:g}. `cvae` takes
up to 160 epochs of so many cells by default."""


def compile_kernels():
    """Let what is compiled when it is first used be compiled."""
    adata = simulate(400, 100, group_shares=(0.5, 0.5), n_batches=2)
    sc.pp.pca(adata, n_comps=10)
    sc.pp.neighbors(adata)
    for batch_key in (None, "batch"):
        tl.leiden(adata, batch_key=batch_key, **LEIDEN)


def run(meter):
    """Results by stage; the meter is told what each takes."""
    with meter.stage("simulate"):
        adata = simulate(
            N_CELLS, N_GENES, group_shares=SHARES, n_markers=50, n_batches=N_BATCHES, batch_sd=0.1, mean_depth=1500
        )
        adata.layers["counts"] = adata.X.copy()
    with meter.stage("log-normalise, components"):
        sc.pp.normalize_total(adata)
        sc.pp.log1p(adata)
        sc.pp.pca(adata, n_comps=30)
    with meter.stage("Harmony"):
        pp.embed(adata, "harmony", batch_key="batch")
    with meter.stage("cvae, one epoch"):
        pp.embed(adata, "cvae", batch_key="batch", max_epochs=1)
    with meter.stage("neighbours"):
        sc.pp.neighbors(adata, use_rep="X_harmony")
    with meter.stage("Leiden"):
        sc.tl.leiden(adata, RESOLUTION, key_added="plain", directed=False, **LEIDEN)
    found = {"Leiden": agreement(adata, "plain")}
    for stage, batch_key in (("calibration", None), ("calibration with batch_key", "batch")):
        with meter.stage(stage):
            tl.merge_clusters(adata, "plain", batch_key=batch_key, key_added="merged")
        pairs = get.pairs(adata, "merged")
        found[stage] = agreement(adata, "merged") | {
            "pairs": len(pairs),
            "flagged": int((pairs["kind"] == "batch").sum()),
        }
    return found


def agreement(adata, key):
    """Clusters, and their ARI to the types."""
    return {"clusters": adata.obs[key].nunique(), "ARI": adjusted_rand_score(adata.obs["group"], adata.obs[key])}


if __name__ == "__main__":
    main()
