"""scVI, by scvi-tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from recall_py.adata.read import read_counts
from recall_py.embedding.packages import optional

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anndata import AnnData


def scvi(
    adata: AnnData,
    batch_key: str,
    seed: int,
    *,
    layer: str | None = None,
    n_top_genes: int = 2000,
    train: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> NDArray[np.float32]:
    """(n_obs, n_latent) means of the latent space of a model that is trained on the raw counts."""
    import anndata as ad

    package = optional("scvi", "scvi", "'recall-py[scvi]'")
    data = read_counts(adata, layer=layer, n_top_genes=n_top_genes, batch_key=batch_key)
    obs = pd.DataFrame({batch_key: adata.obs[batch_key].astype(str).to_numpy()}, index=adata.obs_names)
    cells = ad.AnnData(sparse.csr_matrix(data.read().counts), obs=obs, var=pd.DataFrame(index=data.genes))
    package.settings.seed = seed
    package.model.SCVI.setup_anndata(cells, batch_key=batch_key)
    model = package.model.SCVI(cells, **kwargs)
    model.train(**(train or {}))
    return np.asarray(model.get_latent_representation(), dtype=np.float32)
