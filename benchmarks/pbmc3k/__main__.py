"""PBMC 3k: the calibrated run against plain scanpy, in wall time and peak memory; first calls; import.

``python -m benchmarks.pbmc3k``
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import scanpy as sc

from benchmarks.datasets import drop_empty, read
from benchmarks.machine import describe_machine
from benchmarks.pbmc3k.runs import FLAVORS, RUNS, calibrated, plain, plain_one_thread, quiet, record, timed
from benchmarks.tables import RESULTS, write_csv, write_markdown

STARTS = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0)
ROOT = Path(__file__).parents[2]
IMPORT = """
import sys, time
start = time.perf_counter()
import recall_py
taken = time.perf_counter() - start
heavy = [name for name in ("scanpy", "matplotlib", "numba", "anndata", "numpy") if name in sys.modules]
import json; print(json.dumps({"seconds": taken, "loaded": heavy}))
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--flavors", nargs="+", choices=list(FLAVORS), default=list(FLAVORS))
    parser.add_argument("--resolution", type=float, help=f"start of the search; else the first of {STARTS} that fails")
    parser.add_argument("--out", default=RESULTS)
    args = parser.parse_args()
    quiet()
    _, machine = describe_machine()
    adata = with_genes()

    speed, searches, stages, memory = [], [], [], []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pbmc3k.h5ad"
        adata.write_h5ad(file)
        starts = {}
        for flavor in args.flavors:
            starts[flavor], search = find_start(adata, flavor, args.resolution)
            times, parts = compare(adata, flavor, starts[flavor], args.repeats)
            speed.append(times)
            searches.append(search)
            stages.append(parts)
            memory += peaks(file, flavor, starts[flavor])
        first = first_calls(file, args.flavors[-1], starts[args.flavors[-1]], Path(folder))
    imports = import_times(args.repeats)

    what = (
        f"{adata.n_obs:,} cells x {adata.n_vars:,} genes, {int(adata.var['highly_variable'].sum()):,} of them selected "
        "by seurat_v3 beforehand, outside the timing (genes seen in fewer than 3 cells dropped). Plain: normalise, "
        "log1p, subset, scale, PCA (50), neighbours (15), one Leiden at the start resolution. Calibrated: "
        "recall_py's search with knockoffs from the same raw counts, genes, graph and Leiden settings; it holds BLAS "
        "to one thread, "
        f"so plain is also timed with that. One process, warm, alternating, median of {args.repeats} with the range."
    )
    begins = (
        f"The start (the lowest of {', '.join(map(str, STARTS))} at which a pair fails, unless given), then each step."
    )
    sections = [
        ("Wall time", what, speed),
        ("Search of the calibrated run", begins, searches),
        ("Stages of the calibrated run", "Median seconds. Other: reading, writing, imports.", stages),
        (
            "Peak memory",
            "Of a fresh process each: after imports and loading the file, and at the end. The process counts whole.",
            memory,
        ),
        (
            "First calls",
            f"{args.flavors[-1]}, fresh processes, each run first with an empty NUMBA_CACHE_DIR, then with what that "
            "left there. The excess of the first call over the second in the same process is compilation and imports; "
            "of it, the part in stage graph is scanpy.pp.neighbors' own (umap, pynndescent), the rest recall_py's and "
            "its imports.",
            first,
        ),
        (
            "Import",
            f"`import recall_py` in a fresh interpreter, {args.repeats} times after one to warm the disk.",
            imports,
        ),
    ]
    rows = [
        {"table": heading, "row": number, "quantity": key, "value": value}
        for heading, _, table in sections
        for number, row in enumerate(table)
        for key, value in row.items()
    ]
    write_csv(rows, "pbmc3k", args.out)
    command = f"python -m benchmarks.pbmc3k --repeats {args.repeats} --flavors {' '.join(args.flavors)}"
    if args.resolution is not None:
        command += f" --resolution {args.resolution:g}"
    write_markdown(sections, "pbmc3k", title="PBMC 3k", machine=machine, command=command, folder=args.out)


def with_genes():
    """The counts with 2,000 genes selected."""
    adata = drop_empty(read("pbmc3k"))
    sc.pp.highly_variable_genes(adata, flavor="seurat_v3", n_top_genes=2000)
    return adata


