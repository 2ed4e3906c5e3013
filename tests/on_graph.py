"""What holds of ``tl.leiden`` on a graph, whoever made it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scanpy as sc

import recall_py

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

IGRAPH = {"flavor": "igraph", "n_iterations": 2, "directed": False}
"""Arguments of scanpy without which it warns."""


def with_graph(adata: AnnData, **neighbors: Any) -> AnnData:
    """The cells with log-normalised values in X, counts in a layer, and a graph as scanpy makes it."""
    adata.layers["counts"] = adata.X.copy()
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    sc.pp.pca(adata, n_comps=10)
    sc.pp.neighbors(adata, **neighbors)
    return adata


def check_leiden(
    data: AnnData | MuData, *, modality: str | None = None, batch_key: str | None = None, **of_scanpy: Any
) -> None:
    """Cluster cells of two groups, by arguments of which scanpy knows the last, and look at all that is promised."""
    of_scanpy = {**IGRAPH, **of_scanpy}
    before, scanpys = data.copy(), data.copy()
    sc.tl.leiden(scanpys, **of_scanpy)
    recall_py.tl.leiden(data, modality=modality, batch_key=batch_key, **of_scanpy)

    assert set(data.obs) - set(before.obs) == {"leiden", "leiden_start"}
    assert_kept(data, before)
    start, final = data.obs["leiden_start"], data.obs["leiden"]
    assert start.astype(str).tolist() == scanpys.obs["leiden"].astype(str).tolist()
    assert_unions(final, start)
    assert final.nunique() < start.nunique()
    of_cells = data if modality is None else data[modality]
    assert_told_apart(final, of_cells.obs["annotation"])


def assert_unions(final: pd.Series, start: pd.Series) -> None:
    """No cluster at the start is split."""
    assert ((shares(start, final) > 0).sum(axis=1) == 1).all()


def assert_told_apart(final: pd.Series, groups: pd.Series) -> None:
    """Each cluster is of one group, but for a few cells, and each group has a cluster."""
    found = shares(final, groups)
    assert (found.max(axis=1) > 0.95).all(), found
    assert set(found.idxmax(axis=1)) == set(groups), found


def shares(clusters: pd.Series, groups: pd.Series) -> pd.DataFrame:
    """(n_clusters, n_groups) shares of the groups in each cluster."""
    return pd.crosstab(clusters.to_numpy(str), groups.to_numpy(str), normalize="index")


def assert_kept(after: AnnData | MuData, before: AnnData | MuData) -> None:
    """All that was there is as it was; more may have come."""
    for name, modality in getattr(before, "mod", {}).items():
        assert after.mod[name].obs.columns.equals(modality.obs.columns)
        assert_kept(after.mod[name], modality)
    if not hasattr(before, "mod"):
        np.testing.assert_array_equal(dense(after.X), dense(before.X))
        assert_equal(after.layers, before.layers)
    for slot in ("obs", "var"):
        kept = getattr(before, slot)
        pd.testing.assert_frame_equal(getattr(after, slot)[kept.columns], kept)
    for slot in ("obsm", "obsp", "varm", "varp"):
        assert_equal(getattr(after, slot), getattr(before, slot))
    np.testing.assert_equal({key: after.uns[key] for key in before.uns}, dict(before.uns))


def assert_equal(after: Any, before: Any) -> None:
    """The same arrays by the same names."""
    assert set(after) == set(before)
    for name in before:
        assert type(after[name]) is type(before[name])
        np.testing.assert_array_equal(dense(after[name]), dense(before[name]))


def dense(values: Any) -> np.ndarray:
    return values.toarray() if hasattr(values, "toarray") else np.asarray(values)
