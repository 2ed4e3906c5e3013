"""Files of single-cell data whose matrices stay on disk: .h5ad files and .zarr stores.

A file is opened as an AnnData whose matrices are handles. A result is written by copying the file and writing what is
new into the copy, so that neither takes more memory than a block of a matrix and the tables of cells and genes.
"""

from __future__ import annotations

import math
import os
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recall_py.counts.blocks import read_tile, tiles
from recall_py.counts.source import reading_once
from recall_py.counts.structure import DamagedError, place_of, refuse_damaged
from recall_py.files.atomic import first_line, is_store, is_zarr, write_atomically

if TYPE_CHECKING:
    from anndata import AnnData

_ALIGNED = ("obsm", "varm", "obsp", "varp", "layers")
_UNMARKED = (None, None)
_SPARSE = (("csr_matrix", "0.1.0"), ("csc_matrix", "0.1.0"))
_DENSE = (_UNMARKED, ("array", "0.2.0"))
_GROUP = dict.fromkeys(_ALIGNED, (_UNMARKED, ("dict", "0.1.0"))) | {"raw": (_UNMARKED, ("raw", "0.1.0"))}
"""Kinds and versions of elements that are read here and not by anndata."""
_OTHER_KINDS = {
    ".h5mu": ("a MuData", "mudata.read_h5ad('PATH', mod='rna').write_h5ad('rna.h5ad')"),
}
"""Other files of single-cell data by the ends of their names: what they are, and what makes an .h5ad file of them."""
_SMALL = 256 << 20
"""Bytes of a file that is read through when it is opened; of a larger one only what is used is read."""
_MOST_VALUES = 1 << 32
"""Of a dense matrix in such a file, above which most of it was never written, and reading it through has no end."""
_DEEPEST, _MOST_ELEMENTS = 32, 200_000
"""Levels and elements of a file, above which its links go round in circles."""
_TABLES = ("obs", "var", "uns")
Change = Callable[[Any, slice], Any]
"""A block of a matrix, and its rows, into what is to be written in its place."""


class MadeLayer(NamedTuple):
    """A layer that is made block by block while a file is written."""

    name: str
    matrix: Any
    """What it is made from."""
    change: Change


class MissingFilterError(ValueError):
    """A dataset is packed by what is not installed here."""


@contextmanager
def opened(path: Path, called: Path | None = None) -> Iterator[AnnData]:
    """The contents of an .h5ad file or a .zarr store; matrices are read where they are asked for, counts once.

    Parameters
    ----------
    path
        The file, or the folder of the store.
    called
        What the user knows it by, where it was made of that.

    Raises
    ------
    ValueError
        If it does not exist or is of another kind.
    """
    refuse_absent(path)
    try:
        store = _open(path, "r")
        refuse_loops(store)
        adata = _contents(path, store)
        if sum(file.stat().st_size for file in files_of(path)) <= _SMALL:
            _read_through(adata)
    except (DamagedError, MissingFilterError):
        raise
    except Exception as error:
        kind, write = (".zarr store", "write_zarr") if is_zarr(path) else (".h5ad file", "write_h5ad")
        msg = (
            f"{called or path} is not a readable {kind} ({type(error).__name__}: {first_line(error)}). It may be cut "
            f"off or of another format: copy or download it again, or write it anew with adata.{write}(...)."
        )
        raise ValueError(msg) from error
    try:
        with reading_once():
            yield adata
    finally:
        if adata.isbacked:
            adata.file.close()
        _close(store)


def refuse_absent(path: Path) -> None:
    """Refuse a path at which there is no file, or no store."""
    if path.is_dir() and not is_store(path):
        msg = f"{path} is a folder; the path of an .h5ad file or a .zarr store is needed."
        raise ValueError(msg)
    if not path.exists():
        msg = f"{path} does not exist; the path of an .h5ad file or a .zarr store is needed."
        raise ValueError(msg)
    other = _OTHER_KINDS.get("".join(path.suffixes[-2:]).lower()) or _OTHER_KINDS.get(path.suffix.lower())
    if other is not None:
        kind, line = other
        msg = f"{path} is {kind}; the path of an .h5ad file or a .zarr store is needed. Make one in Python: {line}"
        raise ValueError(msg.replace("PATH", str(path)))
    for file in files_of(path):
        if not file.is_file():
            msg = f"{file} is no file that can be read, but a device, a pipe or a link to nothing. Leave it out."
            raise ValueError(msg)


def files_of(path: Path) -> Iterator[Path]:
    """A file, or the files of a folder; links are followed.

    Raises
    ------
    ValueError
        If a link leads back to a folder that it lies in.
    """
    if not path.is_dir():
        yield path
        return
    for folder, folders, names in os.walk(path, followlinks=True):
        here = Path(folder)
        yield from (here / name for name in names)
        for name in folders:
            link = here / name
            if link.is_symlink() and here.resolve().is_relative_to(link.resolve()):
                msg = f"{link} is a link to a folder that it lies in. Put the folder that is meant in its place."
                raise ValueError(msg)


