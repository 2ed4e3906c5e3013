"""Compiled code has a place where neither home nor the installation can be written to."""

import os
import tempfile
from pathlib import Path

import pytest

from recall_py.cli import caches


@pytest.fixture(autouse=True)
def read_only(tmp_path, monkeypatch):
    """What is no folder takes no cache, for root either."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file" / "cache"))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(caches, "find_spec", lambda _: None)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_caches_get_a_private_folder_that_goes_in_the_end(read_only, capsys):
    with caches.somewhere_for_caches():
        folder = Path(os.environ["NUMBA_CACHE_DIR"])
        assert folder.parent == read_only
        assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in read_only.iterdir()] == ["file"]
    assert "NUMBA_CACHE_DIR" not in os.environ
    assert "set NUMBA_CACHE_DIR" in capsys.readouterr().err


@pytest.mark.parametrize("variable", ["NUMBA_CACHE_DIR", "XDG_CACHE_HOME"])
def test_place_that_is_given_is_used(variable, read_only, monkeypatch, capsys):
    monkeypatch.setenv(variable, str(read_only / "mine"))
    with caches.somewhere_for_caches():
        assert os.environ[variable] == str(read_only / "mine")
        assert [path.name for path in read_only.iterdir()] == ["file"]
    assert capsys.readouterr().err == ""


def test_no_place_at_all_is_said(monkeypatch):
    def gettempdir():
        raise FileNotFoundError

    monkeypatch.setattr(tempfile, "gettempdir", gettempdir)
    with pytest.raises(ValueError, match="Set TMPDIR"), caches.somewhere_for_caches():
        pass
