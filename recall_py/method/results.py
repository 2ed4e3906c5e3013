"""What a run found, as plain arrays in frozen dataclasses."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


@dataclass(frozen=True)
class Cells:
    """The cells of a run, as the method takes them."""

    counts: sparse.csc_array
    """(n_cells, n_genes) raw counts of the genes that take part."""
    depth: NDArray[np.float64] | None = None
    """(n_cells,) relative sequencing depth; by default each cell's total over the given genes."""
    batches: NDArray[np.int32] | None = None
    """(n_cells,) codes 0, 1, ...: null genes are fitted and drawn within batches."""


@dataclass(frozen=True)
class NullFit:
    """A null model fitted to the cells of one batch, or to all cells."""

    family: str
    """Name in the registry."""
    parameters: dict[str, NDArray[np.float64]]
    """(n_genes,) each, as the estimator returned them: edge cases are handled when sampling."""
    correlation: NDArray[np.float64] | None = None
    """(n_genes, n_genes) of the normal scores, positive definite with unit diagonal; copulas only."""
    observed: sparse.csc_array | None = None
    """(n_cells, n_genes) the counts themselves; permutation only."""


@dataclass(frozen=True)
class Partition:
    """A partition of the cells."""

    labels: NDArray[np.int32]
    """(n_cells,) codes 0..k-1 by decreasing size."""
    modularity: float
    """Modularity on the graph that was partitioned; NaN for methods without a graph."""

    @property
    def n_clusters(self) -> int:
        """Number of clusters, k."""
        return int(self.labels.max()) + 1


@dataclass(frozen=True, kw_only=True)
class PairTable:
    """The knockoff filter on every pair of clusters of one partition."""

    pairs: NDArray[np.int64]
    """(n_pairs, 2) codes a < b."""
    sizes: NDArray[np.int64]
    """(n_pairs, 2) cells of a and of b."""
    threshold: NDArray[np.float64]
    """(n_pairs,) tau, ``inf`` where nothing can be selected."""
    n_selected: NDArray[np.int64]
    """(n_pairs,) selected genes."""
    evidence: NDArray[np.float64]
    """(n_pairs,) largest lead of real genes over null genes."""
    distance: NDArray[np.float64] | None = None
    """(n_pairs,) what a merge of the pair costs, where that decides which failing pair is merged first; without it the
    pair with the least evidence is."""
    untested: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    """Codes of clusters that are too small to be tested; no pair of theirs is in the table."""
    false_share: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    """(n_pairs,) lowest estimated share of false discoveries at any threshold, above the target where a pair fails."""

    @property
    def failing(self) -> NDArray[np.bool_]:
        """(n_pairs,) pairs without a selected gene."""
        return self.n_selected == 0


@dataclass(frozen=True)
class Markers:
    """Genes that the filter selected, one row for each pair and gene.

    "Knockoff" stands for the gene of the null cells where the pairs have null cells of their own. Of several draws,
    contrast and p-value of the null are medians.
    """

    pair: NDArray[np.int64]
    """(n_rows,) row of the pair in the :class:`PairTable`."""
    gene: NDArray[np.int64]
    """(n_rows,) index of the gene among the selected genes of the run."""
    w: NDArray[np.float64]
    """(n_rows,) contrast W."""
    log10_p: NDArray[np.float64]
    """(n_rows,) log10 p of the gene."""
    log10_p_knockoff: NDArray[np.float64]
    """(n_rows,) log10 p of its knockoff."""
    auc: NDArray[np.float64]
    """(n_rows,) probability that a cell of the first cluster has the larger value, ties counting 1/2."""
    log2_fold_change: NDArray[np.float64]
    """(n_rows,) log2 of the ratio of mean normalised counts, first over second, each plus 1."""


