"""Seurat objects where R or rpy2 is absent: one sentence with the install line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from recall_py import r_values, seurat

NO_RPY2 = """
import sys
sys.modules["rpy2"] = None
from recall_py.cli import main
main()
"""


def run_without_rpy2(*arguments):
    command = [sys.executable, "-c", NO_RPY2, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


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


def test_command_line_without_rpy2_says_so_in_one_line(tmp_path):
    source = tmp_path / "cells.rds"
    source.write_bytes(b"")
    done = run_without_rpy2("cluster", source, "-o", tmp_path / "out.rds")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "pip install 'recall-py[r]'" in done.stderr


def test_command_line_does_not_mix_kinds_of_files(tmp_path):
    source = tmp_path / "cells.rds"
    source.write_bytes(b"")
    done = run_without_rpy2("cluster", source, "-o", tmp_path / "out.h5ad")
    assert done.returncode == 2
    assert "of different kinds" in done.stderr


def test_code_for_r_is_where_the_package_looks_for_it():
    assert any((Path(folder) / file).is_file() for folder in r_values._R_CODE for file in r_values._FILES)
