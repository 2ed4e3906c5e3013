"""``recall-py doctor``: what it says of versions that fail together."""

from importlib.metadata import version

import pytest

from recall_py.cli import describe

GOOD = {"scanpy": "1.12.4", "pynndescent": "0.6.0", "typer": "0.16.0", "click": "8.5.1"}


@pytest.fixture
def installed(monkeypatch):
    """Versions that the installation seems to consist of."""
    versions = dict(GOOD)
    monkeypatch.setattr(describe, "version", lambda name: versions.get(name) or version(name))
    return versions


def bad_pairs():
    return dict(describe.describe_installation())["bad pairs"]


def test_good_installation_has_no_known_bad_pair(installed):
    assert bad_pairs() == "none known among these versions"


@pytest.mark.parametrize("scanpy", ["1.11.0", "1.12.4"])
def test_pynndescent_that_scanpy_cannot_read_is_named_with_the_line_that_mends_it(installed, scanpy):
    installed.update(scanpy=scanpy, pynndescent="0.7.0")
    assert bad_pairs().startswith(f"pynndescent 0.7.0 WITH scanpy {scanpy}: sc.pp.neighbors fails from 8,192 cells on")
    assert bad_pairs().endswith('Mend it: pip install "pynndescent<0.7"')


def test_each_bad_pair_is_named(installed):
    installed.update(pynndescent="0.10.1", typer="0.15.0")
    assert [text.split(":")[0] for text in bad_pairs().split("; ")] == [
        "pynndescent 0.10.1 WITH scanpy 1.12.4",
        "click 8.5.1 WITH typer 0.15.0",
    ]


def test_next_scanpy_is_in_no_known_bad_pair(installed):
    installed.update(scanpy="1.13.0rc1", pynndescent="0.7.0")
    assert bad_pairs() == "none known among these versions"
