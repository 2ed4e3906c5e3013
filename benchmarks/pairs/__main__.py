"""All pairs of clusters, gene by gene: recall_py against illico and scanpy.

``python -m benchmarks.pairs``
"""

import argparse
import os
import statistics
import time
import warnings

os.environ.setdefault("TQDM_DISABLE", "1")

import numpy as np
import scanpy as sc
from illico import asymptotic_wilcoxon
from loguru import logger

from benchmarks.machine import describe_machine
from benchmarks.pairs.data import as_anndata, simulate
from benchmarks.tables import RESULTS, write_csv, write_markdown
from recall_py.method.pairs.rank_sum import cluster_pairs, rank_sum, sort_genes
from recall_py.method.threads import even_blocks, map_blocks, resolve_n_jobs

BLOCK = 64
SMALLEST_P = 1e-290


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=20_000)
    parser.add_argument("--genes", type=int, default=1_000)
    parser.add_argument("--clusters", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5, help="timings of ours, of which the median is shown")
    parser.add_argument("--peer-repeats", type=int, default=3, help="timings of illico")
    parser.add_argument("--sample", type=int, default=10, help="pairs that scanpy is timed on")
    parser.add_argument("--out", default=RESULTS)
    args = parser.parse_args()
    warnings.filterwarnings("ignore", module="(scanpy|anndata).*")
    logger.disable("illico")
    _, machine = describe_machine("illico")

    values, labels = simulate(args.cells, args.genes, args.clusters)
    pairs = cluster_pairs(args.clusters)
    sampled = pairs[np.random.default_rng(1).choice(len(pairs), size=min(args.sample, len(pairs)), replace=False)]
    peer = {"CSR": as_anndata(values, labels), "CSC": as_anndata(values.tocsc(), labels)}
    agreement = compare(values, labels, peer["CSC"], sampled)
    for row in agreement:
        print(row, flush=True)

    rows = time_ours(values, labels, args.repeats)
    rows += time_illico(peer, args.clusters, args.peer_repeats)
    rows.append(time_scanpy(peer["CSR"], sampled, len(pairs)))
    fastest_peer = min(row["seconds"] for row in rows if row["program"] != "recall_py")
    for row in rows:
        row["faster peer / this"] = None if row["work"].endswith("alone") else fastest_peer / row["seconds"]
    sizes = np.bincount(labels)
    share = values.nnz / np.prod(values.shape)
    text = (
        f"{args.cells:,} cells x {args.genes:,} genes x {args.clusters} clusters of {sizes.min()} to {sizes.max()} "
        f"cells ({len(pairs)} pairs), {share:.1%} non-zero, float32, simulated. Median of {args.repeats} timings "
        f"(illico: {args.peer_repeats}), everything warm. illico: one call for each reference, against the clusters "
        "after it (each pair once) or against all others (from both sides). scanpy: one call for each pair, timed on a "
        f"random sample of {len(sampled)} pairs and extrapolated to {len(pairs)}."
    )
    checks = (
        f"On {len(sampled)} pairs, all genes. p-values below {SMALLEST_P:g} underflow in the peers and are left out. "
        "scanpy makes no continuity correction and rounds its scores to float32: its z is compared with ours, the "
        "correction taken out."
    )
    command = (
        f"python -m benchmarks.pairs --cells {args.cells} --genes {args.genes} --clusters {args.clusters} "
        f"--repeats {args.repeats} --peer-repeats {args.peer_repeats} --sample {args.sample}"
    )
    write_csv(rows, "pairs", args.out)
    write_markdown(
        [("Seconds for all pairs", text, rows), ("Agreement", checks, agreement)],
        "pairs",
        title="Rank-sum tests of all pairs of clusters",
        machine=machine,
        command=command,
        folder=args.out,
    )


