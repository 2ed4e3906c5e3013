"""The stages of a run: who is told of them, and what they took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from recall_py.method.results import Iteration, PairOutcome

STAGES = ("knockoffs", "normalise", "sort", "components", "graph", "search", "markers")


class Observer(Protocol):
    """Told what a run is doing."""

    def stage(self, name: str) -> None:
        """Call when the stage called `name` begins."""
        ...

    def iteration(self, iteration: Iteration) -> None:
        """Call when a step of the search is done."""
        ...


class MergeObserver(Protocol):
    """Told what a merging of clusters is doing."""

    def comparing(self, n_pairs: int) -> None:
        """Call before so many pairs are compared with null cells."""
        ...

    def compared(self) -> None:
        """Call when one of them is done."""
        ...

    def outcome(self, outcome: PairOutcome) -> None:
        """Call for each merge, and at the end for each pair that stands."""
        ...


class Silent:
    """An observer that keeps still."""

    def stage(self, name: str) -> None:
        """Ignore it."""

    def iteration(self, iteration: Iteration) -> None:
        """Ignore it."""

    def comparing(self, n_pairs: int) -> None:
        """Ignore it."""

    def compared(self) -> None:
        """Ignore it."""

    def outcome(self, outcome: PairOutcome) -> None:
        """Ignore it."""


class Stages:
    """Announces and times the stages of a run."""

    def __init__(self, observer: Observer) -> None:
        self.observer = observer
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """The stage called `name`."""
        self.observer.stage(name)
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start
