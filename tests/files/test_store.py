"""A result in a file: all that the input held, what is new, and nothing half-written; read and written in blocks."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import tracemalloc
import warnings
from collections.abc import Mapping
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import searches
from scipy import sparse

import recall_py
from recall_py.adata.read import read_counts
from recall_py.cli.plot_slots import log_layer
from recall_py.counts import blocks
from recall_py.counts.matrix import CountMatrix
from recall_py.files import store
from recall_py.files.store import opened, rewrite, write_result

PBMC = Path(__file__).parents[2] / "data" / "pbmc68k.h5ad"
SHARED = Path(os.environ.get("RECALL_PY_SHARED", Path(__file__).parents[3] / "shared"))
N_CELLS, N_GENES = 150, 120
WRITTEN = [("obs", None), ("uns", "recall_clusters")]


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "_BLOCK", 3000)


def make_adata():
    """Three types of cells, with something in every slot."""
    rng = np.random.default_rng(3)
    kind = np.arange(N_CELLS) % 3
    mean = np.where(np.arange(N_GENES) // 30 == kind[:, None], 6.0, 1.0)
    counts = sparse.csr_matrix(rng.poisson(mean).astype(np.float32))
    adata = ad.AnnData(
        counts,
        obs=pd.DataFrame(
            {
                "kind": pd.Categorical.from_codes(kind, ["b", "a", "c"]),
                "note": np.where(kind == 1, "x", "y"),
                "age": pd.array([None, 1, 2] * (N_CELLS // 3), dtype="Int64"),
                "share of mt": rng.random(N_CELLS),
            },
            index=[f"cell{i}" for i in range(N_CELLS)],
        ),
        var=pd.DataFrame({"length": np.arange(N_GENES)}, index=[f"gene{i}" for i in range(N_GENES)]),
        uns={"title": "t", "nested": {"a": np.arange(3), "b": {"c": 1.5}}, "frame": pd.DataFrame({"q": [1, 2]})},
        obsm={
            "X_umap": rng.random((N_CELLS, 2)),
            "sparse": sparse.random(N_CELLS, 9, 0.3, format="csr", random_state=0),
            "frame": pd.DataFrame({"z": rng.random(N_CELLS)}, index=[f"cell{i}" for i in range(N_CELLS)]),
        },
        varm={"PCs": rng.random((N_GENES, 4))},
        obsp={"connectivities": sparse.random(N_CELLS, N_CELLS, 0.05, format="csr", random_state=0)},
        varp={"r": rng.random((N_GENES, N_GENES))},
        layers={"spliced": counts.tocsc() * 2, "scaled": rng.normal(size=(N_CELLS, N_GENES)).astype(np.float32)},
    )
    adata.raw = adata.copy()
    return adata


KINDS = {
    "CSR": lambda a: None,
    "CSC": lambda a: setattr(a, "X", a.X.tocsc()),
    "dense": lambda a: setattr(a, "X", a.X.toarray()),
    "integers": lambda a: setattr(a, "X", a.X.astype(np.int32)),
    "doubles": lambda a: setattr(a, "X", a.X.astype(np.float64)),
}
FILES = {
    "plain .h5ad": lambda a, folder: save(a, folder / "in.h5ad"),
    "packed .h5ad": lambda a, folder: save(a, folder / "in.h5ad", compression="gzip"),
    ".zarr": lambda a, folder: save(a, folder / "in.zarr"),
}


def save(adata, path, **options):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Writing zarr v2 data")
        (adata.write_zarr if path.suffix == ".zarr" else adata.write_h5ad)(path, **options)
    return path


def load(path):
    return ad.read_zarr(path) if path.suffix == ".zarr" else ad.read_h5ad(path)


def assert_equal(found, expected):
    """The same values, types and names in every slot."""
    if isinstance(expected, ad.AnnData):
        assert (found.raw is None) == (expected.raw is None)
        if expected.raw is not None:
            for slot in ("X", "var", "varm"):
                assert_equal(getattr(found.raw, slot), getattr(expected.raw, slot))
        for slot in ("X", "obs", "var", "uns", "obsm", "varm", "obsp", "varp", "layers"):
            assert_equal(getattr(found, slot), getattr(expected, slot))
    elif isinstance(expected, Mapping):
        assert set(found) == set(expected)
        for name in expected:
            assert_equal(found[name], expected[name])
    elif isinstance(expected, pd.DataFrame):
        pd.testing.assert_frame_equal(pd.DataFrame(found), pd.DataFrame(expected))
    elif sparse.issparse(expected):
        assert (found.format, found.dtype) == (expected.format, expected.dtype)
        np.testing.assert_array_equal(found.toarray(), expected.toarray())
    else:
        assert getattr(found, "dtype", None) == getattr(expected, "dtype", None)
        np.testing.assert_array_equal(found, expected)


def contents(path):
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def cluster(adata, **options):
    given = {"algorithm": "kmeans", "num_clusters_start": 5, "dims": 10, "n_top_genes": 80, **options}
    recall_py.tl.recall(adata, **given)


def without_times(adata):
    adata.uns["recall_clusters"]["recall"]["seconds"] = {}
    return adata


@pytest.fixture(scope="module", params=KINDS)
def in_memory(request, tmp_path_factory):
    """Cells of one kind, and what a file holds, by its suffix, once they are read, clustered in memory and written.

    Those of the first kind have something in every slot, and are written to .zarr too, which costs ten times as much.
    """
    kind = request.param
    adata = make_adata()
    KINDS[kind](adata)
    del adata.raw
    if kind != "CSR":
        adata = ad.AnnData(adata.X, obs=adata.obs, var=adata.var, layers={"spliced": adata.layers["spliced"]})
    folder = tmp_path_factory.mktemp("expected")
    clustered = load(save(adata, folder / "in.h5ad"))
    cluster(clustered)
    without_times(clustered)
    suffixes = (".h5ad", ".zarr") if kind == "CSR" else (".h5ad",)
    return adata, {suffix: load(save(clustered, folder / f"out{suffix}")) for suffix in suffixes}


@pytest.mark.parametrize("file", FILES)
def test_file_holds_what_memory_would(in_memory, file, tmp_path):
    adata, held = in_memory
    path = FILES[file](adata, tmp_path)
    before = contents(path)
    with opened(path) as found:
        cluster(found)
        for suffix, expected in held.items():
            target = tmp_path / f"out{suffix}"
            write_result(found, path, target, WRITTEN, None)
            assert_equal(without_times(load(target)), expected)
    assert contents(path) == before


def test_counts_in_raw_and_in_a_layer_are_found(tmp_path):
    adata = make_adata()
    adata.X = adata.X.log1p()
    path = save(adata, tmp_path / "in.h5ad")
    with opened(path) as found:
        for layer, source in ((None, "raw.X"), ("spliced", "layers['spliced']")):
            expected, data = (read_counts(one, layer=layer, n_top_genes=50) for one in (adata, found))
            assert data.source == expected.source == source
            assert data.selection == expected.selection
            assert (data.read().counts != expected.read().counts).nnz == 0
            np.testing.assert_array_equal(data.depth, expected.depth)
        with pytest.raises(ValueError, match=r"layers\['scaled'\] holds negative values, but raw integer counts"):
            read_counts(found, layer="scaled")
    del adata.raw
    with (
        opened(save(adata, tmp_path / "log.h5ad")) as found,
        pytest.raises(ValueError, match="X holds values that are not"),
    ):
        read_counts(found)


def test_real_cells_get_the_labels_that_they_get_in_memory(monkeypatch):
    monkeypatch.setattr(blocks, "_BLOCK", 1_000_000)
    path = SHARED / "data" / "pbmc3k.h5ad"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    expected = ad.read_h5ad(path)
    options = {"flavor": "igraph", "n_iterations": 2, "graph": "snn", "random_state": 5}
    searches.leiden(expected, 2, **options)
    with opened(path) as found:
        searches.leiden(found, 2, **options)
        assert found.obs["leiden"].equals(expected.obs["leiden"])
        np.testing.assert_array_equal(found.uns["leiden"]["recall"]["genes"], expected.uns["leiden"]["recall"]["genes"])


def test_restricted_run_reads_the_cells_of_its_categories(tmp_path):
    expected = make_adata()
    path = save(expected, tmp_path / "in.h5ad")
    options = {"restrict_to": ("kind", ["a", "b"]), "num_clusters_start": 3}
    cluster(expected, **options)
    with opened(path) as found:
        cluster(found, **options)
        assert found.obs["recall_clusters_R"].equals(expected.obs["recall_clusters_R"])


def test_backed_object_gets_the_labels_and_its_file_stays(tmp_path):
    expected = make_adata()
    path = save(expected, tmp_path / "in.h5ad")
    before = contents(path)
    cluster(expected)
    backed = ad.read_h5ad(path, backed="r")
    cluster(backed)
    assert backed.obs["recall_clusters"].equals(expected.obs["recall_clusters"])
    with pytest.raises(ValueError, match=r"backed by a file and cannot be copied\. Leave copy out"):
        cluster(backed, copy=True)
    backed.file.close()
    assert contents(path) == before


@pytest.mark.parametrize(
    ("kind", "source"),
    [("CSR", "in.h5ad"), ("CSC", "in.h5ad"), ("dense", "in.h5ad"), ("integers", "in.h5ad"), ("CSR", "in.zarr")],
)
def test_log_layer_is_that_of_scanpy(kind, source, tmp_path):
    adata = make_adata()
    KINDS[kind](adata)
    path = save(adata, tmp_path / source)
    with opened(path) as found:
        write_result(found, path, tmp_path / "out.h5ad", [], log_layer(found, CountMatrix(found.X)))
    found = ad.read_h5ad(tmp_path / "out.h5ad").layers["log_normalised"]
    adata.X = adata.X.astype(np.float32)
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    assert found.dtype == np.float32
    assert getattr(found, "format", "dense") == {"CSC": "csc", "dense": "dense"}.get(kind, "csr")
    dense = [x.toarray() if sparse.issparse(x) else x for x in (found, adata.X)]
    np.testing.assert_allclose(*dense, rtol=2e-6)


@pytest.mark.parametrize(
    ("source", "suffix", "dense"),
    [("in.h5ad", ".h5ad", False), ("in.h5ad", ".zarr", True), ("in.zarr", ".h5ad", True), ("in.zarr", ".zarr", False)],
)
def test_cells_that_are_left_out_are_gone_from_every_slot(source, suffix, dense, tmp_path):
    adata = make_adata()
    if dense:
        adata.X = adata.X.toarray()
    path, target = save(adata, tmp_path / source), tmp_path / f"out{suffix}"
    kept = np.arange(N_CELLS) % 4 > 0
    with opened(path) as found:
        rewrite(found, target, kept)
    assert_equal(load(target), load(path)[kept].copy())


def test_what_no_annotated_data_knows_stays_in_the_file(tmp_path):
    path = save(make_adata(), tmp_path / "in.h5ad")
    with h5py.File(path, "a") as file:
        file["mine/values"] = np.arange(5)
    with opened(path) as found:
        cluster(found)
        write_result(found, path, path, WRITTEN, None)
    with h5py.File(path) as file:
        assert file["mine/values"][...].tolist() == [0, 1, 2, 3, 4]
        assert "recall_clusters" in file["obs"]


@pytest.mark.parametrize("name", ["in.h5ad", "in.zarr"])
def test_result_can_take_the_place_of_its_input_again_and_again(name, tmp_path):
    path = save(make_adata(), tmp_path / name)
    for seed in range(2):
        with opened(path) as found:
            cluster(found, random_state=seed, key_added=f"seed{seed}")
            write_result(found, path, path, [("obs", None), ("uns", f"seed{seed}")], None)
    adata = load(path)
    assert {"seed0", "seed1"} <= set(adata.obs) & set(adata.uns)
    assert (adata.X != make_adata().X).nnz == 0
    assert [found.name for found in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["in.h5ad", "in.zarr"])
def test_write_that_fails_leaves_the_old_one(name, tmp_path):
    path = save(make_adata(), tmp_path / name)
    before = contents(path)
    with opened(path) as found:
        found.uns["recall_clusters"] = {"no file can hold this": object()}
        with pytest.raises(Exception, match="object"):
            write_result(found, path, path, [("uns", "recall_clusters")], None)
    assert contents(path) == before
    assert [found.name for found in tmp_path.iterdir()] == [name]


KILLED = """
import sys, time
from pathlib import Path
from recall_py.files import store as disk