@dataclass(frozen=True)
class Iteration:
    """One step of the search."""

    level: float
    """Resolution, or number of clusters asked for."""
    n_clusters: int
    n_pairs: int
    n_failing: int
    min_selected: int
    """Selected genes of the pair that has the fewest; 0 if there is no pair."""
    merged: tuple[int, int] | None = None
    """Codes of the pair merged after this step."""
    flow: NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 3), dtype=np.int64), compare=False)
    """(n_flows, 3) code in the step before (-1 in the first), code in this step, and how many cells have both."""
    failing: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64), compare=False)
    """Codes of the clusters that a failing pair has."""


Reason = Literal["calibrated", "one cluster", "max_iterations", "disconnected"]


@dataclass(frozen=True)
class Search:
    """Where the search ended and how it got there."""

    partition: Partition
    level: float
    """Resolution, or number of clusters asked for, of the final partition."""
    pairs: PairTable
    iterations: tuple[Iteration, ...]
    reason: Reason
    """Why it stopped."""
    first_passed: bool
    """Whether no pair failed at the start, so that the start may be too coarse."""
    start: NDArray[np.int32]
    """(n_cells,) codes of the first partition."""

    @property
    def converged(self) -> bool:
        """Whether every pair of clusters that is left has markers; one cluster has no pair."""
        return self.reason in ("calibrated", "one cluster")


@dataclass(frozen=True)
class RecallResult:
    """A calibrated clustering."""

    search: Search
    markers: Markers
    fits: tuple[NullFit, ...]
    """One for each batch; empty where no knockoffs were drawn."""
    n_components: int
    """Principal components that were used."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time of each stage."""


@dataclass(frozen=True)
class Augmented:
    """Real genes and their knockoffs side by side; nulls are known by position alone."""

    counts: sparse.csc_array
    """(n_cells, (1 + n_draws) n_genes) columns 0..p-1 real, p..2p-1 the knockoff of column j - p, and so on."""
    fits: tuple[NullFit, ...]
    """One for each batch, in the order of their codes; one in all without batches."""
    n_draws: int = 1
    """Knockoffs of each gene."""

    @property
    def n_genes(self) -> int:
        """Number of real genes, p."""
        return self.counts.shape[1] // (1 + self.n_draws)


class Lead(NamedTuple):
    """How far the genes of one cut lead their own nulls, beside how far null genes lead those of other draws."""

    times: float
    """(real + 0.25) / (needed + 0.25) at the rank where it is largest: above 1, the genes lead far enough."""
    ranks: NDArray[np.int64]
    """(n_ranks,) from 1 to 100, as many of them as there are genes for."""
    real: NDArray[np.float64]
    """(n_ranks,) decades of p by which the real genes at these ranks lead their own nulls, the median over draws."""
    null: NDArray[np.float64]
    """(n_ranks,) those by which null genes of a draw lead themselves in the other draws, the mean over draws."""
    needed: NDArray[np.float64]
    """(n_ranks,) what the real genes have to exceed at one rank at least."""


class Comparison(NamedTuple):
    """Real genes of a pair of clusters beside null genes."""

    lead: Lead
    with_left_out: float | None
    """The lead with the genes that were left out, of pairs that fail without them; None where there are none."""
    told_by: tuple[int, ...]
    """Numbers of the groups of genes that were left out each of which alone would hold the two apart, by a clear gain;
    all of them where only all together would."""
    genes: NDArray[np.int64]
    """(n_best,) those that lead their nulls most, of each side."""
    log10_p: NDArray[np.float64]
    """(n_best,)."""
    log10_p_null: NDArray[np.float64]
    """(n_best,) of their null genes, the median over draws."""
    auc: NDArray[np.float64]
    """(n_best,) probability that a cell of the first cluster has the larger value, ties counting 1/2."""
    log2_fold_change: NDArray[np.float64]
    """(n_best,) log2 of the ratio of mean normalised counts, first over second, each plus 1."""

    def turned(self) -> Comparison:
        """The same with the second cluster first."""
        return self._replace(auc=1.0 - self.auc, log2_fold_change=-self.log2_fold_change)