def in_memory(stored: Any) -> Any:
    """An element of what :func:`opened` gives, read.

    Raises
    ------
    DamagedError
        If it is a sparse matrix that leads outside itself.
    """
    if hasattr(stored, "to_memory"):
        value = stored.to_memory()
        refuse_damaged(value, place_of(stored))
        return value
    return stored if isinstance(stored, np.ndarray) or not hasattr(stored, "chunks") else stored[...]


def write_result(
    adata: AnnData, source: Path, target: Path, written: Iterable[tuple[str, str | None]], made: MadeLayer | None
) -> None:
    """Write `target`: all that is in `source`, and what was added to `adata` since it was opened.

    Parameters
    ----------
    adata
        From :func:`opened`.
    source
        What it was opened from; may be `target`.
    target
        Written atomically; a .zarr store if it is called so.
    written
        Slots and names of what was added, such as ``("uns", "leiden")`` and ``("obs", None)`` for the whole table.
    made
        A layer that is made block by block while it is written.
    """
    import h5py

    def fill(partial: Path) -> None:
        if is_zarr(source) == is_zarr(target):
            _copy(source, partial)
        else:
            rewrite(adata, partial)
        with _changing(partial) as store:
            if _is_old(store):
                for slot in _TABLES:
                    _write(store, slot, dict(adata.uns) if slot == "uns" else getattr(adata, slot))
                for slot in ("obsm", "varm"):
                    if isinstance(store.get(slot), h5py.Dataset):
                        _write(store, slot, dict(getattr(adata, slot)))
            for slot, name in written:
                if name is None or slot not in store:
                    _write(store, slot, getattr(adata, slot) if name is None else {})
                if name is not None:
                    _write(store[slot], name, getattr(adata, slot)[name])
            if made is not None:
                if "layers" not in store:
                    _write(store, "layers", {})
                _write_matrix(store["layers"], *made)

    write_atomically(target, fill)


def refuse_unwritable_tables(adata: AnnData, source: Path, target: Path) -> None:
    """Try to write what :func:`write_result` will not copy but write, to a file in memory.

    Raises
    ------
    ValueError
        With the slot, if one cannot be written.
    """
    import h5py

    with h5py.File("tried.h5ad", "w", driver="core", backing_store=False) as store, _choices_of_anndata():
        for slot in ("obs",) if is_zarr(source) == is_zarr(target) else _TABLES:
            value = getattr(adata, slot)
            try:
                _write(store, slot, dict(value) if slot == "uns" else value)
            except Exception as error:
                msg = (
                    f"{slot} can be read, and cannot be written ({type(error).__name__}: {first_line(error)}). Remove "
                    "or rename what is named there: nothing has been computed yet."
                )
                raise ValueError(msg) from error


class InputChangedError(ValueError):
    """A file is not the one any more that a result was made from."""


def state_of(path: Path) -> tuple[int, ...]:
    """What tells a file, or the folder of a store, from another of its name."""
    if path.is_dir() and not is_store(path):  # a folder with a matrix, beside which other files may come and go
        return tuple(number for file in sorted(path.glob("*.mtx*")) for number in state_of(file))
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_mtime_ns, 0 if path.is_dir() else found.st_size


def rewrite(adata: AnnData, path: Path, cells: NDArray[np.bool_] | None = None) -> None:
    """Write all of `adata`, or some of its cells, to a new file or store; matrices block by block."""
    import anndata as ad

    kept = np.ones(adata.n_obs, dtype=bool) if cells is None else cells
    tables = ad.AnnData(obs=adata.obs[kept], var=adata.var, uns=adata.uns)
    with _choices_of_anndata():
        write = tables.write_zarr if is_zarr(path) else tables.write_h5ad
        write(path, convert_strings_to_categoricals=False)
    with _changing(path) as store:
        for slot in ("obsm", "obsp"):
            for name, stored in getattr(adata, slot).items():
                value = in_memory(stored)
                _write(store[slot], name, value[kept] if slot == "obsm" else value[kept][:, kept])
        for slot in ("varm", "varp"):
            for name, stored in getattr(adata, slot).items():
                _write(store[slot], name, in_memory(stored))
        only = _rows(kept)
        if adata.X is not None:
            _write_matrix(store, "X", adata.X, only, kept)
        for name, stored in adata.layers.items():
            if name is not None:  # anndata 0.13 lists X as None
                _write_matrix(store["layers"], name, stored, only, kept)
        if adata.raw is not None:
            if "raw" in store:
                del store["raw"]
            raw = store.create_group("raw")
            raw.attrs.update({"encoding-type": "raw", "encoding-version": "0.1.0"})
            _write(raw, "var", adata.raw.var)
            _write(raw, "varm", {name: in_memory(stored) for name, stored in adata.raw.varm.items()})
            _write_matrix(raw, "X", adata.raw.X, only, kept)


