"""Which counts the default path looks at: those of the sampled cells, wherever the matrix lies."""

from __future__ import annotations

import re
import warnings

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import zarr
from anndata.io import sparse_dataset, write_elem
from scipy import sparse

import recall_py
from recall_py.adata.read import read_counts
from recall_py.counts import blocks, structure
from recall_py.counts.matrix import _GLANCE
from recall_py.method.pairs import outcomes
from recall_py.method.pairs.outcomes import sampled_cells

pytestmark = pytest.mark.filterwarnings("ignore:Writing zarr v2", "ignore::recall_py.CalibrationWarning")
N_SAMPLED = 40
BY_IGRAPH = {"flavor": "igraph", "n_iterations": 2, "directed": False}


def in_file(folder, matrix, kind, **options):
    """The matrix in an open file."""
    if kind == "h5ad":
        file = h5py.File(folder / "x.h5", "w")
    else:
        file = zarr.open_group(folder / "x.zarr", mode="w", zarr_format=2)
    write_elem(file, "X", matrix, dataset_kwargs=options)
    return sparse_dataset(file["X"]) if sparse.issparse(matrix) else file["X"]


def in_dask(matrix, _folder, chunks=(100, -1), form=sparse.csr_matrix):
    array = pytest.importorskip("dask.array")
    return array.from_array(matrix.toarray(), chunks=chunks).map_blocks(form, dtype=matrix.dtype)


BY_ROWS = {
    "CSR": lambda x, _: x,
    "sparse array": lambda x, _: sparse.csr_array(x),
    "dense": lambda x, _: x.toarray(),
    "CSR in .h5ad": lambda x, folder: in_file(folder, x, "h5ad"),
    "CSR in .h5ad, packed": lambda x, folder: in_file(folder, x, "h5ad", compression="gzip", chunks=(500,)),
    "dense in .h5ad": lambda x, folder: in_file(folder, x.toarray(), "h5ad"),
    "dense in .h5ad, packed": lambda x, folder: in_file(
        folder, x.toarray(), "h5ad", compression="gzip", chunks=(7, 30)
    ),
    "CSR in .zarr": lambda x, folder: in_file(folder, x, "zarr", chunks=(2000,)),
    "dense in .zarr": lambda x, folder: in_file(folder, x.toarray(), "zarr", chunks=(37, 60)),
}
OTHERS = {
    "CSC": lambda x, _: x.tocsc(),
    "CSC in .h5ad": lambda x, folder: in_file(folder, x.tocsc(), "h5ad"),
    "CSC in .zarr": lambda x, folder: in_file(folder, x.tocsc(), "zarr"),
    "dask, CSR": in_dask,
    "dask, CSC": lambda x, _: in_dask(x, _, (130, 33), sparse.csc_matrix),
    "dask, dense": lambda x, _: in_dask(x, _, (130, -1), np.asarray),
}


@pytest.fixture(scope="module")
def simulated():
    adata = recall_py.datasets.simulate(
        400, 120, group_shares=(0.4, 0.3, 0.3), n_markers=25, mean_depth=1000, n_batches=2, random_state=1
    )
    log = adata.copy()
    sc.pp.log1p(log)
    sc.pp.neighbors(log, use_rep="X", method="gauss", transformer="sklearn")
    for slot in ("obsp", "uns"):
        for name, value in getattr(log, slot).items():
            getattr(adata, slot)[name] = value
    adata.obs["label"] = pd.Categorical(adata.obs["group"].astype(str) + (np.arange(400) % 2).astype(str))
    adata.X = sparse.csr_matrix(adata.X).astype(np.float32)
    return adata


@pytest.fixture(scope="module")
def in_memory(simulated):
    """What a run finds of counts in memory, by the name of the run."""
    found = {}

    def once(run, **given):
        if run not in found:
            found[run] = with_counts(simulated, simulated.X)
            getattr(recall_py.tl, run)(found[run], **given)
        return found[run]

    return once


