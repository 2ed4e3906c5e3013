"""The joins of clusters as trees, one for each cluster that is left, and where they are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recall_py.adata.merged import joined_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from numpy.typing import NDArray

    from recall_py.adata.stored import StoredMerging

_BETWEEN = 0.45
"""Rows that are left free between two clusters at the end."""


@dataclass(frozen=True)
class Joined:
    """A cluster at the start, or what two became."""

    members: tuple[int, ...]
    """Codes at the start, ascending."""
    n_cells: int
    parts: tuple[Joined, ...] = ()
    """The larger and the smaller of the two; none at the start."""
    row: int = -1
    """Of the merge; -1 at the start."""

    @property
    def level(self) -> int:
        """Joins on the longest way from the start."""
        return 1 + max(part.level for part in self.parts) if self.parts else 0

    def leaves(self) -> Iterator[Joined]:
        """The clusters at the start, the larger side of each join first."""
        if not self.parts:
            yield self
        for part in self.parts:
            yield from part.leaves()

    def joins(self) -> Iterator[Joined]:
        """Every join, those of the parts first."""
        for part in self.parts:
            yield from part.joins()
        if self.parts:
            yield self


def final_trees(result: StoredMerging, merges: pd.DataFrame) -> list[Joined]:
    """The tree of each cluster that is left, by its code."""
    names, into = result.start_names, result.merged_into
    left = [Joined((code,), -1) for code in range(names.size)]
    for row in range(len(merges)):
        merge = merges.iloc[row]
        sides = _sides(left, merge, names, into)
        members = tuple(sorted(code for side in sides for code in side.members))
        left.append(Joined(members, merge["n_group"] + merge["n_reference"], sides, row))
    of_code = {int(into[tree.members[0]]): tree for tree in left}
    sizes = np.asarray(result.record["sizes"]).tolist()
    return [_sized(of_code[code], size) for code, size in enumerate(sizes)]


def rows_of(trees: list[Joined]) -> tuple[dict[tuple[int, ...], float], float]:
    """The height of each cluster, at the start or joined, by its members; and the height of all."""
    at: dict[tuple[int, ...], float] = {}
    free = 0.0
    for tree in trees:
        for leaf in tree.leaves():
            at[leaf.members] = free
            free += 1.0
        for join in tree.joins():
            at[join.members] = float(np.mean([at[part.members] for part in join.parts]))
        free += _BETWEEN
    return at, free - _BETWEEN


def _sides(
    left: list[Joined], merge: pd.Series[Any], names: NDArray[np.str_], into: NDArray[np.int64]
) -> tuple[Joined, Joined]:
    """Take the two clusters of a merge from those that are left.

    A union may be called as another cluster is: the two that are meant became one, and have as many cells.
    """

    def called(side: str) -> list[Joined]:
        n_cells = merge[f"n_{side}"]
        return [
            tree
            for tree in left
            if joined_name(names.tolist(), tree.members) == merge[side] and tree.n_cells in (-1, n_cells)
        ]

    group, reference = next(
        (one, other)
        for one in called("group")
        for other in called("reference")
        if one is not other and into[one.members[0]] == into[other.members[0]]
    )
    left[:] = [tree for tree in left if tree is not group and tree is not reference]
    return _sized(group, merge["n_group"]), _sized(reference, merge["n_reference"])


def _sized(tree: Joined, n_cells: int) -> Joined:
    """The same with its number of cells, which the record has of clusters that were merged or are left."""
    return Joined(tree.members, int(n_cells), tree.parts, tree.row)
