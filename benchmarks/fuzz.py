"""Malformed inputs through the command line, made from a seed: each ends with a result that opens, or with a sentence.

Inputs are sound files with one to three things wrong: bytes, cuts, pointers, indices, values, dtypes, shapes,
attributes, links and what is missing, each over CSR, CSC and dense counts in .h5ad files and .zarr stores of both
formats, and over .h5 files and matrix.mtx folders of 10x, old and new, .loom and .h5mu files. So are the vectors that
R hands over. Commands run in a second process, which a crash or a hang may end.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
import traceback
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from functools import partial
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import zarr
from scipy import sparse
from scipy.io import mmwrite

N_CELLS, N_GENES = 45, 24
OWN = tuple(f"{kind}.{store}" for kind in ("csr", "csc", "dense") for store in ("h5ad", "zarr2", "zarr3"))
COMMANDS = {
    "info": ("info", "{source}"),
    "cluster": ("cluster", "{source}", "-o", "{target}", "-q"),
    "drop": ("cluster", "{source}", "-o", "{target}", "-q", "--drop-empty-cells"),
    "merge": ("merge", "{source}", "-o", "{target}", "--groupby", "group", "-q"),
    "test": ("test", "{source}", "-o", "{target}", "--groupby", "group", "-q"),
    "recall": ("recall", "{source}", "-o", "{target}", "-q", "--dims", "5", "--max-iterations", "3"),
}
ODDS = {
    "own": (0.8, 0.06, 0.03, 0.05, 0.02, 0.04),
    "loom": (0.6, 0.15, 0.05, 0.1, 0.05, 0.05),
    "h5mu": (0.4, 0.2, 0, 0.2, 0.2, 0),
    "of 10x": (0.7, 0.15, 0.05, 0, 0, 0.1),
}
"""Of each command, by what is read: no .h5mu file is searched, and one of 10x has no labels."""
ASKED_BY_R = ("cluster", "merge", "test")
"""What R calls, with vectors that lie in a file here."""
SEARCH_BY_R = {"algorithm": "louvain", "start": 0.8, "dims": 5, "max_iterations": 3, "seed": 0, "n_jobs": 1}
PAIRS_BY_R = {
    "programmes": ("cell_cycle",),
    "alpha": 0.05,
    "external": False,
    "all_pairs": False,
    "seed": 0,
    "n_jobs": 1,
}
PATIENCE = 600.0
"""Seconds after which a command counts as hanging; the first of a process waits for compilers."""
MEMORY = 8 << 30
"""Bytes of addresses that a command may have, so that a wrong size does not fill the machine."""


class Case(NamedTuple):
    """One input and what is asked of it."""

    source: Path
    target: Path
    command: str
    done: str
    """What was done to the input, in words."""


class Outcome(NamedTuple):
    """How a command ended."""

    code: int | None
    """None for a process that was ended by a signal, or hung."""
    said: str


def sound() -> ad.AnnData:
    """Cells of three groups with a graph, labels, components and a layer."""
    rng = np.random.default_rng(0)
    group = np.arange(N_CELLS) % 3
    mean = np.where(np.arange(N_GENES) // 8 == group[:, None], 8.0, 1.0)
    adata = ad.AnnData(sparse.csr_matrix(rng.poisson(mean).astype(np.float32)))
    adata.obs_names = [f"cell{i}" for i in range(N_CELLS)]
    adata.var_names = [f"gene{i}" for i in range(N_GENES)]
    adata.obs["group"] = pd.Categorical.from_codes(group, ["a", "b", "c"])
    adata.var["highly_variable"] = np.arange(N_GENES) % 6 > 0
    adata.layers["log"] = np.log1p(adata.X)
    adata.obsm["X_umap"] = adata.obsm["X_pca"] = rng.normal(size=(N_CELLS, 6))
    adata.obsp["connectivities"] = sparse.csr_matrix((group[:, None] == group).astype(float))
    adata.uns["neighbors"] = {"connectivities_key": "connectivities", "params": {"n_neighbors": 15, "method": "umap"}}
    return adata


def sound_file(container: str, folder: Path) -> Path:
    """A sound file of one of the :data:`CONTAINERS`, written once."""
    kind, store = container.split(".")
    path = folder / f"{container}.{store.rstrip('23')}"
    if not path.exists():
        adata = sound()
        if container in WRITERS:
            WRITERS[container](adata, path)
            return path
        adata.X = adata.X.toarray() if kind == "dense" else adata.X.asformat(kind)
        if store == "h5ad":
            adata.write_h5ad(path)
        else:
            with warnings.catch_warnings(), ad.settings.override(zarr_write_format=int(store[-1])):
                warnings.simplefilter("ignore")
                adata.write_zarr(path)
    return path


def _write_loom(adata: ad.AnnData, path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["matrix"] = adata.X.T.toarray()
        file.create_group("layers")["log"] = adata.layers["log"].T.toarray()
        for name in ("row_graphs", "col_graphs"):
            file.create_group(name)
        file.create_group("attrs")["LOOM_SPEC_VERSION"] = "3.0.0"
        text = h5py.string_dtype()
        file.create_group("row_attrs").create_dataset("var_names", data=list(adata.var_names), dtype=text)
        cells = file.create_group("col_attrs")
        cells.create_dataset("obs_names", data=list(adata.obs_names), dtype=text)
        cells.create_dataset("group", data=list(adata.obs["group"]), dtype=text)


def _write_10x(adata: ad.AnnData, path: Path, *, new: bool) -> None:
    names, ids = adata.var_names.to_numpy(dtype="S"), np.array([f"ENSG{i}" for i in range(N_GENES)], dtype="S")
    with h5py.File(path, "w") as file:
        matrix = file.create_group("matrix" if new else "hg19")
        matrix["shape"] = np.array(adata.shape[::-1], dtype=np.int32)
        matrix["barcodes"] = adata.obs_names.to_numpy(dtype="S")
        matrix["data"] = adata.X.data.astype(np.int32)
        matrix["indices"], matrix["indptr"] = adata.X.indices.astype(np.int64), adata.X.indptr.astype(np.int64)
        if new:
            features = matrix.create_group("features")
            features["id"], features["name"] = ids, names
            features["feature_type"] = np.full(N_GENES, "Gene Expression", dtype="S")
            features["genome"] = np.full(N_GENES, "GRCh38", dtype="S")
        else:
            matrix["genes"], matrix["gene_names"] = ids, names


def _write_mtx(adata: ad.AnnData, folder: Path, *, new: bool) -> None:
    folder.mkdir()
    text = BytesIO()
    mmwrite(text, adata.X.T.astype(np.int32))
    end = "\tGene Expression\n" if new else "\n"
    tables = {
        "matrix.mtx": text.getvalue(),
        "features.tsv" if new else "genes.tsv": "".join(
            f"ENSG{name}\t{name}{end}" for name in adata.var_names
        ).encode(),
        "barcodes.tsv": "".join(f"{name}\n" for name in adata.obs_names).encode(),
    }
    for name, content in tables.items():
        (folder / f"{name}.gz" if new else folder / name).write_bytes(gzip.compress(content) if new else content)


def _write_h5mu(adata: ad.AnnData, path: Path) -> None:
    import mudata

    mdata = mudata.MuData({"rna": adata, "other": adata[:, :5].copy()})
    mdata.obs["group"] = adata.obs["group"]
    mdata.obsp["connectivities"], mdata.uns["neighbors"] = adata.obsp["connectivities"], adata.uns["neighbors"]
    mdata.write_h5mu(path)


def _write_vectors(adata: ad.AnnData, path: Path) -> None:
    """What R hands over, for each of the functions that it calls; text as lists, as reticulate makes them."""
    graph = adata.obsp["connectivities"]
    group, text = adata.obs["group"].cat, h5py.string_dtype()
    with h5py.File(path, "w") as file:
        for name in ("matrix", "knockoffs", "counts", "given/graph"):
            matrix = graph if name == "given/graph" else adata.X
            held = file.create_group(name)
            held["x"], held["i"], held["p"] = matrix.data.astype(float), matrix.indices, matrix.indptr
        for name in ("matrix", "counts"):
            file[name].create_dataset("genes", data=list(adata.var_names), dtype=text)
        file["matrix/totals"] = np.asarray(adata.X.sum(axis=1), dtype=float).ravel() + 5
        file["matrix"].create_dataset("batch", data=["a", "b", "b"] * (N_CELLS // 3), dtype=text)
        file["counts"].create_dataset("cells", data=list(adata.obs_names), dtype=text)
        file["given/codes"], file["given/batches"] = (
            group.codes.astype(np.int32),
            np.arange(N_CELLS, dtype=np.int32) % 2,
        )
        file["given"].create_dataset("names", data=list(group.categories), dtype=text)


WRITERS: dict[str, Callable[[ad.AnnData, Path], None]] = {
    "old.h5": partial(_write_10x, new=False),
    "new.h5": partial(_write_10x, new=True),
    "old.mtx": partial(_write_mtx, new=False),
    "new.mtx": partial(_write_mtx, new=True),
    "cells.loom": _write_loom,
    "cells.h5mu": _write_h5mu,
    "vectors.r": _write_vectors,
}
CONTAINERS = (*OWN, *WRITERS)


def make_case(seed: int, folder: Path, containers: Sequence[str] = CONTAINERS) -> Case:
    """The input of a seed, in `folder`."""
    warnings.simplefilter("ignore")  # of libraries about what is done to their files
    rng = np.random.default_rng(seed)
    container = containers[seed % len(containers)]
    sound_one = sound_file(container, folder)
    source = folder / f"{seed}{sound_one.suffix}"
    (shutil.copytree if sound_one.is_dir() else shutil.copyfile)(sound_one, source)
    done = [_damage(source, rng) for _ in range(rng.integers(1, 4))]
    kind = source.suffix[1:]
    if kind == "r":
        return Case(source, source, str(rng.choice(ASKED_BY_R)), "; ".join(done))
    odds = ODDS[kind if kind in ODDS else "own" if container in OWN else "of 10x"]
    command = str(rng.choice(list(COMMANDS), p=odds))
    end = source.suffix if container in OWN or kind == "h5mu" else ".h5ad"
    return Case(source, folder / f"{seed}.out{end}", command, "; ".join(done))


def words(case: Case) -> list[str]:
    """What follows ``recall-py``, or what R asks."""
    if case.source.suffix == ".r":
        return [case.command, "of the vectors", str(case.source)]
    modality = ["--modality", "rna"] if case.source.suffix == ".h5mu" else []
    return [word.format(source=case.source, target=case.target) for word in COMMANDS[case.command]] + modality


def _damage(source: Path, rng: np.random.Generator) -> str:
    """Do one thing to a file, and say what."""
    of_bytes, of_text, of_elements = (_flip, _cut), (_word, _line, _gone), (_value, _dtype, _shape)
    if source.suffix != ".r":
        of_elements = (*of_elements, _attribute, _missing, _link)
    if source.suffix == ".mtx" or (source.suffix != ".r" and rng.random() < 0.25):
        files = [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file())
        if not files:
            return "nothing left"
        if source.suffix == ".mtx" and rng.random() < 0.75:
            return of_text[rng.integers(3)](files[rng.integers(len(files))], rng)
        return of_bytes[rng.integers(2)](files[rng.integers(len(files))], rng)
    try:
        store = (
            h5py.File(source, "r+") if source.is_file() else zarr.open_group(source, mode="r+", use_consolidated=False)
        )
        try:
            return of_elements[rng.integers(len(of_elements))](store, rng)
        finally:
            if source.is_file():
                store.close()
    except Exception as error:  # nothing more can be done to it
        return f"no further change ({type(error).__name__})"


def _flip(path: Path, rng: np.random.Generator) -> str:
    found = bytearray(path.read_bytes())
    if not found:
        return "nothing to flip"
    at = rng.integers(len(found), size=rng.choice([1, 3, 20]))
    for place in at:
        found[place] ^= int(rng.integers(1, 256))
    path.write_bytes(found)
    return f"{at.size} bytes of {path.name}"


def _cut(path: Path, rng: np.random.Generator) -> str:
    size = path.stat().st_size
    left = int(rng.integers(size + 1))
    os.truncate(path, left)
    return f"{path.name} cut to {left} of {size} bytes"


def _word(path: Path, rng: np.random.Generator) -> str:
    """A word of a text, which may be packed."""
    lines = _lines(path)
    odd = [
        "-1",
        "0",
        "1",
        str(N_CELLS),
        str(10**9),
        str(2**40),
        "0.5",
        "nan",
        "inf",
        "1e300",
        "",
        "x",
        "\x00",
        "a\tb",
        "%",
    ]
    at = int(rng.integers(min(3, len(lines)) if rng.random() < 0.5 else len(lines)))
    found = lines[at].split()
    if not found:
        return "an empty line"
    place, value = int(rng.integers(len(found))), odd[rng.integers(len(odd))]
    found[place] = value
    lines[at] = (" " if "mtx" in path.name.replace(path.parent.name, "") else "\t").join(found)
    _put_lines(path, lines)
    return f"word {place} of line {at} of {path.name} = {value!r}"


def _line(path: Path, rng: np.random.Generator) -> str:
    """A line of a text is missing, is there twice, or is the last."""
    lines = _lines(path)
    at, how = int(rng.integers(len(lines))), ["missing", "twice", "last"][rng.integers(3)]
    _put_lines(
        path, {"missing": lines[:at] + lines[at + 1 :], "twice": [*lines, lines[at]], "last": lines[: at + 1]}[how]
    )
    return f"line {at} of {path.name} is {how}"


def _gone(path: Path, rng: np.random.Generator) -> str:
    """A file is missing, empty, packed or not against its name, or of another's content."""
    others = sorted(path.parent.iterdir())
    other = others[rng.integers(len(others))]
    how = ["missing", "empty", "packed", f"of {other.name}"][rng.integers(4)]
    found = path.read_bytes()
    path.unlink()
    if how != "missing":
        path.write_bytes(
            b"" if how == "empty" else gzip.compress(found) if how == "packed" else
            found if other == path else other.read_bytes()
        )  # fmt: skip
    return f"{path.name} is {how}"


