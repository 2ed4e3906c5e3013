"""The one table of options: what functions and commands take, under which name, with which default, and what it does.

Docstrings, the options and the help of the command line, and the report's "how to repeat it" are made from it. Bounds
are checked once, by the classes in :mod:`recall_py.method.params`, whose defaults these are.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill, indent
from typing import Any, TypeVar

from recall_py._docs import SECTIONS, with_shared_docs
from recall_py.method.params import CLUSTERERS, FilterParams, MergeParams, PartitionParams, RunParams, SearchParams

_Function = TypeVar("_Function", bound=Callable[..., Any])
_WIDTH = 108


@dataclass(frozen=True, kw_only=True)
class Option:
    """What functions and commands take under one name."""

    says: str
    """What it does; a command shows the first sentence."""
    kind: type | None = None
    """Its type on the command line; None where only Python has it."""
    default: Any = None
    short: str = ""
    """What a command shows, where that is not the first sentence."""
    flags: tuple[str, ...] = ()
    """Its names on the command line, where they are not that in Python."""
    value: str = ""
    """What stands for its value in a help."""

    @property
    def help(self) -> str:
        """What it does, in one sentence for the command line."""
        return self.short or f"{self.says.partition('. ')[0].rstrip('.')}.".replace("`", "")


_MODELS = (
    '``"ZIP"`` (zero-inflated Poisson), ``"NB"`` (negative binomial), ``"NB-depth"`` (negative binomial given the '
    'cell\'s sequencing depth), ``"permutation"``, or with gene-gene correlation ``"ZIP-copula"``, '
    '``"NB-copula"``, ``"Poisson-copula"``, ``"Gaussian-copula"``.'
)

GROUPS: dict[str, dict[str, Option]] = {
    "Input and output": {
        "output": Option(
            kind=Path,
            flags=("--output", "-o"),
            value="OUT",
            says="The .h5ad, .zarr or .rds to write.",
        ),
        "demo.output": Option(
            kind=Path,
            flags=("--output", "-o"),
            value="FOLDER",
            default=Path("demo"),
            says="Folder to write to.",
        ),
        "report.output": Option(kind=Path, flags=("--output", "-o"), value="PAGE", says="The .html to write."),
        "in_place": Option(kind=bool, default=False, says="Write the result over IN."),
        "key_added": Option(
            kind=str,
            value="NAME",
            short="Name of the labels; the algorithm's if left out.",
            says="Slot of ``obs`` and ``uns`` to write to; with ``_R`` added when left alone with `restrict_to`.",
        ),
        "recall.key_added": Option(
            kind=str,
            value="NAME",
            default="recall_clusters",
            short="Name of the labels.",
            says='Slot of ``obs`` and ``uns`` to write to; ``"recall_clusters_R"`` when left alone with `restrict_to`.',
        ),
        "merge_clusters.key_added": Option(
            kind=str,
            value="NAME",
            short="Name of the merged labels; GROUPBY_merged if left out.",
            says='Slot of ``obs`` and ``uns`` to write to; by default `groupby` with ``"_merged"`` added.',
        ),
        "subcluster.key_added": Option(
            says='Slot of ``obs`` and ``uns`` to write to; by default `groupby` with ``"_R"`` added.',
        ),
        "map_query.key_added": Option(
            default="mapped", says="Slot of ``obs`` and ``uns`` of the query to write to, and to begin columns with."
        ),
        "map_query.copy": Option(
            default=False, says="Change and return a copy of the query, and leave `query` as it is."
        ),
        "update_atlas.key": Option(default="mapped", says="``key_added`` of :func:`map_query`."),
        "update_atlas.key_added": Option(
            default="atlas_update", says="Slot of ``obs`` and ``uns`` of the result with what was added when."
        ),
        "update_atlas.output": Option(
            says="An .h5ad file to write the result to, some cells at a time; needed for a reference in a file.",
        ),
        "test_clusters.key_added": Option(
            kind=str,
            value="NAME",
            default="recall_test",
            says="Slot of ``uns`` to write to.",
        ),
        "compare.key_added": Option(
            default="compare", says="Slot of ``uns`` to write to, and what the names of the labels begin with."
        ),
        "countsplit.key_added": Option(
            default="countsplit", says="Slot of ``uns`` to write to, and what the names of the layers begin with."
        ),
        "sc_shc.key_added": Option(default="sc_shc", says="Slot of ``obs`` and ``uns`` to write to."),
        "export.output": Option(kind=Path, flags=("--output", "-o"), value="OUT", says="The .h5ad to write."),
        "cellwhisperer": Option(
            kind=bool,
            default=False,
            short="For CellWhisperer: int32 counts, no gaps, gene names.",
            says="For CellWhisperer: int32 counts, no gaps, gene names, and which columns are calibrated labels.",
        ),
        "cellxgene": Option(
            kind=bool,
            default=False,
            short="For CELLxGENE: its schema, and what is missing.",
            says="For CELLxGENE: what its schema asks for; what is missing is named.",
        ),
        "terms": Option(kind=Path, value="FILE", says="A .json file with ontology terms for --cellxgene."),
        "key": Option(kind=str, value="NAME", says="Entry of uns with the result, where there are several."),
        "report": Option(kind=Path, value="PAGE", says="Write a report, an .html page that loads nothing."),
        "markers": Option(kind=Path, value="FILE", says="Write the markers of each cluster as .csv."),
        "merges": Option(kind=Path, value="FILE", says="Write the merges and their reasons as .csv."),
        "json": Option(kind=Path, value="FILE", says="Write a summary as JSON; - for standard output."),
        "copy": Option(default=False, says="Change and return a copy, and leave `adata` as it is."),
    },
    "Labels": {
        "groupby": Option(
            kind=str,
            default=inspect.Parameter.empty,
            value="COLUMN",
            says="Column of ``obs`` with the labels. Categories, text, integers or booleans.",
        ),
        "sc_shc.groupby": Option(
            says="Column of ``obs`` with labels to test; those whose split does not stand become one. Without it "
            "the cells are clustered. Cells without a label are left out.",
        ),
        "same_platform": Option(
            default=False,
            says="Say True to state that query and reference were made alike: all distances count as they are. Else "
            "the query may be farther from everything by one factor, that of its nearest quarter, so that a query that "
            "is of new types alone is not seen.",
        ),
        "map_query.groupby": Option(
            default=inspect.Parameter.empty,
            says="Column of ``reference.obs`` with the labels; cells without one are left out.",
        ),
        "groups": Option(
            default=inspect.Parameter.empty,
            says="The labels to look inside: one, or several whose cells are looked at as one.",
        ),
        "external": Option(
            kind=bool,
            default=False,
            short="State that the labels did not come from these counts.",
            says="Say True to state that the labels did not come from these counts (sorting, hashtags, genotype): "
            "they were not cut out of the expression data, so null cells are not cut to look like them.",
        ),
        "test_clusters.method": Option(
            kind=str,
            default="pairs",
            value="NAME",
            short="pairs, or countsplit for clusters of a fold.",
            says='``"pairs"``: as above. ``"countsplit"``: a second opinion on clusters of Leiden or Louvain. The '
            "clustering is repeated, at its resolution, on one fold of the counts; each of its clusters is called as "
            "the label that most of its cells have; and what is called alike is compared on another fold, from which "
            'no label comes. The folds are those that :func:`countsplit` has left as ``"countsplit"``, else Poisson '
            "halves.",
        ),
        "all_pairs": Option(kind=bool, default=False, says="Compare every pair, not only neighbours."),
        "merge_small": Option(
            kind=bool,
            default=False,
            short="Join labels below 3 cells to the nearest.",
            says="Join labels below 3 cells, which are too few to be tested, to the nearest cluster; else they stay.",
        ),
    },
    "Clustering": {
        "resolution": Option(
            kind=str,
            default=1.0,
            value="X",
            short="Where to start; higher gives more to merge; or auto.",
            says="Where to start: higher values start with more clusters, of which more are merged.",
        ),
        "leiden.resolution": Option(
            kind=str,
            default=1.0,
            value="X",
            short="Where to start; higher gives more to merge; or auto.",
            says='Where to start: higher values start with more clusters, of which more are merged. ``"auto"``: Leiden '
            "runs 32 times between resolutions .25 and 2, by igraph, and the start are the clusters that the runs find "
            "again best, each at the resolution that suits it. Such labels hardly depend on the seed, and each cluster "
            "and each cell has its stability.",
        ),
        "demo.resolution": Option(
            kind=float, default=3.0, value="X", says="Where to start: too fine, so that there is much to merge."
        ),
        "algorithm": Option(kind=str, default="leiden", value="NAME", says="leiden or louvain."),
        "recall.algorithm": Option(
            kind=str,
            default="louvain",
            value="NAME",
            short=f"{', '.join(CLUSTERERS[:-1])} or {CLUSTERERS[-1]}.",
            says='``"louvain"``, ``"leiden"``, ``"kmeans"`` or ``"ward"``.',
        ),
        "method": Option(
            kind=str,
            default="pairs",
            value="NAME",
            short="pairs, or knockoffs for null genes beside real ones.",
            says='``"pairs"``: as above. ``"knockoffs"``: knockoff genes beside all real ones, clustered with them'
            " on a graph that is made anew with the recorded parameters, the resolution lowered until no pair"
            " fails; :func:`recall` has all options of that.",
        ),
        "resolution_start": Option(
            kind=float,
            default=0.8,
            flags=("--resolution",),
            value="X",
            short="Where leiden and louvain start.",
            says="Resolution where the search starts, for Louvain and Leiden.",
        ),
        "num_clusters_start": Option(
            kind=int,
            default=20,
            value="N",
            short="Where kmeans and ward start.",
            says="Number of clusters where the search starts, for k-means and Ward; one fewer at each step.",
        ),
        "adjacency": Option(says="The graph itself, in place of `neighbors_key`."),
        "neighbors_key": Option(
            kind=str,
            value="NAME",
            says='Entry of ``uns`` that records the graph. ``"neighbors"`` by default. Any graph does, whatever it'
            " was made on.",
        ),
        "merge_clusters.neighbors_key": Option(
            kind=str,
            value="NAME",
            says='Entry of ``uns`` that records the graph. ``"neighbors"`` by default. Any graph does, whatever it'
            " was made on. Clusters are neighbours if more edge weight joins them than chance would give. "
            "Without a graph, neighbours are the clusters with the nearest mean profiles.",
        ),
        "recall.neighbors_key": Option(
            kind=str,
            value="NAME",
            short="Entry of uns with its parameters, for umap.",
            says='Entry of ``uns`` with those parameters, ``"neighbors"`` by default. A graph that was not made on'
            " principal components (Harmony, bbknn, scVI, ...) is refused: knockoff genes did not pass "
            "through it.",
        ),
        "obsp": Option(
            kind=str,
            value="NAME",
            says="Slot of ``obsp`` with the graph. In place of `neighbors_key`.",
        ),
        "use_rep": Option(
            says="Embedding of ``obsm`` to join neighbours by, such as Harmony's; by default the 50 principal "
            "components that scanpy finds among these cells, or as many as there can be.",
        ),
        "n_neighbors": Option(default=15, says="Neighbours of each cell, itself included."),
        "restrict_to": Option(
            kind=str,
            value="COL:A,B",
            short="Cluster only the cells with these labels.",
            says="Cluster only the cells of some categories, ``(column of obs, [categories])``; their labels "
            'become ``"<categories>,<cluster>"`` and the others keep theirs.',
        ),
        "graph": Option(
            kind=str,
            default="snn",
            value="NAME",
            short="snn (Seurat) or umap (scanpy).",
            says='``"snn"``: Seurat\'s shared nearest neighbours. ``"umap"``: scanpy\'s neighbours, made anew on '
            "real genes and knockoffs with the parameters that :func:`scanpy.pp.neighbors` recorded in "
            "`adata` (``n_neighbors, metric, method, n_pcs, random_state``), else scanpy's defaults.",
        ),
        "dims": Option(
            kind=str,
            value="N",
            short="Principal components, or auto.",
            says='Principal components used: 10 by default, with ``graph="umap"`` what `adata` records as '
            '``n_pcs``, else 50; ``"auto"`` for those that vary more than the first component of shuffled '
            "genes.",
        ),
        "sketch": Option(
            kind=int,
            value="N",
            short="Cluster N cells, carry their labels to the others.",
            says="Cluster so many cells and carry their labels to the others, by their 15 nearest on the "
            "components of the real genes. They are drawn by leverage. The record is that of the sketch, "
            'whose cells are marked in ``obs[key_added + "_sketch"]``. Without effect where there are no more'
            " cells.",
        ),
        "flavor": Option(
            kind=str,
            value="NAME",
            short="Implementation, as in scanpy: leidenalg or igraph.",
            says='``"igraph"``; ``"vtraag"`` and ``"rapids"`` hand over to scanpy, where the packages they need '
            "are installed.",
        ),
        "recall.flavor": Option(
            kind=str,
            default=PartitionParams.flavor,
            value="NAME",
            short="Leiden by leidenalg or igraph.",
            says='Implementation of Leiden, ``"leidenalg"`` or ``"igraph"``.',
        ),
        "n_iterations": Option(
            kind=int,
            short="Iterations of Leiden, -1 to the end.",
            value="N",
            says="Iterations of Leiden; -1 until nothing improves.",
        ),
        "recall.n_iterations": Option(
            kind=int,
            short="Iterations of Leiden, -1 to the end.",
            default=10,
            value="N",
            says="Iterations of Leiden; -1 until nothing improves.",
        ),
        "use_weights": Option(
            kind=bool,
            default=True,
            short="Edge weights do not count.",
            says="Whether edge weights count.",
        ),
        "directed": Option(kind=bool, says="Whether leidenalg sees a directed graph."),
        "partition_type": Option(
            kind=str,
            value="CLASS",
            says="Class of leidenalg, such as ``CPMVertexPartition``.",
        ),
        "n_orders": Option(
            kind=int,
            default=PartitionParams.n_orders,
            value="N",
            short="Random vertex orders of louvain.",
            says="Random vertex orders of Louvain, of which the best by modularity is kept.",
        ),
    },
    "Counts and genes": {
        "layer": Option(
            kind=str,
            value="NAME",
            short="Layer with raw counts; found if left out.",
            says="Layer with raw counts.",
        ),
        "modality": Option(
            kind=str,
            value="NAME",
            short="Of a .h5mu file: the modality with the counts.",
            says="Of a MuData: the modality with the counts. Graph and labels are those of the MuData.",
        ),
        "batch_key": Option(
            kind=str,
            value="COLUMN",
            says="Column of ``obs`` with batches, which hold nothing apart. Clusters are compared within the batches "
            "in which both have 5 cells, by as many cells of each, and null cells keep the means of each batch. "
            "Clusters with too few cells in such batches cannot be compared; they stay, and a warning says so.",
        ),
        "recall.batch_key": Option(
            kind=str,
            value="COLUMN",
            short="Column of obs with batches, which mark nothing.",
            says="Column of ``obs`` with batches: null genes are fitted and drawn within each batch, so that a "
            "batch is no marker.",
        ),
        "sc_shc.batch_key": Option(
            says="Column of ``obs`` with batches: residuals and null cells are those of each batch, and the statistic "
            "is the median over the batches with 20 cells on both sides of a split; other cells take no part in the "
            "test.",
        ),
        "sc_shc.genes": Option(says="Names of the genes that take part, in place of `n_top_genes`."),
        "sc_shc.n_top_genes": Option(
            default=2500,
            says='Genes to select by their binomial deviance; ``var["highly_variable"]`` has no say.',
        ),
        "genes": Option(
            kind=Path,
            value="FILE",
            short="Genes to compare: a text file, one name a line.",
            says='Names of the genes to compare; by default those of ``var["highly_variable"]``, else all if there'
            " are at most 2,000, else the 2,000 that scanpy's ``seurat_v3`` selects on the cells that are "
            "read.",
        ),
        "recall.genes": Option(
            kind=Path,
            value="FILE",
            short="Genes that take part: a text file, one a line.",
            says="Names of the genes that take part, in place of those that `adata` marks or that are selected.",
        ),
        "map_query.layer": Option(says="Layer of the query with raw counts."),
        "reference_layer": Option(says="Layer of the reference with raw counts."),
        "map_query.genes": Option(
            says="Names of the genes to use, which both have; by default the 2,000 shared genes that vary most in the "
            "reference, and those that do in the query."
        ),
        "subcluster.genes": Option(
            says="Names of the genes to use; by default those that vary most among these cells "
            '(``var["highly_variable"]`` says what varies among all cells, and is not looked at).',
        ),
        "subcluster.n_top_genes": Option(
            default=2000,
            says="Genes to choose among these cells (``seurat_v3``) where there are more.",
        ),
        "n_top_genes": Option(
            kind=int,
            default=2000,
            value="N",
            short="Genes to select where none are marked.",
            says='Genes to select (``seurat_v3``) where ``var["highly_variable"]`` is missing and there are more.',
        ),
        "programmes": Option(
            kind=str,
            default=("cell_cycle", "mitochondrial"),
            value="A,B",
            short="Programmes that do not count, or none.",
            says="Known programmes whose genes do not count, by default those of S, G2 and M phase and of the "
            "mitochondrion: cycling and resting cells of one type differ by the ones, whole and damaged cells by the "
            "others, and deep counts tell them apart. A pair that only they tell apart is merged, and its row of "
            ":func:`recall_py.get.merges` says so. ``()`` lets all genes count. Others: "
            '``"cycle_hallmark"`` and ``"cycle_macosko"`` (longer lists), ``"dissociation"``, ``"ribosomal"``. Of a '
            "programme with fewer than ten genes among those that take part all genes count, and the log and the "
            "record call it not assessable.",
        ),
        "alpha": Option(
            kind=float,
            default=MergeParams.alpha,
            value="X",
            short="Share of runs on one population that may split it.",
            says="Share of runs on one population that may end with more than one cluster; lower merges more. What a "
            "pair has to reach follows from it, by the tail of cuts of populations without clusters: measured, no "
            "guarantee.",
        ),
        "drop_empty_cells": Option(kind=bool, default=False, says="Leave out cells without counts."),
        "round_counts": Option(
            kind=bool,
            default=False,
            short="Round estimated counts, and keep them.",
            says="Round estimated counts (kallisto, RSEM, SoupX), take them for counts, and keep them.",
        ),
    },
    "Null genes and the search": {
        "null_method": Option(
            kind=str,
            default=RunParams.null_method,
            value="NAME",
            short="ZIP, NB, NB-depth, permutation, ...",
            says=f"Null model of the knockoff genes: {_MODELS}",
        ),
        "n_draws": Option(
            kind=int,
            default=FilterParams.n_draws,
            value="N",
            short="Null draws that are combined.",
            says="Independent null draws, 1 by default; the filter compares counts that are averaged over them. "
            "Knockoffs of all draws are embedded and clustered together, which splits more pure populations "
            "than one draw (measured in docs/calibration.md).",
        ),
        "fdr": Option(
            kind=float,
            default=FilterParams.fdr,
            value="X",
            short="Target share of false genes.",
            says="Target share of false discoveries of the filter, q. No guarantee: these knockoffs are not "
            "exchangeable with their genes.",
        ),
        "offset": Option(
            kind=int,
            default=FilterParams.offset,
            value="N",
            short="1 (knockoff+) or 0.",
            says='1 ("knockoff+") or 0. With 1, a pair needs at least ``ceil(1 / fdr)`` selected genes to pass: 20'
            " by default.",
        ),
        "min_auc": Option(
            kind=float,
            default=FilterParams.min_auc,
            value="X",
            short="Smallest AUC that counts.",
            says="A gene counts only if its AUC between the two clusters is at least this or at most 1 minus this;"
            " 0.5, the default, lets every gene count.",
        ),
        "exact_below": Option(
            kind=int,
            default=FilterParams.exact_below,
            value="N",
            short="Exact p-values below N cells.",
            says="Pairs with a cluster of fewer cells have exact rank-sum p-values (the other cluster is sampled "
            "down to 50 cells); 0, the default, for the normal approximation everywhere.",
        ),
        "strategy": Option(
            kind=str,
            default=SearchParams.strategy,
            value="NAME",
            short="resolution, or merge.",
            says='``"resolution"`` (default): lower the resolution until every pair passes. ``"merge"``: merge the'
            " weakest failing pair instead.",
        ),
        "reduction_percentage": Option(
            kind=float,
            default=SearchParams.reduction,
            flags=("--reduction",),
            value="X",
            short="Share lowered at each step.",
            says="Share by which the resolution is lowered at each step.",
        ),
        "max_iterations": Option(
            kind=int,
            default=SearchParams.max_iterations,
            value="N",
            short="Partitions at most.",
            says="Resolutions (or numbers of clusters) tried at most; merges end by themselves. A search that is "
            "cut off is not calibrated and says so.",
        ),
        "raise_start": Option(
            kind=bool,
            default=False,
            short="Raise a start at which no pair fails.",
            says="If no pair fails at the start, start higher, at most five times, until some pair fails; the last"
            " partition that passed stands.",
        ),
        "bisect": Option(
            kind=bool,
            default=False,
            short="Lower it in strides that double.",
            says="Lower the resolution by 1, 2, 4, ... steps until no pair fails, then halve the last stride. Far "
            "fewer clusterings where the search starts high. The partition found passes, and the one a step "
            "finer fails; as failing is not always monotone, it can be another one than the first that passes"
            " on the way down.",
        ),
    },
    "Comparison": {
        "methods": Option(says="The methods to run; all by default, scstability only where it is installed."),
        "label": Option(says="Column of ``obs`` with known labels."),
        "compare.resolution": Option(default=1.0, says="Of Leiden, where it is plain, calibrated or on a fold."),
    },
    "Folds": {
        "n_folds": Option(default=2, says="Number of folds."),
        "shares": Option(says="Share of the counts that each fold has, on average; equal shares by default."),
        "model": Option(
            default="poisson",
            says='``"poisson"``: each molecule goes to a fold by itself. ``"negative_binomial"``: those of a gene in a '
            "cell go together, as its `size` says, so that folds of counts that vary more than Poisson are "
            "independent.",
        ),
        "size": Option(
            says="Size of the negative binomial of each gene, mean^2 / (variance - mean): numbers, or a column of "
            "``var``. By default estimated by moments, given the depth of the cells; clusters in the cells make it too "
            "small.",
        ),
    },
    "Tree of splits": {
        "sc_shc.alpha": Option(default=0.05, says="Family-wise error rate, over all splits that are tested."),
        "n_comps": Option(default=30, says="Components of the cells."),
    },
    "Running": {
        "random_state": Option(
            kind=int,
            default=0,
            flags=("--seed", "--random-state"),
            value="N",
            short="Seed of everything random.",
            says="Seed of everything random: an int, or a generator, which is advanced. The same seed gives the "
            "same labels for any `n_jobs`.",
        ),
        "rng": Option(says="The same, as scanpy 1.13 has it; it wins over `random_state` if given."),
        "n_jobs": Option(
            kind=int,
            value="N",
            says="Threads; all cores by default. Decides only the speed.",
        ),
        "progress": Option(
            default=False,
            says="Print progress as it is made, on standard error. Nothing at scanpy's verbosity 0. What takes "
            "above two seconds shows how much is done and the time left, with or without it.",
        ),
        "quiet": Option(
            kind=bool,
            default=False,
            flags=("--quiet", "-q"),
            says="Print warnings and errors only.",
        ),
        "debug": Option(kind=bool, default=False, says="Show the traceback of an error."),
    },
}
"""Options by group, in the order of a help. ``function.name`` stands before ``name`` for that function."""


def option(name: str, function: str = "") -> Option:
    """The option called `name`, as `function` takes it."""
    specific = f"{function}.{name}"
    return next(rows.get(specific) or rows[name] for rows in GROUPS.values() if specific in rows or name in rows)


def group_of(name: str, function: str = "") -> str:
    """The group in which a help shows an option."""
    return next(group for group, rows in GROUPS.items() if f"{function}.{name}" in rows or name in rows)


def flags(name: str, function: str = "") -> tuple[str, ...]:
    """What an option is called on the command line, the name to use first."""
    return option(name, function).flags or (f"--{name.replace('_', '-')}",)


def text(value: object) -> str:
    """A value as the command line reads it back, to the last digit."""
    if isinstance(value, tuple):
        return ",".join(value) or "none"
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def words(asked: Mapping[str, object], function: str = "", *, always: Collection[str] = ()) -> Iterator[str]:
    """What sets the options of a command to the values `asked`, where these are not the defaults, or are told `always`.

    None stands for what was not asked.
    """
    for name, value in asked.items():
        known, flag = option(name, function), flags(name, function)[0]
        if value is None or (value == known.default and name not in always):
            continue
        if known.kind is bool:
            yield flag if value else f"--no-{flag[2:]}"
        else:
            yield from (flag, text(value))


def with_option_docs(function: str = "") -> Callable[[_Function], _Function]:
    """Fill what arguments do into a docstring, for ``{options}``: those after `adata` that are in the table."""

    def fill_in(documented: _Function) -> _Function:
        parts = [
            f"{name}\n{indent(fill(option(name, function).says, _WIDTH, break_on_hyphens=False), '    ')}"
            for name in inspect.signature(documented).parameters
            if any(f"{function}.{name}" in rows or name in rows for rows in GROUPS.values())
        ]
        return with_shared_docs({**SECTIONS, "options": "\n".join(parts)})(documented)

    return fill_in
