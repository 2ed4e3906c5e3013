"""Pairs of groups of cells whose answer is known."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import scanpy as sc
from scipy import sparse
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict

from benchmarks.datasets import drop_empty, read_singlets
from benchmarks.default import LABELLED, SCORED, labelled, variable_genes
from recall_py.adata.programmes import CELL_CYCLE, USUAL, left_out, programme_genes
from recall_py.datasets import simulate

SIZES = (20, 40, 80, 150, 300)
FAMILY = {"zheng_facs3_500": "zheng", "zheng_facs9": "zheng"}
"""Sets that share cells, which are left out together; another set is its own family."""
PURE = {
    "mix3_celseq2": ["H1975", "H2228", "HCC827"],
    "stoeckius_4lines_hto": ["HEK", "K562", "KG1", "THP1"],
    "zheng_facs9": ["nk", "naivet", "naivecytotoxic"],
    "zheng_facs3_500": ["cd56_NK"],
}
"""Sorted or grown populations without known kinds inside; of the RNA mixtures, all."""
SIMULATED = {
    "depth": {"mean_depth": 3000, "depth_spread": 0.6},
    "modules": {"mean_depth": 4000, "n_modules": 3},
    "strong modules": {"mean_depth": 20_000, "n_modules": 4, "module_sd": 0.8},
    "line": {"mean_depth": 5000, "gradient": "line"},
    "circle": {"mean_depth": 5000, "gradient": "circle"},
}
CYCLING = 0.75
"""A cut that the cell cycle tells as well as this, by the area under the curve, is one of states."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two groups of cells."""

    set: str
    family: str
    what: str
    """The two kinds, or the population and how it was cut."""
    answer: str
    """``"true"``, ``"null"``, or ``"state"`` for a cut along the cell cycle."""
    counts: sparse.csr_array
    """(n_cells, n_genes), the first group first."""
    n_first: int
    left_out: np.ndarray
    """(n_genes,) numbers of the programmes whose genes do not count by default; 0 for genes that do."""
    ceiling: float = np.nan
    """Area under the curve of a classifier of held-out cells of the two kinds."""

    @property
    def size(self):
        """Cells of the smaller group."""
        return min(self.n_first, self.counts.shape[0] - self.n_first)


def scored(name):
    """Counts of the most variable genes of a labelled set, and labels; "" for cells that do not count."""
    adata, labels = labelled(name)
    if name in SCORED:
        labels = np.where(np.isin(labels, SCORED[name]), labels, "")
    return selected(adata), labels


def selected(adata):
    """The most variable genes alone."""
    return adata[:, variable_genes(adata)].copy()


