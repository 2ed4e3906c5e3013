"""Files of other kinds, made into .h5ad files by the libraries that know them: 10x, loom, and what is packed whole."""

from __future__ import annotations

import gzip
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from recall_py.counts.structure import refuse_damaged
from recall_py.files.atomic import first_line, is_store, private_folder
from recall_py.files.store import MissingFilterError, refuse_absent, refuse_loops
from recall_py.words import listed

if TYPE_CHECKING:
    from anndata import AnnData


class _Kind(NamedTuple):
    """What another file is, and what makes an .h5ad file or a .zarr store of it in a folder."""

    called: str
    make: Callable[[Path, Path], Path]


class _RefusedError(ValueError):
    """What a file holds cannot be taken as it is; the message is whole."""


@contextmanager
def stored(source: Path, target: Path | None = None) -> Iterator[Path]:
    """An .h5ad file or .zarr store with what `source` holds: itself, or one that is removed in the end.

    It is made in a private folder beside `target`, or where temporary files are.

    Raises
    ------
    ValueError
        If a file of another kind is not readable, or is to be written over.
    """
    kind = _kind_of(source)
    if kind is None:
        yield source
        return
    if target == source:
        msg = f"{source} is {kind.called}, which is not written. Pass -o {source.name.partition('.')[0]}.h5ad"
        raise ValueError(msg)
    if not source.is_dir():
        refuse_absent(source)
    with private_folder((target or Path(tempfile.gettempdir(), "x")).resolve()) as folder:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                made = kind.make(source, folder)
        except (_RefusedError, MissingFilterError):
            raise
        except Exception as error:
            msg = (
                f"{source} cannot be read as {kind.called} ({type(error).__name__}: {first_line(error)}). It may be "
                "cut off or of another format: copy or download it again."
            )
            raise ValueError(msg) from error
        yield made


def _kind_of(path: Path) -> _Kind | None:
    """What kind of other file a path names; None for those that are read where they lie, and for what is not there."""
    if not path.exists() or is_store(path):
        return None
    if path.is_dir():
        return _KINDS[".mtx"] if _matrices(path) else None
    if path.suffix.lower() == ".h5" and _holds_anndata(path):
        return None
    return _KINDS.get("".join(path.suffixes[-2:]).lower()) or _KINDS.get(path.suffix.lower())


def _holds_anndata(path: Path) -> bool:
    import h5py

    if not path.is_file() or not h5py.is_hdf5(path):
        return False
    try:
        with h5py.File(path) as file:
            return {"obs", "var"} <= {*file}
    except (OSError, RuntimeError):  # damaged, as what reads it will say
        return False


def _from_10x(path: Path, folder: Path) -> Path:
    """Of CellRanger 2, whose genomes are groups, or 3, whose genomes are a column."""
    import h5py
    import scanpy as sc

    with h5py.File(path) as file:
        refuse_loops(file)
        genomes = [] if "matrix" in file else [name for name in file if "barcodes" in file[name]]
    _refuse_several(genomes, path)
    adata = sc.read_10x_h5(path, gex_only=False)
    if "genome" in adata.var:
        _refuse_several([name for name in adata.var["genome"].unique() if name], path)
    return _written(adata, folder)


def _refuse_several(genomes: list[str], path: Path) -> None:
    if len(genomes) > 1:
        msg = (
            f"{path} has genes of {len(genomes)} genomes: {listed(genomes)}. Keep one, in Python: "
            f"a = scanpy.read_10x_h5({str(path)!r}, genome={genomes[0]!r}); a.var_names_make_unique(); "
            f"a.write_h5ad({genomes[0] + '.h5ad'!r})"
        )
        raise _RefusedError(msg)


