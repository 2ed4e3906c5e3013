"""The runs that ``benchmarks.scale`` compares, each in a fresh process that says on its output what every stage took.

``python -m benchmarks.scale.runs METHOD FILE INPUT RESOLUTION N_SELECTED OUT``
"""

import importlib
import io
import os
import sys
from contextlib import ExitStack
from unittest import mock

import anndata as ad
import h5py
import numpy as np
import scanpy as sc
from scipy import sparse

from benchmarks import clusterings, compiled
from benchmarks.pbmc3k.runs import FLAVORS, quiet
from benchmarks.scale.stages import Meter, Timed
from recall_py.datasets import pbmc68k

LEIDEN = FLAVORS["igraph"]
KNOCKOFFS = {
    "resolution": {"strategy": "resolution"},
    "merge": {"strategy": "merge"},
    "calibrated": {"preset": "calibrated"},
}
"""Arguments of the search; the first two have scanpy's graph on 50 components."""
METHODS = ("scanpy", *KNOCKOFFS)
INPUTS = ("memory", "selected")
BLOCK = 16_384
"""Cells that are read at once."""
NEIGHBOURS_APPROXIMATE_FROM = 8_192
"""scanpy's own bound."""


def main(method, file, how, resolution, n_selected, out):
    """Make one run; what the stages take goes to standard output, line by line."""
    quiet()
    compiled.keep()
    sc.settings.verbosity = 0
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not come between
    meter = Meter(lines)
    warm_up(method, file)
    with meter.stage("read"):
        adata = read_all(file) if how == "memory" else read_selected(file)
    if how == "memory":
        with meter.stage("select"):
            sc.pp.highly_variable_genes(adata, flavor="seurat_v3", n_top_genes=int(n_selected))
    meter.say(about={"nonzero": int(adata.X.nnz), "selected_share": share_of_nonzero(adata)})
    adata = run(method, adata, float(resolution), meter)
    with meter.stage("write"):
        adata.write_h5ad(out)
    meter.say(about=outcome(adata))


def run(method, adata, resolution, meter):
    """One of the methods, from raw counts; `adata` is changed."""
    if method == "scanpy":
        return plain(adata, resolution, meter)
    return calibrated(adata, method, resolution, meter)


def read_all(file):
    """All counts; the selection that the file has is left to be made anew."""
    adata = ad.read_h5ad(file)
    del adata.var["highly_variable"]
    return adata


def read_selected(file):
    """The counts of the marked genes alone, read in blocks of cells."""
    with h5py.File(file) as store:
        obs, var = (ad.io.read_elem(store[name]) for name in ("obs", "var"))
        chosen = np.flatnonzero(var["highly_variable"])
        counts = ad.io.sparse_dataset(store["X"])
        blocks = [counts[first : first + BLOCK][:, chosen] for first in range(0, len(obs), BLOCK)]
    return ad.AnnData(sparse.vstack(blocks, format="csr"), obs=obs, var=var.iloc[chosen])


def share_of_nonzero(adata):
    """Share of the selected counts that are not zero."""
    chosen = adata.X[:1000][:, np.flatnonzero(adata.var["highly_variable"])]
    return chosen.nnz / np.prod(chosen.shape)


def plain(adata, resolution, meter):
    """The scanpy tutorial from raw counts to one Leiden; `adata` is changed."""
    with meter.stage("normalise"):
        sc.pp.normalize_total(adata, target_sum=1e4)
        sc.pp.log1p(adata)
        adata = adata[:, adata.var["highly_variable"].to_numpy()].copy()
    with meter.stage("scale"):
        sc.pp.scale(adata, max_value=10)
    with meter.stage("components"):
        sc.pp.pca(adata, n_comps=min(50, min(adata.shape) - 1))
    with meter.stage("graph"):
        sc.pp.neighbors(adata)
    with meter.stage("Leiden"):
        sc.tl.leiden(adata, resolution=resolution, key_added="clusters", **LEIDEN)
    return adata


class Announced:
    """An observer of a run of recall_py: a stage lasts until the next one is announced."""

    def __init__(self, meter):
        self._meter = meter
        self._taken = {"Leiden": 0.0, "tests": 0.0}

    def stage(self, name):
        """The stage before is over."""
        self._meter.end()
        self._meter.begin(name)

    def iteration(self, iteration):
        """Say what the step found and what it took."""
        so_far = {name: self._meter.seconds(name) for name in self._taken}
        taken = {f"{name} [s]": seconds - self._taken[name] for name, seconds in so_far.items()}
        self._taken = so_far
        found = {"clusters there": iteration.n_clusters, "failing pairs": iteration.n_failing}
        self._meter.say(resolution=iteration.level, **found, **taken)


def calibrated(adata, method, resolution, meter):
    """A run of recall_py from raw counts; `adata` is changed. The parts of its stages are timed where they meet."""
    from recall_py.method import pipeline

    calibrate = pipeline.calibrate

    def search(cluster, test, *args, **kwargs):
        return calibrate(Timed(cluster, meter, "Leiden"), Timed(test, meter, "tests"), *args, **kwargs)

    with ExitStack() as stack:
        for where, stage in (
            ("recall_py.method.nulls.fit_within", "fit"),
            ("recall_py.method.nulls.sample_within", "draw"),
            ("recall_py.method.clustering.graph.nearest_neighbours", "neighbours"),
        ):
            stack.enter_context(mock.patch(where, Timed(_find(where), meter, stage)))
        stack.enter_context(mock.patch("recall_py.method.pipeline.calibrate", search))
        stack.enter_context(mock.patch("recall_py.run.cluster._observer", return_value=Announced(meter)))
        # The preparation lasts until the first stage is announced; the record is written in the last one.
        with meter.stage("prepare"):
            clusterings.search(adata, resolution=resolution, key_added="clusters", **LEIDEN, **KNOCKOFFS[method])
    return adata


def _find(where):
    module, name = where.rsplit(".", 1)
    return getattr(importlib.import_module(module), name)


def outcome(adata):
    """Clusters, and how the search ended."""
    found = {"clusters": int(adata.obs["clusters"].nunique())}
    record = adata.uns["clusters"].get("recall")
    if record is not None:
        found |= {"reason": str(record["reason"]), "components": int(record["n_components"])}
    return found


def warm_up(method, file):
    """Import and compile: the run itself on few cells, and the approximate neighbours where they will be used."""
    silent = Meter(io.StringIO())
    small = pbmc68k()
    small.var["highly_variable"] = True
    run(method, small, 1.0, silent)
    with h5py.File(file) as store:
        many = store["X"].attrs["shape"][0] >= NEIGHBOURS_APPROXIMATE_FROM
    if many:
        points = np.random.default_rng(0).standard_normal((NEIGHBOURS_APPROXIMATE_FROM, 10), dtype=np.float32)
        sc.pp.neighbors(ad.AnnData(obsm={"X_pca": points}), use_rep="X_pca")


if __name__ == "__main__":
    main(*sys.argv[1:])
