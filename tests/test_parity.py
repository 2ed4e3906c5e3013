"""The original's tests of pairs and its whole search, from its labels and its knockoffs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from golden import Golden, edge_cases, golden, numbers
from scipy import sparse, special
from sklearn.metrics import adjusted_rand_score

from recall_py.method.clustering.partition import by_decreasing_size
from recall_py.method.normalisation import log_normalise
from recall_py.method.pairs.against_knockoffs import KnockoffTest, SortedGeneTests
from recall_py.method.pairs.filter import contrast, select
from recall_py.method.pairs.rank_sum import cluster_pairs, rank_sum, sort_genes
from recall_py.method.params import FilterParams, GraphParams, PartitionParams, RunParams, SearchParams
from recall_py.method.pipeline import cluster_augmented


@dataclass(frozen=True)
class PrestoTwin:
    """presto's rank-sum test, from the number of cells that each cluster has at each distinct value of each gene.

    Its two quirks: values are compared as float32, and the tie group with the largest value of a pair is left out of
    the tie correction.
    """

    values: np.ndarray
    """(n_cells, n_genes) log-normalised, float64."""

    def log10_p(self, labels: np.ndarray) -> np.ndarray:
        """(n_pairs, n_genes) for the codes `labels`."""
        distinct = [np.unique(column, return_inverse=True)[1] for column in self.values.astype(np.float32).T]
        n_levels = np.array([codes.max() + 1 for codes in distinct])
        starts = np.concatenate(([0], np.cumsum(n_levels)[:-1]))
        gene = np.repeat(np.arange(len(distinct)), n_levels)
        level = np.column_stack(distinct) + starts
        members = [
            np.bincount(level[labels == code].ravel(), minlength=n_levels.sum()).astype(float)
            for code in range(labels.max() + 1)
        ]
        return np.array([self._pair(members[a], members[b], gene, starts) for a, b in cluster_pairs(len(members))])

    @staticmethod
    def _pair(first: np.ndarray, second: np.ndarray, gene: np.ndarray, starts: np.ndarray) -> np.ndarray:
        n_a, n_b = first[gene == 0].sum(), second[gene == 0].sum()
        n = n_a + n_b
        # Cells of the second cluster below each level: all before it, less those of the genes before.
        below = np.cumsum(second) - second - gene * n_b
        u = np.add.reduceat(first * (below + second / 2), starts)
        t = first + second
        largest = np.maximum.reduceat(np.where(t > 0, np.arange(t.size), -1), starts)
        constant = t[largest] == n
        t[largest] = 0.0
        ties = np.add.reduceat(t**3 - t, starts)
        deviation = u - n_a * n_b / 2
        z = (deviation - 0.5 * np.sign(deviation)) / np.sqrt(n_a * n_b / 12 * ((n + 1) - ties / (n * (n - 1))))
        return np.where(constant, 0.0, (np.log(2) + special.log_ndtr(-np.abs(z))) / np.log(10))


def codes_of(labels: np.ndarray) -> tuple[np.ndarray, dict[tuple[int, int], int]]:
    """Codes of the original's labels, and the row of each of its pairs (larger label first) in ours."""
    names, codes = np.unique(labels, return_inverse=True)
    rows = {(int(names[b]), int(names[a])): row for row, (a, b) in enumerate(cluster_pairs(names.size))}
    return codes.astype(np.int32), rows


def normalised(run: Golden, dtype: type) -> sparse.csc_array:
    return log_normalise(run.base.augmented.counts, dtype=dtype)


def test_wilcoxon_p_of_the_edge_cases_is_prestos():
    """``ties`` is the one case where the largest value is tied: it shows the quirk, and ``wilcox.test`` has our p."""
    labels = np.repeat(np.array([0, 1], dtype=np.int32), [15, 25])
    for name, case in edge_cases("wilcoxon.tsv").iterrows():
        values = numbers(case["values"])[:, None]
        quirky = 10.0 ** PrestoTwin(values).log10_p(labels)[0, 0]
        assert quirky == pytest.approx(float(case["p_presto_sparse"]), rel=1e-6), name
        assert quirky == pytest.approx(float(case["p_presto_dense"]), rel=1e-6), name
        found = rank_sum(sort_genes(sparse.csc_array(values)), labels)
        assert found.u[0, 0] == float(case["U"]), name
        expected = np.nan_to_num(float(case["p_stats_wilcox.test"]), nan=1.0)
        assert 10.0 ** found.log10_p[0, 0] == pytest.approx(expected, rel=1e-6), name