def seconds_of(work, repeats):
    """Median wall seconds of `work`, and its last result."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken), result


def test_all(genes, labels, n_jobs):
    """log10 p of all pairs, block of genes by block of genes, as a calibrated run does it."""

    def test_block(block):
        return rank_sum(genes, labels, columns=np.arange(*block)).log10_p

    return map_blocks(test_block, even_blocks(genes.n_genes, BLOCK), n_jobs)


def time_ours(values, labels, repeats):
    rows = []
    csc = values.tocsc()
    test_all(sort_genes(values), labels, 1)  # compile
    for n_jobs in sorted({1, resolve_n_jobs(None)}):
        from_csr, _ = seconds_of(lambda n=n_jobs: test_all(sort_genes(values, n_jobs=n), labels, n), repeats)
        from_csc, _ = seconds_of(lambda n=n_jobs: test_all(sort_genes(csc, n_jobs=n), labels, n), repeats)
        sort_only, genes = seconds_of(lambda n=n_jobs: sort_genes(csc, n_jobs=n), repeats)
        test_only, _ = seconds_of(lambda g=genes, n=n_jobs: test_all(g, labels, n), repeats)
        for what, taken in (
            ("CSR: convert, sort, all pairs, log10 p", from_csr),
            ("CSC: sort, all pairs, log10 p", from_csc),
            ("sorted: all pairs, log10 p", test_only),
            ("CSC: sort alone", sort_only),
        ):
            rows.append(_row("recall_py", what, n_jobs, taken))
    return rows


def time_illico(peer, n_clusters, repeats):
    rows = []
    for kind, adata in peer.items():
        one_reference(adata, "0", ["1"])  # warm
        for n_jobs in sorted({1, resolve_n_jobs(None)}):
            taken, _ = seconds_of(lambda a=adata, n=n_jobs: illico_once(a, n_clusters, n), repeats)
            rows.append(_row("illico", f"{kind}: all pairs, p, each pair once", n_jobs, taken))
        taken, _ = seconds_of(lambda a=adata, n=n_jobs: illico_both_ways(a, n_clusters, n), repeats)
        rows.append(_row("illico", f"{kind}: all pairs, p, each pair from both sides", n_jobs, taken))
    return rows


def illico_once(adata, n_clusters, n_jobs):
    """Each cluster but the last as the reference of those after it."""
    for reference in range(n_clusters - 1):
        later = [str(code) for code in range(reference + 1, n_clusters)]
        one_reference(adata, str(reference), later, n_jobs)


def illico_both_ways(adata, n_clusters, n_jobs):
    """Each cluster as the reference of all others."""
    for reference in range(n_clusters):
        one_reference(adata, str(reference), None, n_jobs)


def one_reference(adata, reference, groups, n_jobs=1):
    return asymptotic_wilcoxon(
        adata,
        is_log1p=True,
        exp_post_agg=True,
        group_keys="cluster",
        reference=reference,
        groups=groups,
        n_threads=n_jobs,
    )


def time_scanpy(adata, sampled, n_pairs):
    scanpy_pair(adata, *sampled[0])  # warm
    taken = [seconds_of(lambda a=a, b=b: scanpy_pair(adata, a, b), 1)[0] for a, b in sampled]
    return _row("scanpy", f"CSR: all pairs, p, extrapolated from {len(sampled)} pairs", 1, np.mean(taken) * n_pairs)


def scanpy_pair(adata, a, b):
    sc.tl.rank_genes_groups(
        adata, "cluster", groups=[str(a)], reference=str(b), method="wilcoxon", tie_correct=True, key_added="pair"
    )
    return sc.get.rank_genes_groups_df(adata, str(a), key="pair").set_index("names").loc[adata.var_names]


def compare(values, labels, adata, sampled):
    """The largest differences from the peers over a sample of pairs."""
    ours = rank_sum(sort_genes(values), labels, sampled)
    sizes = np.bincount(labels)
    worst = dict.fromkeys(("U, illico", "p, illico (relative)", "z, scanpy"), 0.0)
    for row, (a, b) in enumerate(sampled):
        theirs = one_reference(adata, str(b), [str(a)]).loc[str(a)].loc[adata.var_names]
        u = theirs["statistic"].to_numpy()
        # Which of the two clusters U counts for is a convention.
        both = np.minimum(np.abs(u - ours.u[row]), np.abs(sizes[a] * sizes[b] - u - ours.u[row]))
        worst["U, illico"] = max(worst["U, illico"], both.max())
        p = theirs["p_value"].to_numpy()
        relative = np.abs(10.0 ** ours.log10_p[row] / p - 1.0)[p > SMALLEST_P]
        worst["p, illico (relative)"] = max(worst["p, illico (relative)"], relative.max())
        distance = np.abs(ours.u[row] - sizes[a] * sizes[b] / 2.0)
        far = distance > 1.0
        uncorrected = (ours.z[row] * distance)[far] / (distance[far] - 0.5)
        z = scanpy_pair(adata, a, b)["scores"].to_numpy()[far]
        worst["z, scanpy"] = max(worst["z, scanpy"], np.abs(uncorrected - z).max())
    return [{"compared": name, "largest difference": f"{value:.2g}"} for name, value in worst.items()]


def _row(program, work, n_jobs, seconds):
    print(f"{program}, {work}, {n_jobs} threads: {seconds:.3f} s", flush=True)
    return {"program": program, "work": work, "threads": n_jobs, "seconds": seconds}


if __name__ == "__main__":
    main()
