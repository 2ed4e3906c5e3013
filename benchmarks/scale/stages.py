"""Wall time, CPU time and peak memory of the stages of a run, as they end."""

import json
import time
from contextlib import contextmanager
from pathlib import Path

from benchmarks.pbmc3k.runs import peak_mib

_RESET = Path("/proc/self/clear_refs")


class Meter:
    """Sums what each stage takes. Stages may lie within each other: what passes counts for the innermost one.

    The peak of a stage is the largest resident memory of the process while it was the innermost. Linux alone lets the
    peak be taken anew; elsewhere it is that since the process began.
    """

    def __init__(self, out):
        self._out = out
        self._open = []
        self._found = {}
        self._since = (time.perf_counter(), time.process_time())

    @contextmanager
    def stage(self, name):
        """What passes within counts for the stage `name`."""
        self.begin(name)
        try:
            yield
        finally:
            self.end()

    def begin(self, name):
        """The stage `name` begins, within the one that is open."""
        self._settle()
        self._open.append(name)
        self._found.setdefault(name, {"stage": name, "calls": 0, "wall_s": 0.0, "cpu_s": 0.0, "peak_mib": 0.0})
        self._found[name]["calls"] += 1
        self.say(begins=name)

    def end(self):
        """The innermost stage ends. What is known of it is written, so that nothing is lost if the process is ended."""
        self._settle()
        self.say(**self._found[self._open.pop()])

    def seconds(self, name):
        """Wall seconds that a stage took so far."""
        return self._found[name]["wall_s"] if name in self._found else 0.0

    def _settle(self):
        """What passed since the last change counts for the innermost stage."""
        now = (time.perf_counter(), time.process_time())
        if self._open:
            row = self._found[self._open[-1]]
            row["wall_s"] += now[0] - self._since[0]
            row["cpu_s"] += now[1] - self._since[1]
            row["peak_mib"] = max(row["peak_mib"], peak_mib())
        forget_peak()
        self._since = (time.perf_counter(), time.process_time())

    def say(self, **facts):
        """One line of JSON for the process that watches."""
        print(json.dumps(facts), file=self._out, flush=True)


class Timed:
    """A callable whose calls count for a stage; all else is that of the callable."""

    def __init__(self, call, meter, name):
        self._call, self._meter, self._name = call, meter, name

    def __call__(self, *args, **kwargs):
        with self._meter.stage(self._name):
            return self._call(*args, **kwargs)

    def __getattr__(self, name):
        return getattr(self._call, name)


def forget_peak():
    """Let the peak of the resident memory begin from what is held now, where the system can."""
    try:
        _RESET.write_text("5")
    except OSError:
        return
