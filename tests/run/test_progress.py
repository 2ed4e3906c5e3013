"""What a run tells while it goes on, and how it ends when it is interrupted."""

import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from command import obey_interrupts
from rich.console import Console

import recall_py
from recall_py.method.pairs import outcomes
from recall_py.method.params import RunParams, SearchParams
from recall_py.method.results import Iteration
from recall_py.run import waiting
from recall_py.run.progress import ConsoleProgress, longest_left, memory_in_use
from recall_py.run.waiting import Waiting
from recall_py.words import in_words

PBMC = Path(__file__).parents[2] / "data" / "pbmc68k.h5ad"


def step(n_clusters, n_failing=1):
    n_pairs = n_clusters * (n_clusters - 1) // 2
    return Iteration(level=2.0, n_clusters=n_clusters, n_pairs=n_pairs, n_failing=n_failing, min_selected=0)


def params(**search):
    return RunParams(search=SearchParams(start=2.0, **search))


def test_longest_time_left_counts_the_steps_that_are_possible():
    assert longest_left(params(strategy="merge"), step(9), 3, 2.0) == 16.0
    assert longest_left(params(max_iterations=10), step(9), 3, 2.0) == 14.0
    assert longest_left(params(max_iterations=3), step(9), 3, 2.0) is None
    assert longest_left(params(), step(9, n_failing=0), 3, 2.0) is None


@pytest.mark.parametrize(("seconds", "said"), [(4.2, "4 s"), (89, "89 s"), (600, "10 min"), (7200, "2 h")])
def test_times_are_said_in_words(seconds, said):
    assert in_words(seconds) == said


def test_memory_in_use_grows_with_what_is_held():
    before = memory_in_use()
    held = bytearray(os.urandom(1)) * 200_000_000
    assert memory_in_use() - before > 100
    assert len(held) == 200_000_000


def test_terminal_shows_stage_resolution_clusters_memory_and_time_left():
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=150, color_system=None)
    with ConsoleProgress(console, params(strategy="merge")) as progress:
        progress.stage("graph")
        progress._progress.refresh()
        progress.stage("search")
        progress._last -= 30
        progress.iteration(step(9))
        progress._progress.refresh()
    text = written.getvalue()
    for said in ("graph", "search: resolution 2, 9 clusters", " MB", "at most 4 min left", "1 of 36 pairs fail"):
        assert said in text


@pytest.fixture
def _verbosity():
    """Put scanpy's verbosity back: its settings know no way to be patched."""
    before = sc.settings.verbosity
    yield
    sc.settings.verbosity = before
    sc.settings.logfile = ""


@pytest.mark.usefixtures("_verbosity")
def test_nothing_is_printed_at_verbosity_0(capfd):
    sc.settings.verbosity = 0
    adata = ad.read_h5ad(PBMC)
    recall_py.tl.recall(adata, algorithm="kmeans", num_clusters_start=5, max_iterations=1, progress=True)
    recall_py.tl.recall(adata, algorithm="kmeans", num_clusters_start=1)
    assert adata.uns["recall_clusters"]["recall"]["reason"] == "one cluster"
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("_verbosity")
def test_higher_verbosity_says_more():
    adata = ad.read_h5ad(PBMC)
    said = []
    for verbosity in (1, 2, 3):
        sc.settings.verbosity = verbosity
        sc.settings.logfile = io.StringIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            recall_py.tl.recall(adata, algorithm="kmeans", num_clusters_start=3)
        said.append(sc.settings.logfile.getvalue())
    assert said[0] == ""
    assert "pairs fail" in said[1]
    assert "recall: search" not in said[1]
    assert "recall: search" in said[2]


def labelled():
    adata = recall_py.datasets.simulate(90, 60, group_shares=(0.5, 0.5), n_markers=20, random_state=1)
    adata.obs["label"] = pd.Categorical(adata.obs["group"].astype(str) + (np.arange(90) % 2).astype(str))
    return adata


@pytest.fixture
def slow_pairs(monkeypatch):
    """Pairs that take longer than the patience."""
    compare = outcomes._compare

    def slowly(*pair):
        time.sleep(0.15)
        return compare(*pair)

    monkeypatch.setattr(outcomes, "_compare", slowly)
    monkeypatch.setattr(waiting, "_PATIENCE", 0.1)
    monkeypatch.setattr(waiting, "_PAUSE", 0.1)


@pytest.mark.usefixtures("_verbosity", "slow_pairs")
@pytest.mark.parametrize("run", ["leiden", "merge_clusters", "test_clusters"])
def test_pairs_done_and_time_left_are_logged(run):
    adata = labelled()
    sc.pp.neighbors(adata, use_rep="X", method="gauss", transformer="sklearn")
    sc.settings.verbosity = 2
    sc.settings.logfile = io.StringIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = {"flavor": "igraph", "resolution": 0.8} if run == "leiden" else {"groupby": "label"}
        getattr(recall_py.tl, run)(adata, n_jobs=1, **given)
    assert re.search(r"^    \d of \d+ pairs compared", sc.settings.logfile.getvalue(), re.MULTILINE)


