"""The wheel beside what it asks for and nothing else, outside the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

REPOSITORY = Path(__file__).parents[1]


def run(*command, cwd):
    """Run a command that does not learn from this process where packages are."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return subprocess.run([*map(str, command)], cwd=cwd, env=clean, capture_output=True, text=True, check=False)


def asked_for(package: Distribution, extras: frozenset[str] = frozenset({""})) -> dict[str, Distribution]:
    """What `package` requires, what that requires, and so on, as it is installed for the tests."""
    found: dict[str, Distribution] = {}
    open_requirements = [(package, extras)]
    seen = set()
    while open_requirements:
        asking, extras = open_requirements.pop()
        for text in asking.requires or ():
            needed = Requirement(text)
            if needed.marker is not None and not any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                continue
            installed = distribution(needed.name)
            assert needed.specifier.contains(installed.version, prereleases=True), text
            found[needed.name] = installed
            step = (needed.name, frozenset({"", *needed.extras}))
            if step not in seen:
                seen.add(step)
                open_requirements.append((installed, step[1]))
    return found


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """Python of an environment that holds the wheel and what it asks for, and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    built = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=REPOSITORY)
    assert built.returncode == 0, built.stderr
    venv.create(folder / "clean", with_pip=False)
    packages = next((folder / "clean").rglob("site-packages"))
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(packages)
    (wheel_info,) = packages.glob("*.dist-info")
    for installed in asked_for(Distribution.at(wheel_info)).values():
        for part in {file.parts[0] for file in installed.files or ()} - {"..", "__pycache__"}:
            if not (packages / part).exists():
                (packages / part).symlink_to(Path(str(installed.locate_file(part))))
    return folder / "clean" / "bin" / "python"


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="packages are linked into the environment")
def test_installed_wheel_clusters_a_file_outside_the_checkout(python, tmp_path):
    code = (
        "import numpy, recall_py; adata = recall_py.datasets.pbmc68k(); adata.obsm['X_umap'] = numpy.zeros((700, 2)); "
        "adata.write_h5ad('in.h5ad'); print(recall_py.datasets.__file__, adata.shape)"
    )
    imported = run(python, "-c", code, cwd=tmp_path)
    assert imported.returncode == 0, imported.stderr
    assert imported.stdout.startswith(str(python.parents[1]))
    assert imported.stdout.endswith("(700, 765)\n")
    without = run(python, "-c", "import pytest", cwd=tmp_path)
    assert "No module named 'pytest'" in without.stderr

    code = "from importlib.metadata import entry_points as e; e(group='console_scripts')['recall-py'].load()()"
    options = ("--algorithm", "kmeans", "--num-clusters-start", 8, "--json", "out.json")
    found = run(python, "-c", code, "recall", "in.h5ad", "-o", "out.h5ad", *options, cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    summary = json.loads((tmp_path / "out.json").read_text())
    assert summary["search"]["converged"] is True
    assert len(summary["clusters"]) > 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.h5ad", "out.h5ad", "out.json"]
