"""What is being waited for, told while a merging or a test goes on."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

from recall_py.words import in_words

_PATIENCE = 2.0
"""Seconds after which something is said."""
_PAUSE = 10.0
"""Seconds between two lines in a log."""
_WIDTH = 79


class Waiting:
    """Says from the third second on what is done, how many pairs, and how much time is left.

    On a terminal and in a notebook that is one line, which goes in the end; elsewhere a line in the log now and then.

    Parameters
    ----------
    log
        Takes a line where there is neither.
    quiet
        Whether nothing is said.
    """

    def __init__(self, log: Callable[[str], object], *, quiet: bool) -> None:
        self._log = log
        self._one_line = not quiet and _is_watched()
        self._pause = 0.5 if self._one_line else _PAUSE
        self._doing = "starting"
        self._n_pairs = self._n_compared = 0
        self._begun = self._comparing_since = time.perf_counter()
        self._ended = threading.Event()
        self._writing = threading.Lock()
        self._is_shown = False
        self._thread = None if quiet else threading.Thread(target=self._tell, daemon=True)

    def __enter__(self) -> Waiting:
        if self._thread is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        self.clear()

    def doing(self, what: str) -> None:
        """Tell what begins."""
        self.clear()
        self._doing, self._begun = what, time.perf_counter()

    def comparing(self, n_pairs: int) -> None:
        """Tell that so many more pairs are compared."""
        if not self._n_pairs:
            self._comparing_since = time.perf_counter()
        self._n_pairs += n_pairs

    def compared(self) -> None:
        """Tell that a pair was compared."""
        self._n_compared += 1

    def clear(self) -> None:
        """Take the line away, for another to be written."""
        with self._writing:
            if self._is_shown:
                self._write("")

    @property
    def text(self) -> str:
        """What is waited for now."""
        now = time.perf_counter()
        if not self._n_pairs:
            return f"{self._doing}: {in_words(now - self._begun)}"
        told = f"{self._n_compared} of {self._n_pairs} pairs compared"
        if not self._n_compared:
            return told
        seconds = (now - self._comparing_since) / self._n_compared
        return f"{told}, {in_words(seconds * (self._n_pairs - self._n_compared))} left"

    def _tell(self) -> None:
        pause = _PATIENCE
        while not self._ended.wait(pause):
            pause = self._pause
            if not self._one_line:
                self._log(f"    {self.text}")
                continue
            with self._writing:
                self._write(self.text)

    def _write(self, text: str) -> None:
        sys.stderr.write(f"\r{text[:_WIDTH]:<{_WIDTH}}" + ("" if text else "\r"))
        sys.stderr.flush()
        self._is_shown = bool(text)


def _is_watched() -> bool:
    """Whether someone sees standard error as it is written, on a terminal or in a notebook."""
    from rich.console import Console

    console = Console(stderr=True)
    return console.is_terminal or console.is_jupyter
