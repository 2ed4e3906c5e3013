"""Reading AnnData, once: raw counts of the selected genes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from recall_py.adata import keys
from recall_py.adata.features import genes_of
from recall_py.adata.labels import read_batches
from recall_py.arguments import ArgumentError, Named
from recall_py.counts.matrix import NOT_INTEGERS, CountMatrix
from recall_py.counts.selection import most_variable
from recall_py.counts.source import count_matrix
from recall_py.counts.structure import DamagedError
from recall_py.method.results import Cells
from recall_py.words import listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

_ALL_GENES = "all genes"
_NAMED_GENES = "genes by name"
Look = Literal["all", "few", "glance"]
"""Whether all counts are looked at, those of few cells, or so many that wrong ones are likely to be seen."""


class Found(NamedTuple):
    """Counts that were found."""

    counts: CountMatrix
    """Of the features that are genes."""
    names: pd.Index
    """Of these genes."""
    source: str
    """Where they were found, for example ``layers['counts']``."""
    others: str
    """A sentence about features that are no genes; empty if all are."""


@dataclass(frozen=True, kw_only=True)
class CountData:
    """Raw counts of the genes that take part."""

    matrix: CountMatrix
    """Where they are, with the genes that take no part."""
    chosen: NDArray[Any]
    """The genes that take part, as a mask or as positions."""
    genes: NDArray[np.str_]
    """(n_genes,) names."""
    source: str
    """Where the counts were found, for example ``layers['counts']``."""
    selection: str
    """How the genes were selected."""
    batches: NDArray[np.int32] | None = None
    """(n_cells,) code of each cell's batch."""
    batch_names: tuple[str, ...] = ()
    others: str = ""
    """A sentence about features that are no genes and were left out; empty if all are."""
    sampled: NDArray[np.int64] | None = None
    """(n_sampled,) ascending positions of the cells that `matrix` has, among those of `batches`; all if None."""

    def read(self) -> Cells:
        """The cells with their counts in memory."""
        return Cells(self.matrix.columns(self.chosen), self.depth, self.batches)

    def rows(self, cells: NDArray[np.int64]) -> sparse.csr_array:
        """(n_given, n_genes) counts of some of the sampled cells, by their ascending positions."""
        return self._by_cell[cells if self.sampled is None else np.searchsorted(self.sampled, cells)]

    @cached_property
    def _by_cell(self) -> sparse.csr_array:
        return sparse.csr_array(self.matrix.columns(self.chosen))

    @property
    def rule(self) -> str:
        """How the genes were selected, and what was left out before: for a record."""
        return f"{self.selection}; {self.others}" if self.others else self.selection

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of cells and of genes that take part."""
        return self.matrix.shape[0], self.genes.size

    @property
    def totals(self) -> NDArray[np.float64]:
        """(n_cells,) total over all genes of the matrix."""
        return self.matrix.totals

    @property
    def empty(self) -> NDArray[np.bool_]:
        """(n_cells,) which have no counts in the genes that take part."""
        return self.matrix.totals_over(self.chosen) == 0

    @property
    def depth(self) -> NDArray[np.float64]:
        """(n_cells,) total over all genes, relative to its mean."""
        return self.totals / self.totals.mean()

    def of_cells(self, cells: NDArray[np.bool_]) -> CountData:
        """The same genes of some of the cells, given as a mask."""
        batches = None if self.batches is None else self.batches[cells]
        return replace(self, matrix=self.matrix.of_cells(cells), batches=batches)


def read_counts(
    adata: AnnData,
    *,
    layer: str | None = None,
    n_top_genes: int = 2000,
    batch_key: str | None = None,
    cells: NDArray[np.bool_] | None = None,
    only: Sequence[str] | None = None,
    sampled: NDArray[np.int64] | None = None,
) -> CountData:
    """Raw counts of the selected genes, read in blocks where they are in a file.

    Counts are looked for in `layer` if given, else in ``layers["counts"]``, else in ``raw`` and ``X`` if those hold
    integers. Genes are those of ``var["highly_variable"]``, else all if there are at most `n_top_genes`, else the
    `n_top_genes` that scanpy's ``seurat_v3`` selects on the counts; or `only` those that are named. `cells` is a mask
    of the cells that take part. Where `sampled` has ascending positions among these, all of this is judged by those
    cells, and no other is read. Cells without counts are accepted.

    Raises
    ------
    ValueError
        If there are fewer than two cells, duplicate names, or no raw counts.
    KeyError
        If `layer`, the column `batch_key` or a named gene does not exist.
    """
    refuse_unusable(adata, cells)
    batches = read_batches(adata, batch_key, cells)
    read = cells if sampled is None else _mask_of(sampled, cells, adata.n_obs)
    found = find_counts(adata, layer, read, "all" if sampled is None else "few")
    told = genes_told(adata, found, only)
    chosen, selection = told or _select_genes(found.counts, n_top_genes)
    n_cells = adata.n_obs if cells is None else np.count_nonzero(cells)
    if told is None and selection != _ALL_GENES and found.counts.shape[0] < n_cells:
        selection += f", on {found.counts.shape[0]} sampled cells"
    data = count_data(found, chosen, selection, batches)
    return replace(data, sampled=sampled)


def refuse_no_counts(
    adata: AnnData,
    *,
    layer: str | None,
    batch_key: str | None,
    cells: NDArray[np.bool_] | None,
    only: Sequence[str] | None,
) -> None:
    """Refuse at a glance what :func:`read_counts` will refuse, before it is known which cells are read."""
    read_batches(adata, batch_key, cells)
    genes_told(adata, find_counts(adata, layer, cells, "glance"), only)


def count_data(found: Found, chosen: NDArray[Any], selection: str, batches: pd.Series[Any] | None) -> CountData:
    """The `chosen` columns, a mask or positions, of counts that were found."""
    return CountData(
        matrix=found.counts,
        chosen=chosen,
        genes=found.names[chosen].to_numpy(dtype=np.str_),
        source=found.source,
        others=found.others,
        selection=selection,
        batches=None if batches is None else batches.cat.codes.to_numpy().astype(np.int32),
        batch_names=() if batches is None else tuple(batches.cat.categories),
    )


def refuse_unusable(adata: AnnData, cells: NDArray[np.bool_] | None = None) -> None:
    """Refuse an object, or the `cells` of it, that no analysis can start from."""
    n_cells = adata.n_obs if cells is None else int(np.count_nonzero(cells))
    if n_cells < 2:
        msg = f"adata has {n_cells} cells and {adata.n_vars} genes; clustering needs at least two cells."
        raise ValueError(msg)
    for axis, names in (("obs", adata.obs_names), ("var", adata.var_names)):
        if not names.is_unique:
            repeated = listed(names[names.duplicated()].unique())
            msg = f"adata.{axis}_names are not unique: {repeated}. Mend it: adata.{axis}_names_make_unique()"
            raise ValueError(msg)


def refuse_small_batches(data: CountData) -> None:
    """Refuse a batch that null genes cannot be fitted to, by its name."""
    if data.batches is None:
        return
    sizes = np.bincount(data.batches, minlength=len(data.batch_names))
    if sizes.min() < 2:
        cells = "1 cell" if sizes.min() else "no cell"
        msg = (
            f"Batch {data.batch_names[sizes.argmin()]!r} has {cells}, but null genes need at least 2 in each batch. "
            "Leave it out, or join it with another batch."
        )
        raise ValueError(msg)


def refuse_copy_of_file(adata: AnnData, *, copy: bool) -> None:
    """Refuse to copy an object whose values are in a file."""
    if copy and adata.isbacked:
        text = "adata is backed by a file and cannot be copied. Leave {copy} out: the file is only read, not changed."
        raise ArgumentError(text)


def find_counts(adata: AnnData, layer: str | None, cells: NDArray[np.bool_] | None = None, look: Look = "all") -> Found:
    """The counts of some or all cells, and where they were found."""
    if layer is not None and layer not in adata.layers:
        named = [name for name in adata.layers if name is not None]  # anndata 0.13 lists X as None
        msg = f"layers[{layer!r}] does not exist. Layers of adata: {listed(named)}."
        raise KeyError(msg)
    if layer is not None or keys.COUNTS_LAYER in adata.layers:
        name = layer or keys.COUNTS_LAYER
        return counts_in(adata, adata.layers[name], f"layers[{name!r}]", cells, look)
    if getattr(adata.raw, "X", None) is not None:  # a backed file may have a raw without one
        genes = genes_of(adata, raw=True)
        raw, problem = _looked_at(adata.raw.X, "raw.X", cells, look, genes.among)
        if problem is None:
            if not adata.raw.var_names.is_unique:
                if adata.X is not None:
                    of_x = genes_of(adata)
                    counts, problem = _looked_at(adata.X, "X", cells, look, of_x.among)
                    if problem is None:
                        return Found(counts, of_x.names, "X", of_x.others)
                text = (
                    "adata.raw.var_names are not unique. Keep the counts of unique genes in a layer, and pass "
                    "{layer:'...'}"
                )
                raise ArgumentError(text)
            return Found(raw, genes.names, "raw.X", genes.others)
    return counts_in(adata, adata.X, "X", cells, look)


def counts_in(
    adata: AnnData, matrix: Any, source: str, cells: NDArray[np.bool_] | None = None, look: Look = "all"
) -> Found:
    """The counts of some or all cells in a matrix of `adata`."""
    genes = genes_of(adata, raw=source == "raw.X")
    return Found(_accepted(matrix, source, cells, look, genes.among), genes.names, source, genes.others)


def _accepted(
    matrix: Any, source: str, cells: NDArray[np.bool_] | None, look: Look, genes: NDArray[np.bool_] | None
) -> CountMatrix:
    """The matrix, if it holds raw counts."""
    problem: str | None = "nothing"
    if matrix is not None:
        counts, problem = _looked_at(matrix, source, cells, look, genes)
        if problem is None:
            return counts
    if problem is not None and problem.startswith(NOT_INTEGERS):
        text = (
            "{source} holds {problem}, but raw integer counts are needed: the null genes are drawn from count "
            "distributions. Pass the layer that has them, {layer:'...'}, or keep them before normalising: "
            "adata.layers['counts'] = adata.X.copy(). Estimated counts (kallisto, RSEM, SoupX, CellBender), but no "
            "logarithms, can be rounded: {rounded}"
        )
        raise ArgumentError(text, source=source, problem=problem, rounded=Named(keys.ROUNDED))
    text = (
        "{source} holds {problem}, but raw integer counts are needed: the null genes are drawn from count "
        "distributions. Pass the layer that has them, {layer:'...'}, or keep them before normalising: "
        "adata.layers['counts'] = adata.X.copy()"
    )
    raise ArgumentError(text, source=source, problem=problem)


def _looked_at(
    matrix: Any, source: str, cells: NDArray[np.bool_] | None, look: Look, genes: NDArray[np.bool_] | None
) -> tuple[CountMatrix, str | None]:
    """The matrix, and what makes its values no counts."""
    counts = count_matrix(matrix, cells, genes, few=look == "few")
    try:
        return counts, counts.glance() if look == "glance" else counts.survey.problem
    except DamagedError as error:
        what, _ = error.args
        raise DamagedError(what, source) from error


def _mask_of(sampled: NDArray[np.int64], cells: NDArray[np.bool_] | None, n_obs: int) -> NDArray[np.bool_]:
    """(n_obs,) mask of cells that are given by their positions among the `cells`."""
    mask = np.zeros(n_obs, dtype=np.bool_)
    mask[sampled if cells is None else np.flatnonzero(cells)[sampled]] = True
    return mask


def genes_told(adata: AnnData, found: Found, only: Sequence[str] | None) -> tuple[NDArray[np.bool_], str] | None:
    """Which columns take part, and by what rule, where genes are named or marked; else None."""
    names, source = found.names, found.source
    if only is not None:
        return named_genes(found, only), _NAMED_GENES
    if keys.HIGHLY_VARIABLE not in adata.var:
        return None
    flagged = adata.var_names[_is_marked(adata.var[keys.HIGHLY_VARIABLE])]
    if not len(flagged):
        msg = "var['highly_variable'] marks no gene. Select again: sc.pp.highly_variable_genes(adata, ...)"
        raise ValueError(msg)
    marked = names.isin(flagged)
    if not marked.any():
        msg = (
            f"None of the {len(flagged)} genes that var['highly_variable'] marks is in {source} by its name: there "
            f"they are called {listed(names)}, and in var {listed(flagged)}. Call them alike, or name the genes to use."
        )
        raise ValueError(msg)
    return marked, f"var[{keys.HIGHLY_VARIABLE!r}]"


def _is_marked(column: pd.Series[Any]) -> NDArray[np.bool_]:
    """(n_genes,) whether a gene is marked, by a column of truth values, also as text; what is missing is no.

    Raises
    ------
    ValueError
        If the column holds something else.
    """
    text = column.astype(object).where(column.notna(), "").astype(str).str.strip().str.lower()
    marked, unmarked = text.isin(["true", "1", "1.0"]), text.isin(["false", "0", "0.0", ""])
    strange = column[~(marked | unmarked)]
    if len(strange):
        msg = (
            f"var['highly_variable'] holds {listed(strange.astype(str).unique())}, where True and False are expected. "
            "Select the genes again: sc.pp.highly_variable_genes(adata, ...)"
        )
        raise ValueError(msg)
    return marked.to_numpy(dtype=bool)


def _select_genes(counts: CountMatrix, n_top_genes: int) -> tuple[NDArray[np.bool_], str]:
    """Which columns of `counts` take part, and by what rule."""
    if n_top_genes < 1:
        text = "{n_top_genes} is {value}; at least 1 is needed."
        raise ArgumentError(text, value=n_top_genes)
    if counts.shape[1] <= n_top_genes:
        return np.ones(counts.shape[1], dtype=bool), _ALL_GENES
    return most_variable(counts, n_top_genes)


def named_genes(found: Found, only: Sequence[str]) -> NDArray[np.bool_]:
    """(n_columns,) mask of the genes that are named."""
    wanted = pd.Index([] if isinstance(only, str) else only)
    if not len(wanted) or wanted.dtype == bool:
        msg = f"genes is {only!r}; pass names, for example genes=adata.var_names[adata.var['highly_variable']]."
        raise ValueError(msg)
    missing = wanted[~wanted.isin(found.names)]
    if len(missing):
        others = f" {found.others}." if found.others else ""
        msg = f"{len(missing)} of the {len(wanted)} genes are not in {found.source}: {listed(missing)}.{others}"
        raise KeyError(msg)
    return found.names.isin(wanted)


def refuse_empty_cells(data: CountData, cells: pd.Index) -> None:
    """Refuse the `cells` that were read if one has no counts in the genes that take part."""
    empty = cells[data.empty]
    if not len(empty):
        return
    remove = Named("sc.pp.filter_cells(adata, min_counts=1)")
    if data.selection != _ALL_GENES:
        remove = Named("adata = adata[~adata.obs_names.isin([...])].copy(), or select more genes")
    raise ArgumentError(
        "{subject} no counts in the {n_genes} selected genes ({selection}): {cells}. Remove them: {remove}",
        subject="1 cell has" if len(empty) == 1 else f"{len(empty)} cells have",
        n_genes=data.genes.size,
        selection=data.selection,
        cells=listed(empty),
        remove=remove,
    )
