"""Features that are no genes: proteins, guides and tags that were counted beside genes, by ``var["feature_types"]``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recall_py.adata import keys

if TYPE_CHECKING:
    from anndata import AnnData

_GENES = ("gene expression", "gene", "genes", "gex", "rna", "mrna")
_NO_GENES = (
    "antibody capture", "crispr guide capture", "multiplexing capture", "antigen capture", "custom", "peaks", "vdj",
    "vdj-t", "vdj-b", "adt", "hto", "atac", "protein", "proteins",
)  # fmt: skip
"""What genes and others are called, in small letters. Beside genes, whatever is called otherwise is no gene."""


class Genes(NamedTuple):
    """The features of a matrix that are genes."""

    names: pd.Index
    among: NDArray[np.bool_] | None
    """(n_features,) mask; None if all are."""
    others: str
    """A sentence about those that are none; empty if all are."""


def genes_of(adata: AnnData, *, raw: bool = False) -> Genes:
    """The genes among the features of `adata`, or of its ``raw``; features of no kind are taken for genes.

    Raises
    ------
    ValueError
        If there is none.
    """
    names = adata.raw.var_names if raw else adata.var_names
    kinds = _kinds(adata, names, raw=raw)
    if kinds is None:
        return Genes(names, None, "")
    plain = np.array([str(kind).strip().lower().replace("_", " ") for kind in kinds])
    are_genes = np.isin(plain, _GENES)
    others = pd.notna(kinds) & (plain != "") & ~are_genes if are_genes.any() else np.isin(plain, _NO_GENES)
    if not others.any():
        return Genes(names, None, "")
    called = ", ".join(dict.fromkeys(str(kind) for kind in kinds[others]))
    if others.all():
        msg = (
            f"None of the {names.size} features is a gene: var['feature_types'] has {called}. Pass an object with the "
            "counts of genes; to take these for genes all the same: del adata.var['feature_types']"
        )
        raise ValueError(msg)
    n_others = int(others.sum())
    told = "1 feature that is no gene was" if n_others == 1 else f"{n_others} features that are no genes were"
    return Genes(names[~others], ~others, f"{told} left out: {called}")


def _kinds(adata: AnnData, names: pd.Index, *, raw: bool) -> NDArray[np.object_] | None:
    """(n_features,) what each feature is called; None where nothing says so."""
    column = adata.raw.var.get(keys.FEATURE_TYPES) if raw else None
    if column is not None:
        return column.to_numpy(dtype=object)
    if keys.FEATURE_TYPES not in adata.var:
        return None
    values = adata.var[keys.FEATURE_TYPES].to_numpy(dtype=object)
    of_name: dict[str, Any] = dict(zip(adata.var_names, values, strict=True))
    return np.array([of_name.get(name, "") for name in names], dtype=object) if raw else values
