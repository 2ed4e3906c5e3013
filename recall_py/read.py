"""Reading AnnData, once: raw counts of the selected genes, and the recorded parameters of the neighbour graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from recall_py import keys
from recall_py.params import GraphParams

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

_CHUNK = 1 << 22
_SHOWN = 5
_LOESS_SPANS = (0.3, 0.5, 0.75, 1.0)
"""scanpy's span, and wider ones for where its fit fails."""
_ALL_GENES = "all genes"
_PCA = ("X_pca", "pca")


@dataclass(frozen=True)
class CountData:
    """Raw counts of the genes that take part."""

    counts: sparse.csc_array
    """(n_cells, n_genes)."""
    genes: NDArray[np.str_]
    """(n_genes,) names."""
    source: str
    """Where the counts were found, for example ``layers['counts']``."""
    selection: str
    """How the genes were selected."""
    depth: NDArray[np.float64]
    """(n_cells,) total over all genes of the matrix, relative to its mean."""
    batches: NDArray[np.int32] | None = None
    """(n_cells,) code of each cell's batch."""
    batch_names: tuple[str, ...] = ()


def read_counts(
    adata: AnnData, *, layer: str | None = None, n_top_genes: int = 2000, batch_key: str | None = None
) -> CountData:
    """Raw counts of the selected genes.

    Counts are looked for in `layer` if given, else in ``layers["counts"]``, else in ``raw`` and ``X`` if those hold
    integers. Genes are those of ``var["highly_variable"]``, else all if there are at most `n_top_genes`, else the
    `n_top_genes` that scanpy's ``seurat_v3`` selects on the counts.

    Raises
    ------
    ValueError
        If the object is backed, has fewer than two cells or duplicate names, or holds no raw counts.
    KeyError
        If `layer` or the column `batch_key` does not exist.
    """
    refuse_unusable(adata)
    batches = None if batch_key is None else read_labels(adata, batch_key).cat.remove_unused_categories()
    matrix, names, source = find_counts(adata, layer)
    chosen, selection = _select_genes(adata, matrix, names, n_top_genes)
    data = count_data((matrix, names, source), chosen, selection, batches)
    _refuse_empty_cells(data.counts, adata.obs_names, selection)
    return data


def count_data(
    found: tuple[Any, pd.Index, str], chosen: NDArray[Any], selection: str, batches: pd.Series[Any] | None
) -> CountData:
    """The `chosen` columns, a mask or positions, of counts that were found."""
    matrix, names, source = found
    counts = sparse.csc_array(matrix[:, chosen])
    counts = counts.astype(np.float32 if counts.data.max(initial=0) < 2**24 else np.float64)
    counts.eliminate_zeros()
    depth = _totals(matrix)
    return CountData(
        counts,
        names[chosen].to_numpy(dtype=np.str_),
        source,
        selection,
        depth / depth.mean(),
        None if batches is None else batches.cat.codes.to_numpy().astype(np.int32),
        () if batches is None else tuple(batches.cat.categories),
    )


def refuse_unusable(adata: AnnData) -> None:
    """Refuse an object that no analysis can start from."""
    if adata.isbacked:
        msg = "adata is backed by a file. Load it into memory first: adata = adata.to_memory()"
        raise ValueError(msg)
    if adata.n_obs < 2:
        msg = f"adata has {adata.n_obs} cells and {adata.n_vars} genes; clustering needs at least two cells."
        raise ValueError(msg)
    for axis, names in (("obs", adata.obs_names), ("var", adata.var_names)):
        if not names.is_unique:
            repeated = _listed(names[names.duplicated()].unique())
            msg = f"adata.{axis}_names are not unique: {repeated}. Mend it: adata.{axis}_names_make_unique()"
            raise ValueError(msg)


def refuse_small_batches(data: CountData) -> None:
    """Refuse a batch that null genes cannot be fitted to, by its name."""
    if data.batches is None:
        return
    sizes = np.bincount(data.batches)
    if sizes.min() < 2:
        msg = (
            f"Batch {data.batch_names[sizes.argmin()]!r} has 1 cell, but null genes need at least 2 in each batch. "
            "Leave it out, or join it with another batch."
        )
        raise ValueError(msg)


