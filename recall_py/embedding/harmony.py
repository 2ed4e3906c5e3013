"""Harmony, by harmonypy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recall_py.embedding.packages import optional

if TYPE_CHECKING:
    from anndata import AnnData


def harmony(adata: AnnData, batch_key: str, seed: int, *, use_rep: str = "X_pca", **kwargs: Any) -> NDArray[np.float32]:
    """(n_obs, n_components) components without what the batches differ by.

    Raises
    ------
    KeyError
        If ``obsm[use_rep]`` does not exist.
    """
    harmonypy = optional("harmonypy", "harmony", "'recall-py[harmony]'")
    if use_rep not in adata.obsm:
        there = ", ".join(adata.obsm) or "nothing"
        msg = (
            f"obsm[{use_rep!r}] does not exist, and Harmony starts from components; obsm has {there}. "
            "Make them: sc.pp.pca(adata)"
        )
        raise KeyError(msg)
    scores = np.asarray(adata.obsm[use_rep], dtype=np.float64)
    options = {"verbose": False, "random_state": seed, **kwargs}
    corrected = np.asarray(harmonypy.run_harmony(scores, adata.obs, batch_key, **options).Z_corr, dtype=np.float32)
    return corrected if corrected.shape == scores.shape else corrected.T
