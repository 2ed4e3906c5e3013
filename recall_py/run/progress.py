"""Progress of a run on a terminal, or as plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from recall_py.method.pairs import pair_test_named
from recall_py.method.stages import STAGES
from recall_py.run.observe import describe
from recall_py.words import in_words

if TYPE_CHECKING:
    from rich.console import Console

    from recall_py.method.params import RunParams
    from recall_py.method.results import Iteration

_KNOCKOFFS_ONLY = ("knockoffs", "sort")


def memory_in_use() -> float | None:
    """Memory of this process in MB: what it holds now, or its peak where only that is known; None where neither is."""
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3


def longest_left(params: RunParams, iteration: Iteration, n_done: int, seconds: float) -> float | None:
    """Seconds that the search takes at most, if every step takes as long as the last one; None after its last step.

    How many steps are needed is not known before, with strides not even at most. Merging goes on at most until one
    cluster is left, lowering the resolution until `max_iterations`, lowering a number of clusters until one.
    """
    if not iteration.n_failing or params.search.bisect:
        return None
    most = iteration.n_clusters - 1
    if params.search.strategy != "merge":
        left = params.search.max_iterations - n_done
        most = left if params.partition.by_resolution else min(left, most)
    return most * seconds if most > 0 else None


class _Memory(ProgressColumn):
    """Memory in use, read anew whenever it is drawn."""

    def render(self, task: Task) -> Text:
        """The column."""
        used = memory_in_use()
        return Text("" if used is None else f"{used:,.0f} MB")


class ConsoleProgress:
    """A progress bar over the stages on a terminal, plain lines elsewhere; each iteration stays visible.

    Parameters
    ----------
    console
        Where to print.
    params
        Of the run.
    """

    def __init__(self, console: Console, params: RunParams) -> None:
        self._console = console
        self._params = params
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TimeElapsedColumn(),
            _Memory(),
            TextColumn("{task.fields[left]}", markup=False),
        )
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        n_stages = len(STAGES) - (0 if pair_test_named(params.pair_test).takes_knockoffs else len(_KNOCKOFFS_ONLY))
        self._task = self._progress.add_task("starting", total=n_stages, left="")
        self._n_begun = 0
        self._n_steps = 0
        self._last = time.perf_counter()

    def __enter__(self) -> ConsoleProgress:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def stage(self, name: str) -> None:
        """Show the stage."""
        self._progress.update(self._task, description=name, completed=self._n_begun, left="")
        self._n_begun += name in STAGES
        self._last = time.perf_counter()
        if not self._console.is_terminal:
            used = memory_in_use()
            self._console.print(f"stage: {name}" + (f" ({used:,.0f} MB)" if used else ""), highlight=False)

    def iteration(self, iteration: Iteration) -> None:
        """Show the step, and how long the search can still take."""
        now = time.perf_counter()
        self._n_steps += 1
        left = longest_left(self._params, iteration, self._n_steps, now - self._last)
        self._last = now
        said = describe(iteration, by_resolution=self._params.partition.by_resolution)
        level = f"resolution {iteration.level:.3g}" if self._params.partition.by_resolution else f"{iteration.level:g}"
        self._progress.update(
            self._task,
            description=f"search: {level}, {iteration.n_clusters} clusters",
            left="" if left is None else f"at most {in_words(left)} left",
        )
        self._console.print(said, highlight=False)
