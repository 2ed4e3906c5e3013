"""Files of other kinds open in every command as the .h5ad file of the same counts does, and give an .h5ad file."""

import gzip
import io
import shutil
import zipfile

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io
from command import recall
from scipy import sparse

from recall_py.files.containers import stored

TOLD = "6 features that are no genes were left out: Antibody Capture"
N_GENES = 90


@pytest.fixture(scope="module")
def cells():
    """Three groups; two genes of one name, and proteins."""
    rng = np.random.default_rng(3)
    group = np.arange(150) % 3
    mean = np.where(np.arange(N_GENES) // 30 == group[:, None], 6.0, 1.0)
    counts = np.hstack([rng.poisson(mean), rng.poisson(300, (150, 6))]).astype(np.int32)
    adata = ad.AnnData(sparse.csr_matrix(counts))
    adata.obs_names = [f"CELL{i}-1" for i in range(150)]
    adata.var_names = ["SAME", "SAME", *(f"GENE{i}" for i in range(2, N_GENES)), *(f"CD{i}" for i in range(6))]
    adata.var["gene_ids"] = [f"ENSG{i:05}" for i in range(N_GENES + 6)]
    adata.var["feature_types"] = ["Gene Expression"] * N_GENES + ["Antibody Capture"] * 6
    adata.obs["group"] = pd.Categorical.from_codes(group, ["a", "b", "c"])
    return adata


def as_text(values):
    return np.array(list(values), dtype="S")


def write_matrix(group, adata):
    group["shape"] = np.array(adata.shape[::-1], dtype=np.int32)
    group["barcodes"] = as_text(adata.obs_names)
    for name in ("data", "indices", "indptr"):
        group[name] = getattr(adata.X, name)


def new_h5(adata, folder, genomes=("GRCh38",)):
    with h5py.File(folder / "filtered.h5", "w") as file:
        group = file.create_group("matrix")
        write_matrix(group, adata)
        features = group.create_group("features")
        features["id"], features["name"] = as_text(adata.var["gene_ids"]), as_text(adata.var_names)
        features["feature_type"] = as_text(adata.var["feature_types"])
        features["genome"] = as_text(np.resize(genomes, adata.n_vars))
        features["_all_tag_keys"] = as_text(["genome"])
    return folder / "filtered.h5"


def old_h5(adata, folder, genomes=("hg19",)):
    adata = adata[:, :N_GENES].copy()
    with h5py.File(folder / "filtered.h5", "w") as file:
        for genome in genomes:
            group = file.create_group(genome)
            write_matrix(group, adata)
            group["genes"], group["gene_names"] = as_text(adata.var["gene_ids"]), as_text(adata.var_names)
    return folder / "filtered.h5"


def mtx(adata, folder, *, genes, packed, prefix=""):
    """A folder of a matrix as CellRanger writes it, or packs it."""
    place = folder / "matrices"
    place.mkdir(exist_ok=True)
    if genes == "genes":
        adata = adata[:, :N_GENES]
    text = io.BytesIO()
    scipy.io.mmwrite(text, adata.X.T)
    columns = [adata.var["gene_ids"], adata.var_names, adata.var["feature_types"]][: 2 if genes == "genes" else 3]
    lines = {
        "matrix.mtx": text.getvalue().decode(),
        f"{genes}.tsv": "".join("\t".join(row) + "\n" for row in zip(*columns, strict=True)),
        "barcodes.tsv": "".join(f"{name}\n" for name in adata.obs_names),
    }
    for name, content in lines.items():
        if packed:
            (place / f"{prefix}{name}.gz").write_bytes(gzip.compress(content.encode()))
        else:
            (place / f"{prefix}{name}").write_text(content)
    return place


def packed_h5ad(adata, folder):
    plain(adata, folder / "cells.h5ad")
    packed = folder / "cells.h5ad.gz"
    packed.write_bytes(gzip.compress((folder / "cells.h5ad").read_bytes()))
    (folder / "cells.h5ad").unlink()
    return packed


def packed_zarr(adata, folder, *, within=False):
    root = folder / "made"
    unique(adata).write_zarr(root / "cells.zarr" if within else root)
    shutil.make_archive(folder / "cells.zarr", "zip", root)
    shutil.rmtree(root)
    return folder / "cells.zarr.zip"


def h5ad_called_h5(adata, folder):
    plain(adata, folder / "cells.h5")
    return folder / "cells.h5"


def unique(adata):
    adata = adata.copy()
    adata.var_names_make_unique()
    return adata


def plain(adata, path):
    unique(adata).write_h5ad(path)
    return path


WRITERS = {
    "10x .h5 of CellRanger 3": new_h5,
    "10x .h5 of CellRanger 2": old_h5,
    "mtx of CellRanger 3": lambda adata, folder: mtx(adata, folder, genes="features", packed=True),
    "mtx of STARsolo": lambda adata, folder: mtx(adata, folder, genes="features", packed=False),
    "mtx of CellRanger 2": lambda adata, folder: mtx(adata, folder, genes="genes", packed=False),
    "mtx of CellRanger 2, packed": lambda adata, folder: mtx(adata, folder, genes="genes", packed=True),
    "mtx of GEO": lambda adata, folder: mtx(adata, folder, genes="features", packed=True, prefix="GSM1_a_"),
    "matrix.mtx itself": lambda adata, folder: mtx(adata, folder, genes="genes", packed=False) / "matrix.mtx",
    ".h5ad.gz": packed_h5ad,
    ".zarr.zip": packed_zarr,
    ".zarr.zip of a folder": lambda adata, folder: packed_zarr(adata, folder, within=True),
    ".h5ad called .h5": h5ad_called_h5,
}
pytestmark = pytest.mark.filterwarnings(
    "ignore:Variable names are not unique", "ignore:.*zarr v2", "ignore:.*zarr v3", "ignore:.*Consolidated"
)


@pytest.fixture(scope="module")
def expected(cells, tmp_path_factory):
    """What the .h5ad file of the genes gives."""
    folder = tmp_path_factory.mktemp("expected")
    plain(cells[:, :N_GENES].copy(), folder / "in.h5ad")
    run = recall("cluster", "in.h5ad", "-o", "out.h5ad", "-q", cwd=folder)
    assert run.returncode == 0, run.stderr
    return ad.read_h5ad(folder / "out.h5ad").obs["leiden"].tolist()


@pytest.mark.parametrize("kind", WRITERS)
def test_clusters_are_those_of_the_h5ad_file_and_features_are_kept(cells, expected, kind, tmp_path):
    source = WRITERS[kind](cells, tmp_path)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    run = recall("cluster", source, "-o", tmp_path / "out.h5ad", "-q")
    assert run.returncode == 0, run.stderr
    found = ad.read_h5ad(tmp_path / "out.h5ad")
    assert found.obs["leiden"].tolist() == expected
    assert found.obs_names.tolist() == cells.obs_names.tolist()
    assert found.var_names[:3].tolist() == ["SAME", "SAME-1", "GENE2"]
    np.testing.assert_array_equal(found.X.toarray(), cells.X[:, : found.n_vars].toarray())
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted([*before, "out.h5ad"])
    assert (TOLD in found.uns["leiden"]["recall"]["selection"]) == ("2" not in kind and "itself" not in kind)


@pytest.mark.parametrize("kind", ["10x .h5 of CellRanger 3", "mtx of CellRanger 3", ".h5ad.gz", ".zarr.zip"])
def test_every_command_reads_it(cells, kind, tmp_path):
    with_groups = cells.copy()
    source = WRITERS[kind](with_groups, tmp_path)
    told = recall("info", source)
    assert told.returncode == 0, told.stderr
    assert f"all 90; {TOLD}" in told.stdout
    line = next(line for line in told.stdout.splitlines() if line.startswith("clustering"))
    assert f"recall-py cluster {source} -o labelled" in line
    run = recall("recall", source, "-o", tmp_path / "out.h5ad", "-q")
    assert run.returncode == 0, run.stderr
    for words in (("test",), ("merge", "-o", tmp_path / "merged.h5ad")):
        run = recall(words[0], source, *words[1:], "--groupby", "group")
        if kind.startswith("."):
            assert run.returncode == 0, run.stderr
        else:  # a table of counts alone has no labels
            assert run.returncode == 2
            assert "obs has no column 'group'" in run.stderr or "'group'" in run.stderr


def test_output_may_lie_in_the_folder_of_the_matrix(cells, tmp_path):
    source = WRITERS["mtx of CellRanger 3"](cells, tmp_path)
    run = recall("cluster", source, "-o", source / "out.h5ad", "-q")
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("write", [new_h5, old_h5])
def test_several_genomes_are_refused_with_a_line_that_keeps_one(cells, write, tmp_path, monkeypatch):
    source = write(cells, tmp_path, genomes=("hg19", "mm10"))
    run = recall("cluster", source, "-o", tmp_path / "out.h5ad")
    assert run.returncode == 2
    assert "2 genomes: hg19, mm10" in run.stderr
    monkeypatch.chdir(tmp_path)
    import scanpy

    exec(run.stderr.partition("in Python: ")[2].strip(), {"scanpy": scanpy})
    assert recall("info", tmp_path / "hg19.h5ad").returncode == 0


@pytest.mark.parametrize(("genes", "packed"), [("genes", False), ("features", True)])
def test_table_of_ids_alone_names_the_genes(genes, packed, cells, tmp_path):
    place = mtx(cells[:, :N_GENES].copy(), tmp_path, genes=genes, packed=packed)
    table = place / f"{genes}.tsv{'.gz' if packed else ''}"
    text = "".join(f"{name}\n" for name in cells.var["gene_ids"][:N_GENES]).encode()
    table.write_bytes(gzip.compress(text) if packed else text)
    with stored(place) as path:
        assert ad.read_h5ad(path).var_names.tolist() == cells.var["gene_ids"].tolist()[:N_GENES]


def damaged_root(path):
    h5py.File(path, "w").close()
    content = bytearray(path.read_bytes())
    content[72] = 9  # the cache type of the root's entry
    path.write_bytes(content)


BAD = {
    "damaged root": ("x.h5", damaged_root),
    "no 10x file": ("x.h5", lambda path: h5py.File(path, "w").close()),
    "no HDF5": ("x.h5", lambda path: path.write_bytes(b"nothing")),
    "matrix alone": ("matrix.mtx", lambda path: path.write_text("%%MatrixMarket matrix coordinate integer general\n")),
    "no loom": ("x.loom", lambda path: path.write_bytes(b"")),
    "cut gz": ("x.h5ad.gz", lambda path: path.write_bytes(gzip.compress(bytes(5000))[:20])),
    "no gz": ("x.h5ad.gz", lambda path: path.write_bytes(b"nothing")),
    "gz of something": ("x.h5ad.gz", lambda path: path.write_bytes(gzip.compress(b"nothing"))),
    "no zip": ("x.zarr.zip", lambda path: path.write_bytes(b"nothing")),
    "zip of something": ("x.zarr.zip", lambda path: zipfile.ZipFile(path, "w").writestr("a", "b")),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_not_of_its_kind_ends_in_a_sentence(case, tmp_path):
    name, write = BAD[case]
    write(tmp_path / name)
    for words in (("info", name), ("cluster", name, "-o", "out.h5ad"), ("test", name, "--groupby", "x")):
        run = recall(*words, cwd=tmp_path)
        assert run.returncode == 2, run.stderr
        assert run.stderr.startswith("error: ")
        assert name.partition(".")[0] in run.stderr
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_indices_that_lead_outside_are_refused(cells, tmp_path):
    source = new_h5(cells, tmp_path)
    with h5py.File(source, "r+") as file:
        file["matrix/indices"][5] = 10**6
    run = recall("info", source)
    assert run.returncode == 2
    assert "damaged" in run.stderr


def test_links_in_circles_are_refused(cells, tmp_path):
    source = new_h5(cells, tmp_path)
    with h5py.File(source, "r+") as file:
        file["matrix/again"] = file["matrix"]
    run = recall("info", source)
    assert run.returncode == 2
    assert "circles" in run.stderr


def test_several_matrices_in_one_folder_are_named(cells, tmp_path):
    for prefix in ("one_", "two_"):
        place = mtx(cells, tmp_path, genes="features", packed=True, prefix=prefix)
    run = recall("info", place)
    assert run.returncode == 2
    assert "one_matrix.mtx.gz" in run.stderr
    assert recall("info", place / "two_matrix.mtx.gz").returncode == 0


def test_it_is_not_written_over(cells, tmp_path):
    source = new_h5(cells, tmp_path)
    before = source.read_bytes()
    run = recall("cluster", source, "--in-place")
    assert run.returncode == 2
    assert "Pass -o filtered.h5ad" in run.stderr
    assert source.read_bytes() == before
    run = recall("cluster", source, "-o", tmp_path / "out.h5")
    assert run.returncode == 2
    assert "out.h5ad" in run.stderr


def test_what_is_made_on_the_way_is_private_and_goes(cells, tmp_path):
    source = new_h5(cells, tmp_path)
    with stored(source, tmp_path / "out.h5ad") as made:
        assert made.parent.parent == tmp_path.resolve()
        assert made.parent.stat().st_mode & 0o077 == 0
    assert not made.parent.exists()


@pytest.mark.parametrize("name", ["x.h5ad", "x.h5", "x.h5mu"])
def test_a_filter_that_is_not_installed_is_named_with_the_line_that_installs_it(name, tmp_path):
    packed = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    packed.set_chunk((4,))
    packed.set_filter(32999, h5py.h5z.FLAG_OPTIONAL)
    with h5py.File(tmp_path / name, "w") as file:
        group = file.create_group("matrix")
        space = h5py.h5s.create_simple((4,))
        h5py.h5d.create(group.id, b"data", h5py.h5t.NATIVE_INT32, space, packed)
    run = recall("info", tmp_path / name)
    assert run.returncode == 2
    assert "is packed by the HDF5 filter" in run.stderr
    assert "pip install hdf5plugin" in run.stderr
