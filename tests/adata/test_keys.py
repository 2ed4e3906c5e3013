"""A key is one name in every kind of file, or is refused before anything is computed."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import recall_py
from recall_py.adata import keys

BAD = ["", "/", "/X", "a/b", "a/", ".", "..", "a\\b", "a\0b", "a\nb", "\udcff", "_index", ".zgroup", "x" * 300, None, 3]
WRITING = {
    "leiden": lambda adata, key: recall_py.tl.leiden(adata, key_added=key),
    "louvain": lambda adata, key: recall_py.tl.louvain(adata, key_added=key),
    "merge_clusters": lambda adata, key: recall_py.tl.merge_clusters(adata, "kind", key_added=key),
    "recall": lambda adata, key: recall_py.tl.recall(adata, key_added=key),
    "test_clusters": lambda adata, key: recall_py.tl.test_clusters(adata, "kind", key_added=key),
}


@pytest.mark.parametrize(
    ("function", "key"), [(name, key) for name in WRITING for key in BAD if (name, key) != ("merge_clusters", None)]
)
def test_key_that_is_no_single_name_is_refused_before_anything_is_read(key, function):
    adata = ad.AnnData(obs=pd.DataFrame({"kind": ["a", "b"]}, index=["c0", "c1"]))  # nothing that could be clustered
    with pytest.raises(ValueError, match=r"^key_added is .*; it must be one name"):
        WRITING[function](adata, key)
    assert list(adata.obs) == ["kind"]
    assert not adata.uns


@settings(max_examples=15)
@given(key=st.one_of(st.text(max_size=12), st.text(alphabet="._/a \\é", min_size=1, max_size=4)))
@example(key="x" * 200)
@example(key="...")
@example(key=" ")
def test_accepted_key_comes_back_from_every_kind_of_file(key):
    try:
        keys.refuse_unusable(key)
    except ValueError:
        return
    adata = ad.AnnData(np.ones((3, 2), np.float32))
    adata.obs[key] = pd.Categorical(["0", "1", "0"])
    adata.obs[key + keys.SKETCH_SUFFIX] = True
    adata.uns[key] = {keys.RECORD: {"pairs": np.arange(3)}}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Writing zarr v2 data")
        adata.write_h5ad(Path(folder) / "x.h5ad")
        adata.write_zarr(Path(folder) / "x.zarr")
        for found in (ad.read_h5ad(Path(folder) / "x.h5ad"), ad.read_zarr(Path(folder) / "x.zarr")):
            assert list(found.obs) == list(adata.obs)
            assert found.obs[key].tolist() == ["0", "1", "0"]
            assert list(found.uns) == [key]
            assert found.uns[key][keys.RECORD]["pairs"].tolist() == [0, 1, 2]
            assert found.X.tolist() == adata.X.tolist()
