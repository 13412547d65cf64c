"""Compiled kernels: one decorator that says how, and where the machine code is kept.

Numba keeps compiled code next to the source and notices changes of that one file only. Kernels call kernels
of other files, so here the folder of the cache carries a hash of all sources in the package that the kernel
belongs to: a change of any of them leads to a new folder, never to stale code.
"""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.compiler_lock import global_compiler_lock
from numba.extending import intrinsic
from platformdirs import user_cache_dir

Function = Callable[..., Any]

EFFORT = 2  # LLVM's -O: 3 makes kernels 2 % faster, and takes 5 % longer for it
KEEP_UNUSED = 30 * 24 * 3600.0  # s, of machine code that nobody has loaded

_caching = threading.Lock()  # the folder is a global setting of numba

# Liberties of arithmetic that vector code needs; infinities and the order of magnitude of errors stay.
VECTOR_MATH = {"contract", "nsz", "arcp", "nnan", "reassoc"}


@lru_cache
def _cache_folder(package: Path) -> str:
    """Folder for the machine code of a package in its present state."""
    stamps = []
    for source in sorted(package.glob("*.py")):
        status = source.stat()
        stamps.append(f"{source.name} {status.st_mtime_ns} {status.st_size}")
    state = zlib.crc32("\n".join(stamps).encode())
    base = Path(os.environ.get("NUMBA_CACHE_DIR") or Path(user_cache_dir("hxtorch")) / "kernels")
    folder = base / f"{package.name}-{state:08x}"
    _forget_unused(folder)
    return str(folder)


def _forget_unused(folder: Path) -> None:
    """Mark the folder as used today, and remove those of other states that nobody has used for a month.

    Other installations may use them, so a younger one is left alone. Where nothing can be written, nothing happens.
    """
    oldest = time.time() - KEEP_UNUSED
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)
        prefix = folder.name.rsplit("-", 1)[0]
        for other in folder.parent.glob(f"{prefix}-????????"):
            if other.stat().st_mtime < oldest:
                shutil.rmtree(other, ignore_errors=True)


def kernel(
    fastmath: bool | set[str] = False, allocates: bool = False, inline: bool = False, door: bool = True
) -> Callable[[Function], Function]:
    """Compile a function with numba at its first call, without Python's lock, and keep the code on disk.

    Only a kernel that `allocates` arrays counts references to them. Counting is atomic: it would wait for all
    stores before it, at every array that is passed on inside a loop (half of the virtual chip's time). A kernel
    that is called often and gets many arrays goes `inline` into its callers.

    Division by zero follows IEEE 754, which vector code needs. Where no folder is writable, the kernel is
    compiled in every process. `door`: whether Python may call it, which takes code of its own (see `inner_kernel`).
    """
    # In its caller's source, a function need not be compiled on its own, but gets the caller's kind of arithmetic.
    placing = {"inline": "always"} if inline and not fastmath else {"forceinline": inline}

    def compile_lazily(function: Function) -> Function:
        dispatcher = numba.njit(
            nogil=True, error_model="numpy", fastmath=fastmath, _nrt=allocates,
            no_cpython_wrapper=not door, no_cfunc_wrapper=True, **placing,
        )(function)  # fmt: skip
        compile_now = dispatcher.compile
        placed = False

        def compile_prepared(signature: Any) -> Any:
            nonlocal placed
            with _caching:
                if not placed:
                    _keep_machine_code(dispatcher, Path(function.__code__.co_filename).parent)
                    placed = True
            with _compiler():
                return compile_now(signature)

        dispatcher.compile = compile_prepared  # an import neither looks for folders nor makes any
        return dispatcher  # type: ignore[no-any-return]

    return compile_lazily


def inner_kernel(
    fastmath: bool | set[str] = False, allocates: bool = False, inline: bool = False
) -> Callable[[Function], Function]:
    """Compile a function that kernels alone call, as `kernel` does.

    It has no door for Python, which would have to be compiled as well: unpacking the arrays of its arguments is
    often longer than the function. Python must never call it; a test sees to that.
    """
    return kernel(fastmath, allocates, inline, door=False)


@contextlib.contextmanager
def _compiler() -> Iterator[None]:
    """Set up Python and numba for compiling a kernel.

    While the compiler makes millions of objects, nobody looks through all that torch has in memory for garbage.
    Both settings are global: numba's own lock, which a thread may take again, keeps others from them.
    """
    with global_compiler_lock:
        collecting, before = gc.isenabled(), numba.config.OPT
        gc.disable()
        numba.config.OPT = type(before)(min(EFFORT, before))
        try:
            yield
        finally:
            numba.config.OPT = before
            if collecting:
                gc.enable()


def _keep_machine_code(dispatcher: Any, package: Path) -> None:
    """Let a kernel load its machine code from the folder of its package, and keep it there."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = _cache_folder(package)
    try:
        with contextlib.suppress(RuntimeError):  # no folder can be written
            dispatcher.enable_caching()
    finally:
        numba.config.CACHE_DIR = before


@intrinsic  # type: ignore[untyped-decorator]
def prefetch(typing: Any, array: Any, index: Any) -> Any:
    """In a kernel: begin to load an element of a contiguous one-dimensional array into the nearest cache.

    Without it, a kernel that jumps about in memory waits for each place that it reads. `index` is not checked: one
    that lies outside does no harm.
    """
    if not (isinstance(array, types.Array) and array.ndim == 1 and isinstance(index, types.Integer)):
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values = cgutils.create_struct_proxy(array)(context, builder, arguments[0])
        byte = ir.IntType(8).as_pointer()
        place = builder.bitcast(builder.gep(values.data, [arguments[1]]), byte)
        flag = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        builder.call(function, [place, flag(0), flag(3), flag(1)])  # to read, keep, data
        return context.get_dummy_value()

    return types.void(array, index), generate