@dataclass(frozen=True, kw_only=True)
class PairOutcome:
    """What became of two clusters, and why."""

    first: tuple[int, ...]
    """Codes at the start of the clusters that the larger of the two is made of."""
    second: tuple[int, ...]
    """Those of the smaller."""
    sizes: tuple[int, int]
    """Their cells."""
    distance: float
    """What joining the two adds to the sum of squares (Ward), on their mean log-normalised profiles, for the cells that
    a test reads. The failing pair at the least distance is merged first."""
    kind: Literal["pair", "small", "batch"]
    """``"pair"``: compared with null cells; ``"small"``: one of the two is too small for that; ``"batch"``: they have
    too few cells in the same batches, so that types and batches cannot be told apart, and they stay."""
    threshold: float
    """Lead above which the pair would stand."""
    near: bool
    """Whether the lead is so near to the threshold that another seed may turn it."""
    comparison: Comparison | None
    """Real and null genes; None where the two were not compared."""
    told_in: tuple[int, ...] | None = None
    """Codes of the batches within which the two were compared; None without batches."""
    in_batches: tuple[NDArray[np.int64] | None, NDArray[np.int64] | None] = (None, None)
    """(n_batches,) cells of the first in each batch, and of the second; None without batches."""

    @property
    def with_left_out(self) -> float | None:
        """The lead with the genes that were left out, of pairs that fail without them; None where there are none."""
        return None if self.comparison is None else self.comparison.with_left_out

    @property
    def told_by(self) -> tuple[int, ...]:
        """Groups of genes that were left out by which alone the two are told apart; see :class:`Comparison`."""
        return () if self.comparison is None else self.comparison.told_by

    @property
    def lead(self) -> float:
        """How many times as far as needed the genes lead their own nulls; NaN where none were drawn."""
        return math.nan if self.comparison is None else self.comparison.lead.times

    @property
    def stands(self) -> bool:
        """Whether the two are told apart by more than null cells would be, or cannot be compared for their batches."""
        return self.lead > self.threshold or self.kind == "batch"


@dataclass(frozen=True, kw_only=True)
class Merging:
    """Clusters that are left, how they came about, and what holds them apart."""

    labels: NDArray[np.int32]
    """(n_cells,) codes 0..k-1 by decreasing size."""
    members: tuple[tuple[int, ...], ...]
    """(k,) codes at the start of the clusters that each is made of."""
    merges: tuple[PairOutcome, ...]
    """The merges, in their order."""
    standing: tuple[PairOutcome, ...]
    """The pairs of neighbours that are left."""
    untested: tuple[int, ...]
    """Codes of the clusters that stay although they are too small to be tested."""


@dataclass(frozen=True, kw_only=True)
class Tested:
    """Clusters as they came in, and what holds them apart or does not."""

    outcomes: tuple[PairOutcome, ...]
    """The pairs that were compared."""
    untested: tuple[int, ...]
    """Codes of the clusters that are too small to be tested."""


@dataclass(frozen=True, kw_only=True)
class TreeSplit:
    """A split of a tree, and whether one population would be split as widely."""

    parent: int
    """Place of the split above it among those that were tested; -1 for the root."""
    n_left: int
    n_right: int
    statistic: float
    """What the split takes from the sum of squares, for each cell."""
    p: float
    level: float
    """The p-value below which it stands."""

    @property
    def stands(self) -> bool:
        """Whether the two sides are kept apart."""
        return self.p < self.level


@dataclass(frozen=True, kw_only=True)
class SplitTree:
    """A tree cut where its splits stand."""

    labels: NDArray[np.int32]
    """(n_cells,) codes 0..k-1 by decreasing size."""
    splits: tuple[TreeSplit, ...]
    """Those that were tested, the root first."""
    n_untested: int
    """Splits above which all stand, and that leave too few cells on a side to be tested."""