def test_wilcoxon_p_of_the_originals_clusters_is_prestos(dataset):
    """To 1e-6 with both quirks; the largest difference without them is printed and stays small."""
    markers = dataset.table("markers_louvain_iter1.tsv.gz")
    codes, rows = codes_of(dataset.partitions["louvain", 1][1])
    values = normalised(dataset, np.float64)
    quirky = PrestoTwin(values.toarray()).log10_p(codes)
    plain = {
        dtype: rank_sum(sort_genes(normalised(dataset, dtype)), codes).log10_p for dtype in (np.float32, np.float64)
    }
    gene = {name: i for i, name in enumerate(dataset.genes)}
    at = (
        [rows[pair] for pair in zip(markers["cluster1"], markers["cluster2"], strict=True)],
        markers["gene"].map(gene).to_numpy(),
    )
    theirs = np.log10(markers[["p_original", "p_knockoff"]].to_numpy())
    difference = dict.fromkeys(plain, 0.0)
    for side, offset in enumerate((0, len(gene))):
        columns = (at[0], at[1] + offset)
        np.testing.assert_allclose(10.0 ** quirky[columns], 10.0 ** theirs[:, side], rtol=1e-6, atol=0)
        for dtype, log10_p in plain.items():
            difference[dtype] = max(difference[dtype], np.abs(log10_p[columns] - theirs[:, side]).max())
    for dtype, largest in difference.items():
        print(f"{dataset.name}: without quirks log10 p differs by at most {largest:.3g} ({dtype.__name__} values)")
        assert largest < 1e-4
    w = contrast(quirky[:, : len(gene)], quirky[:, len(gene) :])[at]
    np.testing.assert_allclose(w, markers["W"], atol=1e-6)


def test_every_pair_has_the_originals_threshold_and_selection(run):
    """With presto's quirks exactly; without them the number of selected genes is still that of the original."""
    twin = PrestoTwin(normalised(run, np.float64).toarray())
    values = normalised(run, np.float32)
    plain = KnockoffTest(SortedGeneTests(values, FilterParams()), FilterParams(min_cells=1))
    n_genes = run.base.augmented.n_genes
    n_pairs = n_failing = n_differing = n_failing_otherwise = 0
    for (algorithm, iteration), table in run.pairs.groupby(["algorithm", "iter"]):
        codes, rows = codes_of(run.partitions[algorithm, iteration][1])
        log10_p = twin.log10_p(codes)
        quirky = [select(w) for w in contrast(log10_p[:, :n_genes], log10_p[:, n_genes:])]
        ours = plain(codes)
        assert len(table) == len(rows)
        for row in table.itertuples():
            pair = rows[row.cluster1, row.cluster2]
            assert row.n_NaN_W == 0
            assert ours.sizes[pair].tolist() == [row.n2, row.n1]
            assert quirky[pair].selected.sum() == row.n_selected
            assert quirky[pair].threshold == pytest.approx(row.threshold, rel=1e-6)
            n_pairs += 1
            n_failing += row.n_selected == 0
            n_differing += ours.n_selected[pair] != row.n_selected
            n_failing_otherwise += (ours.n_selected[pair] == 0) != (row.n_selected == 0)
    print(
        f"{run.name}: {n_pairs} pairs, {n_failing} fail; without presto's quirks {n_differing} select another number "
        f"of genes and {n_failing_otherwise} fail or pass otherwise"
    )
    assert n_failing_otherwise == 0
    assert n_differing == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "ari"), [("celseq2_3cl", 1.0), ("pbmc3k_500c", 0.9), ("pbmc68k", 0.9), ("pbmc68k_start4", 0.9)]
)
def test_whole_louvain_search_finds_the_originals_clusters(name, ari):
    run = golden(name)
    params = RunParams(
        search=SearchParams(start=run.start),
        dims=10,
        graph=GraphParams(kind="snn", n_neighbors=20),
        partition=PartitionParams(algorithm="louvain"),
    )
    search = cluster_augmented(run.base.augmented, params).search
    agreement = adjusted_rand_score(search.partition.labels, run.final_louvain)
    n_steps = len(search.iterations)
    print(f"{name}: ARI {agreement:.3f}, {n_steps} steps (original {run.n_louvain_steps})")
    assert search.reason == "calibrated"
    assert agreement >= ari
    assert abs(n_steps - run.n_louvain_steps) <= 1
    if ari == 1.0:
        np.testing.assert_array_equal(search.partition.labels, by_decreasing_size(run.final_louvain))