def _lines(path: Path) -> list[str]:
    found = path.read_bytes()
    with suppress(OSError, EOFError, zlib.error):
        found = gzip.decompress(found) if path.suffix == ".gz" else found
    return found.decode("latin-1").split("\n")


def _put_lines(path: Path, lines: list[str]) -> None:
    text = "\n".join(lines).encode("latin-1")
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)


def _elements(store: object, prefix: str = "") -> list[str]:
    names = []
    for name in sorted(store):
        names.append(prefix + name)
        if not hasattr(store[name], "shape"):
            names += _elements(store[name], f"{prefix}{name}/")
    return names


def _some(store: object, rng: np.random.Generator, *, arrays: bool) -> str:
    """The name of an element: one of the counts as often as any other."""
    names = [name for name in _elements(store) if not arrays or hasattr(store[name], "shape")]
    counts = [name for name in names if re.match(r"(mod/rna/)?(X|matrix|hg19|given|counts)(/|$)", name)]
    chosen = counts if counts and rng.random() < 0.5 else names
    return chosen[rng.integers(len(chosen))]


def _value(store: object, rng: np.random.Generator) -> str:
    name = _some(store, rng, arrays=True)
    values = np.array(store[name][...])
    if not values.size:
        return f"{name} is empty"
    odd = [-1, -5, 0, 1, 2**31 - 1, -(2**31), 2**40, 10**7, N_CELLS, N_GENES, 0.5, np.nan, np.inf, -np.inf, 1e300]
    flat = values.reshape(-1)
    at, value = int(rng.integers(flat.size)), odd[rng.integers(len(odd))]
    if rng.random() < 0.2:
        at, value = slice(None), flat[0]
    with np.errstate(all="ignore"):
        flat[at] = str(value) if values.dtype.kind in "OT" else np.asarray(value).astype(values.dtype)
    _replace(store, name, values)
    return f"{name}[{at}] = {value}"


