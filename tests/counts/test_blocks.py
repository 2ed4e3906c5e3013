"""Counts read in blocks are the same counts, wherever they are and however large a block is."""

from __future__ import annotations

import os
from itertools import pairwise
from mmap import mmap
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pytest
import scanpy as sc
import zarr
from anndata.io import sparse_dataset, write_elem
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from recall_py.counts import blocks
from recall_py.counts.matrix import CountMatrix
from recall_py.counts.paged import by_cell
from recall_py.counts.selection import most_variable
from recall_py.counts.source import count_matrix, reading_once

SHARED = Path(os.environ.get("RECALL_PY_SHARED", Path(__file__).parents[3] / "shared"))
PBMC = Path(__file__).parents[2] / "data" / "pbmc68k.h5ad"


def in_hdf5(path, matrix, **options):
    write_elem(h5py.File(path, "w"), "X", matrix, dataset_kwargs=options)
    stored = h5py.File(path, "r")["X"]
    return sparse_dataset(stored) if sparse.issparse(matrix) else stored


def in_zarr(path, matrix, **options):
    group = zarr.open_group(path, mode="w", zarr_format=2)
    write_elem(group, "X", matrix, dataset_kwargs=options)
    return sparse_dataset(group["X"]) if sparse.issparse(matrix) else group["X"]


PLACES = {
    "CSR": lambda x, _: x,
    "CSC": lambda x, _: x.tocsc(),
    "sparse array": lambda x, _: sparse.csr_array(x),
    "dense": lambda x, _: x.toarray(),
    "dense by columns": lambda x, _: np.asfortranarray(x.toarray()),
    "64-bit integers": lambda x, _: x.astype(np.int64),
    "CSR in .h5ad": lambda x, folder: in_hdf5(folder / "x.h5", x),
    "CSC in .h5ad, packed": lambda x, folder: in_hdf5(folder / "x.h5", x.tocsc(), compression="gzip"),
    "dense in .h5ad": lambda x, folder: in_hdf5(folder / "x.h5", x.toarray()),
    "dense in .h5ad, packed": lambda x, folder: in_hdf5(
        folder / "x.h5", x.toarray().astype(np.int16), compression="gzip", chunks=(70, 50)
    ),
    "columns in .h5ad": lambda x, folder: in_hdf5(folder / "x.h5", x.toarray(), chunks=(x.shape[0], 1)),
    "doubles in .h5ad": lambda x, folder: in_hdf5(folder / "x.h5", x.astype(np.float64)),
    "CSR in .zarr": lambda x, folder: in_zarr(folder / "x.zarr", x),
    "CSC in .zarr": lambda x, folder: in_zarr(folder / "x.zarr", x.tocsc()),
    "dense in .zarr": lambda x, folder: in_zarr(folder / "x.zarr", x.toarray(), chunks=(70, 50)),
}


@pytest.fixture(params=PLACES)
def place(request, tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "_BLOCK", 5000)
    return lambda matrix: PLACES[request.param](matrix, tmp_path)


@pytest.fixture(scope="module")
def counts():
    return sparse.csr_matrix(ad.read_h5ad(PBMC).X)


def test_genes_are_those_that_scanpy_selects(place, counts):
    found, rule = most_variable(CountMatrix(place(counts)), 300)
    expected = sc.pp.highly_variable_genes(ad.AnnData(counts), flavor="seurat_v3", n_top_genes=300, inplace=False)
    assert found.tolist() == expected["highly_variable"].tolist()
    assert rule == "seurat_v3, 300 genes, loess span 0.3"


@pytest.mark.parametrize("name", ["pbmc3k", "kang_pbmc_stim", "mix3_celseq2", "pancreas_baron350", "rnamix_celseq2"])
def test_genes_are_those_that_scanpy_selects_on_real_data(name):
    path = SHARED / "data" / f"{name}.h5ad"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    counts = sparse.csr_matrix(ad.read_h5ad(path).X)
    expected = sc.pp.highly_variable_genes(ad.AnnData(counts), flavor="seurat_v3", n_top_genes=2000, inplace=False)
    found, _ = most_variable(CountMatrix(counts), 2000)
    assert found.tolist() == expected["highly_variable"].tolist()


def test_sums_are_exact(place, counts):
    survey = CountMatrix(place(counts)).survey
    exact = counts.astype(np.int64)
    assert survey.problem is None
    np.testing.assert_array_equal(survey.totals, np.asarray(exact.sum(axis=1)).ravel())
    np.testing.assert_array_equal(survey.sums, np.asarray(exact.sum(axis=0)).ravel())
    np.testing.assert_array_equal(survey.squares, np.asarray(exact.multiply(exact).sum(axis=0)).ravel())
    np.testing.assert_array_equal(survey.stored, exact.getnnz(axis=0))
    np.testing.assert_array_equal(survey.largest, exact.max(axis=0).toarray().ravel())


def test_chosen_genes_of_chosen_cells_come_in_the_order_asked_for(place, counts, rng):
    cells = rng.random(counts.shape[0]) < 0.4
    positions = rng.permutation(counts.shape[1])[:50]
    found = CountMatrix(place(counts), cells).columns(positions)
    assert found.dtype == np.float32
    assert found.has_canonical_format
    np.testing.assert_array_equal(found.toarray(), counts.toarray()[cells][:, positions])
    assert (found.data.dtype, found.indices.dtype) == (np.float32, np.int32)