def find_start(adata, flavor, resolution):
    """The lowest start at which a pair fails, and the steps of the search from there. The runs also warm up."""
    for start in STARTS if resolution is None else (resolution,):
        _, found = timed(calibrated, adata, flavor, start)
        run = record(found)
        steps = run["iterations"]
        failing = [int(number) for number in steps["n_failing"]]
        print(f"{flavor}, start {start:g}: {failing} failing pairs, {run['n_clusters']} clusters", flush=True)
        if failing[0]:
            break
    return start, {
        "flavor": flavor,
        "start": float(start),
        "resolutions": ", ".join(f"{level:.3g}" for level in steps["level"]),
        "clusters": ", ".join(map(str, steps["n_clusters"])),
        "failing pairs": ", ".join(map(str, failing)),
        "ended": run["reason"],
    }


def compare(adata, flavor, start, repeats):
    """Wall time of the runs, alternating, and of the stages of the calibrated one."""
    runs = {"plain": plain, "plain, 1 BLAS thread": plain_one_thread, "calibrated": calibrated}
    seconds, stages = {name: [] for name in runs}, []
    timed(plain, adata, flavor, start)
    for _ in range(repeats):
        for name, run in runs.items():
            taken, found = timed(run, adata, flavor, start)
            seconds[name].append(taken)
        inside = {name: float(value) for name, value in record(found)["seconds"].items()}
        stages.append({**inside, "other": taken - sum(inside.values())})
        print(f"{flavor}:", ", ".join(f"{name} {taken[-1]:.2f} s" for name, taken in seconds.items()), flush=True)
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    row = {"flavor": flavor}
    for name, taken in seconds.items():
        row[f"{name} [s]"] = medians[name]
        row[f"{name}, range"] = f"{min(taken):.2f} to {max(taken):.2f}"
    row["calibrated / plain"] = medians["calibrated"] / medians["plain"]
    row["calibrated / plain, 1 BLAS thread"] = medians["calibrated"] / medians["plain, 1 BLAS thread"]
    return row, {"flavor": flavor, **{name: statistics.median(run[name] for run in stages) for name in stages[0]}}


def fresh(run, calls, file, flavor, start, **environment):
    """What a fresh process measures."""
    command = [sys.executable, "-m", "benchmarks.pbmc3k.runs", run, str(calls), str(file), flavor, str(start)]
    return _json_of(command, **environment)


def peaks(file, flavor, start):
    """Peak resident memory of both runs; the caches on disk are warm."""
    rows = []
    for run in RUNS:
        found = fresh(run, 1, file, flavor, start)
        rows.append(
            {"flavor": flavor, "run": run, "loaded [MiB]": found["loaded_mib"], "peak [MiB]": found["peak_mib"]}
        )
        print(rows[-1], flush=True)
    rows[-1]["peak / plain"] = rows[-1]["peak [MiB]"] / rows[0]["peak [MiB]"]
    return rows


def first_calls(file, flavor, start, folder):
    """First calls of both runs, without and with compiled kernels on disk."""
    rows = []
    for run in RUNS:
        for cache in ("empty", "filled"):
            seconds = fresh(run, 2, file, flavor, start, NUMBA_CACHE_DIR=str(folder / run))["seconds"]
            row = {
                "run": run,
                "cache": cache,
                "import scanpy [s]": seconds["import scanpy"],
                "first call [s]": seconds["first"],
                "second call [s]": seconds["second"],
                "first - second [s]": seconds["first"] - seconds["second"],
            }
            if run == "calibrated":
                row["of it scanpy.pp.neighbors [s]"] = seconds["first graph"] - seconds["second graph"]
                row["of it recall_py [s]"] = row["first - second [s]"] - row["of it scanpy.pp.neighbors [s]"]
            rows.append(row)
            print(row, flush=True)
    return rows


def import_times(repeats):
    """Seconds of ``import recall_py`` in fresh interpreters, and what it loads."""
    found = [_json_of([sys.executable, "-c", IMPORT]) for _ in range(repeats + 1)][1:]
    seconds = statistics.median(run["seconds"] for run in found)
    return [{"import recall_py [s]": seconds, "heavy modules loaded": ", ".join(found[0]["loaded"]) or "none"}]


def _json_of(command, **environment):
    """The last line that a fresh process prints."""
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
