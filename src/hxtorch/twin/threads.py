"""How many threads emulate batch entries, and the pool they run in.

The kernels release Python's lock, so plain threads suffice. Each process makes its own pool when it first
needs one, which keeps forked workers and calls from several threads safe.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

_threads: int | None = None
_pool: tuple[int, int, ThreadPoolExecutor] | None = None  # process, size, pool


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


def run_chunks(work: Callable[[int, int], None], total: int) -> None:
    """Call ``work(begin, end)`` on consecutive ranges that cover ``0..total-1``, in parallel."""
    global _pool
    threads = min(get_num_threads(), total)
    if threads <= 1:
        work(0, total)
        return
    pool = _pool  # another thread may put one of another size in its place
    if pool is None or pool[:2] != (os.getpid(), threads):
        pool = _pool = (os.getpid(), threads, ThreadPoolExecutor(threads, thread_name_prefix="hxtorch-twin"))
    bounds = [total * i // threads for i in range(threads + 1)]
    futures = [pool[2].submit(work, begin, end) for begin, end in pairwise(bounds)]
    for future in futures:
        future.result()