@pytest.fixture(autouse=True)
def few_cells_and_small_blocks(monkeypatch):
    for module in ("outcomes", "table"):
        monkeypatch.setattr(f"recall_py.method.pairs.{module}.MAX_CELLS", N_SAMPLED)
    monkeypatch.setattr(blocks, "_BLOCK", 2000)


@pytest.fixture
def read(monkeypatch):
    """Stretches of values that are read, by the array that they are of."""
    found: dict[int, list[tuple[int, int]]] = {}
    plain = structure.read_stretches

    def noted(stored, starts, stops, place, *across):
        if getattr(stored, "name", "").endswith("indices") or stored.dtype.kind != "f":
            return plain(stored, starts, stops, place, *across)
        found.setdefault(0, []).extend(zip(starts.tolist(), stops.tolist(), strict=True))
        return plain(stored, starts, stops, place, *across)

    for module in (structure, blocks):
        monkeypatch.setattr(module, "read_stretches", noted)
    return found


def with_counts(adata, counts):
    """The same cells with the counts as X."""
    holder = ad.AnnData(obs=adata.obs.copy(), var=adata.var.copy(), obsp=dict(adata.obsp), uns=dict(adata.uns))
    holder.X = counts
    return holder


def rows_of(read, counts):
    """Rows that have a value among those that were read."""
    stretches = read[0]
    if all(stop - start == 1 for start, stop in stretches) and len(stretches):  # a dense matrix, read by rows
        return {start for start, _ in stretches}
    at = np.unique(np.concatenate([np.arange(start, stop) for start, stop in stretches]))
    return set(np.searchsorted(counts.indptr, at, side="right") - 1)


def sampled(adata, column):
    return sampled_cells(adata.obs[column].astype("category").cat.codes.to_numpy())


def same_result(found, expected, key):
    assert found.obs.equals(expected.obs)
    for table in (recall_py.get.merges, recall_py.get.pairs, recall_py.get.markers):
        pd.testing.assert_frame_equal(table(found, key), table(expected, key))
    assert found.uns[key]["recall"]["selection"] == expected.uns[key]["recall"]["selection"]
    assert found.uns[key]["recall"]["genes"].tolist() == expected.uns[key]["recall"]["genes"].tolist()


@pytest.mark.parametrize("where", BY_ROWS)
def test_of_given_labels_the_sampled_cells_alone_are_read(simulated, where, read, tmp_path):
    adata = with_counts(simulated, BY_ROWS[where](simulated.X, tmp_path))
    recall_py.tl.merge_clusters(adata, "label")
    rows = rows_of(read, simulated.X)
    assert rows == set(sampled(adata, "label"))
    assert len(rows) == 6 * N_SAMPLED


@pytest.mark.parametrize("where", BY_ROWS)
def test_of_a_clustering_they_and_the_first_cells_are_read(simulated, where, read, tmp_path):
    adata = with_counts(simulated, BY_ROWS[where](simulated.X, tmp_path))
    recall_py.tl.leiden(adata, 1.5, **BY_IGRAPH)
    rows = rows_of(read, simulated.X)
    wanted = set(sampled(adata, "leiden_start"))
    assert wanted <= rows <= wanted | set(range(_GLANCE))
    assert len(wanted) < adata.n_obs - _GLANCE


@pytest.mark.parametrize(
    ("where", "run"),
    [
        *((where, "test_clusters") for where in (*BY_ROWS, *OTHERS)),
        *(
            (where, run)
            for where in ("CSR in .zarr", "CSC in .h5ad", "dask, CSR")
            for run in ("leiden", "merge_clusters")
        ),
    ],
)
def test_results_are_the_same_wherever_the_counts_lie(simulated, in_memory, where, run, tmp_path):
    key = {"leiden": "leiden", "merge_clusters": "label_merged", "test_clusters": "recall_test"}[run]
    given = {"resolution": 1.5, **BY_IGRAPH} if run == "leiden" else {"groupby": "label"}
    found = with_counts(simulated, {**BY_ROWS, **OTHERS}[where](simulated.X, tmp_path))
    getattr(recall_py.tl, run)(found, batch_key="batch", **given)
    same_result(found, in_memory(run, batch_key="batch", **given), key)


