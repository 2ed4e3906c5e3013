"""Batches from a loader that a user made: ``annbatch.Loader``, or anndata's ``AnnLoader``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from recall_py.words import listed


class HandedLoader:
    """A loader whose batches have ``X`` and the names of the cells; what these are is known of them already.

    Parameters
    ----------
    loader
        One pass over it is an epoch.
    genes
        Those that take part.
    cells
        Names of the cells that are known.

    Raises
    ------
    ValueError
        If the loader lacks genes, or cells cannot be told apart by their names.
    """

    def __init__(self, loader: Any, genes: NDArray[np.str_], cells: pd.Index) -> None:
        if not cells.is_unique:
            msg = (
                "loader cannot be used: its cells are found by name, and some in adata have the same. Make them unique "
                "in both, before either is made: adata.obs_names_make_unique()"
            )
            raise ValueError(msg)
        names = loader.var.index if hasattr(loader, "var") else loader.dataset.var_names
        absent = [gene for gene in genes.tolist() if gene not in names]
        if absent:
            msg = f"loader lacks {len(absent)} of the {genes.size} genes that take part, such as {listed(absent[:3])}."
            raise ValueError(msg)
        self._loader, self._cells, self._columns = loader, cells, names.get_indexer(pd.Index(genes))

    def __iter__(self) -> Iterator[tuple[NDArray[np.intp], NDArray[Any]]]:
        """Positions among the known cells, -1 for others, and (n_given, n_genes) counts.

        Raises
        ------
        ValueError
            If values are no counts.
        """
        for batch in self._loader:
            if isinstance(batch, Mapping):
                values, names = batch["X"], batch["obs"].index
            else:
                values, names = batch.X, batch.obs_names
            yield self._cells.get_indexer(names), self._counts(values)

    def _counts(self, values: Any) -> NDArray[Any]:
        """The genes that take part, dense."""
        if sparse.issparse(values):
            counts = values[:, self._columns].toarray()
        else:
            dense = values.to_dense().cpu().numpy() if hasattr(values, "to_dense") else np.asarray(values)
            counts = dense[:, self._columns]
        if (counts < 0).any() or (counts != np.rint(counts)).any():
            msg = "loader gives values that are not counts in X, but raw counts are needed. Make it of the raw counts."
            raise ValueError(msg)
        return counts
