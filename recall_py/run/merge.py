"""Given labels merged or tested, from AnnData to AnnData: read once, compare on plain arrays, write once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from recall_py.adata import keys
from recall_py.adata.labels import batch_codes, read_clusters
from recall_py.adata.merged import write_merging, write_tested
from recall_py.adata.modality import with_counts
from recall_py.adata.neighbours import recorded_graph
from recall_py.adata.programmes import accepted, left_out, told
from recall_py.adata.read import read_counts, refuse_copy_of_file, refuse_unusable
from recall_py.adata.write import refuse_labels_of_others, refuse_occupied, refuse_record_of_labels
from recall_py.method.pairs.table import MAX_CLUSTERS
from recall_py.method.params import MergeParams, resolve_seed
from recall_py.method.results import Merging, Tested
from recall_py.run.observe import (
    CalibrationWarning,
    MergeLog,
    finding_warnings,
    merging_warnings,
    tell_others,
    waiting,
    warn,
    warn_of_empty,
)
from recall_py.run.unnamed_batches import unnamed_batches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

    from recall_py.adata.neighbours import CellGraph
    from recall_py.adata.programmes import LeftOut
    from recall_py.adata.read import CountData
    from recall_py.method.pairs.neighbours import Neighbours
    from recall_py.method.pairs.outcomes import CompareEach
    from recall_py.method.params import Rng
    from recall_py.method.results import PairOutcome
    from recall_py.run.waiting import Waiting


_Found = TypeVar("_Found", Merging, Tested)


@dataclass(frozen=True, kw_only=True)
class LabelComparison:
    """What is asked of given labels."""

    groupby: str
    external: bool
    all_pairs: bool
    batch_key: str | None
    layer: str | None
    genes: Sequence[str] | None
    programmes: tuple[str, ...]
    alpha: float
    neighbors_key: str | None
    obsp: str | None
    modality: str | None
    seed: int
    n_jobs: int | None
    copy: bool

    @classmethod
    def asked(
        cls,
        *,
        programmes: Sequence[str],
        random_state: int | np.random.RandomState | None,
        rng: Rng | None,
        **others: Any,
    ) -> LabelComparison:
        """Made from the arguments that merging and testing take alike."""
        return cls(programmes=accepted(programmes), seed=resolve_seed(random_state, rng), **others)

    def params(self, *, merge_small: bool) -> MergeParams:
        """What decides."""
        return MergeParams(alpha=self.alpha, merge_small=merge_small, external=self.external, seed=self.seed)


class GivenLabels(NamedTuple):
    """Labels to be compared, the counts of their cells, which genes do not count, and which labels are neighbours."""

    names: list[str]
    cells: NDArray[np.bool_]
    """(n_obs,) those that have a label."""
    codes: NDArray[np.int32]
    """(n_labelled,)."""
    data: CountData
    left_out: LeftOut
    graph: CellGraph | None
    neighbours: Neighbours | None


def merge_adata(adata: AnnData, *, key_added: str | None, merge_small: bool, **arguments: Any) -> AnnData | None:
    """Merge the labels of ``obs[groupby]``; see :func:`recall_py.tl.merge_clusters`."""
    from scanpy import logging

    from recall_py.method.merging import merge_clusters

    asked = LabelComparison.asked(**arguments)
    key_added = f"{asked.groupby}{keys.MERGED_SUFFIX}" if key_added is None else key_added
    counts = _accepted(adata, key_added, asked)
    refuse_labels_of_others(adata, key_added, asked.groupby)
    params = asked.params(merge_small=merge_small)
    with waiting() as wait:
        given = _given_labels(adata, counts, asked, wait)
        start = _begin("merging", given, asked)
        merging = _compared(merge_clusters, given, params, asked, wait)
    target = adata.copy() if asked.copy else adata
    recorded = {**_recorded(given, asked), "merge_small": merge_small}
    write_merging(
        target,
        key_added,
        asked.groupby,
        given.names,
        given.cells,
        given.data,
        given.left_out,
        params,
        merging,
        recorded,
    )
    unnamed = _unnamed_batches(counts, given, asked, merging.standing)
    found = [*_unlabelled(given, asked.groupby), *merging_warnings(merging, given.names, asked.groupby), *unnamed]
    warn(found, stacklevel=4)
    logging.info(
        "    finished",
        time=start,
        deep=(
            f"found {len(merging.members)} clusters and added\n"
            f"    {key_added!r}, the merged labels (adata.obs, categorical), and why (adata.uns)"
        ),
    )
    return target if asked.copy else None


def test_adata(adata: AnnData, *, key_added: str, lone: bool = False, **arguments: Any) -> AnnData | None:
    """Test the labels of ``obs[groupby]``; see :func:`recall_py.tl.test_clusters`. A `lone` label has no pair."""
    from scanpy import logging

    from recall_py.method.merging import test_clusters

    asked = LabelComparison.asked(**arguments)
    counts = _accepted(adata, key_added, asked)
    refuse_record_of_labels(adata, key_added)
    params = asked.params(merge_small=False)
    with waiting() as wait:
        given = _given_labels(adata, counts, asked, wait)
        sizes = np.bincount(given.codes)
        if not lone:
            refuse_no_pair(sizes, params.min_cells, f"obs[{asked.groupby!r}]")
        start = _begin("testing", given, asked)
        tested = _compared(test_clusters, given, params, asked, wait)
    target = adata.copy() if asked.copy else adata
    recorded = _recorded(given, asked)
    write_tested(target, key_added, given.names, given.data, given.left_out, params, tested, sizes, recorded)
    unnamed = _unnamed_batches(counts, given, asked, tested.outcomes)
    warn([*_unlabelled(given, asked.groupby), *finding_warnings(tested, given.names), *unnamed], stacklevel=4)
    n_failing = sum(not outcome.stands for outcome in tested.outcomes)
    logging.info(
        "    finished",
        time=start,
        deep=f"{n_failing} of {len(tested.outcomes)} pairs are not supported; added uns[{key_added!r}]",
    )
    return target if asked.copy else None


test_adata.__test__ = False  # type: ignore[attr-defined]  # not a test, though pytest takes it for one


def refuse_too_many(sizes: NDArray[np.int64], least: int, where: str) -> None:
    """Refuse labels of which nearly every cell has its own, and more clusters than can be compared."""
    n_large = int((sizes >= least).sum())
    if n_large > MAX_CLUSTERS:
        msg = (
            f"{where} has {n_large} labels of {least} cells or more; at most {MAX_CLUSTERS} can be compared. "
            "Is this the column of the clusters?"
        )
        raise ValueError(msg)
    if sizes.size > 2 and (sizes == 1).all():
        msg = f"{where} has a label of its own for each of the {sizes.size} cells: there are no clusters to compare."
        raise ValueError(msg)


def neighbours_on(graph: CellGraph, codes: NDArray[np.int32]) -> Neighbours:
    """Which clusters are neighbours on a graph of their cells."""
    from recall_py.method.pairs.neighbours import EdgeWeights

    return EdgeWeights(sparse.csr_array(graph.stored), codes)


def _accepted(adata: AnnData, key_added: str, asked: LabelComparison) -> AnnData:
    """The object with the counts, once nothing speaks against the work."""
    keys.refuse_unusable(key_added)
    counts = with_counts(adata, asked.modality)
    refuse_unusable(counts)
    refuse_copy_of_file(counts, copy=asked.copy)
    refuse_occupied(adata, key_added)
    return counts


def compare_each_on(data: CountData) -> CompareEach | None:
    """What compares pairs where the counts are: the workers of dask, if a client of theirs is in use."""
    if data.matrix.kind != "dask":
        return None
    from recall_py.run.workers import pairs_on_workers

    return pairs_on_workers()


def _given_labels(adata: AnnData, counts: AnnData, asked: LabelComparison, wait: Waiting) -> GivenLabels:
    from recall_py.method.pairs.neighbours import AllPairs
    from recall_py.method.pairs.outcomes import sampled_cells

    graph = None if asked.all_pairs else recorded_graph(adata, asked.neighbors_key, asked.obsp)
    labels = read_clusters(adata, asked.groupby)
    cells = labels.notna().to_numpy()
    codes = labels.cat.codes.to_numpy()[cells].astype(np.int32)
    refuse_too_many(np.bincount(codes), MergeParams.min_cells, f"obs[{asked.groupby!r}]")
    neighbours: Neighbours | None = AllPairs() if asked.all_pairs else None
    if graph is not None:
        neighbours = neighbours_on(graph.among(None if cells.all() else cells), codes)
    wait.doing("reading counts")
    some = None if cells.all() else cells
    data = read_counts(
        counts,
        layer=asked.layer,
        batch_key=asked.batch_key,
        cells=some,
        only=asked.genes,
        sampled=sampled_cells(codes, batch_codes(counts, asked.batch_key, some)),
    )
    tell_others(data)
    warn_of_empty(int(data.empty.sum()), data.genes.size)
    wait.doing("finding neighbours")
    no_support = left_out(pd.Index(data.genes), asked.programmes)
    return GivenLabels(labels.cat.categories.tolist(), cells, codes, data, no_support, graph, neighbours)


def _unlabelled(given: GivenLabels, groupby: str) -> list[CalibrationWarning]:
    n_without = int(np.count_nonzero(~given.cells))
    if not n_without:
        return []
    return [
        CalibrationWarning(
            "{n_without} cells have no label in obs[{column!r}]: they were left out.",
            n_without=n_without,
            column=groupby,
        )
    ]


def _unnamed_batches(
    counts: AnnData, given: GivenLabels, asked: LabelComparison, outcomes: Sequence[PairOutcome]
) -> list[CalibrationWarning]:
    if asked.batch_key or asked.external:
        return []
    return unnamed_batches(counts, given.cells, given.codes, outcomes)


def _compared(
    compare: Callable[..., _Found], given: GivenLabels, params: MergeParams, asked: LabelComparison, wait: Waiting
) -> _Found:
    """What merging or testing finds."""
    return compare(
        given.codes,
        given.data.rows,
        given.neighbours,
        params,
        batches=given.data.batches,
        left_out=given.left_out.codes,
        observer=MergeLog(given.names, wait, given.left_out.presence),
        n_jobs=asked.n_jobs,
        compare_each=compare_each_on(given.data),
    )


def refuse_no_pair(sizes: NDArray[np.int64], least: int, where: str) -> None:
    """Refuse labels of which no two have enough cells to be compared."""
    if sizes.size < 2:
        msg = f"{where} has one label; at least two are needed to test a pair."
        raise ValueError(msg)
    if (sizes >= least).sum() < 2:
        msg = (
            f"Fewer than two of the {sizes.size} labels in {where} have {least} cells or more, so there "
            "is no pair to test. Is this the column of the clusters?"
        )
        raise ValueError(msg)


def _begin(doing: str, given: GivenLabels, asked: LabelComparison) -> Any:
    from scanpy import logging

    near_by = f"neighbours by {'their counts' if given.graph is None else given.graph.name}"
    n_cells, n_genes = given.codes.size, given.data.genes.size
    return logging.info(
        f"{doing} obs[{asked.groupby!r}]: {len(given.names)} labels of {n_cells} cells, {n_genes} genes "
        f"({given.data.selection}), counts from {given.data.source}, {'all pairs' if asked.all_pairs else near_by}"
        f"{'; ' if asked.programmes else ''}{told(given.left_out.presence)}"
    )


def _recorded(given: GivenLabels, asked: LabelComparison) -> dict[str, Any]:
    return {
        "groupby": asked.groupby,
        "batch_key": asked.batch_key or "",
        "layer": asked.layer or "",
        "modality": asked.modality or "",
        "connectivities": "" if given.graph is None else given.graph.name,
        "external": asked.external,
        "all_pairs": asked.all_pairs,
        "random_state": asked.seed,
    }