def find_counts(adata: AnnData, layer: str | None) -> tuple[Any, pd.Index, str]:
    """The counts matrix, its gene names and where it was found."""
    if layer is not None:
        if layer not in adata.layers:
            named = [name for name in adata.layers if name is not None]  # anndata 0.13 lists X as None
            msg = f"layers[{layer!r}] does not exist. Layers of adata: {_listed(named)}."
            raise KeyError(msg)
        return accept_counts(adata.layers[layer], f"layers[{layer!r}]"), adata.var_names, f"layers[{layer!r}]"
    if keys.COUNTS_LAYER in adata.layers:
        source = f"layers[{keys.COUNTS_LAYER!r}]"
        return accept_counts(adata.layers[keys.COUNTS_LAYER], source), adata.var_names, source
    if adata.raw is not None and _problem(adata.raw.X) is None:
        if not adata.raw.var_names.is_unique:
            msg = "adata.raw.var_names are not unique. Keep the counts of unique genes in a layer, and pass layer='...'"
            raise ValueError(msg)
        return adata.raw.X, adata.raw.var_names, "raw.X"
    return accept_counts(adata.X, "X"), adata.var_names, "X"


def accept_counts(matrix: Any, source: str) -> Any:
    """The matrix itself, if it holds raw counts."""
    problem = "nothing" if matrix is None else _problem(matrix)
    if problem is None:
        return matrix
    msg = (
        f"{source} holds {problem}, but raw integer counts are needed: the null genes are drawn from count "
        "distributions. Pass the layer that has them, layer='...', or keep them before normalising: "
        "adata.layers['counts'] = adata.X.copy()"
    )
    raise ValueError(msg)


def _problem(matrix: Any) -> str | None:
    """What makes the values no counts, or None."""
    values = matrix.data if sparse.issparse(matrix) else np.asarray(matrix).ravel()
    if values.dtype.kind in "bu":
        return None
    for start in range(0, values.size, _CHUNK):
        part = values[start : start + _CHUNK]
        if part.dtype.kind == "f" and not np.isfinite(part).all():
            return "NaN" if np.isnan(part).any() else "infinite values"
        if (part < 0).any():
            return "negative values"
        if part.dtype.kind == "f":
            fraction = part[part != np.rint(part)]
            if fraction.size:
                return f"values that are not integers, such as {fraction[0]:.4g}"
    return None


def _select_genes(adata: AnnData, matrix: Any, names: pd.Index, n_top_genes: int) -> tuple[NDArray[np.bool_], str]:
    """Which columns of `matrix` take part, and by what rule."""
    if keys.HIGHLY_VARIABLE in adata.var:
        flagged = adata.var_names[(adata.var[keys.HIGHLY_VARIABLE] == True).to_numpy(dtype=bool)]  # noqa: E712  NaN is no
        if not len(flagged):
            msg = "var['highly_variable'] marks no gene. Select again: sc.pp.highly_variable_genes(adata, ...)"
            raise ValueError(msg)
        return names.isin(flagged), f"var[{keys.HIGHLY_VARIABLE!r}]"
    if n_top_genes < 1:
        msg = f"n_top_genes is {n_top_genes}; at least 1 is needed."
        raise ValueError(msg)
    if len(names) <= n_top_genes:
        return np.ones(len(names), dtype=bool), _ALL_GENES
    return _seurat_v3(matrix, n_top_genes)


def _seurat_v3(matrix: Any, n_top_genes: int) -> tuple[NDArray[np.bool_], str]:
    """scanpy's selection on counts; its loess fit can be singular in few cells, and a wider span mends that."""
    import anndata as ad
    import scanpy as sc

    for span in _LOESS_SPANS:
        try:
            found = sc.pp.highly_variable_genes(
                ad.AnnData(matrix), flavor="seurat_v3", n_top_genes=n_top_genes, span=span, inplace=False
            )
        except ValueError:
            continue
        return found[keys.HIGHLY_VARIABLE].to_numpy(dtype=bool), f"seurat_v3, {n_top_genes} genes, loess span {span}"
    msg = (
        f"The loess fit of the seurat_v3 gene selection is singular on these {matrix.shape[0]} cells. Mark the genes "
        "to use yourself: adata.var['highly_variable'] = ..., or drop rare ones: sc.pp.filter_genes(adata, min_cells=3)"
    )
    raise ValueError(msg)


