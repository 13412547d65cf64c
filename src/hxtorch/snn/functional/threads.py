"""Threads of the numerics: those of torch, so that both never compete for the same processors.

`share` calls a function on consecutive ranges, in as many threads as `torch.get_num_threads()` says. It runs
them as one parallel region of the OpenMP runtime that torch itself uses. A pool of its own would meet torch's
threads, which keep a processor busy for milliseconds after a product while they wait for the next one: kernels
after a product then took twice as long (measured). Where torch has no such runtime, and in a process that was
forked (where it must not be used), a pool of Python threads takes its place. DataLoader workers have one thread
and use neither.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import torch

Work = Callable[[int, int], None]

_PROCESS = os.getpid()  # that may use OpenMP
_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_pool: tuple[int, int, ThreadPoolExecutor] | None = None  # process, size, pool
_pool_lock = threading.Lock()


def share(work: Work, total: int, parallel: bool = True, multiple: int = 1) -> None:
    """Call ``work(begin, end)`` on ranges that cover ``0..total-1``; an error in one of them is raised.

    `multiple`: ranges begin at multiples of it. The ranges depend on the number of threads, so what is
    computed for one element must not depend on its range.
    """
    parts = -(-total // multiple)
    threads = min(torch.get_num_threads(), parts) if parallel else 1
    if threads <= 1:
        work(0, total)
        return
    bounds = [min(parts * k // threads * multiple, total) for k in range(threads)] + [total]
    runtime = _openmp() if os.getpid() == _PROCESS else None
    if runtime is None:
        _share_in_pool(work, bounds)
    else:
        _share_in_openmp(runtime, work, bounds)


def _share_in_openmp(runtime: ctypes.CDLL, work: Work, bounds: list[int]) -> None:
    errors: list[BaseException] = []
    threads = len(bounds) - 1

    def body(_: int | None) -> None:
        try:
            # A busy runtime may give fewer threads than asked for.
            for part in range(runtime.omp_get_thread_num(), threads, runtime.omp_get_num_threads()):
                work(bounds[part], bounds[part + 1])
        except BaseException as error:  # crosses C, where it cannot travel
            errors.append(error)

    runtime.GOMP_parallel(_CALLBACK(body), None, threads, 0)
    if errors:
        raise errors[0]


def _share_in_pool(work: Work, bounds: list[int]) -> None:
    """The caller takes the first range, so several calling threads do not multiply the threads at work."""
    global _pool
    with _pool_lock:
        if _pool is None or _pool[:2] != (os.getpid(), len(bounds) - 2):
            _pool = (os.getpid(), len(bounds) - 2, ThreadPoolExecutor(len(bounds) - 2, "hxtorch"))
        pool = _pool[2]
    futures = [pool.submit(work, begin, end) for begin, end in pairwise(bounds[1:])]
    work(bounds[0], bounds[1])
    for future in futures:
        future.result()


@lru_cache
def _openmp() -> ctypes.CDLL | None:
    """The GNU OpenMP runtime that torch has loaded; None if it uses another one or another kind of threads."""
    if "OpenMP" not in torch.__config__.parallel_info():
        return None
    for path in sorted((Path(torch.__file__).parent / "lib").glob("libgomp*.so*")):
        try:
            runtime = ctypes.CDLL(str(path))
        except OSError:
            continue
        if hasattr(runtime, "GOMP_parallel"):
            return runtime
    return None