def test_chosen_genes_lie_by_cell_in_the_order_asked_for(place, counts, rng):
    cells = rng.random(counts.shape[0]) < 0.4
    positions = rng.permutation(counts.shape[1])[:50]
    matrix = place(counts)
    found = by_cell(CountMatrix(matrix, cells), positions)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found.toarray(), counts.toarray()[cells][:, positions])
    assert (
        is_in_a_file(found.data)
        == is_in_a_file(found.indices)
        == (not isinstance(matrix, np.ndarray | sparse.sparray | sparse.spmatrix))
    )


def is_in_a_file(array):
    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(array, mmap)


def test_blocks_of_dask_lie_by_cell(counts, rng):
    da = pytest.importorskip("dask.array")
    cells, positions = rng.random(counts.shape[0]) < 0.4, rng.permutation(counts.shape[1])[:50]
    blocked = da.from_array(counts.toarray(), chunks=(70, 200))
    found = by_cell(count_matrix(blocked, cells), positions)
    assert is_in_a_file(found.data)
    np.testing.assert_array_equal(found.toarray(), counts.toarray()[cells][:, positions])


def test_genes_without_counts_lie_by_cell(tmp_path):
    found = by_cell(CountMatrix(in_hdf5(tmp_path / "x.h5", sparse.csr_matrix((3, 2)))), np.array([True, True]))
    np.testing.assert_array_equal(found.toarray(), np.zeros((3, 2)))


@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    kind=st.sampled_from(["csr", "csc", "dense"]),
    block=st.integers(1, 60),
    share=st.floats(0, 1),
)
def test_every_block_size_gives_the_same_counts(seed, shape, kind, block, share):
    """Also with explicit zeros, unsorted indices, empty rows and columns."""
    rng = np.random.default_rng(seed)
    dense = rng.poisson(1.0, shape).astype(np.float64)
    matrix = sparse.coo_array((dense.ravel(), np.indices(shape).reshape(2, -1)), shape=shape).asformat(
        "csr" if kind == "dense" else kind
    )
    ends = matrix.indptr.tolist()
    backwards = np.concatenate([np.arange(start, stop)[::-1] for start, stop in pairwise(ends)])
    matrix = type(matrix)((matrix.data[backwards], matrix.indices[backwards], matrix.indptr), shape=shape)
    cells, genes = rng.random(shape[0]) < share, rng.random(shape[1]) < 0.5
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "_BLOCK", block)
        found = CountMatrix(dense if kind == "dense" else matrix, cells)
        np.testing.assert_array_equal(found.columns(genes).toarray(), dense[cells][:, genes])
        np.testing.assert_array_equal(found.survey.totals, dense[cells].sum(axis=1))


BAD = {
    "NaN": np.nan,
    "infinite values": np.inf,
    "negative values": -1,
    "values that are not integers, such as 2.5": 2.5,
}


@pytest.mark.parametrize("problem", BAD)
@pytest.mark.parametrize("where", ["CSR", "dense", "CSC in .h5ad, packed", "dense in .h5ad", "CSR in .zarr", "dense in .zarr"])  # fmt: skip # noqa: E501
def test_one_bad_value_is_found(where, problem, counts, tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "_BLOCK", 5000)
    bad = counts.copy()
    bad.data[-1] = BAD[problem]
    assert CountMatrix(PLACES[where](bad, tmp_path)).survey.problem == problem


def test_counts_beyond_single_precision_stay_exact():
    counts = sparse.csr_matrix(np.array([[2**24 + 1, 1], [3, 0]]))
    assert CountMatrix(counts).columns(np.array([0])).toarray().ravel().tolist() == [2**24 + 1, 3]
    assert CountMatrix(counts).columns(np.array([1])).dtype == np.float32


def test_the_same_counts_are_read_once(counts, monkeypatch):
    read = []
    plain = blocks.read_tile
    monkeypatch.setattr("recall_py.counts.matrix.read_tile", lambda *where: read.append(where) or plain(*where))
    some = np.arange(counts.shape[0]) < 100
    with reading_once():
        first = count_matrix(counts).columns(np.arange(10))
        n_read = len(read)
        assert count_matrix(counts, np.ones(counts.shape[0], dtype=bool)).columns(np.arange(10)) is first
        assert len(read) == n_read
        assert count_matrix(counts, some).columns(np.arange(10)).shape == (100, 10)
        assert count_matrix(counts.copy()).columns(np.arange(10)) is not first
    assert count_matrix(counts) is not count_matrix(counts)


def test_damaged_file_is_said_to_be_damaged(counts, tmp_path):
    path = tmp_path / "x.h5"
    stored = in_hdf5(path, counts, compression="gzip")
    place = stored.group["data"].id.get_chunk_info(0).byte_offset
    stored.group.file.close()
    with path.open("r+b") as file:
        file.seek(place)
        file.write(b"\xff" * 200)
    with (
        h5py.File(path) as file,
        pytest.raises(ValueError, match="cannot be read further"),
    ):
        _ = CountMatrix(sparse_dataset(file["X"])).survey


def test_unsigned_pointers_are_those_of_the_same_blocks(counts):
    expected = list(blocks.tiles(counts))
    unsigned = counts.copy()
    unsigned.indptr = counts.indptr.astype(np.uint64)
    assert list(blocks.tiles(unsigned)) == expected
