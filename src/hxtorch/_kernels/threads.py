"""Threads: how many there are, and the one pool that kernels run in.

The kernels release Python's lock, so plain threads suffice. Results do not depend on their number: what is computed
for one element must not depend on the range that it lies in.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from itertools import pairwise

Work = Callable[[int, int], None]
Run = Callable[[Work, list[int]], None]

_MOST = 1024  # threads of the pool; it starts those that are needed

_threads: int | None = None


def set_num_threads(threads: int) -> None:
    """Set the number of threads of the twin; results do not depend on it."""
    global _threads
    if threads < 1:
        raise ValueError(f"The number of threads is {threads}, but it is at least 1.")
    _threads = threads


def get_num_threads() -> int:
    """Return the number of threads: the set one, else the CPUs this process may use."""
    if _threads is not None:
        return _threads
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_chunks(work: Work, total: int) -> None:
    """Call ``work(begin, end)`` on consecutive ranges that cover ``0..total-1``, in `get_num_threads` threads."""
    share(work, total, get_num_threads())


def share(work: Work, total: int, threads: int, multiple: int = 1, run: Run | None = None) -> None:
    """Call ``work(begin, end)`` on consecutive ranges that cover ``0..total-1``, in at most so many `threads`.

    `multiple`: ranges begin at multiples of it. ``run(work, bounds)`` works on the ranges between neighbouring
    bounds at the same time (default: `run_in_pool`). An error in one of them is raised when all have ended.
    """
    parts = -(-total // multiple)
    threads = min(threads, parts)
    if threads <= 1:
        work(0, total)
        return
    (run or run_in_pool)(work, [min(parts * k // threads * multiple, total) for k in range(threads + 1)])


def run_in_pool(work: Work, bounds: list[int]) -> None:
    """Work on all ranges between `bounds`, the first one in the calling thread.

    So several calling threads do not multiply the threads at work.
    """
    pool = _pool(os.getpid())
    others = [pool.submit(work, begin, end) for begin, end in pairwise(bounds[1:])]
    try:
        work(bounds[0], bounds[1])
    finally:
        wait(others)
    for other in others:
        other.result()


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    """The pool of a process: one that was forked has no threads but its first."""
    return ThreadPoolExecutor(_MOST, "hxtorch")
