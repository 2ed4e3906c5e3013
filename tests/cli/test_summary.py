"""What --json, --markers and --merges write: one schema for every command, and the tables of get."""

from __future__ import annotations

import json
import shutil
import warnings
from importlib.resources import files
from pathlib import Path

import anndata as ad
import pandas as pd
import pytest
from command import recall

import recall_py

PBMC = Path(__file__).parents[2] / "data" / "pbmc68k.h5ad"
SCHEMA = json.loads(files("recall_py.cli").joinpath("summary.schema.json").read_text(encoding="utf-8"))
KINDS = {
    "object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float),
    "null": type(None),
}  # fmt: skip
KNOWN = {
    "$schema", "$defs", "$ref", "title", "description", "type", "enum", "required", "properties",
    "additionalProperties", "items", "anyOf", "oneOf",
}  # fmt: skip


def faults(value, schema, at="summary"):
    """What is wrong with a value, by the part of JSON Schema that the schema of the summary uses."""
    assert set(schema) <= KNOWN, schema
    if "$ref" in schema:
        yield from faults(value, SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]], at)
    if "type" in schema:
        kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
        if not any(isinstance(value, KINDS[kind]) and (kind == "boolean") == isinstance(value, bool) for kind in kinds):
            yield f"{at} is {value!r}, no {' or '.join(kinds)}"
            return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at} is {value!r}, none of {schema['enum']}"
    for word, least, most in (("anyOf", 1, len(schema.get("anyOf", []))), ("oneOf", 1, 1)):
        fitting = [part for part in schema.get(word, []) if not any(faults(value, part, at))]
        if word in schema and not least <= len(fitting) <= most:
            yield f"{at} fits {len(fitting)} of {word}"
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from faults(item, schema.get("items", {}), f"{at}[{number}]")
    if isinstance(value, dict):
        known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
        yield from (f"{at} has no {name}" for name in schema.get("required", []) if name not in value)
        for name, item in value.items():
            if name in known:
                yield from faults(item, known[name], f"{at}.{name}")
            elif others is False:
                yield f"{at} has {name}"
            elif isinstance(others, dict):
                yield from faults(item, others, f"{at}.{name}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A file with labels, a graph and a UMAP, and what each command writes about it."""
    folder = tmp_path_factory.mktemp("summary")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adata = recall_py.datasets.simulate(150, 120, group_shares=(0.5, 0.5), n_markers=60, log2_fold_change=3)
        adata.write_h5ad(folder / "in.h5ad")
    for command in COMMANDS:
        run = recall(*COMMANDS[command], "--json", f"{command}.json", cwd=folder)
        assert run.returncode == 0, run.stderr
    return folder


CLUSTER = ("cluster", "in.h5ad", "-o", "x.h5ad")
TABLES = ("--markers", "markers.csv", "--quiet")
COMMANDS = {
    "cluster": ("cluster", "in.h5ad", "-o", "out.h5ad", "--resolution", 3, "--merges", "merges.csv", *TABLES),
    "recall": ("recall", "in.h5ad", "-o", "searched.h5ad", "--markers", "searched.csv", "--quiet"),
    "merge": (
        *("merge", "out.h5ad", "-o", "merged.h5ad", "--groupby", "leiden_start", "--quiet"),
        *("--markers", "merged_markers.csv", "--merges", "merged_merges.csv"),
    ),
    "test": ("test", "out.h5ad", "--groupby", "leiden_start", "--quiet", "--markers", "tested.csv"),
    "demo": ("demo", "out.h5ad", "-o", "demo"),
    "report": ("report", "searched.h5ad", "-o", "page.html"),
    "knockoffs": ("knockoffs", "in.h5ad", "-o", "augmented.h5ad"),
    "export": ("export", "out.h5ad", "-o", "exported.h5ad", "--cellwhisperer"),
    "info": ("info", "out.h5ad"),
    "doctor": ("doctor",),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_summary_of_every_command_follows_the_schema(command, folder):
    summary = json.loads((folder / f"{command}.json").read_text())
    assert summary["command"] == command
    assert list(faults(summary, SCHEMA)) == []


def test_schema_knows_every_command():
    assert set(SCHEMA["properties"]["command"]["enum"]) == set(COMMANDS)


def test_every_key_is_on_the_page_of_the_command_line():
    page = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text(encoding="utf-8")
    assert [name for name in SCHEMA["properties"] if f"`{name}`" not in page] == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"command": "guess"}, "summary.command is 'guess'"),
        ({"pairs": [{"group": 1}]}, "summary.pairs[0] fits 0 of anyOf"),
        ({"n_cells": None}, "summary.n_cells is None, no integer"),
        ({"surprise": 1}, "summary has surprise"),
    ],
)
def test_schema_refuses_what_is_not_described(change, said, folder):
    summary = json.loads((folder / "cluster.json").read_text()) | change
    assert any(fault.startswith(said) for fault in faults(summary, SCHEMA))


