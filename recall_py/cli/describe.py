"""What a file holds and would be used for, and what the installation consists of."""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from recall_py.adata import keys
from recall_py.counts.structure import DamagedError
from recall_py.files.atomic import is_zarr
from recall_py.files.containers import stored
from recall_py.files.store import opened

if TYPE_CHECKING:
    from anndata import AnnData

_LABELS = 60
"""Categories at most of a column that may hold clusters."""
_PACKAGES = (
    "recall-py", "scanpy", "anndata", "numpy", "scipy", "pandas", "numba", "leidenalg", "igraph", "scikit-learn",
    "scikit-misc", "pynndescent", "matplotlib", "h5py", "typer", "click", "rich",
)  # fmt: skip


class _BadPair(NamedTuple):
    """Two packages that do not work together: the one from a version on, the other below a version."""

    newer: str
    since: tuple[int, ...]
    older: str
    below: tuple[int, ...]
    fails: str
    mend: str


_BAD_PAIRS = (
    _BadPair(
        "pynndescent", (0, 7), "scanpy", (1, 13),
        "sc.pp.neighbors fails from 8,192 cells on, with other metrics than the Euclidean from 4,096 on (getnnz)",
        'pip install "pynndescent<0.7"',
    ),
    _BadPair(
        "click", (8, 2), "typer", (0, 16),
        "the help of a command fails (make_metavar)",
        'pip install "typer>=0.16"',
    ),
)  # fmt: skip


def describe_file(path: Path, *, layer: str | None, n_top_genes: int) -> list[tuple[str, str]]:
    """What a file holds and what a clustering of it would use."""
    with stored(path) as held, opened(held, path) as adata:
        layers = [name for name in adata.layers if name is not None]
        raw = "none" if adata.raw is None else f"{adata.raw.shape[1]:,} genes"
        files = path.rglob("*") if path.is_dir() else [path]
        return [
            ("file", f"{path}, {sum(file.stat().st_size for file in files) / 1e6:,.1f} MB"),
            ("cells x genes", f"{adata.n_obs:,} x {adata.n_vars:,}"),
            ("layers", ", ".join(layers) or "none"),
            ("raw", raw),
            *describe_counts(adata, adata, layer, n_top_genes),
            ("clustering", _clustering(adata, path, held, layer)),
        ]


def describe_counts(adata: AnnData, counts: AnnData, layer: str | None, n_top_genes: int) -> list[tuple[str, str]]:
    """What would be used: the counts of `counts`, and the graph and labels of `adata`."""
    return [
        ("counts", _counts(counts, layer)),
        ("genes used", _genes(counts, layer, n_top_genes)),
        ("neighbours", _neighbours(adata)),
        ("embeddings", ", ".join(adata.obsm) or "none"),
        ("labels", _labels(adata)),
        ("results", _results(adata)),
    ]


def versions_in_one() -> str:
    """The version of the command in a line, and those of Python and of what it computes with in the next."""
    others = ", ".join(f"{name} {_version(name)}" for name in _PACKAGES[1:] if name not in ("typer", "click", "rich"))
    return f"{_PACKAGES[0]} {_version(_PACKAGES[0])}\nPython {platform.python_version()}, {others}"


def describe_installation() -> list[tuple[str, str]]:
    """Versions, threads, caches and the R bridge."""
    from recall_py.method.threads import resolve_n_jobs

    packages = [(name, _version(name)) for name in _PACKAGES]
    limits = [
        f"{name}={os.environ[name]}"
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
        if name in os.environ
    ]
    return [
        ("Python", f"{platform.python_version()}, {sys.executable}"),
        ("system", platform.platform()),
        *packages,
        ("threads", f"{resolve_n_jobs(None)} of {os.cpu_count()} cores (--n-jobs){''.join(f', {x}' for x in limits)}"),
        ("compiled loops", _numba_cache()),
        ("R", shutil.which("Rscript") or "not found: needed only to call recall_py from R"),
        ("rpy2", _version("rpy2", "not installed: needed only to call R from Python")),
        ("R bridge", _r_bridge()),
        ("bad pairs", "; ".join(_bad_pairs()) or "none known among these versions"),
    ]


def _counts(adata: AnnData, layer: str | None) -> str:
    """Where the counts would be read from, or why not."""
    from recall_py.adata.read import find_counts

    try:
        found = find_counts(adata, layer)
    except DamagedError:
        raise
    except (KeyError, ValueError) as error:
        return f"NONE. {error.args[0]}"
    return f"{found.source}: raw integer counts ({found.counts.kind}, {found.counts.matrix.dtype})"