def _dtype(store: object, rng: np.random.Generator) -> str:
    name = _some(store, rng, arrays=True)
    kinds = ["i1", "u1", "i2", "u8", ">i4", ">f8", "f2", "f8", "i8", "c16", "?", "S3"]
    kind = kinds[rng.integers(len(kinds))]
    with np.errstate(all="ignore"):
        _replace(store, name, np.array(store[name][...]).astype(kind))
    return f"{name} as {kind}"


def _shape(store: object, rng: np.random.Generator) -> str:
    name = _some(store, rng, arrays=True)
    values = np.array(store[name][...])
    changed = [
        values[:-1] if values.ndim else values,
        values[:0] if values.ndim else values,
        np.concatenate([values, values]) if values.ndim else np.array([values, values]),
        values[None],
        values.reshape(-1),
        values.T,
        values.reshape(-1)[0] if values.size else values[None],
    ]
    values = changed[rng.integers(len(changed))]
    _replace(store, name, values)
    return f"{name} is of shape {np.shape(values)}"


def _replace(store: object, name: str, values: np.ndarray) -> None:
    values = np.asarray(values)
    attributes = dict(store[name].attrs)
    del store[name]
    if isinstance(store, h5py.Group):
        store[name] = values.astype(h5py.string_dtype()) if values.dtype.kind == "O" else values
    else:
        data = values.astype(np.dtypes.StringDType()) if values.dtype.kind == "O" else values
        store.create_array(name, data=data)
    store[name].attrs.update(attributes)