def test_tables_are_those_of_get(folder):
    for name, key, markers, merges in (
        ("out.h5ad", "leiden", "markers.csv", "merges.csv"),
        ("merged.h5ad", "leiden_start_merged", "merged_markers.csv", "merged_merges.csv"),
    ):
        adata = ad.read_h5ad(folder / name)
        found, expected = pd.read_csv(folder / markers), recall_py.get.markers(adata, key, by="cluster")
        assert found["gene"].tolist() == expected["gene"].tolist()
        assert found["group"].astype(str).tolist() == expected["group"].astype(str).tolist()
        assert len(expected)
        found, expected = pd.read_csv(folder / merges), recall_py.get.merges(adata, key)
        assert found["genes"].str.split().tolist() == expected["genes"].tolist()
        assert found["evidence"].tolist() == pytest.approx(expected["evidence"].tolist())
        assert len(expected)
    assert pd.read_csv(folder / "searched.csv").columns[:2].tolist() == ["group", "gene"]
    assert pd.read_csv(folder / "tested.csv").columns[:2].tolist() == ["group", "gene"]


def test_info_as_json_alone_on_standard_output(folder):
    run = recall("info", "out.h5ad", "--json", "-", cwd=folder)
    assert json.loads(run.stdout)["facts"]["cells x genes"] == "150 x 120"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("cluster", "in.h5ad", "-o", "x.h5ad", "--markers", "x.txt"),
            "x.txt is to be a .csv file. Name it so: x.csv.",
        ),
        ((*CLUSTER, "--merges", "absent/x.csv"), "The folder absent does not exist"),
        (
            ("cluster", "in.h5ad", "-o", "x.h5ad", "--merges", "x.csv", "--markers", "x.csv"),
            "--merges x.csv is --markers",
        ),
        ((*CLUSTER, "--json", "x.csv", "--markers", "x.csv"), "--json x.csv is --markers"),
        ((*CLUSTER, "--markers", "in.h5ad"), "--markers in.h5ad is the input in.h5ad"),
        (
            (*CLUSTER, "--method", "knockoffs", "--merges", "x.csv"),
            "--merges is for --method pairs",
        ),
        (("info", "in.h5ad", "--json", "in.h5ad"), "--json in.h5ad is the input in.h5ad"),
        (("report", "in.h5ad", "-o", "x.html", "--json", "x.html"), "--json x.html is -o x.html"),
        (("doctor", "--json", "absent/x.json"), "The folder absent does not exist"),
    ],
)
def test_places_that_cannot_be_written_are_refused_before_anything_runs(arguments, message, tmp_path):
    shutil.copyfile(PBMC, tmp_path / "in.h5ad")
    run = recall(*arguments, cwd=tmp_path)
    assert run.returncode == 2
    assert run.stderr.startswith("error: ")
    assert message in run.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.h5ad"]
