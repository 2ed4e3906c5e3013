"""Work split into blocks over threads; what is computed never depends on how many there are."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


def resolve_n_jobs(n_jobs: int | None) -> int:
    """Number of threads: None or -1 means every core that this process may use."""
    if n_jobs is None or n_jobs == -1:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if n_jobs < 1:
        msg = f"n_jobs is {n_jobs}; it must be a number of threads from 1 on, or -1 for all cores."
        raise ValueError(msg)
    return n_jobs


def map_blocks(work: Callable[[_Task], _Result], tasks: Iterable[_Task], n_jobs: int) -> list[_Result]:
    """``[work(task) for task in tasks]``, on `n_jobs` threads, in order."""
    if n_jobs == 1:
        return [work(task) for task in tasks]
    with ThreadPoolExecutor(n_jobs) as pool:
        try:
            return list(pool.map(work, tasks))
        except BaseException:  # Ctrl-C above all: what has not begun must not begin
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def even_blocks(n_items: int, block: int) -> list[tuple[int, int]]:
    """Half-open ranges of at most `block` items that cover ``range(n_items)``."""
    return [(first, min(first + block, n_items)) for first in range(0, n_items, block)]
