"""One table of options: commands, functions and the report agree, and a help is short."""

from __future__ import annotations

import inspect
import re
import shlex

import pytest
import typer
from command import recall

import recall_py
from recall_py.cli import rds
from recall_py.cli.commands import app
from recall_py.run.options import GROUPS, option, words

COMMANDS = typer.main.get_command(app).commands
FUNCTIONS = {
    "cluster": (recall_py.tl.leiden, recall_py.tl.louvain),
    "recall": (recall_py.tl.recall,),
    "merge": (recall_py.tl.merge_clusters,),
    "test": (recall_py.tl.test_clusters,),
    "knockoffs": (recall_py.pp.knockoffs,),
}
FAMILY = {"recall": "recall", "merge": "merge_clusters", "test": "test_clusters", "knockoffs": "recall"}
OF_SCANPY = {"flavor", "n_iterations", "use_weights", "directed", "partition_type", "n_orders"}
"""What tl.leiden hands on and tl.louvain takes."""
OF_FILES = {
    "source", "output", "in_place", "json", "report", "markers", "merges", "quiet", "debug", "drop_empty_cells",
    "round_counts",
}  # fmt: skip
OF_PYTHON = {"adata", "rng", "copy", "progress", "adjacency", "clustering_args", "removed"}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_is_at_most_60_lines_and_in_groups(command):
    run = recall(command, "--help")
    assert run.returncode == 0
    lines = run.stdout.splitlines()
    assert len(lines) <= 60
    headings = [line[:-1] for line in lines if re.match(r"\S.*:$", line)]
    assert headings == [group for group in GROUPS if group in headings]
    assert {"Input and output", "Running"} <= {*headings}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_every_option(command):
    shown = " ".join(recall(command, "--help").stdout.split())
    for parameter in COMMANDS[command].params:
        if parameter.param_type_name == "option":
            assert parameter.opts[0].removeprefix("--") in shown
            assert parameter.help in shown


@pytest.mark.parametrize("command", FUNCTIONS)
def test_commands_and_functions_take_the_same_options(command):
    names = {parameter.name for parameter in COMMANDS[command].params} - OF_FILES
    taken = set().union(*(inspect.signature(function).parameters for function in FUNCTIONS[command])) - OF_PYTHON
    own = {"cluster": OF_SCANPY | {"algorithm"}, "knockoffs": set()}.get(command, set())
    assert names - own == taken - own


@pytest.mark.parametrize("command", FUNCTIONS)
def test_defaults_of_functions_are_those_of_the_table(command):
    for function in FUNCTIONS[command]:
        for name, parameter in inspect.signature(function).parameters.items():
            if name in {"adata", "clustering_args", "removed"} or (command == "cluster" and name in OF_SCANPY):
                continue
            expected = option(name, FAMILY.get(command, function.__name__)).default
            of_algorithm = command == "cluster" and name == "key_added" and parameter.default == function.__name__
            assert parameter.default in (None, expected) or of_algorithm, name


def test_docstrings_say_what_the_table_says():
    for command, functions in FUNCTIONS.items():
        for function in functions:
            said = " ".join(function.__doc__.split())
            for name in set(inspect.signature(function).parameters) - {"adata", "clustering_args", "removed"}:
                assert " ".join(option(name, FAMILY.get(command, function.__name__)).says.split()) in said


@pytest.mark.parametrize("rows", GROUPS.values(), ids=GROUPS)
def test_every_option_says_in_one_line_what_it_does(rows):
    for name, known in rows.items():
        assert known.says.endswith(".")
        if known.kind is not None:
            assert len(known.help) <= 60, name
            assert not {"`", "\n"} & {*known.help}


@pytest.mark.parametrize(
    ("asked", "function", "expected"),
    [
        ({"resolution": 2.0, "random_state": 0}, "leiden", "--resolution 2"),
        ({"use_weights": False, "directed": True}, "leiden", "--no-use-weights --directed"),
        ({"directed": False, "layer": None}, "leiden", "--no-directed"),
        ({"programmes": ()}, "leiden", "--programmes none"),
        ({"programmes": ("cell_cycle", "ribosomal")}, "leiden", "--programmes cell_cycle,ribosomal"),
        ({"fdr": 0.05, "reduction_percentage": 0.1 + 0.2}, "recall", f"--reduction {0.1 + 0.2!r}"),
        ({"resolution_start": 0.8, "algorithm": "louvain"}, "recall", ""),
        (
            {"external": True, "all_pairs": False, "batch_key": "my lab"},
            "merge_clusters",
            "--external --batch-key 'my lab'",
        ),
    ],
)
def test_values_are_spelled_as_the_command_line_reads_them(asked, function, expected):
    assert shlex.join(words(asked, function)) == expected


def test_defaults_are_told_where_that_is_asked_for():
    assert list(words({"random_state": 0, "fdr": 0.05}, "recall", always=("random_state",))) == ["--seed", "0"]


@pytest.mark.parametrize("name", ["--round-counts", "--drop-empty-cells"])
def test_what_means_nothing_to_an_object_of_r_is_refused_before_r_is_asked_for(tmp_path, name):
    run = recall("cluster", tmp_path / "in.rds", "-o", tmp_path / "out.rds", name)
    assert run.returncode == 2
    assert f"{name} means nothing to an object of R" in run.stderr


def test_programmes_of_a_seurat_object_are_those_of_the_table():
    assert rds._options({})["programmes"] == option("programmes", "").default
