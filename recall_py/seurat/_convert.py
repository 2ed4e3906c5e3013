"""Seurat objects as AnnData, and AnnData as new Seurat objects, over rpy2."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from recall_py.adata import keys
from recall_py.arguments import ArgumentError
from recall_py.counts.structure import refuse_damaged
from recall_py.seurat._values import array, column_to_python, column_to_r, in_r, numbers, robjects, to_r

if TYPE_CHECKING:
    from collections.abc import Callable

    from anndata import AnnData

_SLOT = "seurat"
"""``uns["seurat"]``: what AnnData has no place for, kept for the way back."""
_LOADINGS = {"pca": "PCs"}
"""Names in ``varm`` that differ from those of the reduction: scanpy's."""


def to_anndata(robj: Any, *, assay: str = "RNA", layer: str = "counts") -> AnnData:
    """A Seurat object or SingleCellExperiment as AnnData with raw counts.

    Parameters
    ----------
    robj
        Seurat v5 object or SingleCellExperiment held by rpy2. Not changed.
    assay, layer
        Where the raw counts are; in a SingleCellExperiment `layer` is the assay.

    Returns
    -------
    AnnData with the cells of the assay and the genes that all its layers have: counts in ``X``, the metadata in
    ``obs`` (factors as categories, integers, truth values, text; nullable where something is missing), the reductions
    in ``obsm`` (``X_pca``, ...) and their loadings in ``varm``, and, where there are variable features,
    ``var["highly_variable"]`` and their rank.

    Raises
    ------
    ImportError
        Without rpy2, R or SeuratObject, with what to install.
    ValueError
        For an object without raw counts.
    """
    import anndata as ad

    with in_r() as r:
        if r("kind_of")(robj)[0] == "SingleCellExperiment":
            robj, assay, layer = r("seurat_of")(robj, layer), "RNA", "counts"
        source = r("counts_assay")(robj, assay, layer)
        name = str(source.rx2("assay")[0])
        part = r("function(obj, name) obj[[name]]")(robj, name)
        shared = r("shared_features")(part, source.rx2("layers"), r("rownames")(part))
        for note in [*r("taken_from")(assay, name), *shared.rx2("notes")]:
            warnings.warn(str(note), UserWarning, stacklevel=2)
        genes = [str(gene) for gene in shared.rx2("features")]
        cells = [str(cell) for cell in r("colnames")(part)]
        read = r("join_layers")(part, source.rx2("layers"), to_r(genes), to_r(cells), name).rx2("counts")
        vectors = tuple(array(read.slots[slot]) for slot in ("x", "i", "p"))
        counts = sparse.csr_matrix(vectors, shape=(len(cells), len(genes)))
        refuse_damaged(counts)
        metadata = r("function(obj, cells) obj[[]][cells, , drop = FALSE]")(robj, to_r(cells))
        kinds = r("function(frame) vapply(frame, function(column) class(column)[1], '')")(metadata)
        obs = pd.DataFrame(index=pd.Index(cells, dtype=object))
        for column, kind in zip(metadata.names, kinds, strict=True):
            obs[column] = column_to_python(metadata.rx2(column), str(column), str(kind))
        default = r("SeuratObject::DefaultAssay")(robj)[0]
        chosen = r("seurat_features")(robj, to_r([assay, name, default]), to_r(genes), to_r(None))
        variable = [str(gene) for gene in r("function(found) as.character(found$features)")(chosen)]
        adata = ad.AnnData(counts, obs=obs, var=_genes(genes, variable))
        adata.uns[_SLOT] = {"assay": name, "reductions": {}}
        for reduction in r("function(obj) as.character(SeuratObject::Reductions(obj))")(robj):
            _add_reduction(adata, r, robj, str(reduction))
    return adata


def to_seurat(adata: AnnData, *, layer: str | None = None, assay: str | None = None) -> Any:
    """An AnnData with raw counts as a new Seurat v5 object.

    Parameters
    ----------
    adata
        Raw counts in ``layers[layer]``, ``layers["counts"]`` or ``X``.
    layer
        Layer with the counts.
    assay
        Name of the assay: ``"RNA"``, or that of the object that `adata` came from.

    Returns
    -------
    A Seurat object with counts, metadata, reductions and their loadings, and variable features.

    Raises
    ------
    ImportError
        Without rpy2, R or SeuratObject, with what to install.
    ValueError
        If the values are no counts.
    """
    kept = adata.uns.get(_SLOT, {})
    name = assay or str(kept.get("assay", "RNA"))
    source = layer or (keys.COUNTS_LAYER if keys.COUNTS_LAYER in adata.layers else None)
    stored, where = (adata.X, "X") if source is None else (adata.layers[source], f"layers[{source!r}]")
    if sparse.issparse(stored):
        refuse_damaged(stored, where)
    counts = sparse.csr_matrix(stored)
    if (counts.data != np.rint(counts.data)).any() or (counts.data < 0).any():
        text = "{where} holds values that are no counts. Pass the layer that has raw counts: {layer:'...'}"
        raise ArgumentError(text, where=where)
    counts.sort_indices()
    create = """function(x, i, p, genes, cells, metadata, assay, variable) {
        counts <- methods::new("dgCMatrix", x = x, i = i, p = p, Dim = c(length(genes), length(cells)),
                               Dimnames = list(genes, cells))
        object <- SeuratObject::CreateSeuratObject(SeuratObject::CreateAssay5Object(counts), assay = assay)
        if (length(metadata)) object@meta.data <- data.frame(row.names = cells)
        for (column in names(metadata)) object@meta.data[[column]] <- metadata[[column]]
        if (length(variable)) SeuratObject::VariableFeatures(object[[assay]]) <- variable
        object
    }"""
    ro = robjects()
    with in_r() as r:
        metadata = ro.ListVector([(str(column), column_to_r(adata.obs[column])) for column in adata.obs])
        robj = r(create)(
            numbers(counts.data.astype(float)),
            numbers(counts.indices),
            numbers(counts.indptr),
            to_r(list(adata.var_names)),
            to_r(list(adata.obs_names)),
            metadata,
            name,
            to_r(_variable(adata)),
        )
        for slot in adata.obsm:
            robj = _set_reduction(r, robj, adata, str(slot), name)
    return robj