def _totals(matrix: Any) -> NDArray[np.float64]:
    """(n_cells,) total of each cell in double precision, block by block: a product casts all that it is given."""
    n_cells, n_genes = matrix.shape
    totals = np.zeros(n_cells)
    if sparse.issparse(matrix) and matrix.format == "csc":
        step = max(1, _CHUNK // n_cells)
        for start in range(0, n_genes, step):
            block = matrix[:, start : start + step]
            totals += block @ np.ones(block.shape[1])
        return totals
    step = max(1, _CHUNK // n_genes)
    for start in range(0, n_cells, step):
        totals[start : start + step] = matrix[start : start + step] @ np.ones(n_genes)
    return totals


def _refuse_empty_cells(counts: sparse.csc_array, cells: pd.Index, selection: str) -> None:
    empty = cells[np.asarray(counts.sum(axis=1)).ravel() == 0]
    if not len(empty):
        return
    remove = "sc.pp.filter_cells(adata, min_counts=1), or --drop-empty-cells on the command line"
    if selection != _ALL_GENES:
        remove = "adata = adata[~adata.obs_names.isin([...])].copy(), or select more genes"
    subject = "1 cell has" if len(empty) == 1 else f"{len(empty)} cells have"
    msg = (
        f"{subject} no counts in the {counts.shape[1]} selected genes ({selection}): {_listed(empty)}. "
        f"Remove them: {remove}"
    )
    raise ValueError(msg)


def read_graph_params(adata: AnnData, neighbors_key: str | None) -> tuple[GraphParams, int | None]:
    """Graph parameters that ``sc.pp.neighbors`` recorded, and the number of components if one was recorded.

    Raises
    ------
    KeyError
        If `neighbors_key` is given and ``uns`` has no such entry.
    ValueError
        If the recorded graph is not one of principal components: knockoff genes cannot be sent through it.
    """
    if neighbors_key is not None and neighbors_key not in adata.uns:
        msg = f"uns[{neighbors_key!r}] does not exist. Run sc.pp.neighbors(adata, key_added={neighbors_key!r}) first."
        raise KeyError(msg)
    recorded = adata.uns.get(neighbors_key or keys.NEIGHBORS, {}).get(keys.PARAMS, {})
    n_pcs = None if recorded.get("n_pcs") is None else int(_scalar(recorded["n_pcs"]))
    representation = "X" if n_pcs == 0 else recorded.get("use_rep", _PCA[0])
    if representation not in _PCA or "bbknn" in recorded:
        corrected = "bbknn" if "bbknn" in recorded else f"the representation {representation!r}"
        msg = (
            f"The recorded neighbour graph was made by {corrected}. Knockoff genes did not pass through it, so "
            "clusters on it cannot be calibrated. To cluster on uncorrected principal components instead: "
            "sc.pp.neighbors(adata, use_rep='X_pca'), and to keep batches apart then: restrict_to=('batch', ['...'])."
        )
        raise ValueError(msg)
    given = {
        name: _scalar(recorded[name])
        for name in ("n_neighbors", "metric", "method", "random_state")
        if name in recorded
    }
    if not isinstance(given.get("random_state", 0), int):
        given.pop("random_state")
    return GraphParams(**given), n_pcs


def restricted_cells(adata: AnnData, restrict_to: tuple[str, Sequence[str]]) -> NDArray[np.bool_]:
    """Cells of the categories that a clustering is restricted to.

    Raises
    ------
    KeyError
        If the column does not exist.
    ValueError
        If the categories are no list of strings, or one does not exist.
    """
    column, categories = restrict_to
    labels = read_labels(adata, column)
    if isinstance(categories, str) or not len(categories) or any(not isinstance(name, str) for name in categories):
        msg = f"restrict_to names {categories!r}; pass a list of strings, such as ({column!r}, [{labels.iloc[0]!r}])."
        raise ValueError(msg)
    missing = [name for name in categories if name not in labels.cat.categories]
    if missing:
        msg = f"obs[{column!r}] has no category {_listed(missing)}. It has: {_listed(labels.cat.categories)}."
        raise ValueError(msg)
    return labels.isin(list(categories)).to_numpy()


def read_labels(adata: AnnData, column: str) -> pd.Series[Any]:
    """A column of ``obs`` as categories that are strings.

    Raises
    ------
    KeyError
        If it does not exist, with the list of those that do.
    ValueError
        If a cell has no label.
    """
    if column not in adata.obs:
        msg = f"obs[{column!r}] does not exist. Columns of obs: {_listed(list(adata.obs))}."
        raise KeyError(msg)
    labels = adata.obs[column].astype("category")
    if labels.isna().any():
        msg = f"obs[{column!r}] has no label for {int(labels.isna().sum())} cells. Leave those cells out first."
        raise ValueError(msg)
    return labels.cat.rename_categories([str(name) for name in labels.cat.categories])


def _scalar(value: Any) -> Any:
    """A parameter as a plain scalar; older h5ad files hold one-element arrays and NumPy strings."""
    return np.ravel(value)[0].item() if isinstance(value, np.ndarray | np.generic) else value


def _listed(items: Any) -> str:
    """The first few items, and how many more there are."""
    shown = ", ".join(map(str, items[:_SHOWN]))
    return f"{shown} and {len(items) - _SHOWN} more" if len(items) > _SHOWN else shown or "none"
