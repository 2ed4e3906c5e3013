"""The rank-sum kernel, and variants of it, beside the memory bandwidth of the machine; one thread.

``python -m benchmarks.pairs.kernels``
"""

import argparse
import time

import anndata as ad
import numba
import numpy as np
from scipy import sparse

from benchmarks.machine import describe_machine
from benchmarks.scale.data import add_data_arguments, counts_file
from benchmarks.tables import RESULTS, write_csv, write_markdown
from recall_py._kernels.ranksum import LANES, count_pairs
from recall_py.method.normalisation import cell_totals, log_normalise
from recall_py.method.pairs.rank_sum import sort_genes

BYTES_PER_VALUE = 4 + 2 + 2
"""Streamed: the cell; the mark of a new value, read on the way to the end of its group and again at its start; the
label, written once and read once. The look-up of the label by its cell is not streamed."""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--tested", type=int, default=200, help="genes")
    parser.add_argument("--clusters", type=int, nargs="+", default=[10, 30, 100])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", default=RESULTS)
    add_data_arguments(parser)
    args = parser.parse_args()
    facts, machine = describe_machine()
    genes = sorted_genes(args)
    rows = []
    for n_clusters in args.clusters:
        rows += of_labels(genes, decreasing_labels(genes.n_cells, n_clusters), args.repeats)
    bandwidth = copy_bandwidth(args.repeats)
    for row in rows:
        row |= {"share of bandwidth": row["GB/s streamed"] / bandwidth, "date": facts["date"]}
    write_csv(rows, "kernels", args.out)
    text = (
        f"{args.tested} genes of {args.cells:,} cells, {genes.cells.size:,} non-zero values, "
        f"{1 - genes.starts_group.mean():.0%} of them equal to the one before. Clusters of random cells, sizes falling "
        f"by a constant factor to a tenth of the largest. One thread, best of {args.repeats}; a copy of an array of "
        f"512 MB moves {bandwidth:.1f} GB/s (read and written). M values/s: non-zeros walked. G updates/s: non-zeros "
        "times clusters, as if each value were compared with each cluster. Streamed: "
        f"{BYTES_PER_VALUE} bytes a value. kept: a value adds to the clusters with a smaller code, the larger ones; "
        "one byte for a label. four bytes for a label: else the same. one against all: the pairs of one cluster, as "
        "after a merge. both sides: a value adds to all clusters, with counters of the type named."
    )
    shown = [{name: value for name, value in row.items() if name != "date"} for row in rows]
    command = f"python -m benchmarks.pairs.kernels --cells {args.cells} --tested {args.tested}"
    command += f" --clusters {' '.join(map(str, args.clusters))} --repeats {args.repeats}"
    write_markdown(
        [("Throughput", text, shown)],
        "kernels",
        title="The rank-sum kernel",
        machine=machine,
        command=command,
        folder=args.out,
    )


def sorted_genes(args):
    """Sorted values of some of the marked genes, spread over all of them."""
    adata = ad.read_h5ad(counts_file(args.cells, args))
    marked = np.flatnonzero(adata.var["highly_variable"])
    chosen = marked[np.linspace(0, marked.size - 1, args.tested).astype(int)]
    totals = cell_totals(sparse.csc_array(adata.X))
    return sort_genes(log_normalise(sparse.csc_array(adata.X[:, chosen]), totals=totals))


def decreasing_labels(n_cells, n_clusters):
    """Random labels, codes by decreasing size."""
    share = np.geomspace(1.0, 0.1, n_clusters)
    codes = np.searchsorted(np.cumsum(share / share.sum()), np.linspace(0, 1 - 1e-9, n_cells))
    return np.random.default_rng(0).permutation(codes).astype(np.int32)


