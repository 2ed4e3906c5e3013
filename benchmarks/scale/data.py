"""Counts of any number of cells after the profiles of real PBMC, on disk: ``python -m benchmarks.scale.data --help``.

What is taken from the real cells: the mean of each gene in each kind of cells, the overdispersion of each gene, the
programmes of genes that vary together within kinds, the shares of the kinds, and their spread of depths. A count is
negative binomial given kind, depth and programmes of its cell. Cells are drawn in blocks, each from a generator of its
own, and each block is written as it is done: the memory does not grow with the number of cells, and a smaller file
holds the first cells of a larger one.
"""

import argparse
import functools
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import h5py
import numba
import numpy as np
import pandas as pd
import scanpy as sc
from scipy import sparse
from threadpoolctl import threadpool_limits

from benchmarks.datasets import read
from recall_py.datasets import pbmc68k
from recall_py.method.pairs.population import fit_population
from recall_py.method.threads import even_blocks, map_blocks

SOURCES = ("pbmc3k", "pbmc68k")
CACHE = Path(tempfile.gettempdir()) / "recall_py_scale"
BLOCK = 4096
"""Cells drawn together, from one generator: this number decides the counts."""
CHUNK = 1 << 20
UNSEEN = 1 / 3
"""Counts that a gene without any in the real cells is given, over all of them."""
PRIOR_DEPTH = 10_000.0
"""Counts of the average cell added to each kind, so that no gene is out of its reach."""
MAX_DISPERSION = 4.0
DEPTH_JITTER = 0.1
"""Standard deviation of the log of a depth around that of a real cell."""


@dataclass(frozen=True)
class Profiles:
    """What is known about the real cells."""

    genes: np.ndarray
    """(n_genes,) names."""
    selected: np.ndarray
    """(n_genes,) which ones ``seurat_v3`` selects in the real cells."""
    kinds: np.ndarray
    """(n_kinds,) names."""
    kind: np.ndarray
    """(n_source,) code of each real cell."""
    depth: np.ndarray
    """(n_source,) total of each real cell."""
    share: np.ndarray
    """(n_kinds, n_genes) share of each gene in the counts of a kind."""
    dispersion: np.ndarray
    """(n_genes,) of the gamma factor."""
    loadings: np.ndarray
    """(n_varying, n_programmes) of the log rate on standard normal scores."""
    varying: np.ndarray
    """(n_genes,) row of `loadings`, -1 for a gene in no programme."""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, nargs="+", default=[3_000, 10_000])
    add_data_arguments(parser)
    args = parser.parse_args()
    for n_cells in args.cells:
        print(counts_file(n_cells, args))


def add_data_arguments(parser):
    """What decides the counts, and where they are kept."""
    parser.add_argument("--genes", type=int, default=20_000, help="genes of the files")
    parser.add_argument("--selected", type=int, default=2_000, help="genes that take part in the clustering")
    parser.add_argument(
        "--source", choices=SOURCES, default="pbmc3k", help="real cells; pbmc68k ships with the project"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"folder that the counts are kept in ({CACHE})")


def counts_file(n_cells, args):
    """Path of the file with so many cells, made if it is not there."""
    name = f"{args.source}_{n_cells}x{args.genes}_{args.selected}_seed{args.seed}.h5ad"
    path = args.cache / name
    if not path.exists():
        args.cache.mkdir(parents=True, exist_ok=True)
        part = args.cache / f".{os.getpid()}_{name}"
        try:
            write(part, n_cells, real_profiles(args.source, args.genes, args.selected), args.seed)
            part.rename(path)
        finally:
            part.unlink(missing_ok=True)
    return path


@functools.cache
def real_profiles(source, n_genes, n_selected):
    """Estimates from the real cells."""
    adata = read(source) if source == "pbmc3k" else pbmc68k()
    if not n_selected <= n_genes <= adata.n_vars:
        raise SystemExit(f"{source} has {adata.n_vars} genes; {n_selected} selected of {n_genes} were asked for.")
    totals = np.asarray(adata.X.sum(axis=0)).ravel()
    adata = adata[:, np.sort(np.argsort(-totals, kind="stable")[:n_genes])].copy()
    chosen = sc.pp.highly_variable_genes(adata, flavor="seurat_v3", n_top_genes=n_selected, inplace=False)
    selected = chosen["highly_variable"].to_numpy(dtype=bool)
    labels = adata.obs["annotation"].astype("category")
    kind, counts = labels.cat.codes.to_numpy(), sparse.csr_array(adata.X).astype(np.float64)
    depth = np.asarray(counts.sum(axis=1)).ravel()

    average = np.asarray(counts.sum(axis=0)).ravel() + UNSEEN
    average /= average.sum()
    members = sparse.csr_array((np.ones(kind.size), (kind, np.arange(kind.size))))
    share = np.asarray((members @ counts).todense()) + PRIOR_DEPTH * average
    share /= share.sum(axis=1, keepdims=True)
    dispersion = _dispersions(counts, share, kind, depth)

    # The programmes are those of the selected genes; what they explain is no longer in the gamma factor.
    present = np.flatnonzero(selected & (np.asarray(counts.sum(axis=0)).ravel() > 0))
    one_cluster = np.ones(kind.size, dtype=bool)
    with threadpool_limits(1):  # more threads wait for each other on a busy machine, and change the last bits
        population = fit_population(
            sparse.csc_array(counts[:, present], dtype=np.float32),
            kind.astype(np.int32),
            kind,
            one_cluster,
            np.random.default_rng(0),
        )
    dispersion[present] = np.minimum(population.rest, MAX_DISPERSION)
    varying = np.full(n_genes, -1, dtype=np.int64)
    varying[present] = np.arange(present.size)
    names, kinds = (np.asarray(names, dtype=object) for names in (adata.var_names, labels.cat.categories))
    return Profiles(names, selected, kinds, kind, depth, share, dispersion, population.loadings, varying)