def write_joined(tables: AnnData, blocks: Iterable[sparse.csr_matrix], like: Any, path: Path) -> None:
    """Write an .h5ad file atomically: tables, and blocks of cells that are ``X`` together, packed as a matrix is."""

    def fill(partial: Path) -> None:
        with _choices_of_anndata():
            tables.write_h5ad(partial)
        with _changing(partial) as store:
            _write_blocks(store, "X", blocks, np.int64, _storage(store, like))

    write_atomically(path, fill)


def _rows(kept: NDArray[np.bool_]) -> Change:
    """The cells of a block that are kept."""
    return lambda block, rows: block[kept[rows]]


def _copy(source: Path, target: Path) -> None:
    """Copy a file, or the files of a folder; what is read-only does not stay so."""
    if source.is_file():
        shutil.copyfile(source, target)
        return
    for file in files_of(source):
        here = target / file.relative_to(source)
        here.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, here)


def _open(path: Path, mode: Literal["r", "r+"]) -> Any:
    if is_zarr(path):
        import zarr

        return zarr.open_group(path, mode=mode, use_consolidated=False)
    import h5py

    return h5py.File(path, mode)


def _close(store: Any) -> None:
    if hasattr(store, "close"):
        store.close()


def _is_consolidated(path: Path) -> bool:
    import zarr

    return zarr.open_group(path, mode="r").metadata.consolidated_metadata is not None


@contextmanager
def _changing(path: Path) -> Iterator[Any]:
    """An existing file or store, to be written to."""
    consolidated = is_zarr(path) and _is_consolidated(path)
    store = _open(path, "r+")
    try:
        with _choices_of_anndata():
            yield store
            if consolidated:
                import zarr

                zarr.consolidate_metadata(store.store)
    finally:
        _close(store)


@contextmanager
def _choices_of_anndata() -> Iterator[None]:
    """Without its remarks on versions of the zarr format, shards and consolidated metadata, which it chooses.

    Text with gaps, as pandas 3 has it, is written as it was read.
    """
    import anndata as ad

    with warnings.catch_warnings(), ad.settings.override(allow_write_nullable_strings=True):
        for remark in ("Writing zarr v2", "zarr v3 autosharding", "Consolidated metadata"):
            warnings.filterwarnings("ignore", message=remark)
        yield


def _is_old(store: Any) -> bool:
    """Whether it was written by anndata before 0.7, which kept categories of tables in ``uns``."""
    return hasattr(store["obs"], "dtype") or "raw.X" in store


def _contents(path: Path, store: Any) -> AnnData:
    import anndata as ad
    from anndata.io import read_elem

    if _is_old(store):
        return ad.read_zarr(path) if is_zarr(path) else ad.read_h5ad(path, backed="r")
    slots: dict[str, Any] = {slot: read_elem(store[slot]) for slot in _TABLES if slot in store}
    for slot in _ALIGNED:
        if slot in store:
            _refuse_unknown(store, slot)
            slots[slot] = {name: _handle(store[slot][name]) for name in store[slot]}
    raw = store.get("raw")
    if raw is not None and not hasattr(raw, "dtype"):  # zarr has an array of nothing where there is no raw
        _refuse_unknown(store, "raw")
        slots["raw"] = {name: read_elem(raw[name]) for name in ("var", "varm") if name in raw} | {
            "X": _handle(raw["X"])
        }
    return ad.AnnData(_handle(store["X"]) if "X" in store else None, **slots)


def _handle(stored: Any) -> Any:
    """A matrix as it lies in the file; all else is read."""
    from anndata.io import read_elem, sparse_dataset

    if "h5sparse_format" in stored.attrs or _marks(stored) in _SPARSE:
        return sparse_dataset(stored)
    is_table = hasattr(stored, "dtype") and len(stored.shape) == 2 and stored.dtype.kind in "biuf"
    return stored if is_table and _marks(stored) in _DENSE else read_elem(stored)


def _marks(stored: Any) -> tuple[Any, Any]:
    """The kind and the version that anndata has written beside an element."""
    return stored.attrs.get("encoding-type"), stored.attrs.get("encoding-version")


def _refuse_unknown(store: Any, slot: str) -> None:
    """Refuse a group of matrices that anndata would not know."""
    if not hasattr(store[slot], "keys") or _marks(store[slot]) not in _GROUP[slot]:
        msg = f"{slot} is marked as {_marks(store[slot])}, where {_GROUP[slot][1]} is expected"
        raise ValueError(msg)


