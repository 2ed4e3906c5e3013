"""The scaling benchmark: what it draws, what it measures, and what it says of runs that do not end."""

from __future__ import annotations

import importlib
import io
import json
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

REPOSITORY = Path(__file__).parents[2]
SMALL = ["--source", "pbmc68k", "--genes", "700", "--selected", "300"]
AROUND = {"read", "select", "write", "run", "whole"}
PLAIN = {"normalise", "scale", "components", "graph", "Leiden"}
OURS = {"prepare", "normalise", "components", "neighbours", "graph", "Leiden", "tests", "search", "markers"}


def fresh_processes(test):
    """Each run imports and loads compiled code in a process of its own."""
    return pytest.mark.slow(test)


@pytest.fixture
def benchmark(monkeypatch):
    """Imports a module of the benchmarks by its name."""
    monkeypatch.syspath_prepend(str(REPOSITORY))
    return lambda name: importlib.import_module(f"benchmarks.{name}")


def run(module, *arguments):
    """Make a benchmark in this process; each run that it measures has a process of its own."""
    with pytest.MonkeyPatch.context() as patched, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patched.syspath_prepend(str(REPOSITORY))
        patched.setattr(sys, "argv", [module, *map(str, arguments)])
        importlib.import_module(f"benchmarks.{module}").main()


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The folder of a small run."""
    folder = tmp_path_factory.mktemp("scale")
    asked = ["--cells", 300, "--methods", "scanpy", "resolution", "--resolution", 2]
    run("scale.__main__", *asked, *SMALL, "--cache", folder, "--out", folder)
    return folder


@pytest.fixture(scope="module")
def rows(measured):
    return pd.read_csv(measured / "scale.csv")


@fresh_processes
@pytest.mark.parametrize(
    ("method", "stages"),
    [
        ("scanpy", PLAIN),
        ("resolution", OURS | {"knockoffs", "fit", "draw", "sort"}),
    ],
)
def test_every_stage_of_a_run_is_there(rows, method, stages):
    of_run = rows[rows["method"] == method]
    optional = {"neighbours"} if method == "resolution" else set()  # scanpy's graph looks for neighbours itself
    assert stages - optional <= set(of_run["stage"]) - AROUND <= stages
    assert set(of_run["stage"]) >= AROUND
    assert (of_run["ended"] == "done").all()
    assert (of_run["wall_s"] >= 0).all()
    assert (of_run["peak_mib"] > 20).all()


@fresh_processes
def test_totals_are_the_sums_of_their_stages(rows):
    for _, of_run in rows.groupby("method"):
        seconds = of_run.set_index("stage")["wall_s"]
        inside = seconds.drop(list(AROUND)).sum()
        assert seconds["run"] == pytest.approx(inside, rel=1e-4)
        assert seconds["whole"] == pytest.approx(inside + seconds[["read", "select", "write"]].sum(), rel=1e-4)


@fresh_processes
def test_each_leiden_of_a_search_is_counted(rows):
    search = rows[(rows["method"] == "resolution") & (rows["stage"] == "run")].iloc[0]
    calls = rows[rows["method"] == "resolution"].set_index("stage")["calls"]
    levels = [float(level) for level in str(search["resolution"]).split(", ")]
    assert len(levels) == search["steps"] == calls["Leiden"] == calls["tests"]
    assert levels[0] == 2
    assert len(levels) > 1
    assert len(str(search["Leiden [s]"]).split(", ")) == len(levels)


@fresh_processes
def test_page_has_the_ratio_to_scanpy(measured, rows):
    seconds = rows[rows["stage"] == "run"].set_index("method")["wall_s"]
    table = (measured / "scale.md").read_text().split("## Runs")[1]
    (line,) = [line for line in table.splitlines() if line.startswith("| memory | 300 | resolution | done |")]
    assert float(line.split("|")[6]) == pytest.approx(seconds["resolution"] / seconds["scanpy"], rel=0.01)


@fresh_processes
def test_picture_is_made_from_the_table(measured):
    run("scale.picture", "--results", measured, "--out", measured / "scale.png")
    assert (measured / "scale.png").read_bytes().startswith(b"\x89PNG")


def test_picture_takes_each_run_once(benchmark):
    rows = pd.DataFrame(
        [
            (100, "scanpy", "memory", 1),
            (100, "scanpy", "selected", 2),
            (900, "scanpy", "selected", 3),
            (900, "merge", "memory", 4),
        ],
        columns=["cells", "method", "input", "wall_s"],
    )
    assert benchmark("scale.picture").one_input(rows)["wall_s"].tolist() == [1, 3, 4]


@fresh_processes
@pytest.mark.parametrize(
    ("limit", "said"), [(("--memory", 0.02), "out of memory (limit 0.02 GB)"), (("--timeout", 0.2), "out of time")]
)
def test_run_that_does_not_fit_is_a_result(tmp_path, limit, said):
    asked = ["--cells", 300, "--methods", "scanpy", *SMALL, "--cache", tmp_path, "--out", tmp_path]
    run("scale.__main__", *asked, *limit)
    ended = pd.read_csv(tmp_path / "scale.csv").set_index("stage")["ended"]
    assert ended["run"].startswith(said)
    assert ended["run"].endswith("in stage imports")
    assert said in (tmp_path / "scale.md").read_text()


def test_stage_that_did_not_end_is_named(benchmark):
    said = [{"begins": "read"}, {"stage": "read"}, {"begins": "search"}, {"begins": "tests"}]
    assert benchmark("scale.__main__").open_stage(said) == "tests"
    assert benchmark("scale.__main__").open_stage([*said, {"stage": "tests"}]) == "search"


def test_time_counts_for_the_innermost_stage(benchmark, monkeypatch):
    stages = benchmark("scale.stages")
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(stages.time, "perf_counter", lambda: clock.now)
    lines = io.StringIO()
    meter = stages.Meter(lines)
    with meter.stage("search"):
        clock.now += 1.0
        for seconds in (2.0, 3.0):
            with meter.stage("Leiden"):
                clock.now += seconds
        clock.now += 0.5
    said = {fact["stage"]: fact for fact in map(json.loads, lines.getvalue().splitlines()) if "stage" in fact}
    assert {name: (fact["wall_s"], fact["calls"]) for name, fact in said.items()} == {
        "search": (1.5, 1),
        "Leiden": (5.0, 2),
    }


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak can be taken anew on Linux alone")
def test_peak_is_that_of_the_stage(benchmark):
    lines = io.StringIO()
    meter = benchmark("scale.stages").Meter(lines)
    for name, n_bytes in (("large", 200 << 20), ("small", 1 << 20)):
        with meter.stage(name):
            np.ones(n_bytes, dtype=np.uint8)
    peak = {
        fact["stage"]: fact["peak_mib"] for fact in map(json.loads, lines.getvalue().splitlines()) if "stage" in fact
    }
    assert 150 < peak["large"] - peak["small"] < 250


def test_exponent_is_that_of_a_power_law(benchmark):
    cells = np.array([1_000, 10_000, 30_000, 100_000])
    table = pd.DataFrame({"cells": cells, "wall_s": 0.1 * cells**1.3, "ended": "done"})
    table.loc[0, "wall_s"] = 99.0  # below the sizes that are fitted
    b, a, span = benchmark("scale.tables").exponent(table)
    assert (b, a, span) == (pytest.approx(1.3), pytest.approx(0.1), (10_000, 100_000))
    ended = table.assign(ended=["done", "done", "out of time", "out of memory"])
    assert benchmark("scale.tables").exponent(ended)[2] == (1_000, 10_000)
    assert benchmark("scale.tables").exponent(table[:1]) == (None, None, None)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The real cells, and 5,000 cells after them."""
    folder = tmp_path_factory.mktemp("counts")
    arguments = SimpleNamespace(source="pbmc68k", genes=700, selected=300, seed=0, cache=folder)
    sys.path.insert(0, str(REPOSITORY))
    try:
        module = importlib.import_module("benchmarks.scale.data")
    finally:
        sys.path.remove(str(REPOSITORY))
    return SimpleNamespace(module=module, arguments=arguments, cells=ad.read_h5ad(module.counts_file(5_000, arguments)))