def _dispersions(counts, share, kind, depth):
    """Moments over all cells within kinds: sum((x - mu)^2 - x) / sum(mu^2), from 0 to the largest."""
    excess, squares = np.zeros((2, counts.shape[1]))
    for first, last in even_blocks(counts.shape[0], 256):
        mean = depth[first:last, np.newaxis] * share[kind[first:last]]
        x = counts[first:last].toarray()
        excess += ((x - mean) ** 2 - x).sum(axis=0)
        squares += (mean**2).sum(axis=0)
    return np.clip(excess / squares, 0.0, MAX_DISPERSION)


def write(path, n_cells, profiles, seed):
    """Draw cells and write them block by block, as CSR of float32, in the layout of anndata."""
    n_genes = profiles.genes.size
    streams = np.random.SeedSequence(seed).spawn(len(range(0, n_cells, BLOCK)))
    blocks = [(*extent, stream) for extent, stream in zip(even_blocks(n_cells, BLOCK), streams, strict=True)]
    kinds = np.empty(n_cells, dtype=np.int8)
    with h5py.File(path, "w") as file:
        empty = ad.AnnData(
            sparse.csr_matrix((n_cells, n_genes), dtype=np.float32),
            obs=pd.DataFrame(index=[f"cell{i}" for i in range(n_cells)]),
            var=pd.DataFrame({"highly_variable": profiles.selected}, index=profiles.genes),
        )
        ad.io.write_elem(file, "/", empty)
        data, indices = _growing(file["X"], "data", np.float32), _growing(file["X"], "indices", np.int32)
        lengths = np.empty(n_cells, dtype=np.int64)
        for pair in even_blocks(len(blocks), 2):
            for (first, last, _), block in zip(
                blocks[slice(*pair)], map_blocks(lambda b: draw(profiles, *b), blocks[slice(*pair)], 2), strict=True
            ):
                kinds[first:last], lengths[first:last], cell_genes, counts = block
                for grown, part in ((data, counts), (indices, cell_genes)):
                    grown.resize(grown.shape[0] + part.size, axis=0)
                    grown[-part.size :] = part
        indptr = np.concatenate(([0], np.cumsum(lengths)))
        del file["X/indptr"]
        file["X"].create_dataset("indptr", data=indptr.astype(np.int32 if indptr[-1] < 2**31 else np.int64))
        obs = empty.obs.assign(kind=pd.Categorical.from_codes(kinds, categories=pd.Index(profiles.kinds)))
        del file["obs"]
        ad.io.write_elem(file, "obs", obs)


def _growing(group, name, dtype):
    del group[name]
    return group.create_dataset(name, shape=(0,), maxshape=(None,), dtype=dtype, chunks=(CHUNK,))


def draw(profiles, first, last, stream):
    """Kinds, numbers of non-zeros, and genes and counts of the non-zeros of the cells from `first` to before `last`."""
    rng = np.random.default_rng(stream)
    source = rng.integers(profiles.kind.size, size=last - first)
    depth = profiles.depth[source] * np.exp(DEPTH_JITTER * rng.standard_normal(last - first))
    scores = rng.standard_normal((last - first, profiles.loadings.shape[1]))
    kind = profiles.kind[source]
    genes = np.empty((last - first) * profiles.genes.size // 2 + profiles.genes.size, dtype=np.int32)
    counts = np.empty(genes.size, dtype=np.float32)
    lengths = np.empty(last - first, dtype=np.int64)
    n = _draw(
        rng,
        kind.astype(np.int64),
        depth,
        scores,
        profiles.share,
        profiles.dispersion,
        profiles.loadings,
        profiles.varying,
        lengths,
        genes,
        counts,
    )
    return kind, lengths, genes[:n], counts[:n]


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _draw(rng, kind, depth, scores, share, dispersion, loadings, varying, lengths, genes, counts):
    """Non-zero negative binomial counts, by inversion; their number."""
    n = 0
    half = np.empty(loadings.shape[0])
    for row in range(half.size):
        half[row] = 0.5 * np.dot(loadings[row], loadings[row])
    for cell in range(kind.size):
        before = n
        for gene in range(share.shape[1]):
            mean = depth[cell] * share[kind[cell], gene]
            row = varying[gene]
            if row >= 0:
                log_factor = -half[row]
                for programme in range(scores.shape[1]):
                    log_factor += loadings[row, programme] * scores[cell, programme]
                mean *= np.exp(log_factor)
            u = rng.random()
            if u >= mean:  # the chance of any count is at most the mean
                continue
            phi = dispersion[gene]
            spread = 1.0 + phi * mean
            chance = np.exp(-mean) if phi < 1e-8 else np.exp(-np.log(spread) / phi)
            count, below = 0, chance
            while 1.0 - u >= below and count < 100_000 and chance > 0.0:
                chance *= (1.0 + phi * count) / (count + 1) * mean / spread
                count += 1
                below += chance
            if count:
                genes[n], counts[n] = gene, count
                n += 1
        lengths[cell] = n - before
    return n


if __name__ == "__main__":
    main()