@pytest.mark.parametrize("where", [*BY_ROWS, *OTHERS])
def test_genes_are_selected_on_the_sampled_cells_alone(simulated, where, tmp_path):
    cells = sampled(simulated, "label")
    adata = with_counts(simulated, {**BY_ROWS, **OTHERS}[where](simulated.X, tmp_path))
    data = read_counts(adata, n_top_genes=50, sampled=cells)
    of_sample = sc.pp.highly_variable_genes(
        ad.AnnData(simulated.X[cells]), flavor="seurat_v3", n_top_genes=50, inplace=False
    )
    assert data.genes.tolist() == simulated.var_names[of_sample["highly_variable"]].tolist()
    assert re.fullmatch(r"seurat_v3, 50 genes, loess span .*, on 240 sampled cells", data.selection)
    some = cells[[3, 17, 200]]
    expected = simulated.X[some][:, of_sample["highly_variable"].to_numpy()].toarray()
    np.testing.assert_array_equal(data.rows(some).toarray(), expected)


def test_columns_on_disk_are_passed_over_once(simulated, tmp_path, monkeypatch):
    read = []
    plain = blocks.read_lines
    monkeypatch.setattr(blocks, "read_lines", lambda *args: read.append(args[1][0]) or plain(*args))
    adata = with_counts(simulated, in_file(tmp_path, simulated.X.tocsc(), "h5ad"))
    recall_py.tl.merge_clusters(adata, "label")
    assert len(read) > 3
    assert len(read) == len(set(read))


BAD = {
    "NaN": np.nan,
    "negative values": -1.0,
    "values that are not integers, such as 2.5": 2.5,
}


def with_values_at(simulated, where, folder, cells, values):
    """The cells, the first count of each of `cells` another value."""
    counts = simulated.X.copy()
    counts.data[counts.indptr[cells]] = values
    return with_counts(simulated, {**BY_ROWS, **OTHERS}[where](counts, folder))


@pytest.mark.parametrize("problem", BAD)
@pytest.mark.parametrize("where", [*BY_ROWS, *OTHERS])
def test_a_value_that_is_no_count_matters_in_a_sampled_cell(simulated, where, problem, tmp_path):
    adata = with_values_at(simulated, where, tmp_path, sampled(simulated, "label")[-1:], BAD[problem])
    before = adata.obs.copy()
    with pytest.raises(ValueError, match=rf"^X holds {problem}, but raw integer counts are needed.*layer='...'"):
        recall_py.tl.merge_clusters(adata, "label")
    pd.testing.assert_frame_equal(adata.obs, before)


@pytest.mark.parametrize("where", [*BY_ROWS, *OTHERS])
def test_values_that_are_no_counts_do_not_matter_in_other_cells(simulated, where, tmp_path):
    cells = sampled(simulated, "label")
    others = np.setdiff1d(np.arange(400), cells)[-len(BAD) :]
    adata = with_values_at(simulated, where, tmp_path, others, list(BAD.values()))
    assert read_counts(adata, sampled=cells).rows(cells).shape == (240, 120)