def _read_through(adata: AnnData) -> None:
    """Read every matrix once, block by block.

    Raises
    ------
    DamagedError
        If that cannot be done.
    """
    matrices = [adata.X, None if adata.raw is None else getattr(adata.raw, "X", None)]
    for slot in _ALIGNED:
        matrices += list(getattr(adata, slot).values())
    for matrix in matrices:
        is_dense = hasattr(matrix, "chunks")
        if hasattr(matrix, "group") or (is_dense and math.prod(matrix.shape) <= _MOST_VALUES):
            for rows, columns in tiles(matrix):
                read_tile(matrix, rows, columns)


def refuse_loops(store: Any, depth: int = 0, n_elements: int = 0) -> int:
    """The number of elements in an HDF5 group, with those above it.

    Refused are links in circles and to other files, and filters that are not installed.
    """
    if not _is_hdf5(store):
        return 0
    import h5py

    for name in store:
        n_elements += 1
        if isinstance(store.get(name, getlink=True), h5py.ExternalLink):
            msg = f"{store.name.strip('/')}/{name} is a link to another file"
            raise ValueError(msg)
        kind = store.get(name, getclass=True)
        if kind is h5py.Group:
            n_elements = refuse_loops(store[name], depth + 1, n_elements)
        elif kind is h5py.Dataset:
            _refuse_missing_filter(store[name])
        if depth > _DEEPEST or n_elements > _MOST_ELEMENTS:
            msg = f"the links in {store.name.strip('/')[:60]} go round in circles"
            raise ValueError(msg)
    return n_elements


def _refuse_missing_filter(dataset: Any) -> None:
    """Refuse what is packed by a filter that is not installed, after a look at those of hdf5plugin."""
    import h5py

    packing = dataset.id.get_create_plist()
    for filter_id, _, _, filter_name in map(packing.get_filter, range(packing.get_nfilters())):
        if not h5py.h5z.filter_avail(filter_id) and find_spec("hdf5plugin") is not None:
            import_module("hdf5plugin")
        if not h5py.h5z.filter_avail(filter_id):
            called = filter_name.decode(errors="replace").partition(";")[0] or f"number {filter_id}"
            msg = (
                f"{dataset.name.strip('/')} in {dataset.file.filename} is packed by the HDF5 filter {called!r}, "
                "which is not installed. Install it: pip install hdf5plugin"
            )
            raise MissingFilterError(msg)


def _write(group: Any, name: str, value: Any) -> None:
    from anndata.io import write_elem

    write_elem(group, name, value, dataset_kwargs=_storage(group))


def _is_hdf5(group: Any) -> bool:
    import h5py

    return isinstance(group, h5py.Group)


def _storage(group: Any, like: Any = None) -> dict[str, Any]:
    """Options of new datasets: .h5ad files are compressed, unless the matrix that one is made from is not."""
    if not _is_hdf5(group):
        return {}
    stored = getattr(like, "group", {}).get("data", like)
    return {"compression": "gzip"} if getattr(stored, "compression", "gzip") else {}


def _write_matrix(group: Any, name: str, matrix: Any, change: Change, kept: NDArray[np.bool_] | None = None) -> None:
    """Write what `change` makes of each block of a matrix, stored in the same way."""
    options = _storage(group, matrix)
    if not hasattr(matrix, "format"):
        _write_dense(group, name, matrix, change, kept, options)
        return
    indptr = matrix.indptr if sparse.issparse(matrix) else matrix.group["indptr"]
    blocks = (change(read_tile(matrix, rows, columns), rows) for rows, columns in tiles(matrix))
    _write_blocks(group, name, blocks, indptr.dtype, options)


def _write_blocks(group: Any, name: str, blocks: Iterable[Any], index_type: Any, options: dict[str, Any]) -> None:
    """Write sparse blocks one below the other, or by columns one beside the other."""
    from anndata.io import sparse_dataset, write_elem

    stored = None
    for block in blocks:
        if stored is None:
            block.indptr = block.indptr.astype(index_type)  # wide enough for all values, not for this block alone
            write_elem(group, name, block, dataset_kwargs=options)
            stored = sparse_dataset(group[name], should_cache_indptr=False)
        else:
            stored.append(block)


def _write_dense(
    group: Any, name: str, matrix: Any, change: Change, kept: NDArray[np.bool_] | None, options: dict[str, Any]
) -> None:
    before = np.arange(matrix.shape[0] + 1) if kept is None else np.concatenate([[0], np.cumsum(kept)])
    stored = None
    for rows, columns in tiles(matrix):
        block = change(read_tile(matrix, rows, columns), rows)
        if stored is None:
            if name in group:
                del group[name]
            create = group.create_dataset if _is_hdf5(group) else group.create_array
            stored = create(name, shape=(int(before[-1]), matrix.shape[1]), dtype=block.dtype, **options)
            stored.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        stored[before[rows.start] : before[rows.stop], columns] = block