def test_drawn_counts_follow_the_real_cells(drawn):
    real, cells = drawn.module.pbmc68k()[:, drawn.cells.var_names], drawn.cells
    assert cells.shape == (5_000, 700)
    assert (cells.X.data > 0).all()
    assert (cells.X.data == np.rint(cells.X.data)).all()
    assert cells.X.has_sorted_indices
    assert cells.var["highly_variable"].sum() == 300
    means = [np.asarray(x.X.mean(axis=0)).ravel() for x in (real, cells)]
    assert stats.pearsonr(*np.log(means)).statistic > 0.99
    depths = [np.asarray(x.X.sum(axis=1)).ravel() for x in (real, cells)]
    for quantile in (0.1, 0.5, 0.9):
        assert np.quantile(depths[1], quantile) == pytest.approx(np.quantile(depths[0], quantile), rel=0.15)
    shares = [x.obs[name].value_counts(normalize=True) for x, name in ((real, "annotation"), (cells, "kind"))]
    assert (shares[0] - shares[1]).abs().max() < 0.05


def test_smaller_file_holds_the_first_cells_of_a_larger_one(drawn):
    first = ad.read_h5ad(drawn.module.counts_file(4_096, drawn.arguments))
    assert (drawn.cells.X[:4_096] != first.X).nnz == 0
    assert first.obs["kind"].equals(drawn.cells.obs["kind"][:4_096])


