"""What a run spends its time on, each step alone, on 4,000 simulated cells x 1,000 genes.

asv warms up before it measures, so compilation does not count.
"""

import numpy as np
from scipy import sparse

from recall_py.datasets import simulate
from recall_py.method import results
from recall_py.method.clustering.components import embed, scale
from recall_py.method.clustering.graph import nearest_neighbours, snn_graph
from recall_py.method.normalisation import log_normalise
from recall_py.method.nulls import augment
from recall_py.method.pairs.against_null_cells import SyntheticTest
from recall_py.method.pairs.filter import select
from recall_py.method.pairs.rank_sum import rank_sum, sort_genes
from recall_py.method.params import FilterParams

N_CELLS = 4_000
N_GENES = 1_000
N_COMPONENTS = 10
N_THREADS = 2


class Cells:
    """Counts, log-normalised values, and twenty groups as labels."""

    def setup_cache(self):
        """Make the cells once."""
        adata = simulate(n_cells=N_CELLS, n_genes=N_GENES, mean_depth=1_000, group_shares=[1 / 20] * 20, n_markers=20)
        counts = sparse.csc_array(adata.X)
        values = log_normalise(counts)
        return counts, values, adata.obs["group"].cat.codes.to_numpy(np.int32)


class AllPairs(Cells):
    """Rank-sum tests of all pairs of clusters."""

    params = (5, 20)
    param_names = ("clusters",)

    def setup(self, cells, n_clusters):
        """Sort; join groups."""
        _, values, groups = cells
        self.genes = sort_genes(values, n_jobs=N_THREADS)
        self.labels = groups % n_clusters

    def time_rank_sum(self, cells, n_clusters):
        """U and z of every pair."""
        rank_sum(self.genes, self.labels, n_jobs=N_THREADS)


class Sort(Cells):
    """Sorting, once in a run."""

    def time_sort_genes(self, cells):
        """From the layout by genes."""
        sort_genes(cells[1], n_jobs=N_THREADS)


class Draw(Cells):
    """Fit and draw of knockoffs."""

    params = ("ZIP", "NB")
    param_names = ("null",)

    def time_augment(self, cells, null):
        """One knockoff for each gene."""
        augment(results.Cells(cells[0]), null, np.random.SeedSequence(0), n_jobs=N_THREADS)


class Components(Cells):
    """Principal components."""

    def time_embed(self, cells):
        """Scale and embed."""
        embed(scale(cells[1]), N_COMPONENTS, n_jobs=N_THREADS)

    def peakmem_embed(self, cells):
        """Scale and embed."""
        embed(scale(cells[1]), N_COMPONENTS, n_jobs=N_THREADS)


class Neighbours(Cells):
    """The graph of shared nearest neighbours."""

    def setup(self, cells):
        """Embed."""
        self.scores = embed(scale(cells[1]), N_COMPONENTS).scores
        self.neighbours = nearest_neighbours(self.scores, 20)

    def time_nearest_neighbours(self, cells):
        """20 neighbours."""
        nearest_neighbours(self.scores, 20)

    def time_snn_graph(self, cells):
        """Shared ones."""
        snn_graph(self.neighbours)


class Filter:
    """The knockoff filter."""

    def setup(self):
        """Contrasts of 2,000 genes, a tenth with signal."""
        rng = np.random.default_rng(0)
        self.w = rng.normal(size=(7, 2_000)) + np.where(np.arange(2_000) < 200, 5.0, 0.0)

    def time_select(self):
        """One pair of clusters, seven draws."""
        select(self.w)


class SyntheticPair(Cells):
    """The test of one pair of clusters against null cells."""

    def setup(self, cells):
        """Two of the groups."""
        counts, values, groups = cells
        kept = groups < 2
        self.counts, self.values, self.labels = counts[kept], values[kept], groups[kept]
        self.scores = embed(scale(self.values), N_COMPONENTS).scores

    def time_pair(self, cells):
        """Seven draws at most."""
        SyntheticTest(self.counts, FilterParams(n_draws=7), values=self.values, scores=self.scores)(self.labels)
