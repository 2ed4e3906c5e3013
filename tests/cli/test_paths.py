"""No command destroys what it reads, or one of its files by another: it is refused before anything is computed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from recall_py.cli.commands import app
from recall_py.cli.paths import refuse_clashes
from recall_py.run.options import option

PBMC = Path(__file__).parents[2] / "data" / "pbmc68k.h5ad"
NEEDED = {
    "cluster": ["-o", "other.h5ad"],
    "recall": ["-o", "other.h5ad"],
    "merge": ["-o", "other.h5ad", "--groupby", "annotation"],
    "test": ["--groupby", "annotation", "--external"],
}
WRITING = [
    (name, f"--{parameter.name}")
    for name, command in typer.main.get_command(app).commands.items()
    for parameter in command.params
    if name != "doctor"  # it reads nothing
    and parameter.param_type_name == "option"
    and parameter.name not in ("help", "genes")
    and option(parameter.name).kind is Path
]
"""Every command with each of its options that takes a path to write to."""


def recall(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def contents(path):
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return {file: file.read_bytes() for file in files}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(PBMC, "in.h5ad")
    (tmp_path / "in.zarr" / "obs").mkdir(parents=True)
    (tmp_path / "in.zarr" / "zarr.json").write_text("{}")
    (tmp_path / "linked").symlink_to(tmp_path)
    os.link("in.h5ad", "hard.h5ad")
    (tmp_path / "link.html").symlink_to("in.h5ad")
    return tmp_path


def test_every_option_that_takes_a_path_is_known():
    assert {("cluster", "--json"), ("test", "--report"), ("knockoffs", "--output"), ("merge", "--merges")} <= set(
        WRITING
    )


@pytest.mark.parametrize(("command", "option"), WRITING)
@pytest.mark.parametrize("path", ["in.h5ad", "./in.h5ad", "linked/in.h5ad", "hard.h5ad", "link.html", "in.h5ad/x.html"])
def test_no_option_can_name_the_input(command, option, path, folder):
    before, names = contents(folder / "in.h5ad"), sorted(os.listdir())
    run = recall(command, "in.h5ad", *NEEDED.get(command, []), option, path)
    assert run.exit_code == 2, run.output
    assert run.stderr.startswith("error: ")
    assert run.stderr.count("\n") == 1
    assert contents(folder / "in.h5ad") == before
    assert sorted(os.listdir()) == names


@pytest.mark.parametrize(("command", "option"), WRITING)
@pytest.mark.parametrize("path", ["in.zarr", "in.zarr/x.html", "in.zarr/obs/x.h5ad"])
def test_no_option_can_name_a_place_in_the_input(command, option, path, folder):
    before = contents(folder / "in.zarr")
    run = recall(command, "in.zarr", *NEEDED.get(command, []), option, path)
    assert run.exit_code == 2, run.output
    assert run.stderr.count("\n") == 1
    assert contents(folder / "in.zarr") == before


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"-o": "out.h5ad", "--json": "out.h5ad"}, "--json out.h5ad is -o out.h5ad. Pass another name."),
        ({"-o": "out.h5ad", "--report": "./out.h5ad"}, "--report out.h5ad is -o out.h5ad."),
        ({"--json": "a.html", "--report": "linked/a.html"}, "--report linked/a.html is --json a.html."),
        ({"-o": "out.zarr", "--json": "out.zarr/a"}, "--json out.zarr/a lies in -o out.zarr. Pass a name outside it."),
        ({"--json": "a.zarr/b", "-o": "a.zarr"}, "-o a.zarr would take the place of a store with --json a.zarr/b."),
        ({"--json": "in.h5ad"}, "--json in.h5ad is the input in.h5ad. Pass another name."),
    ],
)
def test_files_of_a_command_are_told_apart(written, message, folder):
    with pytest.raises(ValueError, match=f"^{message}"):
        refuse_clashes(Path("in.h5ad"), {option: Path(path) for option, path in written.items()})


def test_files_beside_each_other_are_accepted(folder):
    written = {"-o": Path("out.h5ad"), "--json": Path("-"), "--report": Path("linked/out.html"), "--plot": None}
    refuse_clashes(Path("in.h5ad"), written)


@pytest.mark.parametrize("key", ["/X", "/", ".", "a/b", "obs/x", ""])
@pytest.mark.parametrize(
    "arguments",
    [
        ["cluster", "in.h5ad", "--in-place"],
        ["cluster", "in.h5ad", "-o", "new.zarr", "--drop-empty-cells"],
        ["recall", "in.h5ad", "--in-place"],
        ["merge", "in.h5ad", "--in-place", "--groupby", "annotation"],
        ["test", "in.h5ad", "--groupby", "annotation", "--external", "--in-place"],
    ],
)
def test_key_that_is_a_path_is_refused(arguments, key, folder):
    before, names = contents(folder / "in.h5ad"), sorted(os.listdir())
    run = recall(*arguments, "--key-added", key)
    assert run.exit_code == 2
    assert run.stderr.startswith(f"error: --key-added is {key!r}; it must be one name")
    assert contents(folder / "in.h5ad") == before
    assert sorted(os.listdir()) == names


DAMAGED = {"index": ("indices", 7, 10**7), "pointer": ("indptr", 9, 10**8), "end": ("indptr", -1, 5)}


@pytest.mark.parametrize("damage", DAMAGED)
@pytest.mark.parametrize(
    "arguments",
    [
        ["info", "in.h5ad"],
        ["knockoffs", "in.h5ad", "-o", "new.h5ad"],
        ["cluster", "in.h5ad", "--in-place"],
        ["cluster", "in.h5ad", "-o", "new.zarr", "--drop-empty-cells"],
        ["recall", "in.h5ad", "--in-place"],
        ["merge", "in.h5ad", "--in-place", "--groupby", "annotation"],
        ["test", "in.h5ad", "--groupby", "annotation"],
    ],
)
def test_damaged_file_is_refused_in_one_sentence(arguments, damage, folder):
    import h5py

    name, at, value = DAMAGED[damage]
    with h5py.File("in.h5ad", "a") as file:
        stored = file["X"][name]
        stored[stored.shape[0] + at if at < 0 else at] = value
    before, names = contents(folder / "in.h5ad"), sorted(os.listdir())
    run = recall(*arguments)
    assert run.exit_code == 2, run.output
    assert run.stderr.startswith("error: X is damaged: ")
    assert run.stderr.count("\n") == 1
    assert contents(folder / "in.h5ad") == before
    assert sorted(os.listdir()) == names