def _genes(genes: list[str], variable: list[str]) -> pd.DataFrame:
    """``var``, with the variable features and their rank where there are any."""
    var = pd.DataFrame(index=pd.Index(genes, dtype=object))
    if variable:
        rank = {gene: float(place) for place, gene in enumerate(variable)}
        var[keys.HIGHLY_VARIABLE] = [gene in rank for gene in genes]
        var["highly_variable_rank"] = [rank.get(gene, np.nan) for gene in genes]
    return var


def _variable(adata: AnnData) -> list[str]:
    """Variable features, by rank where one is known."""
    if keys.HIGHLY_VARIABLE not in adata.var:
        return []
    chosen = adata.var[adata.var[keys.HIGHLY_VARIABLE].to_numpy(dtype=bool)]
    if "highly_variable_rank" in chosen:
        chosen = chosen.sort_values("highly_variable_rank", kind="stable")
    return [str(gene) for gene in chosen.index]


def _add_reduction(adata: AnnData, r: Callable[[str], Any], robj: Any, name: str) -> None:
    """A reduction as a slot of ``obsm``; cells that it has not have NaN."""
    reduction = r("function(obj, name) obj[[name]]")(robj, name)
    embedding = r("SeuratObject::Embeddings")(reduction)
    scores = pd.DataFrame(array(embedding), index=[str(cell) for cell in r("rownames")(embedding)])
    adata.obsm[f"X_{name}"] = scores.reindex(adata.obs_names).to_numpy()
    adata.uns[_SLOT]["reductions"][name] = {
        "key": str(r("SeuratObject::Key")(reduction)[0]),
        "stdev": array(r("SeuratObject::Stdev")(reduction)).astype(float).ravel(),
    }
    loadings = r("SeuratObject::Loadings")(reduction)
    if len(loadings):
        weights = pd.DataFrame(array(loadings), index=[str(gene) for gene in r("rownames")(loadings)])
        adata.varm[_LOADINGS.get(name, name)] = weights.reindex(adata.var_names).to_numpy()


def _set_reduction(r: Callable[[str], Any], robj: Any, adata: AnnData, slot: str, assay: str) -> Any:
    """A slot of ``obsm`` as a reduction."""
    name = slot.removeprefix("X_")
    known = adata.uns.get(_SLOT, {}).get("reductions", {}).get(name, {})
    set_reduction = """function(object, name, embeddings, loadings, genes, key, stdev, assay) {
        key <- SeuratObject::Key(key, quiet = TRUE)
        columns <- paste0(key, seq_len(ncol(embeddings)))
        dimnames(embeddings) <- list(colnames(object), columns)
        embeddings <- embeddings[!is.na(embeddings[, 1]), , drop = FALSE]
        if (is.null(loadings)) loadings <- methods::new("matrix") else {
            dimnames(loadings) <- list(genes, columns)
            loadings <- loadings[!is.na(loadings[, 1]), , drop = FALSE]
        }
        object[[name]] <- SeuratObject::CreateDimReducObject(embeddings, loadings, stdev = as.numeric(stdev),
                                                             key = key, assay = assay)
        object
    }"""
    varm = adata.varm.get(_LOADINGS.get(name, name))
    return r(set_reduction)(
        robj,
        name,
        _r_matrix(np.asarray(adata.obsm[slot])),
        robjects().NULL if varm is None else _r_matrix(np.asarray(varm)),
        to_r(list(adata.var_names)),
        known.get("key", f"{name.replace('_', '')}_"),
        numbers(np.asarray(known.get("stdev", []), dtype=float)),
        assay,
    )


def _r_matrix(values: np.ndarray) -> Any:
    return robjects().r["matrix"](numbers(values.astype(float).ravel(order="F")), nrow=values.shape[0])
