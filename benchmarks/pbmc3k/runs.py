"""The runs that ``benchmarks.pbmc3k`` compares, and the fresh processes in which it measures memory and first calls.

A fresh process is ``python -m benchmarks.pbmc3k.runs RUN CALLS FILE FLAVOR RESOLUTION``; it prints one line of JSON.
"""

import json
import sys
import time
import warnings
from pathlib import Path

from threadpoolctl import threadpool_limits

FLAVORS = {
    "leidenalg": {"flavor": "leidenalg"},
    "igraph": {"flavor": "igraph", "n_iterations": 2, "directed": False},
}
"""Leiden settings, the same for the plain and the calibrated run."""


def plain(adata, flavor, resolution):
    """The scanpy tutorial from raw counts to one Leiden; `adata` is changed."""
    import scanpy as sc

    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    adata = adata[:, adata.var["highly_variable"].to_numpy()].copy()
    sc.pp.scale(adata, max_value=10)
    sc.pp.pca(adata, n_comps=50)
    sc.pp.neighbors(adata)
    sc.tl.leiden(adata, resolution=resolution, **FLAVORS[flavor])
    return adata


def plain_one_thread(adata, flavor, resolution):
    """The plain run with BLAS held to one thread, as the calibrated run holds it."""
    with threadpool_limits(1):
        return plain(adata, flavor, resolution)


def calibrated(adata, flavor, resolution):
    """The calibrated run from raw counts; `adata` is changed."""
    from benchmarks.clusterings import search

    search(adata, resolution=resolution, **FLAVORS[flavor])
    return adata


RUNS = {"plain": plain, "calibrated": calibrated}


def timed(run, adata, flavor, resolution):
    """Wall seconds of `run` on a copy of `adata` made before, and what it returns."""
    adata = adata.copy()
    start = time.perf_counter()
    found = run(adata, flavor, resolution)
    return time.perf_counter() - start, found


def quiet():
    """Silence what says nothing about speed: announcements of scanpy, scaling that densifies, a start too coarse."""
    from recall_py import CalibrationWarning

    warnings.simplefilter("ignore", FutureWarning)
    warnings.simplefilter("ignore", CalibrationWarning)
    warnings.filterwarnings("ignore", message="zero-centering a sparse array")


def record(adata):
    """What the calibrated run says about itself."""
    return adata.uns["leiden"]["recall"]


def peak_mib():
    """Peak resident memory of this process in MiB.

    Linux lets ``ru_maxrss`` start from the peak of the parent process; ``VmHWM`` starts anew.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def main(run, calls, file, flavor, resolution):
    """Make a run once or twice in this fresh process."""
    start = time.perf_counter()
    import anndata as ad
    import scanpy as sc  # noqa: F401

    seconds = {"import scanpy": time.perf_counter() - start}
    adata = ad.read_h5ad(file)
    quiet()
    loaded = peak_mib()
    for call in ("first", "second")[: int(calls)]:
        seconds[call], found = timed(RUNS[run], adata, flavor, float(resolution))
        if run == "calibrated":
            seconds[f"{call} graph"] = float(record(found)["seconds"]["graph"])
    print(json.dumps({"loaded_mib": loaded, "peak_mib": peak_mib(), "seconds": seconds}))


if __name__ == "__main__":
    main(*sys.argv[1:])