def _attribute(store: object, rng: np.random.Generator) -> str:
    name = _some(store, rng, arrays=False)
    attributes = store[name].attrs
    known = sorted(attributes)
    if not known:
        return f"{name} has no attributes"
    attribute = known[rng.integers(len(known))]
    if rng.random() < 0.3:
        del attributes[attribute]
        return f"{name}@{attribute} is missing"
    odd = {
        "encoding-type": [
            "csr_matrix",
            "csc_matrix",
            "array",
            "dataframe",
            "dict",
            "raw",
            "categorical",
            "nothing",
            "",
        ],
        "shape": [[-1, N_GENES], [10**9, N_GENES], [N_CELLS, 2**33], [N_CELLS], [N_GENES, N_CELLS], "big", [0, 0]],
    }.get(attribute, ["", "nothing", 7, [1, 2], -1.5, ["a", "a"], "_index"])
    value = odd[rng.integers(len(odd))]
    attributes[attribute] = value
    return f"{name}@{attribute} = {value!r}"


def _missing(store: object, rng: np.random.Generator) -> str:
    name = _some(store, rng, arrays=False)
    del store[name]
    return f"{name} is missing"


def _link(store: object, rng: np.random.Generator) -> str:
    name, other = _some(store, rng, arrays=False), _some(store, rng, arrays=False)
    if isinstance(store, h5py.Group):
        links = [
            h5py.SoftLink("/"),
            h5py.SoftLink(f"/{name}"),
            h5py.ExternalLink("absent.h5", "/X"),
            store["/"],
            store[other],
        ]
        link = links[rng.integers(len(links))]
        del store[name]
        store[name] = link
        return f"{name} is a link ({type(link).__name__} {getattr(link, 'path', other)})"
    at = Path(str(store.store.root)) / name
    shutil.rmtree(at) if at.is_dir() else at.unlink()
    to = [at, at.parent, Path("absent")][rng.integers(3)]
    at.symlink_to(to)
    return f"{name} is a link to {to.name}"