def _clustering(adata: AnnData, path: Path, held: Path, layer: str | None) -> str:
    """The command line that will work, after the checks that it makes itself; or what they find."""
    from recall_py.adata.neighbours import recorded_graph
    from recall_py.adata.read import find_counts, refuse_no_counts, refuse_unusable
    from recall_py.adata.write import refuse_columns_of_others, refuse_occupied
    from recall_py.cli.cluster import refuse_labels_of_others
    from recall_py.cli.plot_slots import refuse_too_few
    from recall_py.files.store import refuse_unwritable_tables
    from recall_py.run.graph_clusters import refuse_no_edges

    end = ".zarr" if is_zarr(held) else ".h5ad"
    target = f"labelled{end}" if path.name != f"labelled{end}" else f"labelled_again{end}"
    given = f"recall-py cluster {shlex.quote(str(path))} -o {target} --resolution auto"
    if layer is not None:
        given += f" --layer {shlex.quote(layer)}"
    key = "leiden"
    try:
        refuse_unusable(adata)
        refuse_unwritable_tables(adata, held, held)
        graph = recorded_graph(adata)
        if graph is None and len(adata.obsp):
            return f"{given} --obsp {shlex.quote(next(iter(adata.obsp)))}"
        refuse_no_counts(adata, layer=layer, batch_key=None, cells=None, only=None)
        n_genes = find_counts(adata, layer).names.size
        if graph is not None:
            refuse_no_edges(graph, adata.n_obs)
        elif "X_pca" not in adata.obsm:
            refuse_too_few(adata.n_obs, n_genes)
    except DamagedError:
        raise
    except (KeyError, ValueError) as error:
        return f"CANNOT BE DONE YET. {error.args[0]}"
    try:
        refuse_labels_of_others(adata, key)
        refuse_occupied(adata, key)
        refuse_columns_of_others(adata, key, stability=True)
    except (KeyError, ValueError):
        given += " --key-added calibrated"
    return given


def _genes(adata: AnnData, layer: str | None, n_top_genes: int) -> str:
    from recall_py.adata.read import find_counts, genes_told

    try:
        found = find_counts(adata, layer)
        told = genes_told(adata, found, None)
    except (KeyError, ValueError) as error:
        return f"NONE. {error.args[0]}"
    n_genes, others = found.names.size, f"; {found.others}" if found.others else ""
    if told is not None:
        return f"{int(told[0].sum()):,} that var['{keys.HIGHLY_VARIABLE}'] marks{others}"
    if n_genes <= n_top_genes:
        return f"all {n_genes:,}{others}"
    return f"{n_top_genes:,} of {n_genes:,}, selected by seurat_v3 on the counts{others}"


def _neighbours(adata: AnnData) -> str:
    """The graph that would be clustered on, and whether knockoffs can have one like it."""
    from recall_py.adata.neighbours import read_graph_params, recorded_graph

    try:
        graph = recorded_graph(adata)
    except (KeyError, ValueError) as error:
        return f"CANNOT BE USED. {error.args[0]}"
    if graph is None:
        return "none recorded: cluster makes a graph of 15 neighbours and stores it"
    try:
        params, n_pcs = read_graph_params(adata, None)
    except ValueError:
        return f"{graph.name}; recall cannot make one like it with knockoffs, only its own (--graph snn)"
    components = "" if n_pcs is None else f", {n_pcs} components"
    return f"{graph.name} ({params.n_neighbors} neighbours, {params.metric}{components})"


def _labels(adata: AnnData) -> str:
    columns = [adata.obs[name] for name in adata.obs if adata.obs[name].dtype.kind != "f"]
    found = [f"{column.name} ({column.nunique()})" for column in columns if 2 <= column.nunique() <= _LABELS]
    return ", ".join(found) or "no column of obs has labels of groups"


def _results(adata: AnnData) -> str:
    from recall_py.adata.stored import find_record, results

    told = (f"{key}: {_outcome(find_record(adata, key), adata.uns[key][keys.PARAMS])}" for key in results(adata))
    return "; ".join(told) or "none of recall_py"


def _outcome(record: Any, around: Any) -> str:
    from recall_py.adata.stored import holds_merging, merges_clusters

    merging = holds_merging(record)
    if merging and merges_clusters(record, around):
        return f"{len(record['labels'])} clusters, merged from {len(record['start_labels'])}"
    if merging or "converged" not in record:
        passes = (record[keys.OUTCOMES] if merging else record["pairs"])["passes"]
        return f"{int(passes.sum())} of {len(passes)} pairs supported"
    state = "calibrated" if record["converged"] else "NOT CALIBRATED"
    return f"{record['n_clusters']} clusters, {state}"


def _version(name: str, absent: str = "NOT INSTALLED") -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return absent


def _bad_pairs() -> list[str]:
    return [
        f"{pair.newer} {_version(pair.newer)} WITH {pair.older} {_version(pair.older)}: {pair.fails}. "
        f"Mend it: {pair.mend}"
        for pair in _BAD_PAIRS
        if _release(pair.newer) >= pair.since and () < _release(pair.older) < pair.below
    ]


def _release(name: str) -> tuple[int, ...]:
    """Major and minor version; empty where it is not installed."""
    return tuple(int(part) for part in re.findall(r"\d+", _version(name))[:2])


def _numba_cache() -> str:
    """Where compiled code is kept; without such a place, every process compiles anew."""
    import recall_py._kernels

    given = os.environ.get("NUMBA_CACHE_DIR")
    folder = Path(given) if given else Path(recall_py._kernels.__file__).parent / "__pycache__"
    if not given and not os.access(folder if folder.exists() else folder.parent, os.W_OK):
        return f"cached in your own cache folder, since {folder} is read-only (NUMBA_CACHE_DIR changes that)"
    n_cached = len(list(folder.rglob("*.nbc"))) if folder.exists() else 0
    return f"{n_cached} cached in {folder}" + ("" if n_cached else ": the first call compiles for some seconds")


def _r_bridge() -> str:
    import importlib.util

    if importlib.util.find_spec("recall_py.seurat") is None:
        return "not part of this installation"
    return "present (recall_py.seurat)"
