"""Batches and other covariates as columns of zeros and ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recall_py.adata.labels import read_batches

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True)
class Conditions:
    """The values of each covariate; the batch is the first."""

    values: Mapping[str, tuple[str, ...]]
    """By column of ``obs``."""

    @classmethod
    def of(cls, adata: AnnData, columns: Sequence[str]) -> Conditions:
        """The values that occur.

        Raises
        ------
        KeyError
            If a column does not exist.
        ValueError
            If a cell has no value.
        """
        return cls({column: tuple(dict.fromkeys(_texts(adata, column).tolist())) for column in columns})

    @property
    def columns(self) -> list[tuple[str, str]]:
        """Column of ``obs`` and value that each column of :meth:`one_hot` stands for."""
        return [(column, value) for column, values in self.values.items() for value in values]

    def with_new(self, adata: AnnData) -> Conditions:
        """The same with the values of other cells that are not yet known, at the end of each covariate."""
        new = Conditions.of(adata, list(self.values))
        return Conditions({name: tuple(dict.fromkeys(self.values[name] + new.values[name])) for name in self.values})

    def one_hot(self, adata: AnnData) -> NDArray[np.float32]:
        """(n_obs, n_values) 1 where a cell has the value."""
        parts = [_texts(adata, column)[:, np.newaxis] == np.array(values) for column, values in self.values.items()]
        return np.concatenate(parts, axis=1).astype(np.float32)


def _texts(adata: AnnData, column: str) -> NDArray[np.str_]:
    found = read_batches(adata, column, None)
    assert found is not None  # a column was named
    return found.astype(str).to_numpy(dtype=np.str_)
