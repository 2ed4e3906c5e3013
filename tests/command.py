"""The command line, called within the process of the tests."""

from __future__ import annotations

import signal
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from unittest.mock import patch

from recall_py.cli import main


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


def recall(*arguments: object, cwd: Path | str = ".") -> Ended:
    """``recall-py`` with `arguments`, started in the folder `cwd`."""
    out, err = StringIO(), StringIO()
    words = ["recall-py", *map(str, arguments)]
    with redirect_stdout(out), redirect_stderr(err), chdir(cwd), patch.object(sys, "argv", words):
        try:
            main()
        except SystemExit as end:
            return Ended(int(end.code or 0), out.getvalue(), err.getvalue())
    raise AssertionError("main returned without an exit code")


def obey_interrupts() -> None:
    """As a shell starts a command in the foreground; what starts the tests may have been told to ignore interrupts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
