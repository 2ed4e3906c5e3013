"""Counts and ranks of genes as encoders like Geneformer take them (Theodoris et al., Nature 2023, 618:616)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse

from recall_py.adata.genes_by_id import ensembl_ids as ids_of_genes
from recall_py.adata.read import find_counts
from recall_py.words import listed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anndata import AnnData
    from numpy.typing import NDArray

TARGET_SUM = 1e4
"""Counts that each cell is scaled to before the genes are ranked."""


def encoder_counts(
    adata: AnnData, *, layer: str | None, ensembl_ids: str | None, orthologs: Mapping[str, str] | str | Path | None
) -> AnnData:
    """The raw counts of all genes by Ensembl id; see :func:`recall_py.pp.for_geneformer`."""
    import anndata as ad

    found = find_counts(adata, layer)
    counts = found.counts.columns(np.arange(found.counts.shape[1]))
    ids = ids_of_genes(adata, found, ensembl_ids)
    if orthologs is not None:
        ids = ids.map(_read(orthologs, "orthologs"))
    codes, names = pd.factorize(ids)  # -1 where there is none
    has_one = codes >= 0
    if not has_one.any():
        msg = f"The table of orthologs has no gene of adata, where they are called {listed(found.names)}."
        raise ValueError(msg)
    member = sparse.csc_array(
        (np.ones(has_one.sum()), (np.flatnonzero(has_one), codes[has_one])), shape=(ids.size, names.size)
    )
    obs = adata.obs.copy()
    obs["n_counts"] = np.asarray(counts.sum(axis=1), dtype=np.float64)
    var = pd.DataFrame({"ensembl_id": names.to_numpy(dtype=object)}, index=names.astype(str))
    return ad.AnnData(sparse.csr_matrix(counts @ member), obs=obs, var=var)


def ranked_tokens(
    counts: sparse.csr_matrix,
    n_counts: NDArray[np.float64],
    ids: pd.Index,
    medians: Mapping[str, float] | str | Path,
    tokens: Mapping[str, int] | str | Path,
    max_tokens: int,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Tokens of the genes of each cell, those first that are highest beside their medians, and how many they are.

    Counts are scaled to 10,000 a cell and divided by the gene's median among cells that have it; equal values keep the
    order of the genes. Where the dictionary has ``<cls>`` and ``<eos>`` they stand at the ends; ``<pad>`` (0) fills up.

    Returns
    -------
    (n_cells, longest) tokens, and (n_cells,) lengths.
    """
    median = ids.map(_read(medians, "medians")).to_numpy(dtype=np.float64)
    dictionary = _read(tokens, "tokens")
    token = ids.map(dictionary).to_numpy(dtype=np.float64)
    known = np.isfinite(median) & (median > 0) & np.isfinite(token)
    if not known.any():
        msg = f"No gene has both a median and a token. Genes are called {listed(ids)}."
        raise ValueError(msg)
    ends = [dictionary[end] for end in ("<cls>", "<eos>") if end in dictionary]
    first, last = (ends[:1], ends[1:]) if len(ends) == 2 else ([], [])
    token = token[known]
    scaled = sparse.csr_matrix(sparse.diags_array(TARGET_SUM / np.maximum(n_counts, 1.0)) @ counts[:, known])
    scaled = sparse.csr_matrix(scaled @ sparse.diags_array(1.0 / median[known]))
    scaled.sort_indices()
    rows = []
    for start, stop in zip(scaled.indptr[:-1], scaled.indptr[1:], strict=True):
        order = np.argsort(-scaled.data[start:stop], kind="stable")[: max_tokens - len(first + last)]
        rows.append([*first, *token[scaled.indices[start:stop][order]], *last])
    lengths = np.array([len(row) for row in rows], dtype=np.int32)
    padded = np.full((len(rows), lengths.max()), dictionary.get("<pad>", 0), dtype=np.int32)
    for row, of_cell in zip(padded, rows, strict=True):
        row[: len(of_cell)] = of_cell
    return padded, lengths


def _read(table: Mapping[str, object] | str | Path, name: str) -> dict[str, object]:
    """A table as it is, or of a .json file, or of the first two columns of a .csv or .tsv file with a heading."""
    if not isinstance(table, str | Path):
        return dict(table)
    path = Path(table)
    if path.suffix == ".json":
        return dict(json.loads(path.read_text()))
    if path.suffix in {".csv", ".tsv"}:
        columns = pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",").iloc[:, :2].dropna()
        return dict(zip(columns.iloc[:, 0].astype(str), columns.iloc[:, 1], strict=True))
    msg = f"{name} is {path.name}; .json, .csv or .tsv is read. Write a pickle that you trust as .json."
    raise ValueError(msg)
