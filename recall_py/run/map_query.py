"""A query on a labelled reference, from AnnData to AnnData: read both once, place and test plain arrays, write once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from recall_py.adata.labels import read_clusters
from recall_py.adata.mapped import Compared, MappedTable, refuse_taken, write_mapping
from recall_py.adata.neighbours import scanpy_components, scanpy_graph
from recall_py.adata.programmes import LeftOut, left_out
from recall_py.adata.read import Found, find_counts, refuse_copy_of_file, refuse_unusable
from recall_py.counts.selection import most_variable
from recall_py.counts.source import count_matrix
from recall_py.method.clustering.sweep import Sweep
from recall_py.method.mapping import GivenPairs, Placed, place, platform_genes
from recall_py.method.merging import merge_clusters, test_clusters
from recall_py.method.normalisation import log_normalised_block
from recall_py.method.pairs.neighbours import EdgeWeights
from recall_py.method.pairs.table import limited
from recall_py.method.params import GraphParams, MergeParams
from recall_py.run.observe import CalibrationWarning, warn
from recall_py.words import listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

_SHIFTED = 1.5
"""Shift of all distances above which the user is told."""
FAR_OFF = 0.05
"""Share of left-out reference cells that are as far off as a cell that fits no label."""
MOST_OF_LABEL = 500
"""Reference cells that are read of each label."""
MOST_OF_ALL, FEWEST_OF_LABEL = 50_000, 50
"""Reference cells that are read in all, where there are many labels, and of each label all the same."""
N_GENES = 2000
"""Genes that take part of each side, where there are more."""
FEWEST_GENES = 50
FEWEST_CELLS = 20
"""Reference cells below which the distances that are usual cannot be told."""
FEWEST_IN_GROUP = 10
"""Query cells that make up a group of their own."""
_LEAST_TESTED = 3
"""Cells on either side that a test of pairs needs."""


@dataclass(frozen=True, kw_only=True)
class Mapping:
    """What is asked of a query and a reference."""

    groupby: str
    key_added: str
    layer: str | None
    reference_layer: str | None
    genes: Sequence[str] | None
    programmes: tuple[str, ...]
    same_platform: bool
    seed: int
    n_jobs: int | None
    copy: bool


class Side(NamedTuple):
    """Cells of the query, or of the reference."""

    counts: sparse.csr_array
    """(n_cells, n_genes) of the genes that take part."""
    normalised: sparse.csr_array
    """Log-normalised, by totals over all shared genes."""


def map_adata(query: AnnData, reference: AnnData, asked: Mapping) -> AnnData | None:
    """Place the cells of `query` among the labels of `reference`; see :func:`recall_py.tl.map_query`."""
    from scanpy import logging

    refuse_unusable(query)
    refuse_unusable(reference)
    refuse_copy_of_file(query, copy=asked.copy)
    refuse_taken(query, asked.key_added)
    names, codes, genes, of_reference, of_query = _read(query, reference, asked)
    start = logging.info(
        f"mapping {query.n_obs} cells on {len(names)} labels of {codes.size} reference cells, {genes.size} of the "
        "shared genes"
    )
    placed = place(
        of_reference.normalised, codes, of_query.normalised, shifted=not asked.same_platform, seed=asked.seed
    )
    unfit = placed.p <= FAR_OFF
    groups = _groups(of_query, unfit, asked)
    platform = platform_genes(of_reference.normalised, codes, of_query.normalised[~unfit], placed.labels[~unfit])
    no_support = left_out(genes, asked.programmes)
    table = _tested(names, codes, of_reference, of_query, placed, unfit, groups, platform, no_support, asked, genes)
    target = query.copy() if asked.copy else query
    write_mapping(target, asked.key_added, names, placed, unfit, groups, table, genes[platform], _recorded(asked))
    warn(_messages(table, unfit, placed, same_platform=asked.same_platform), stacklevel=4)
    n_new = int((table.verdict == "new").sum())
    logging.info(
        "    finished",
        time=start,
        deep=f"{int(unfit.sum())} cells fit no label, {n_new} groups of them are new; added obs[{asked.key_added!r}]",
    )
    return target if asked.copy else None


def _read(
    query: AnnData, reference: AnnData, asked: Mapping
) -> tuple[list[str], NDArray[np.int64], pd.Index, Side, Side]:
    """Names of the labels, codes of the reference cells that are read, the genes, and both sides."""
    labels = read_clusters(reference, asked.groupby)
    all_codes = labels.cat.codes.to_numpy()
    of_labels = [np.flatnonzero(all_codes == code) for code in range(labels.cat.categories.size)]
    most = int(np.clip(MOST_OF_ALL // max(1, len(of_labels)), FEWEST_OF_LABEL, MOST_OF_LABEL))
    read = np.sort(np.concatenate([limited(cells, most) for cells in of_labels]))
    if read.size < FEWEST_CELLS:
        msg = f"The reference has {read.size} cells with a label in obs[{asked.groupby!r}]; {FEWEST_CELLS} are needed."
        raise ValueError(msg)
    mask = np.zeros(reference.n_obs, dtype=np.bool_)
    mask[read] = True
    sides = find_counts(reference, asked.reference_layer, mask, "few"), find_counts(query, asked.layer)
    shared = shared_genes(*sides)
    counts = [counts_of(found, shared) for found in sides]
    totals = [np.asarray(each.sum(axis=1), dtype=np.float64) for each in counts]
    for what, total, cell_names in zip(
        ("reference", "query"), totals, (reference.obs_names[mask], query.obs_names), strict=True
    ):
        if not total.all():
            msg = (
                f"There are {int((total == 0).sum())} of the {total.size} cells of the {what} without a count in the "
                f"{shared.size} shared genes: {listed(cell_names[total == 0])}. Leave them out first."
            )
            raise ValueError(msg)
    chosen = _chosen(counts, shared, asked.genes)
    genes = shared[chosen]
    of_reference, of_query = (
        Side(each, log_normalised_block(each, total, np.float64))
        for each, total in zip((each[:, chosen] for each in counts), totals, strict=True)
    )
    return labels.cat.categories.tolist(), all_codes[read].astype(np.int64), genes, of_reference, of_query


def shared_genes(of_reference: Found, of_query: Found) -> pd.Index:
    """Names of the genes that both have, in the order of the reference."""
    shared = of_reference.names[of_reference.names.isin(of_query.names)]
    if shared.size < FEWEST_GENES:
        msg = (
            f"Query and reference share {shared.size} genes by name; {FEWEST_GENES} are needed. The query has "
            f"{listed(of_query.names)}, the reference {listed(of_reference.names)}. Call them alike, for example "
            "query.var_names = query.var['gene_ids']"
        )
        raise ValueError(msg)
    return shared


def counts_of(found: Found, names: pd.Index) -> sparse.csr_array:
    """(n_cells, n_names) counts of the named genes."""
    counts = sparse.csr_array(found.counts.columns(found.names.get_indexer(names)))
    return counts.astype(np.float32)


def _chosen(counts: Sequence[sparse.csr_array], shared: pd.Index, genes: Sequence[str] | None) -> NDArray[np.bool_]:
    """(n_shared,) genes that are named, or those that vary most in the reference or in the query."""
    if genes is not None:
        missing = [name for name in genes if name not in shared]
        if missing:
            msg = f"{len(missing)} of the {len(genes)} genes are not in both query and reference: {listed(missing)}."
            raise KeyError(msg)
        return np.asarray(shared.isin(list(genes)))
    if shared.size <= N_GENES:
        return np.ones(shared.size, dtype=np.bool_)
    return most_variable(count_matrix(counts[0]), N_GENES)[0] | most_variable(count_matrix(counts[1]), N_GENES)[0]


def _groups(query: Side, unfit: NDArray[np.bool_], asked: Mapping) -> NDArray[np.int64]:
    """(n_query,) codes of groups among the cells that fit no label, calibrated among themselves; -1 elsewhere."""
    groups = np.full(unfit.size, -1, dtype=np.int64)
    n_cells = int(unfit.sum())
    if n_cells < FEWEST_IN_GROUP:
        return groups
    counts, values = query.counts[unfit], sparse.csc_array(query.normalised[unfit])
    scores = scanpy_components(values[:, np.diff(values.indptr) > 0], asked.seed)
    graph = scanpy_graph(scores, GraphParams(n_neighbors=min(15, n_cells - 1), random_state=asked.seed))
    codes = Sweep.of(graph, asked.seed).lasting()
    merging = merge_clusters(
        codes,
        lambda cells: counts[cells],
        EdgeWeights(graph, codes),
        MergeParams(seed=asked.seed),
        n_jobs=asked.n_jobs,
    )
    groups[unfit] = merging.labels
    return groups


def _tested(
    names: Sequence[str],
    codes: NDArray[np.int64],
    of_reference: Side,
    of_query: Side,
    placed: Placed,
    unfit: NDArray[np.bool_],
    groups: NDArray[np.int64],
    platform: NDArray[np.bool_],
    no_support: LeftOut,
    asked: Mapping,
    genes: pd.Index,
) -> MappedTable:
    """Test the query cells of each label against its reference cells, and each group against what is nearest to it."""
    query_of = [np.flatnonzero((placed.labels == code) & ~unfit) for code in range(len(names))]
    reference_of = [np.flatnonzero(codes == code) for code in range(len(names))]
    sides: list[tuple[tuple[str, int], tuple[str, int]]] = []
    cells: dict[tuple[str, int], NDArray[np.int64]] = {}
    offset = of_reference.counts.shape[0]
    for code in range(len(names)):
        cells["reference", code], cells["query", code] = reference_of[code], offset + query_of[code]
        if query_of[code].size:
            sides.append((("query", code), ("reference", code)))
    for group in range(int(groups.max(initial=-1)) + 1):
        members = np.flatnonzero(groups == group)
        if members.size < FEWEST_IN_GROUP:
            continue
        nearest = int(np.bincount(placed.labels[members]).argmax())
        against = "query" if query_of[nearest].size >= _LEAST_TESTED else "reference"
        cells["new", group] = offset + members
        sides.append((("new", group), (against, nearest)))
    outcomes = _outcomes(cells, sides, of_reference, of_query, platform, no_support, asked)
    return MappedTable.of(names, genes, sides, {side: found.size for side, found in cells.items()}, outcomes)


def _outcomes(
    cells: dict[tuple[str, int], NDArray[np.int64]],
    sides: Sequence[tuple[tuple[str, int], tuple[str, int]]],
    of_reference: Side,
    of_query: Side,
    platform: NDArray[np.bool_],
    no_support: LeftOut,
    asked: Mapping,
) -> list[Compared | None]:
    """What the test says of each pair; None where one side is too small."""
    large = [pair for pair in sides if min(cells[side].size for side in pair) >= _LEAST_TESTED]
    if not large:
        return [None] * len(sides)
    taking_part = list(dict.fromkeys(side for pair in large for side in pair))
    code_of = {side: code for code, side in enumerate(taking_part)}
    chosen = np.concatenate([cells[side] for side in taking_part])
    labels = np.repeat(np.arange(len(taking_part)), [cells[side].size for side in taking_part])
    counts = sparse.vstack((of_reference.counts, of_query.counts), format="csr")[chosen]
    not_counting = no_support.of_programme.copy()
    not_counting[platform & (not_counting == 0)] = len(no_support.presence) + 1
    tested = test_clusters(
        labels,
        lambda asked_for: counts[asked_for],
        GivenPairs([(min(pair), max(pair)) for pair in ((code_of[a], code_of[b]) for a, b in large)]),
        MergeParams(seed=asked.seed),
        left_out=not_counting if not_counting.any() and not not_counting.all() else None,
        n_jobs=asked.n_jobs,
    )
    found = {(*outcome.first, *outcome.second): outcome for outcome in tested.outcomes}
    found_turned = {(*outcome.second, *outcome.first): outcome for outcome in tested.outcomes}
    compared: list[Compared | None] = []
    for pair in sides:
        at = tuple(code_of.get(side, -1) for side in pair)
        outcome = found.get(at, found_turned.get(at))
        compared.append(None if outcome is None else Compared(outcome, query_first=at in found))
    return compared


def _recorded(asked: Mapping) -> dict[str, Any]:
    given = {"layer": asked.layer or "", "reference_layer": asked.reference_layer or ""}
    return {
        "groupby": asked.groupby,
        **given,
        "same_platform": asked.same_platform,
        "programmes": np.array(asked.programmes, dtype=np.str_),
        "random_state": asked.seed,
    }


def _messages(
    table: MappedTable, unfit: NDArray[np.bool_], placed: Placed, *, same_platform: bool
) -> list[CalibrationWarning]:
    """What the user must know about how a mapping ended."""
    messages = []
    if placed.shift > _SHIFTED and not same_platform:
        text = (
            "The query is {shift:.2f} times as far from the reference as the reference is from itself, in its nearest "
            "quarter: another platform, or cells that are all of other types. The two cannot be told apart by "
            "distance; that factor was allowed for. If the query was made as the reference was: {same_platform:True}."
        )
        messages.append(CalibrationWarning(text, shift=placed.shift))
    if unfit.all():
        text = "No cell of the query fits a label: is this the reference for these cells?"
        messages.append(CalibrationWarning(text))
    if differing := [name for name, verdict in zip(table.name, table.verdict, strict=True) if verdict == "differs"]:
        text = (
            "Query and reference cells differ as two clusters do in {labels}: of another state or type, or by the "
            "platform. Look: recall_py.get.mapping(query)"
        )
        messages.append(CalibrationWarning(text, labels=listed(differing)))
    return messages
