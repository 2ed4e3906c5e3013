"""Ctrl-C ends a command within a second, whatever it is doing.

Python acts on Ctrl-C between two of its own instructions. A long call into compiled code (Leiden, the compression of a
large matrix) has none, so a small second process watches: if the interrupted one has not ended in time, it ends it and
removes what was half-written. The interrupt reaches it at once, since the C part of Python's signal handling writes to
a pipe whatever else is going on. What was half-written is removed too where the command was ended by another signal:
the pipe is then closed without the word that all is well.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 0.7
"""Seconds for the command to end by itself."""

_WATCH = """
import fcntl, glob, os, select, shutil, signal, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
pid, patience, folders = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
interrupt, well = bytes([signal.SIGINT]), b"\\0"
found = b"\\1"
while found and found != interrupt:
    found = os.read(0, 1)
    if found == well:
        sys.exit()
ended = not found
end = time.monotonic() + patience
while not ended and select.select([0], [], [], max(0.0, end - time.monotonic()))[0]:
    found = os.read(0, 1)
    if found == well:
        sys.exit()
    ended = not found
by_itself = ended
if not ended:
    os.kill(pid, signal.SIGTERM)
    while os.read(0, 1):
        pass
for folder in folders:
    for partial in glob.glob(os.path.join(glob.escape(folder), f".recall-py.{pid}.*.partial")):
        shutil.rmtree(partial, ignore_errors=True)
    for lock in glob.glob(os.path.join(glob.escape(folder), ".*.recall-py.lock")):
        for _ in range(20):  # an ended process lets go of it a moment later; another's stays
            try:
                with open(lock) as held:
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(lock)
            except BlockingIOError:
                time.sleep(0.1)
            except OSError:
                break
if by_itself:
    sys.exit()
if sys.stderr.isatty():
    sys.stderr.write("\\x1b[?25h")
sys.stderr.write("interrupted\\n")
"""


@contextmanager
def prompt_interrupt(paths: Iterable[Path]) -> Iterator[None]:
    """End this process soon after Ctrl-C, and leave no half-written file at or beside `paths`."""
    if os.name != "posix" or threading.current_thread() is not threading.main_thread():
        yield
        return
    resolved = [path.resolve() for path in paths]
    folders = {str(folder) for path in resolved for folder in (path, path.parent)}
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    command = [sys.executable, "-I", "-S", "-c", _WATCH, str(os.getpid()), str(PATIENCE), *sorted(folders)]
    watching = subprocess.Popen(command, stdin=reading, stdout=subprocess.DEVNULL, start_new_session=True)
    os.close(reading)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield
    except KeyboardInterrupt:
        raise  # and go on being watched until the end
    except BaseException:
        _dismiss(watching, writing, before)
        raise
    _dismiss(watching, writing, before)


def _dismiss(watching: subprocess.Popen[bytes], writing: int, before: int) -> None:
    signal.set_wakeup_fd(before)
    os.write(writing, b"\0")
    os.close(writing)
    watching.wait()
