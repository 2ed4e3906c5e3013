"""What each room may import: read from the syntax trees, and seen in a fresh interpreter."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "recall_py"
OUTSIDE = {"anndata", "scanpy", "h5py", "zarr", "dask", "distributed", "typer"}
"""What nothing under method/ and _kernels/ may name, not even inside a function."""
CORE = (
    "method.params",
    "method.results",
    "method.nulls",
    "method.pairs.rank_sum",
    "method.pairs.filter",
    "method.calibrate",
    "method.merging",
    "datasets._simulation",
    "_kernels.ranksum",
    "_kernels.columns",
    "_kernels.neighbours",
)


def loaded_after(statement: str) -> set[str]:
    """Top-level modules that are loaded once `statement` has run."""
    code = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(found.stdout.split())


def test_core_imports_neither_anndata_nor_scanpy():
    statement = "; ".join(f"import recall_py.{module}" for module in CORE)
    assert not loaded_after(statement) & {"anndata", "scanpy", "h5py", "matplotlib"}


def test_filter_needs_numpy_only():
    assert not loaded_after("import recall_py.method.pairs.filter") & {"scipy", "numba", "pandas", "igraph", "sklearn"}


def test_import_of_the_package_is_instant():
    heavy = {"scanpy", "anndata", "matplotlib", "numba", "pandas", "scipy", "numpy", "igraph", "sklearn"}
    assert not loaded_after("import recall_py") & heavy


def test_public_names_are_there_once_the_package_is_imported():
    assert "rpy2" not in loaded_after("import recall_py; recall_py.seurat.find_clusters; recall_py.CalibrationWarning")


def test_import_compiles_nothing():
    modules = ("pairs.rank_sum", "clustering.components", "clustering.graph", "clustering.partition")
    modules = (*modules, "calibrate", "merging", "pipeline")
    statement = "; ".join(f"import recall_py.method.{module}" for module in modules)
    assert "numba" not in loaded_after(statement)


def test_loaded_modules_are_seen():
    assert "json" in loaded_after("import json")


@cache
def imports() -> dict[str, set[str]]:
    """Every module with all that it imports: inside functions and for type checkers too."""
    return {name: set(imported_by(path)) for name, path in modules().items()}


@cache
def modules() -> dict[str, Path]:
    named = {
        ".".join(("recall_py", *path.relative_to(PACKAGE).with_suffix("").parts)): path
        for path in PACKAGE.rglob("*.py")
    }
    return {name.removesuffix(".__init__"): path for name, path in named.items()}


def imported_by(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in modules() else node.module


def room(name: str) -> str:
    """The folder or file at the top of the package."""
    return ".".join(name.split(".")[:2])


def between(part_of) -> dict[str, set[str]]:
    """Arrows between the parts that modules belong to."""
    arrows: dict[str, set[str]] = {part_of(name): set() for name in modules()}
    for name, targets in imports().items():
        arrows[part_of(name)] |= {part_of(target) for target in targets if target in modules()} - {part_of(name)}
    return arrows


def levels(arrows: dict[str, set[str]]) -> dict[str, int]:
    """The longest path down from each part; a circle is refused with its members."""
    found: dict[str, int] = {}

    def level(name: str, above: tuple[str, ...]) -> int:
        assert name not in above, f"a circle: {' -> '.join((*above[above.index(name) :], name))}"
        if name not in found:
            found[name] = 1 + max((level(target, (*above, name)) for target in arrows[name]), default=0)
        return found[name]

    for name in arrows:
        level(name, ())
    return found


@pytest.mark.parametrize("part_of", [str, room], ids=["modules", "rooms"])
def test_imports_go_in_no_circle(part_of):
    levels(between(part_of))


def test_circle_is_found():
    with pytest.raises(AssertionError, match="a circle: a -> b -> a"):
        levels({"a": {"b"}, "b": {"a"}})


def test_rooms_are_few_and_stand_on_few_levels():
    found = levels(between(room))
    assert len(found) <= 20
    assert max(found.values()) <= 8, found


def test_method_and_kernels_name_nothing_of_files_or_commands():
    named = {
        f"{name}: {target}"
        for name, targets in imports().items()
        for target in targets
        if room(name) in ("recall_py.method", "recall_py._kernels") and target.split(".")[0] in OUTSIDE
    }
    assert not named


def test_counts_and_method_do_not_know_each_other():
    arrows = between(room)
    assert "recall_py.method" not in arrows["recall_py.counts"]
    assert "recall_py.counts" not in arrows["recall_py.method"]
    assert arrows["recall_py.counts"] <= {"recall_py._kernels"}
    assert not arrows["recall_py._kernels"]