def test_file_that_is_there_is_not_made_again(drawn):
    path = drawn.module.counts_file(5_000, drawn.arguments)
    assert path.stat().st_mtime_ns == drawn.module.counts_file(5_000, drawn.arguments).stat().st_mtime_ns
    assert not list(drawn.arguments.cache.glob(".*"))


@pytest.mark.parametrize("dispersion", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("mean", [0.02, 1.5, 30.0])
def test_counts_are_negative_binomial(drawn, mean, dispersion):
    n_cells = 40_000
    lengths, genes = np.empty(n_cells, dtype=np.int64), np.empty(n_cells, dtype=np.int32)
    counts = np.empty(n_cells, dtype=np.float32)
    n = drawn.module._draw(
        np.random.default_rng(1),
        np.zeros(n_cells, dtype=np.int64),
        np.full(n_cells, mean),
        np.zeros((n_cells, 1)),
        np.ones((1, 1)),
        np.array([dispersion]),
        np.zeros((1, 1)),
        np.array([-1]),
        lengths,
        genes,
        counts,
    )
    seen = np.concatenate((counts[:n], np.zeros(n_cells - n))).astype(int)
    expected = stats.nbinom(1 / dispersion, 1 / (1 + dispersion * mean)) if dispersion else stats.poisson(mean)
    edges = np.unique(expected.ppf(np.linspace(0.02, 0.98, 20)))
    cumulative = np.concatenate(([0.0], expected.cdf(edges), [1.0]))
    found = np.bincount(np.searchsorted(edges, seen), minlength=edges.size + 1)
    assert stats.chisquare(found, n_cells * np.diff(cumulative)).pvalue > 1e-3


def test_source_with_too_few_genes_is_refused(drawn):
    with pytest.raises(SystemExit, match="pbmc68k has 765 genes; 300 selected of 20000 were asked for"):
        drawn.module.real_profiles("pbmc68k", 20_000, 300)


def test_marked_genes_are_read_in_blocks(drawn, benchmark, monkeypatch):
    runs = benchmark("scale.runs")
    monkeypatch.setattr(runs, "BLOCK", 999)
    path = drawn.module.counts_file(5_000, drawn.arguments)
    read = runs.read_selected(path)
    chosen = drawn.cells[:, drawn.cells.var["highly_variable"].to_numpy()]
    assert read.var_names.equals(chosen.var_names)
    assert (sparse.csr_matrix(read.X) != sparse.csr_matrix(chosen.X)).nnz == 0