class Commands:
    """Commands that run in a second process, one after the other; it is started anew when one has ended it."""

    def __enter__(self) -> Commands:
        self._process: subprocess.Popen[str] | None = None
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def run(self, words: list[str]) -> Outcome:
        """The outcome of ``recall-py`` with these words."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-c", "from benchmarks.fuzz import serve; serve()"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1],
            )  # fmt: skip
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(words) + "\n")
        process.stdin.flush()
        answered = select.select([process.stdout], [], [], PATIENCE)[0]
        line = process.stdout.readline() if answered else ""
        if line:
            return Outcome(*json.loads(line))
        said = f"ended by signal {-process.wait()}" if answered else f"hung for {PATIENCE:.0f} seconds"
        self._end()
        return Outcome(None, said)

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._process = None


def serve() -> None:
    """Run the commands that come in, a line each, and answer with a line each."""
    import resource

    from recall_py.cli import main

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    for line in sys.stdin:
        out, err, words = StringIO(), StringIO(), json.loads(line)
        with redirect_stdout(out), redirect_stderr(err), patch.object(sys, "argv", ["recall-py", *words]):
            try:
                if words[1] == "of the vectors":
                    answer_r(words[0], Path(words[2]))
                else:
                    main()
                code = 0
            except SystemExit as end:
                code = int(end.code or 0)
            except BaseException:
                code = 1
                traceback.print_exc()
        answers.write(json.dumps([code, err.getvalue()]) + "\n")
        answers.flush()


def answer_r(asked: str, path: Path) -> None:
    """Do what R asks with the vectors of a file; an error that R prints as it is ends as one of the command line."""
    from recall_py.seurat import from_r, pairs_from_r

    with h5py.File(path) as file:
        vectors, untouched = _vectors(file), _vectors(file)
    try:
        if asked == "cluster":
            from_r.cluster(vectors["matrix"], SEARCH_BY_R, knockoffs=vectors["knockoffs"])
        else:
            given = {"column": "merged", "start_column": "group", "graph_name": "snn", **vectors["given"]}
            pairs_from_r.sampled(given["codes"], given["batches"])
            counts = {"selection": None, "source": "layers['counts']", **vectors["counts"]}
            getattr(pairs_from_r, asked)(given, counts, PAIRS_BY_R)
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
    finally:
        np.testing.assert_equal(vectors, untouched)


def _vectors(group: h5py.Group) -> dict[str, Any]:
    """What a group holds: arrays, and text as lists."""
    held = {name: item if isinstance(item, h5py.Group) else item[...] for name, item in group.items()}
    return {
        name: _vectors(item) if isinstance(item, h5py.Group) else as_text(item) if item.dtype.kind in "OS" else item
        for name, item in held.items()
    }


def as_text(values: np.ndarray) -> list[str]:
    """Text as Python has it."""
    return [value.decode(errors="replace") if isinstance(value, bytes) else str(value) for value in values.ravel()]


def fault(case: Case, outcome: Outcome, before: str) -> str | None:
    """What is wrong with how a command ended, or None."""
    if fingerprint(case.source) != before:
        return "the input was changed"
    if outcome.code is None:
        return outcome.said
    if outcome.code not in (0, 2) or "Traceback" in outcome.said or "internal error" in outcome.said:
        return f"code {outcome.code}: {outcome.said.strip()}"
    if outcome.code == 2 and not any(line.startswith("error: ") for line in outcome.said.splitlines()):
        return f"no reason given: {outcome.said!r}"
    if outcome.code == 0 and case.command != "info" and case.source.suffix != ".r":
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                _read(case.target)
        except Exception as error:
            return f"the result does not open: {type(error).__name__}: {error}"
    left = [path.name for path in case.source.parent.iterdir() if ".partial" in path.name]
    return f"left behind: {left}" if left else None


def _read(path: Path) -> None:
    if path.suffix == ".h5mu":
        import mudata

        mudata.read_h5mu(path)
    else:
        (ad.read_zarr if path.is_dir() else ad.read_h5ad)(path)


def fingerprint(path: Path) -> str:
    """What a file or a store consists of."""
    found = hashlib.sha256()
    for at in sorted(path.rglob("*")) if path.is_dir() else [path]:
        found.update(str(at.relative_to(path)).encode())
        found.update(at.read_bytes() if at.is_file() else b"")
    return found.hexdigest()


def faults(seeds: range, folder: Path, containers: Sequence[str] = CONTAINERS) -> list[str]:
    """What went wrong with the inputs of some seeds; their files are removed where nothing did."""
    found = []
    ended: Counter[int | None] = Counter()
    with Commands() as commands:
        for seed in seeds:
            case = make_case(seed, folder, containers)
            before = fingerprint(case.source)
            outcome = commands.run(words(case))
            ended[outcome.code] += 1
            wrong = fault(case, outcome, before)
            if wrong is not None:
                found.append(f"seed {seed}, {case.source.name}, {case.command}, {case.done}: {wrong}")
                print(found[-1], flush=True)
                continue
            for path in (case.source, case.target):
                if path.exists() or path.is_symlink():
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
    print(", ".join(f"{count} ended with {code}" for code, count in ended.items()))
    return found


def main() -> None:
    """Run some seeds, and print what went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--inputs", type=int, default=2000, help="number of inputs")
    parser.add_argument("--only", choices=CONTAINERS, nargs="+", default=CONTAINERS, help="what is read")
    parser.add_argument("--keep", type=Path, help="folder in which the inputs that went wrong stay")
    asked = parser.parse_args()
    seeds = range(asked.first, asked.first + asked.inputs)
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        found = faults(seeds, folder, asked.only)
    print(f"{len(found)} of {len(seeds)} inputs went wrong")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