@pytest.mark.usefixtures("slow_pairs")
@pytest.mark.parametrize("place", ["Console.is_terminal", "_is_jupyter"])
def test_one_line_shows_pairs_done_and_time_left_and_goes_in_the_end(place, capsys, monkeypatch):
    monkeypatch.setattr(f"rich.console.{place}", True if place.startswith("Console") else lambda: True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        recall_py.tl.merge_clusters(labelled(), "label", n_jobs=1)
    shown = capsys.readouterr().err
    assert re.search(r"\r[1-6] of 6 pairs compared, \d+ s left +", shown)
    assert shown.endswith("\r" + " " * waiting._WIDTH + "\r")


@pytest.mark.usefixtures("_verbosity", "slow_pairs")
def test_nothing_is_shown_of_pairs_at_verbosity_0(capfd, monkeypatch):
    monkeypatch.setattr(Console, "is_terminal", True)
    sc.settings.verbosity = 0
    recall_py.tl.merge_clusters(labelled(), "label", n_jobs=1)
    assert capfd.readouterr() == ("", "")


def test_what_is_over_at_once_is_not_shown(capfd, monkeypatch):
    monkeypatch.setattr(Console, "is_terminal", True)
    with Waiting(print, quiet=False) as wait:
        wait.doing("clustering")
        assert wait.text == "clustering: 0 s"
        wait.comparing(3)
        assert wait.text == "0 of 3 pairs compared"
        wait._comparing_since -= 10
        wait.compared()
        assert wait.text == "1 of 3 pairs compared, 20 s left"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_interrupt_ends_a_merging_at_once_and_writes_nothing(n_jobs, monkeypatch):
    """Pairs that have begun are not waited for, and no other begins."""
    begun, done, waited_for = [], [], threading.Event()

    def never_done(*pair):
        begun.append(pair)
        if len(begun) == n_jobs:
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        waited_for.wait(1200)
        done.append(pair)

    monkeypatch.setattr(outcomes, "_compare", never_done)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    adata = labelled()
    try:
        with pytest.raises(KeyboardInterrupt):
            recall_py.tl.merge_clusters(adata, "label", n_jobs=n_jobs)
        assert (len(begun), len(done)) == (n_jobs, 0)
    finally:
        signal.signal(signal.SIGINT, before)
        waited_for.set()
    assert list(adata.uns) == ["simulate"]
    assert "label_merged" not in adata.obs


WORKING = """
import sys, time
from pathlib import Path
import typer
from recall_py import cli
from recall_py.cli import cluster as cli_run
from recall_py.files.atomic import write_atomically

def cluster_file(source, target, *args, **options):
    def write(partial):
        partial.write_text("half")
        print("writing", flush=True)
        {busy}
    write_atomically(target, write)

cli_run.cluster_file = cluster_file
cli.main()
"""
IN_PYTHON = "time.sleep(3600)"
IN_COMPILED_CODE = "sum(range(10**14))"
"""Takes days, and Python does not look for signals before it is done."""


def interrupted(code, arguments, ready):
    """Start a command and interrupt it when it says `ready`: its exit code and what it wrote."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=obey_interrupts
    )
    lines = []
    for line in process.stdout:
        lines.append(line)
        if ready in line:
            break
    process.send_signal(signal.SIGINT)
    rest = process.communicate()[0]
    return process.returncode, "".join(lines) + rest


# What a signal has ended is 128 more to a shell: 143. On a busy machine the signal may come before the compiled code.
@pytest.mark.parametrize(("busy", "codes"), [(IN_PYTHON, (130,)), (IN_COMPILED_CODE, (-signal.SIGTERM, 130))])
def test_interrupt_while_writing_leaves_nothing_half_written(busy, codes, tmp_path):
    arguments = ("cluster", PBMC, "-o", tmp_path / "out.h5ad")
    code, text = interrupted(WORKING.format(busy=busy), arguments, "writing")
    assert code in codes
    assert text.rstrip().endswith("interrupted")
    assert "Traceback" not in text
    assert list(tmp_path.iterdir()) == []


def test_interrupt_during_the_search_ends_the_command(tmp_path):
    main = "from recall_py.cli import main; main()"
    arguments = ("recall", PBMC, "-o", tmp_path / "out.h5ad", "--strategy", "merge", "--resolution", 40)
    code, text = interrupted(main, arguments, "stage: search")
    assert code in (130, -signal.SIGTERM)
    assert text.rstrip().endswith("interrupted")
    assert list(tmp_path.iterdir()) == []
