"""A tree of the cells cut where its splits stand, from AnnData to AnnData: read once, test, write once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recall_py.adata import keys
from recall_py.adata.labels import read_batches, read_clusters
from recall_py.adata.modality import with_counts
from recall_py.adata.read import (
    count_data,
    find_counts,
    genes_told,
    refuse_copy_of_file,
    refuse_empty_cells,
    refuse_unusable,
)
from recall_py.adata.tree import refuse_column_of_others, write_tree
from recall_py.adata.write import refuse_occupied
from recall_py.arguments import ArgumentError
from recall_py.counts.selection import most_deviant
from recall_py.method.params import resolve_seed
from recall_py.run.observe import CalibrationWarning, tell_others, waiting, warn
from recall_py.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

    from recall_py.adata.read import CountData
    from recall_py.method.params import Rng
    from recall_py.method.results import SplitTree, TreeSplit

_MOST_CELLS = 20_000
"""Cells of which all pairs of distances are held: 1.6 GB."""


@dataclass(frozen=True, kw_only=True)
class TreeAsked:
    """What is asked of a tree of splits."""

    groupby: str | None
    key_added: str
    alpha: float
    n_top_genes: int
    n_comps: int
    batch_key: str | None
    layer: str | None
    genes: Sequence[str] | None
    modality: str | None
    random_state: int | np.random.RandomState | None
    rng: Rng | None
    n_jobs: int | None
    copy: bool


def split_adata(adata: AnnData, **arguments: Any) -> AnnData | None:
    """Cluster the cells, or join given labels, by tested splits; see :func:`recall_py.tl.sc_shc`."""
    from scanpy import logging

    from recall_py.method.hierarchy.splits import TreeParams, test_splits

    asked = TreeAsked(**arguments)
    params = TreeParams(alpha=asked.alpha, n_components=asked.n_comps, seed=resolve_seed(asked.random_state, asked.rng))
    keys.refuse_unusable(asked.key_added)
    counts = with_counts(adata, asked.modality)
    refuse_unusable(counts)
    refuse_copy_of_file(counts, copy=asked.copy)
    refuse_occupied(adata, asked.key_added)
    refuse_column_of_others(adata, asked.key_added)
    labels = None if asked.groupby is None else read_clusters(adata, asked.groupby)
    cells = np.ones(adata.n_obs, dtype=np.bool_) if labels is None else labels.notna().to_numpy()
    _refuse_too_many(int(cells.sum()))
    with waiting() as wait:
        wait.doing("reading counts")
        data = _deviant_genes(counts, cells, asked)
        tell_others(data)
        refuse_empty_cells(data, counts.obs_names[cells])
        start = logging.info(
            f"testing splits of {cells.sum()} cells{'' if labels is None else f' by obs[{asked.groupby!r}]'}: "
            f"{data.genes.size} genes ({data.selection}), counts from {data.source}"
        )
        wait.doing("testing splits")
        codes = None if labels is None else labels.cat.codes.to_numpy()[cells].astype(np.int32)

        def tell(split: TreeSplit) -> None:
            wait.clear()
            logging.info(f"    {described(split)}")

        everyone = np.arange(int(cells.sum()))
        tree = test_splits(data.rows(everyone), codes, params, batches=data.batches, tell=tell, n_jobs=asked.n_jobs)
    target = adata.copy() if asked.copy else adata
    given = None
    if labels is not None and codes is not None:
        given = (str(asked.groupby), labels.cat.categories.tolist(), codes)
    names = write_tree(target, asked.key_added, cells, given, data, tree, _recorded(asked, params.seed))
    warn(_warnings(tree, asked.groupby), stacklevel=4)
    logging.info(
        "    finished",
        time=start,
        deep=(
            f"found {counted(len(names))} and added\n"
            f"    {asked.key_added!r}, the labels (adata.obs, categorical), and the tested splits (adata.uns)"
        ),
    )
    return target if asked.copy else None


def described(split: TreeSplit) -> str:
    """A tested split in a line."""
    became = "stand" if split.stands else "are one"
    return (
        f"{split.n_left} and {split.n_right} cells {became}: statistic {split.statistic:.4g}, p {split.p:.2g}, "
        f"level {split.level:.2g}"
    )


def _deviant_genes(adata: AnnData, cells: NDArray[np.bool_], asked: TreeAsked) -> CountData:
    """The counts of the genes that take part: those that are named, or those with the largest deviance."""
    if asked.n_top_genes < 1:
        text = "{n_top_genes} is {value}; at least 1 is needed."
        raise ArgumentError(text, value=asked.n_top_genes)
    batches = read_batches(adata, asked.batch_key, cells)
    found = find_counts(adata, asked.layer, cells)
    if asked.genes is None:
        chosen = most_deviant(found.counts, asked.n_top_genes)
        return count_data(found, chosen, f"{chosen.sum()} genes by deviance", batches)
    told = genes_told(adata, found, asked.genes)
    assert told is not None  # genes are named
    return count_data(found, *told, batches)


def _refuse_too_many(n_cells: int) -> None:
    if n_cells > _MOST_CELLS:
        msg = (
            f"There are {n_cells} cells; a tree needs the distances of all pairs, and {_MOST_CELLS} cells are the "
            f"most. Take some: sc.pp.sample(adata, n={_MOST_CELLS}), or use recall_py.tl.leiden, which has no limit."
        )
        raise ValueError(msg)


def _warnings(tree: SplitTree, groupby: str | None) -> list[CalibrationWarning]:
    """What the user must know about splits that were not tested."""
    if groupby is not None and tree.n_untested:
        text = (
            "{n} of the splits of the tree of obs[{column!r}] could not be tested, because a side has fewer than 20 "
            "cells (in each batch); the labels on both sides became one."
        )
        return [CalibrationWarning(text, n=tree.n_untested, column=groupby)]
    if not tree.splits and tree.n_untested:
        text = "Nothing was tested: the first split leaves fewer than 20 cells (in each batch) on a side."
        return [CalibrationWarning(text)]
    return []


def _recorded(asked: TreeAsked, seed: int) -> dict[str, Any]:
    return {
        "groupby": asked.groupby or "",
        "alpha": asked.alpha,
        "n_top_genes": asked.n_top_genes,
        "n_comps": asked.n_comps,
        "batch_key": asked.batch_key or "",
        "layer": asked.layer or "",
        "modality": asked.modality or "",
        "random_state": seed,
    }