@pytest.mark.parametrize("where", ["CSR", "CSR in .h5ad", "CSR in .zarr", "dask, CSR"])
def test_an_index_that_leads_outside_matters_in_a_sampled_cell(simulated, where, tmp_path):
    cells = sampled(simulated, "label")
    for at, is_bad in ((np.setdiff1d(np.arange(400), cells)[-1], False), (cells[-1], True)):
        counts = simulated.X.copy()
        folder = tmp_path / str(is_bad)
        folder.mkdir()
        if where.startswith("dask"):
            array = pytest.importorskip("dask.array")
            counts.indices[counts.indptr[at]] = 10**8
            adata = with_counts(simulated, array.from_array(counts, chunks=counts.shape, asarray=False))
        elif where == "CSR":
            adata = with_counts(simulated, counts)
            counts.indices[counts.indptr[at]] = 10**8
        else:
            stored = in_file(folder, counts, where[8:])
            stored.group["indices"][int(counts.indptr[at])] = 10**8
            adata = with_counts(simulated, stored)
        if is_bad:
            with pytest.raises(ValueError, match=r"^X is damaged: an index is 100000000, outside 0 to 119"):
                recall_py.tl.merge_clusters(adata, "label")
        else:
            assert read_counts(adata, sampled=cells).rows(cells).shape == (240, 120)


@pytest.mark.parametrize("place", ["CSR", "CSR in .h5ad", "CSR in .zarr"])
def test_every_pointer_is_looked_at(simulated, place, tmp_path):
    outside = int(np.setdiff1d(np.arange(400), sampled(simulated, "label"))[-1])
    counts = simulated.X.copy()
    if place == "CSR":
        adata = with_counts(simulated, counts)
        counts.indptr[outside] = 10**8
    else:
        stored = in_file(tmp_path, counts, place[8:])
        stored.group["indptr"][outside] = 10**8
        adata = with_counts(simulated, stored)
    with pytest.raises(ValueError, match=r"^X is damaged: indptr falls from 100000000"):
        recall_py.tl.merge_clusters(adata, "label")


@pytest.mark.parametrize("where", ["CSR", "CSC", "CSR in .h5ad", "CSC in .h5ad"])
def test_repeated_entries_count_as_their_sum(simulated, where, tmp_path):
    plain = simulated.X
    halves = [plain.copy(), plain.copy()]
    halves[0].data = np.ceil(plain.data / 2)
    halves[1].data = np.floor(plain.data / 2)
    rows = list(zip(plain.indptr[:-1], plain.indptr[1:], strict=True))
    data, indices = (
        np.concatenate([getattr(half, name)[start:stop] for start, stop in rows for half in halves])
        for name in ("data", "indices")
    )
    both = sparse.csr_matrix((data, indices, 2 * plain.indptr), shape=plain.shape)
    assert not both.has_canonical_format
    if where.startswith("CSC"):
        by_column = both.T.tocoo()
        order = np.argsort(by_column.row, kind="stable")
        ends = np.concatenate([[0], np.cumsum(np.bincount(by_column.row, minlength=plain.shape[1]))])
        both = sparse.csc_matrix((by_column.data[order], by_column.col[order], ends), shape=plain.shape)
    found = with_counts(simulated, in_file(tmp_path, both, "h5ad") if where.endswith(".h5ad") else both)
    expected = with_counts(simulated, plain)
    for adata in (found, expected):
        recall_py.tl.merge_clusters(adata, "label")
    same_result(found, expected, "label_merged")


def test_raw_is_used_if_the_sampled_cells_are_whole_numbers_there(simulated):
    adata = with_counts(simulated, simulated.X * np.float32(0.5))
    adata.raw = with_counts(simulated, simulated.X)
    recall_py.tl.merge_clusters(adata, "label")
    assert adata.uns["label_merged"]["recall"]["source"] == "raw.X"


@pytest.mark.parametrize("where", ["CSR", "CSC", "dense in .h5ad", "dask, CSR"])
def test_a_wrong_cell_among_the_first_is_no_wrong_layer(simulated, where, tmp_path):
    found = with_counts(simulated, simulated.X)
    recall_py.tl.leiden(found, 1.5, **BY_IGRAPH)
    outside = int(np.setdiff1d(np.arange(_GLANCE), sampled(found, "leiden_start"))[0])
    counts = simulated.X.copy()
    counts.data[counts.indptr[outside]] = 2.5
    wrong = with_counts(simulated, {**BY_ROWS, **OTHERS}[where](counts, tmp_path))
    recall_py.tl.leiden(wrong, 1.5, **BY_IGRAPH)
    same_result(wrong, found, "leiden")


