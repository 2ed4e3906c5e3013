"""Cost from 3 thousand to a million cells, stage by stage, beside plain scanpy.

``python -m benchmarks.scale --cells 3000 10000 30000 100000``
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pandas as pd

from benchmarks.machine import describe_machine
from benchmarks.scale.data import add_data_arguments, counts_file
from benchmarks.scale.tables import sections_of
from benchmarks.tables import RESULTS, write_csv, write_markdown

METHODS = ("scanpy", "resolution", "merge", "calibrated")
INPUTS = ("memory", "selected")
RUN = ("cells", "method", "input")
"""What tells one run from another."""
AROUND = ("read", "select", "write")
"""Stages that are no part of the clustering."""
ROOT = Path(__file__).parents[2]
_LOOK_EVERY = 0.05


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, nargs="+", default=[3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument(
        "--input",
        choices=INPUTS,
        default="memory",
        help="memory: the file is read whole and genes are selected; selected: the marked genes alone are read",
    )
    parser.add_argument(
        "--resolution", type=float, default=1.0, help="of scanpy's Leiden, and the start of each search"
    )
    parser.add_argument("--memory", type=float, default=20.0, help="GB of resident memory at which a run is ended")
    parser.add_argument("--timeout", type=float, default=3600.0, help="seconds after which a run is ended")
    parser.add_argument("--keep", action="store_true", help="keep the rows of the other runs that scale.csv holds")
    parser.add_argument("--out", type=Path, default=RESULTS)
    add_data_arguments(parser)
    args = parser.parse_args()
    facts, machine = describe_machine("pynndescent", "umap-learn")
    table = args.out / "scale.csv"
    rows = pd.read_csv(table) if args.keep and table.is_file() else pd.DataFrame(columns=list(RUN))
    for n_cells in args.cells:
        file = counts_file(n_cells, args)
        for method in args.methods:
            asked = {"cells": n_cells, "method": method, "input": args.input}
            found = [{**asked, **row, "date": facts["date"]} for row in measure(method, file, args)]
            rows = rows[(rows[list(RUN)] != pd.Series(asked)).any(axis=1)]
            rows = pd.concat([rows, pd.DataFrame(found)]) if len(rows) else pd.DataFrame(found)
            rows = rows.sort_values(["input", "cells"], kind="stable")
            print(_line(found), flush=True)
            write_csv(rows, "scale", args.out)
    write_markdown(
        sections_of(rows, args),
        "scale",
        title="From thousands of cells to a million",
        machine=machine,
        command=_command(args),
        folder=args.out,
    )


def measure(method, file, args):
    """The rows of one run, made in a fresh process."""
    load = round(os.getloadavg()[0], 2)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.scale.runs", method, str(file), args.input]
        command += [str(args.resolution), str(args.selected), str(Path(folder) / "out.h5ad")]
        said, ended, errors = watched(command, Path(folder) / "errors", args.memory * 1e9, args.timeout)
    stages = list({fact["stage"]: fact for fact in said if "stage" in fact}.values())  # the last word on each
    if ended != "done":
        ended = f"{ended}, in stage {open_stage(said)}"
        print(errors, file=sys.stderr)
    about = {name: value for fact in said for name, value in fact.get("about", {}).items()}
    about |= search_of([fact for fact in said if "resolution" in fact])
    totals = [total(stages, "run") | about | {"load": load}, total(stages, "whole")]
    return [row | {"ended": ended} for row in (*stages, *totals)]


def search_of(steps):
    """The steps of a search in one row: each cell lists them all."""
    if not steps:
        return {}
    return {"steps": len(steps)} | {name: ", ".join(f"{step[name]:.3g}" for step in steps) for name in steps[0]}


def total(stages, name):
    """The sum of the stages: of all, or of those that are the clustering itself."""
    counted = [row for row in stages if name == "whole" or row["stage"] not in AROUND]
    return {
        "stage": name,
        "calls": 1,
        "wall_s": sum(row["wall_s"] for row in counted),
        "cpu_s": sum(row["cpu_s"] for row in counted),
        "peak_mib": max((row["peak_mib"] for row in counted), default=None),
    }


def open_stage(said):
    """The innermost stage that had begun and not ended."""
    within = []
    for fact in said:
        if "begins" in fact:
            within.append(fact["begins"])
        elif "stage" in fact:
            within.pop()
    return within[-1] if within else "imports"


def watched(command, errors, most_bytes, seconds):
    """What a process says line by line in JSON, how it ended, and the end of what it wrote to its standard error."""
    said = []
    with errors.open("w") as sink:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=sink, text=True)
        listener = threading.Thread(target=lambda: said.extend(json.loads(line) for line in process.stdout))
        listener.start()
        ended = None
        until = time.monotonic() + seconds
        try:
            while process.poll() is None and ended is None:
                time.sleep(_LOOK_EVERY)
                if resident_bytes(process.pid) > most_bytes:
                    ended = f"out of memory (limit {most_bytes / 1e9:g} GB)"
                elif time.monotonic() > until:
                    ended = f"out of time (limit {seconds:g} s)"
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            listener.join()
    last = errors.read_text().strip().splitlines()[-20:]
    if ended is None and process.returncode == -signal.SIGKILL:
        ended = "out of memory (the system ended it)"
    elif ended is None and process.returncode:
        ended = f"failed ({last[-1] if last else f'code {process.returncode}'})"
    return said, ended or "done", "\n".join(last)


def resident_bytes(pid):
    """Resident memory of a process, 0 where the system does not say."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) * 1024
    return 0


def _line(found):
    """A run in a few words."""
    run = next(row for row in found if row["stage"] == "run")
    return (
        f"{run['cells']:,} cells, {run['method']}: {run['wall_s']:.1f} s, {run['cpu_s']:.1f} s of CPU, "
        f"{run['peak_mib'] or 0:,.0f} MiB, {run['ended']}"
    )


def _command(args):
    parts = ["python -m benchmarks.scale --cells", *args.cells, "--methods", *args.methods, "--input", args.input]
    for name in ("resolution", "memory", "timeout", "genes", "selected", "source", "seed"):
        value = getattr(args, name)
        parts += [f"--{name}", f"{value:g}" if isinstance(value, float) else value]
    return " ".join(map(str, parts + ["--keep"] * args.keep))


if __name__ == "__main__":
    main()
