"""Threads of the numerics: those of torch, so that both never compete for the same processors.

`share` runs a function as one parallel region of the OpenMP runtime that torch itself uses. Threads of its own
would meet those of torch, which keep a processor busy for milliseconds after a product while they wait for the next
one: training steps then take up to half as long again (docs/choices.md). Where torch has no such runtime, and in a
process that was forked (where it must not be used), the pool of all kernels takes its place. DataLoader workers
have one thread and use neither.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path

import torch

from hxtorch._kernels import threads
from hxtorch._kernels.threads import Work

_PROCESS = os.getpid()  # that may use OpenMP
_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def share(work: Work, total: int, parallel: bool = True, multiple: int = 1) -> None:
    """Call ``work(begin, end)`` on ranges that cover ``0..total-1``; an error in one of them is raised.

    As many threads as `torch.get_num_threads()` says share them. `multiple`: ranges begin at multiples of it. The
    ranges depend on the number of threads, so what is computed for one element must not depend on its range.
    """
    ours = os.getpid() == _PROCESS and _openmp() is not None
    threads.share(
        work, total, torch.get_num_threads() if parallel else 1, multiple, _run_in_openmp if ours else None
    )


def _run_in_openmp(work: Work, bounds: list[int]) -> None:
    errors: list[BaseException] = []
    runtime, ranges = _openmp(), len(bounds) - 1
    assert runtime is not None

    def body(_: int | None) -> None:
        try:
            # A busy runtime may give fewer threads than asked for.
            for part in range(runtime.omp_get_thread_num(), ranges, runtime.omp_get_num_threads()):
                work(bounds[part], bounds[part + 1])
        except BaseException as error:  # crosses C, where it cannot travel
            errors.append(error)

    runtime.GOMP_parallel(_CALLBACK(body), None, ranges, 0)
    if errors:
        raise errors[0]


@cache
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