def of_labels(genes, labels, repeats):
    """One row for each variant."""
    k = int(labels.max()) + 1
    narrow = labels.astype(np.uint8)
    ways = {
        "kept": lambda: kept(genes, narrow, k),
        "four bytes for a label": lambda: kept(genes, labels, k),
        "one against all": lambda: kept(genes, narrow, 1),
        "both sides, float64": lambda: all_clusters(genes, narrow, np.float64),
        "both sides, float32": lambda: all_clusters(genes, narrow, np.float32),
        "both sides, int32": lambda: all_clusters(genes, narrow, np.int32),
    }
    expected = ways["kept"]()
    for name, way in ways.items():  # compiles, and must agree
        found = way()
        width = 1 if name == "one against all" else k
        lower = np.tril(np.ones((k, k), dtype=bool), -1)[:, :width]
        if not np.array_equal(found[:, :, :width][:, lower], expected[:, :, :width][:, lower]):
            raise SystemExit(f"{name} counts otherwise.")
    rows = []
    for name, way in ways.items():
        seconds = min(taken(way) for _ in range(repeats))
        per_second = genes.cells.size / seconds
        rows.append(
            {
                "clusters": k,
                "variant": name,
                "ms": 1e3 * seconds,
                "M values/s": per_second / 1e6,
                "G updates/s": per_second * k / 1e9,
                "GB/s streamed": per_second * BYTES_PER_VALUE / 1e9,
            }
        )
    return rows


def taken(call):
    """CPU seconds of a call."""
    begun = time.process_time()
    call()
    return time.process_time() - begun


def copy_bandwidth(repeats):
    """GB a second that a copy reads and writes."""
    source = np.ones(64_000_000)
    target = np.empty_like(source)
    return 2 * source.nbytes / 1e9 / min(taken(lambda: np.copyto(target, source)) for _ in range(repeats + 1))


def kept(genes, labels, n_hubs):
    """The kernel of the package."""
    sizes = np.bincount(labels).astype(float)
    u = np.empty((genes.n_genes, sizes.size, -(-n_hubs // LANES) * LANES))
    ties = np.empty((genes.n_genes, sizes.size, n_hubs + 1))
    stored = (genes.indptr, genes.cells, genes.starts_group, genes.n_below_zero)
    count_pairs(np.arange(genes.n_genes), *stored, labels, sizes, u, ties)
    return u


def all_clusters(genes, labels, dtype):
    """Each value compared with every cluster; for values from 0 on."""
    sizes = np.bincount(labels)
    u, ties = np.zeros((2, genes.n_genes, sizes.size, sizes.size))
    count_both_sides(genes.indptr, genes.cells, genes.starts_group, labels, sizes.astype(dtype), u, ties)
    return u


@numba.njit
def count_both_sides(indptr, cells, starts_group, labels, sizes, u, ties):
    """Counts of cluster a over cluster b, both ways."""
    k = sizes.size
    for g in range(indptr.size - 1):
        seen = np.zeros_like(sizes)
        counts = sizes.copy()
        for i in range(indptr[g], indptr[g + 1]):
            counts[labels[cells[i]]] -= 1
        position = indptr[g]
        stop = position  # the zeros are the first group
        while True:
            if stop - position == 1:
                a = labels[cells[position]]
                row = u[g, a]
                for b in range(k):
                    row[b] += seen[b]
                seen[a] += 1
            else:
                for i in range(position, stop):
                    counts[labels[cells[i]]] += 1
                for a in range(k):
                    c = np.float64(counts[a])
                    if c > 0:
                        for b in range(k):
                            u[g, a, b] += c * (seen[b] + 0.5 * counts[b])
                        ties[g, a, a] += c**3 - c
                        for b in range(a + 1, k):
                            ties[g, a, b] += 3.0 * c * counts[b] * (c + counts[b])
                seen += counts
                counts[:] = 0
            position = stop
            if position == indptr[g + 1]:
                break
            stop += 1
            while stop < indptr[g + 1] and not starts_group[stop]:
                stop += 1


if __name__ == "__main__":
    main()