def stop(*_):
    print("writing", flush=True)
    time.sleep(3600)

disk._write = stop
source, target = map(Path, sys.argv[1:])
with disk.opened(source) as adata:
    disk.write_result(adata, source, target, [("obs", None)], None)
"""


@pytest.mark.parametrize("name", ["in.h5ad", "in.zarr"])
@pytest.mark.parametrize("existing", [False, True])
def test_kill_while_writing_leaves_the_target_absent_or_as_it_was(name, existing, tmp_path):
    path = save(make_adata(), tmp_path / name)
    target = path if existing else tmp_path / f"out{path.suffix}"
    before = contents(path)
    command = [sys.executable, "-c", KILLED, str(path), str(target)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"writing\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert contents(path) == before
    assert [found.name for found in tmp_path.iterdir() if not found.name.startswith(".")] == [name]


@pytest.fixture(params=["read through", "too large for that"])
def _large_or_small(request, monkeypatch):
    if request.param == "too large for that":
        monkeypatch.setattr(store, "_SMALL", 0)


@pytest.mark.usefixtures("_large_or_small")
@pytest.mark.parametrize("slot", ["X", "layers/spliced", "obsm/sparse", "obsp/connectivities", "raw/X"])
def test_damaged_matrix_is_named_and_never_rewritten(slot, tmp_path):
    path = save(make_adata(), tmp_path / "in.h5ad")
    with h5py.File(path, "a") as file:
        file[slot]["indptr"][5] = 10**8
    with (
        pytest.raises(ValueError, match=f"{slot} is damaged: indptr falls from 100000000"),
        opened(path) as found,
    ):
        rewrite(found, tmp_path / "out.h5ad", np.arange(N_CELLS) % 4 > 0)


def test_links_in_circles_and_to_other_files_are_refused(tmp_path):
    path = save(make_adata(), tmp_path / "in.h5ad")
    for name, link in (("uns/loop", h5py.SoftLink("/")), ("uns/other", h5py.ExternalLink("other.h5", "/X"))):
        with h5py.File(path, "a") as file:
            file[name] = link
        with pytest.raises(ValueError, match=r"go round in circles|is a link to another file"), opened(path):
            pass
        with h5py.File(path, "a") as file:
            del file[name]
    with opened(path):
        pass


def test_what_is_no_file_is_refused_and_never_waited_for(tmp_path):
    path = save(make_adata(), tmp_path / "in.zarr")
    for place, message in ((tmp_path / "pipe.h5ad", "is no file that can be read"), (path / "X" / "pipe", "pipe")):
        os.mkfifo(place)
        with (
            pytest.raises(ValueError, match=message),
            opened(path if place.is_relative_to(path) else place),
        ):
            pass
        place.unlink()
    (path / "X" / "loop").symlink_to(path)
    with pytest.raises(ValueError, match="loop is a link to a folder that it lies in"), opened(path):
        pass


@pytest.mark.filterwarnings("ignore::anndata.OldFormatWarning")
def test_file_without_version_marks_is_read(tmp_path):
    """As anndata 0.7 wrote them: no mark at the root, categories of obs beside the columns, by reference."""
    expected = make_adata()
    del expected.raw
    path = save(expected, tmp_path / "in.h5ad")
    with h5py.File(path, "a") as file:
        for mark in ("encoding-type", "encoding-version"):
            del file.attrs[mark]
        for table in ("obs", "var"):
            file[table].attrs["encoding-version"] = "0.1.0"
        codes, names = file["obs/kind/codes"][...], file["obs/kind/categories"][...]
        del file["obs/kind"], file["obs/age"]
        file["obs"].attrs["column-order"] = np.array(["kind", "note", "share of mt"], dtype=object)
        file["obs/kind"] = codes
        file["obs/__categories/kind"] = names
        file["obs/kind"].attrs["categories"] = file["obs/__categories/kind"].ref
        file["obs/__categories/kind"].attrs["ordered"] = False
    with opened(path) as found:
        cluster(found)
        write_result(found, path, tmp_path / "out.h5ad", WRITTEN, None)
    cluster(expected)
    found = ad.read_h5ad(tmp_path / "out.h5ad")
    assert found.obs["kind"].tolist() == expected.obs["kind"].tolist()
    assert found.obs["recall_clusters"].tolist() == expected.obs["recall_clusters"].tolist()
    assert_equal(found.layers["scaled"], expected.layers["scaled"])


@pytest.mark.filterwarnings("ignore::anndata.OldFormatWarning")
def test_file_of_the_first_versions_is_read(tmp_path):
    """As anndata 0.6 wrote them: tables as one dataset, their categories in uns, sparse matrices by another mark."""
    expected = make_adata()
    path = tmp_path / "in.h5ad"
    with h5py.File(path, "w") as file:
        x = file.create_group("X")
        x.attrs["h5sparse_format"], x.attrs["h5sparse_shape"] = "csr", expected.shape
        x["data"], x["indices"], x["indptr"] = expected.X.data, expected.X.indices, expected.X.indptr
        obs = np.rec.fromarrays(
            [expected.obs_names.to_numpy().astype("S"), expected.obs["kind"].cat.codes], names=["index", "kind"]
        )
        file["obs"] = np.asarray(obs).view(np.ndarray)
        file["var"] = np.asarray(
            np.rec.fromarrays([expected.var_names.to_numpy().astype("S"), np.arange(N_GENES)], names=["index", "n"])
        ).view(np.ndarray)
        file["uns/kind_categories"] = np.array(["b", "a", "c"], dtype="S")
    before = contents(path)
    with opened(path) as found:
        cluster(found)
        write_result(found, path, tmp_path / "out.h5ad", WRITTEN, None)
    cluster(expected)
    found = ad.read_h5ad(tmp_path / "out.h5ad")
    assert found.obs["kind"].tolist() == expected.obs["kind"].tolist()
    assert found.obs["recall_clusters"].tolist() == expected.obs["recall_clusters"].tolist()
    assert (found.X != expected.X).nnz == 0
    assert contents(path) == before


@pytest.mark.parametrize(
    ("name", "message"), [("no.h5ad", "is not a readable .h5ad file"), ("no.zarr", "is not a readable .zarr store")]
)
def test_file_of_another_kind_is_refused(name, message, tmp_path):
    if name == "no.zarr":
        (tmp_path / name).mkdir()
        (tmp_path / name / "zarr.json").write_text("{}")
    else:
        with h5py.File(tmp_path / name, "w") as file:
            file["matrix/barcodes"] = np.arange(3)
    with pytest.raises(ValueError, match=message), opened(tmp_path / name):
        pass


@pytest.mark.parametrize("kind", ["CSR", "CSC", "dense"])
def test_peak_memory_is_that_of_the_selected_genes(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "_BLOCK", 50_000)
    n_cells, n_genes, n_chosen = 2000, 4000, 100
    rng = np.random.default_rng(0)
    counts = sparse.random(n_cells, n_genes, 0.2, format="csr", dtype=np.float32, random_state=rng)
    counts.data[:] = rng.integers(1, 4, counts.nnz)
    adata = ad.AnnData(counts, var=pd.DataFrame(index=[f"gene{i}" for i in range(n_genes)]))
    KINDS[kind](adata)
    size = counts.nnz * 8
    path = save(adata, tmp_path / "in.h5ad", compression="lzf")
    del adata, counts
    with opened(path) as found:
        read_counts(found, n_top_genes=50).read()  # compiles
        tracemalloc.start()
        data = read_counts(found, n_top_genes=n_chosen)
        counts = data.read().counts
        layer = log_layer(found, data.matrix)
        write_result(found, path, tmp_path / "out.h5ad", [("obs", None)], layer)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    selected = counts.data.nbytes + counts.indices.nbytes
    assert counts.shape == (n_cells, n_chosen)
    assert peak < selected + 0.3 * size