def components(adata, n):
    values = adata.copy()
    sc.pp.normalize_total(values, target_sum=1e4)
    sc.pp.log1p(values)
    sc.pp.pca(values, n_comps=min(n, values.n_obs // 2, values.n_vars - 1))
    return values


def cycle_genes(names):
    return programme_genes(names, CELL_CYCLE)


def true_pairs(name, rng, most=10):
    """Pairs of the kinds of a set that are near each other, in several sizes, once with a tenth of the other kind."""
    adata, labels = scored(name)
    counts, of_programmes = sparse.csr_array(adata.X), left_out(adata.var_names, USUAL).of_programme
    scores = components(adata, 20).obsm["X_pca"]
    kinds = [kind for kind in np.unique(labels) if kind and (labels == kind).sum() >= SIZES[0]]
    centroid = {kind: scores[labels == kind].mean(axis=0) for kind in kinds}
    near = sorted(combinations(kinds, 2), key=lambda two: ((centroid[two[0]] - centroid[two[1]]) ** 2).sum())
    for first, second in near[:most]:
        cells = [np.flatnonzero(labels == kind) for kind in (first, second)]
        ceiling = separability(scores, *cells)
        fits = min(group.size for group in cells)
        wanted = [(n, n, 0.0) for n in SIZES if n <= fits]
        wanted += [(20, 150, 0.0)] * (cells[1].size >= 150) + [(80, 80, 0.1)] * (fits >= 88)
        for n_first, n_second, mixed in wanted:
            one, other = (
                rng.choice(group, n, replace=False) for group, n in zip(cells, (n_first, n_second), strict=True)
            )
            n_mixed = int(mixed * n_first)
            one[:n_mixed], other[:n_mixed] = other[:n_mixed].copy(), one[:n_mixed].copy()
            yield Pair(
                set=name,
                family=FAMILY.get(name, name),
                what=f"{first} / {second}" + (", a tenth mixed" if mixed else ""),
                answer="true",
                counts=counts[np.concatenate((one, other))],
                n_first=n_first,
                left_out=of_programmes,
                ceiling=ceiling,
            )


def separability(scores, one, other):
    """Area under the curve of a logistic regression, in five folds."""
    chosen = np.concatenate((one, other))
    second = np.isin(chosen, other)
    model = LogisticRegression(max_iter=500)
    told = cross_val_predict(model, scores[chosen], second, cv=5, method="decision_function")
    return float(roc_auc_score(second, told))


def null_cuts(name, family, adata, rng, repeats=1):
    """One population in several sizes, cut at random, along depth and the first component, by 2-means and Leiden."""
    for n in [n for n in SIZES if 2 * n <= adata.n_obs] or [adata.n_obs // 2]:
        for repeat in range(repeats):
            part = drop_empty(adata[np.sort(rng.choice(adata.n_obs, 2 * n, replace=False))])
            part = selected(part)
            part = part[np.asarray(part.X.sum(axis=1)).ravel() > 0].copy()
            cycle = cycle_genes(part.var_names)
            for how, first, second in cuts(part, rng, int(rng.integers(1 << 30))):
                if min(first.sum(), second.sum()) < 10:
                    continue
                both = first | second
                along = along_cycle(part[both], cycle, first[both]) if cycle.sum() >= 10 else 0.5
                yield Pair(
                    set=name,
                    family=family,
                    what=f"{how}, {repeat}",
                    answer="state" if along > CYCLING else "null",
                    counts=sparse.csr_array(part.X)[np.concatenate((np.flatnonzero(first), np.flatnonzero(second)))],
                    n_first=int(first.sum()),
                    left_out=left_out(part.var_names, USUAL).of_programme,
                )


def cuts(adata, rng, seed):
    values = components(adata, 20)
    scores, depth = values.obsm["X_pca"], np.asarray(adata.X.sum(axis=1)).ravel()
    halves = {
        "random": rng.permutation(adata.n_obs) < adata.n_obs // 2,
        "depth": depth > np.median(depth),
        "component": scores[:, 0] > np.median(scores[:, 0]),
        "2-means": KMeans(2, n_init=3, random_state=seed).fit_predict(scores) == 0,
    }
    for how, first in halves.items():
        yield how, first, ~first
    sc.pp.neighbors(values, method="gauss", transformer="sklearn", random_state=seed)
    for resolution in (0.3, 0.5, 0.8, 1.2):
        sc.tl.leiden(values, resolution, flavor="igraph", n_iterations=2, random_state=seed)
        if values.obs["leiden"].nunique() > 1:
            break
    labels = values.obs["leiden"].to_numpy()
    first = labels == values.obs["leiden"].value_counts().index[0]
    edges = sparse.csr_array(values.obsp["connectivities"])[first].sum(axis=0)
    others = np.unique(labels[~first])
    if others.size:
        yield "Leiden", first, labels == max(others, key=lambda label: edges[labels == label].sum())


def along_cycle(adata, cycle, first):
    """How well the better of the two phases tells the cells of `first` from the others."""
    values = components(adata, 2)
    best = 0.5
    for programme in ("cycle_s", "cycle_g2m"):
        genes = programme_genes(values.var_names, programme)
        if genes.sum() < 5:
            continue
        x = values[:, genes].X
        x = x.toarray() if sparse.issparse(x) else x
        score = (x / np.maximum(x.std(axis=0), 1e-3)).mean(axis=1)
        area = roc_auc_score(first, score)
        best = max(best, area, 1 - area)
    return best


def every_pair(rng):
    """True pairs and null cuts of every set, and of simulations."""
    for name in LABELLED:
        yield from true_pairs(name, rng)
    yield from every_null_cut(rng)
    yield from simulated_differences(rng)


def every_null_cut(rng, first_seed=0):
    """Null cuts of pure populations and of simulations, these by three seeds."""
    for name, kinds in PURE.items():
        adata = read_singlets(name)
        labels = adata.obs["truth"].astype(str).to_numpy()
        for kind in kinds:
            if (labels == kind).sum() >= 40:
                family = f"{FAMILY.get(name, name)} {kind}"
                yield from null_cuts(f"{name} {kind}", family, adata[labels == kind].copy(), rng, repeats=2)
    adata = read_singlets("rnamix_celseq2")
    for kind in np.unique(adata.obs["truth"].astype(str)):
        yield from null_cuts(f"rnamix {kind}", "rnamix_celseq2", adata[adata.obs["truth"] == kind].copy(), rng, 2)
    for name, options in SIMULATED.items():
        for seed in range(first_seed, first_seed + 3):
            adata = drop_empty(simulate(600, 1500, random_state=seed, **options))
            yield from null_cuts(f"simulated {name}", f"simulated {name}", adata, rng)


def simulated_differences(rng):
    """Two simulated types that differ in few genes."""
    for n_markers in (3, 5, 10, 20, 50):
        for fold in (1.5, 2, 4):
            for n in (40, 80, 200):
                adata = simulate(
                    2 * n,
                    1500,
                    group_shares=(0.5, 0.5),
                    n_markers=n_markers,
                    log2_fold_change=float(np.log2(fold)),
                    mean_depth=5000,
                    random_state=int(rng.integers(1 << 30)),
                )
                first = adata.obs["group"].cat.codes.to_numpy() == 0
                order = np.argsort(~first, kind="stable")
                yield Pair(
                    set="simulated differences",
                    family="simulated differences",
                    what=f"{n_markers} genes, fold {fold}",
                    answer="true",
                    counts=sparse.csr_array(adata.X)[order],
                    n_first=int(first.sum()),
                    left_out=np.zeros(adata.n_vars, dtype=np.int8),
                )
