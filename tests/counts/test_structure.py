"""A sparse matrix that points outside itself is refused, wherever it lies, before compiled code follows it."""

from __future__ import annotations

import re

import anndata as ad
import h5py
import numpy as np
import pytest
import zarr
from anndata.io import sparse_dataset
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from recall_py.adata.read import find_counts
from recall_py.counts import blocks
from recall_py.counts.matrix import CountMatrix
from recall_py.counts.structure import DamagedError, refuse_damaged

SHAPE = (40, 30)


def sound(kind="csr"):
    return sparse.csr_matrix(np.random.default_rng(5).poisson(0.5, SHAPE).astype(np.float32)).asformat(kind)


def changed(name, at, value):
    def damage(matrix):
        getattr(matrix, name)[at] = value

    return damage


def cut(matrix):
    matrix.indptr = matrix.indptr[:-1]


def with_spare_values(matrix):
    matrix.data, matrix.indices = np.append(matrix.data, [1, 1]), np.append(matrix.indices, [0, 1])


def unequal(matrix):
    matrix.data = matrix.data[:-1]


DAMAGES = {
    "index beyond the end": (changed("indices", 7, 40), "an index is 40, outside 0 to"),
    "index far beyond the end": (changed("indices", -1, 10**9), "an index is 1000000000"),
    "negative index": (changed("indices", 7, -5), "an index is -5"),
    "pointer far beyond the end": (changed("indptr", 9, 10**8), "indptr falls from 100000000 to"),
    "falling pointer": (changed("indptr", 20, 1), "indptr falls from .* to 1"),
    "negative pointer": (changed("indptr", 20, -7), "indptr falls from .* to -7"),
    "first pointer not 0": (changed("indptr", 0, 1), "indptr begins at 1, not at 0"),
    "last pointer beyond the end": (changed("indptr", -1, 10**9), r"indptr ends at 1000000000, but \d+ indices"),
    "last pointer too small": (changed("indptr", -1, 5), "indptr falls from .* to 5"),
    "too few pointers": (cut, "must have (41|31) integers"),
    "values that belong to no row": (with_spare_values, r"indptr ends at (\d+), but"),
    "fewer values than indices": (unequal, r"indptr ends at \d+, but \d+ indices and \d+ data"),
}


def damaged(damage, kind="csr"):
    matrix = sound(kind)
    DAMAGES[damage][0](matrix)
    return matrix


def stored(group, matrix):
    """The matrix in an open file, as it is: what writes it elsewhere would look at it."""
    x = group.create_group("X")
    x.attrs.update(
        {"encoding-type": f"{matrix.format}_matrix", "encoding-version": "0.1.0", "shape": list(matrix.shape)}
    )
    for name in ("data", "indices", "indptr"):
        x[name] = getattr(matrix, name)
    return sparse_dataset(x)


PLACES = {
    "memory": lambda matrix, _: matrix,
    ".h5ad": lambda matrix, folder: stored(h5py.File(folder / "x.h5", "w"), matrix),
    ".zarr": lambda matrix, folder: stored(zarr.open_group(folder / "x.zarr", mode="w", zarr_format=2), matrix),
}


@pytest.mark.parametrize("kind", ["csr", "csc"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_matrix_is_refused_wherever_it_lies(damage, place, kind, tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "_BLOCK", 10)
    matrix = PLACES[place](damaged(damage, kind), tmp_path)
    with pytest.raises(DamagedError, match=f"{DAMAGES[damage][1]}.*download its file again"):
        list(CountMatrix(matrix).entries())


@pytest.mark.parametrize("slot", ["X", "layers['counts']", "layers['mine']", "raw.X"])
def test_error_names_the_slot(slot):
    adata = ad.AnnData(sound())
    for name in ("counts", "mine"):
        if slot == f"layers[{name!r}]":
            adata.layers[name] = sound()
            DAMAGES["falling pointer"][0](adata.layers[name])
    if slot == "raw.X":
        adata.raw = adata.copy()
        DAMAGES["falling pointer"][0](adata.raw.X)
    if slot == "X":
        DAMAGES["falling pointer"][0](adata.X)
    with pytest.raises(ValueError, match=f"^{re.escape(slot)} is damaged: indptr falls"):
        find_counts(adata, "mine" if "mine" in slot else None)


def test_values_without_a_dimension_are_refused():
    matrix = sound()
    matrix.data = np.array(1.0)
    with pytest.raises(DamagedError, match="it has no array 'data'"):
        refuse_damaged(matrix, "X")


def test_block_of_dask_is_refused_where_it_is_computed():
    da = pytest.importorskip("dask.array")
    matrix = damaged("negative index")
    adata = ad.AnnData(da.from_array(matrix, chunks=SHAPE, asarray=False))
    with pytest.raises(ValueError, match="X is damaged: an index is -5"):
        find_counts(adata, None)


def test_matrix_that_comes_from_r_is_refused():
    from recall_py.seurat.from_r import cells_by_genes

    for damage, (_, message) in DAMAGES.items():
        matrix = damaged(damage)
        vectors = {"x": matrix.data, "i": matrix.indices, "p": matrix.indptr}
        if damage == "too few pointers":  # R's pointers are as many as the cells; the last row is then missing
            message = "indptr ends at"
        with pytest.raises(DamagedError, match=f"The matrix from R is damaged: {message}"):
            cells_by_genes(vectors, SHAPE[1])


@given(seed=st.integers(0, 2**32 - 1), data=st.data(), kind=st.sampled_from([sparse.csr_array, sparse.csc_matrix]))
def test_what_is_refused_is_what_scipy_finds_at_fault(seed, data, kind):
    matrix = kind(np.random.default_rng(seed).poisson(0.4, (6, 5)))
    for name in ("indptr", "indices"):
        array = getattr(matrix, name)
        for at in data.draw(st.lists(st.integers(0, array.size - 1), max_size=2)) if array.size else ():
            array[at] = data.draw(st.integers(-2, 12))
    spare = matrix.indptr[-1] < matrix.indices.size  # scipy drops what belongs to no row
    try:
        matrix.copy().check_format(full_check=True)
        faulty = spare
    except ValueError:
        faulty = True
    if faulty:
        with pytest.raises(DamagedError):
            refuse_damaged(matrix)
    else:
        refuse_damaged(matrix)
        np.testing.assert_array_equal(CountMatrix(matrix).survey.sums, matrix.toarray().sum(axis=0))