@pytest.mark.parametrize("where", [*BY_ROWS, *OTHERS])
def test_a_wrong_matrix_is_seen_at_a_glance(simulated, where, tmp_path):
    from recall_py.counts.source import count_matrix

    for name, values in (("counts", simulated.X), ("nothing", 0 * simulated.X), ("log", np.log1p(simulated.X))):
        folder = tmp_path / name
        folder.mkdir()
        found = count_matrix({**BY_ROWS, **OTHERS}[where](values, folder)).glance()
        if name == "log":
            assert re.match(r"values that are not integers, such as \d", found)
        else:
            assert found is None


def test_a_wrong_layer_is_refused_before_anything_is_clustered(simulated, monkeypatch):
    monkeypatch.setattr(sc.tl, "leiden", None)
    adata = with_counts(simulated, simulated.X)
    adata.layers["log"] = np.log1p(simulated.X)
    for options, message in (
        ({"layer": "log"}, r"^layers\['log'\] holds values that are not integers"),
        ({"layer": "nowhere"}, "Layers of adata: log"),
        ({"genes": ["nothing"]}, "1 of the 1 genes are not in X: nothing"),
        ({"batch_key": "donor"}, r"obs\['donor'\] does not exist"),
    ):
        with pytest.raises((ValueError, KeyError), match=message):
            recall_py.tl.leiden(adata, **BY_IGRAPH, **options)


def test_cells_that_are_empty_in_the_genes_are_no_error(simulated):
    counts = simulated.X.tolil()
    counts[:30, :60] = 0
    counts[30:40] = 0
    adata = with_counts(simulated, counts.tocsr())
    adata.var["highly_variable"] = np.arange(120) < 60
    recall_py.tl.merge_clusters(adata, "label")
    recall_py.tl.leiden(adata, **BY_IGRAPH)
    assert adata.uns["leiden"]["recall"]["selection"] == "var['highly_variable']"


def test_unions_are_sampled_from_cells_that_were_read(simulated):
    """As many of each part as a sample of the union has, so that each cell of it has the same chance."""
    labels = (np.arange(400) < 300).astype(np.int64)
    asked = []
    clusters = outcomes.StartClusters(labels, lambda cells: asked.append(cells) or sparse.csr_array(simulated.X[cells]))
    cells, counts = clusters.sample((0, 1))
    assert len(asked) == 2
    assert cells.size == N_SAMPLED
    assert np.isin(cells, np.concatenate(asked)).all()
    assert (np.diff(cells) > 0).all()
    assert 20 <= (labels[cells] == 1).sum() <= 38
    np.testing.assert_array_equal(counts.toarray(), simulated.X[cells].toarray())


def test_a_chunk_is_unpacked_once_and_others_are_not(monkeypatch, tmp_path):
    stored = zarr.open_array(tmp_path / "x.zarr", mode="w", shape=(1000,), chunks=(100,), dtype="i4", zarr_format=2)
    stored[:] = np.arange(1000)
    spans = []
    plain = structure.read
    monkeypatch.setattr(structure, "read", lambda *args: spans.append(args[1][0]) or plain(*args))
    starts, stops = np.array([5, 7, 7, 90, 410, 420, 999]), np.array([7, 7, 9, 95, 412, 425, 1000])
    found = structure.read_stretches(stored, starts, stops, "X")
    assert found.tolist() == [5, 6, 7, 8, *range(90, 95), 410, 411, *range(420, 425), 999]
    assert [(span.start, span.stop) for span in spans] == [(5, 95), (410, 425), (999, 1000)]
    assert structure.read_stretches(stored, starts[:0], stops[:0], "X").size == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert structure.read_stretches(np.arange(10), starts[:2], stops[:2], "X").tolist() == [5, 6]
