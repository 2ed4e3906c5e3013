"""Work split into blocks over threads; what is computed never depends on how many there are."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from threadpoolctl import threadpool_limits

from recall_py.arguments import ArgumentError

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


def resolve_n_jobs(n_jobs: int | None) -> int:
    """Number of threads: None or -1 means every core that this process may use."""
    if n_jobs is None or n_jobs == -1:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if n_jobs < 1:
        text = "{n_jobs} is {value}; it must be a number of threads from 1 on, or -1 for all cores."
        raise ArgumentError(text, value=n_jobs)
    return n_jobs


def map_blocks(work: Callable[[_Task], _Result], tasks: Iterable[_Task], n_jobs: int) -> list[_Result]:
    """``[work(task) for task in tasks]``, on `n_jobs` threads, in order."""
    return list(each_done(work, tasks, n_jobs))


def each_done(work: Callable[[_Task], _Result], tasks: Iterable[_Task], n_jobs: int) -> Generator[_Result, None, None]:
    """What :func:`map_blocks` gives, one by one as they are done.

    After an error what has not begun does not begin. On Ctrl-C, and where no more are asked for, what has begun is not
    waited for.
    """
    if n_jobs == 1:
        yield from map(work, tasks)
        return
    pool = ThreadPoolExecutor(n_jobs)
    wait = True
    try:
        yield from pool.map(work, tasks)
    except (KeyboardInterrupt, GeneratorExit):
        wait = False
        raise
    finally:
        pool.shutdown(wait=wait, cancel_futures=True)


_BLAS_LOCK = threading.Lock()
_blas_limits: list[threadpool_limits] = []
"""One for each holder; the first to enter set it, and the last to leave restores it."""


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS to one thread while any thread of the process is within.

    ``threadpool_limits`` is for the whole process: nested from several threads, the first to leave would lift it.
    """
    with _BLAS_LOCK:
        _blas_limits.append(_blas_limits[0] if _blas_limits else threadpool_limits(1, user_api="blas"))
    try:
        yield
    finally:
        with _BLAS_LOCK:
            limits = _blas_limits.pop()
            if not _blas_limits:
                limits.restore_original_limits()


@contextmanager
def one_thread() -> Iterator[None]:
    """Hold BLAS and OpenMP to one thread; OpenMP counts for the calling thread alone."""
    with one_blas_thread(), threadpool_limits(1, user_api="openmp"):
        yield


def even_blocks(n_items: int, block: int) -> list[tuple[int, int]]:
    """Half-open ranges of at most `block` items that cover ``range(n_items)``."""
    return [(first, min(first + block, n_items)) for first in range(0, n_items, block)]
