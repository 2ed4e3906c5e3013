"""Seurat objects where R or rpy2 is absent: one sentence with the install line."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest
from command import recall
from golden import REPOSITORY

from recall_py import seurat
from recall_py.seurat import _values as r_values


@pytest.fixture
def without_rpy2(monkeypatch):
    r_values.robjects.cache_clear()
    monkeypatch.setitem(sys.modules, "rpy2.robjects", None)
    yield
    r_values.robjects.cache_clear()


@pytest.mark.parametrize("call", [seurat.find_clusters, seurat.to_anndata])
def test_without_rpy2_the_error_has_the_install_line(without_rpy2, call):
    with pytest.raises(ImportError, match=r"pip install 'recall-py\[r\]'"):
        call(None)


def test_command_line_without_rpy2_says_so_in_one_line(without_rpy2, tmp_path):
    source = tmp_path / "cells.rds"
    source.write_bytes(b"")
    done = recall("cluster", source, "-o", tmp_path / "out.rds")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "pip install 'recall-py[r]'" in done.stderr


def test_command_line_does_not_mix_kinds_of_files(without_rpy2, tmp_path):
    source = tmp_path / "cells.rds"
    source.write_bytes(b"")
    done = recall("cluster", source, "-o", tmp_path / "out.h5ad")
    assert done.returncode == 2
    assert "of different kinds" in done.stderr


@pytest.mark.parametrize(
    ("command", "instead"),
    [
        (("report", "-o", "page.html"), "recall-py test cells.rds --groupby seurat_clusters --report page.html"),
        (("demo", "-o", "out"), "recall-py cluster cells.rds -o labelled.rds --report report.html"),
        (("export", "--cellwhisperer", "-o", "out.h5ad"), "to_anndata"),
    ],
)
def test_commands_that_an_rds_file_cannot_have_name_what_can_be_had(command, instead):
    name, *options = command
    done = recall(name, "cells.rds", *options)
    assert done.returncode == 2
    assert f"Instead: {instead}" in done.stderr or instead in done.stderr


def test_wheels_hold_the_code_for_r_where_it_is_looked_for():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    installed, checkout = r_values._R_CODE
    assert installed == Path(r_values.__file__).parents[1] / "_r"
    for file in r_values._FILES:
        assert included[f"r_bridge/R/{file}"] == f"recall_py/_r/{file}"
        assert (checkout / file).is_file()