def _from_mtx(path: Path, folder: Path) -> Path:
    """Of a matrix and the tables beside it, packed or not, of CellRanger 2 or 3, also with a prefix to their names."""
    import scanpy as sc

    found = [path] if path.is_file() else _matrices(path)
    if len(found) > 1:
        msg = f"{path} has {len(found)} matrices. Name one: {listed(found)}."
        raise _RefusedError(msg)
    matrix = found[0]
    prefix = matrix.name.partition("matrix.mtx")[0] if "matrix.mtx" in matrix.name else ""
    genes, cells = (_table(matrix, prefix, names) for names in (("features", "genes"), ("barcodes",)))
    with _unpacked(genes) as lines:
        n_columns = 1 + lines.readline().count(b"\t")
    is_old = n_columns < 3
    end = "" if is_old else ".gz"
    tables = {"matrix.mtx": matrix, "genes.tsv" if is_old else "features.tsv": genes, "barcodes.tsv": cells}
    for name, file in tables.items():
        _put(file, folder / f"{name}{end}")
    if n_columns == 1:
        _name_by_id(genes, folder / "genes.tsv")
    return _written(sc.read_10x_mtx(folder, gex_only=False), folder)


def _matrices(folder: Path) -> list[Path]:
    return sorted(file for end in ("", ".gz") for file in folder.glob(f"*matrix.mtx{end}") if file.is_file())


def _table(matrix: Path, prefix: str, names: tuple[str, ...]) -> Path:
    """The table of genes or cells beside a matrix."""
    wanted = [f"{prefix}{name}.tsv{end}" for name in names for end in ("", ".gz")]
    for name in wanted:
        if (matrix.parent / name).is_file():
            return matrix.parent / name
    msg = f"There is no {' or '.join(wanted[::2])} beside {matrix}, which says what its rows and columns are."
    raise _RefusedError(msg)


def _put(file: Path, place: Path) -> None:
    """Put a file where its name says whether it is packed."""
    if (file.suffix == ".gz") == (place.suffix == ".gz"):
        place.symlink_to(file.resolve())
        return
    with _unpacked(file) as source, gzip.open(place, "wb", 1) if place.suffix == ".gz" else place.open("wb") as target:
        shutil.copyfileobj(source, target)


def _name_by_id(genes: Path, place: Path) -> None:
    """Put a table of genes that has one column where two are read."""
    place.unlink()
    with _unpacked(genes) as lines:
        place.write_bytes(b"".join(b"%b\t%b\n" % (line.strip(), line.strip()) for line in lines))


def _unpacked(file: Path) -> gzip.GzipFile:
    return gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb")  # type: ignore[return-value]


def _from_loom(path: Path, folder: Path) -> Path:
    import anndata as ad
    import h5py

    if find_spec("loompy") is None:
        msg = f"{path} is a loom file, and loompy, which reads them, is not installed. Install it: pip install loompy"
        raise _RefusedError(msg)
    with h5py.File(path) as file:
        refuse_loops(file)
    return _written(ad.io.read_loom(path), folder)


def _from_gz(path: Path, folder: Path) -> Path:
    _put(path, folder / "unpacked.h5ad")
    return folder / "unpacked.h5ad"


def _from_zip(path: Path, folder: Path) -> Path:
    with zipfile.ZipFile(path) as packed:
        packed.extractall(folder / "unpacked.zarr")
    stores = [place for place in (folder / "unpacked.zarr", *(folder / "unpacked.zarr").iterdir()) if is_store(place)]
    if not stores:
        msg = (
            f"{path} holds no .zarr store. It has: {listed([place.name for place in folder.glob('unpacked.zarr/*')])}."
        )
        raise _RefusedError(msg)
    return stores[0]


def _written(adata: AnnData, folder: Path) -> Path:
    """What was read, with names of genes that are told apart, as an .h5ad file."""
    from scipy import sparse

    if sparse.issparse(adata.X):
        refuse_damaged(adata.X, "the matrix")
        adata.X = sparse.csr_matrix(adata.X)
    adata.var_names_make_unique()
    adata.write_h5ad(folder / "read.h5ad", compression="gzip")
    return folder / "read.h5ad"


_KINDS = {
    ".h5": _Kind("a 10x file", _from_10x),
    ".mtx": _Kind("a 10x matrix", _from_mtx),
    ".mtx.gz": _Kind("a 10x matrix", _from_mtx),
    ".loom": _Kind("a loom file", _from_loom),
    ".h5ad.gz": _Kind("a packed .h5ad file", _from_gz),
    ".zarr.zip": _Kind("a packed .zarr store", _from_zip),
}
"""By the ends of their names."""
