"""The wheel in a clean environment, outside the checkout."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
OFFLINE = ("Failed to establish a new connection", "NewConnectionError", "Temporary failure in name resolution")


def run(*command, cwd):
    """Run a command that does not learn from this process where packages are."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return subprocess.run([*map(str, command)], cwd=cwd, env=clean, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    """Folder of the commands of an environment that holds the wheel and what it asks for, and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    built = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=REPOSITORY)
    assert built.returncode == 0, built.stderr
    venv.create(folder / "clean", with_pip=True)
    commands = folder / "clean" / ("Scripts" if os.name == "nt" else "bin")
    wheel = next(folder.glob("*.whl"))
    done = run(commands / "python", "-m", "pip", "install", "--quiet", "--retries", 1, wheel, cwd=folder)
    if done.returncode and any(sign in done.stderr for sign in OFFLINE):
        pytest.skip("no package index can be reached from here to fill a clean environment")
    assert done.returncode == 0, done.stderr
    return commands


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_installed_wheel_clusters_a_file_outside_the_checkout(commands, tmp_path):
    code = "import recall_py; print(recall_py.__file__); recall_py.datasets.pbmc68k().write_h5ad('in.h5ad')"
    imported = run(commands / "python", "-c", code, cwd=tmp_path)
    assert imported.returncode == 0, imported.stderr
    assert imported.stdout.startswith(str(commands.parent))

    options = ("--preset", "recall", "--resolution", 2, "--json", "out.json")
    found = run(commands / "recall-py", "cluster", "in.h5ad", "-o", "out.h5ad", *options, cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    summary = json.loads((tmp_path / "out.json").read_text())
    assert summary["converged"] is True
    assert summary["n_clusters"] > 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.h5ad", "out.h5ad", "out.json"]
