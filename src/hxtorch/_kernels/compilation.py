"""Compiled kernels: one decorator that says how."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

import numba
from llvmlite import ir
from numba import extending
from numba.core import cgutils, types
from numba.core.compiler import Compiler

from hxtorch._kernels.cache import KEEP_UNUSED, KernelCache

__all__ = ["EFFORT", "KEEP_UNUSED", "VECTOR_MATH", "Function", "inner_kernel", "intrinsic", "kernel", "prefetch"]

Function = Callable[..., Any]
F = TypeVar("F", bound=Function)
P = ParamSpec("P")

EFFORT = 2  # LLVM's -O: with 3, a seventh more time to compile

# Liberties of arithmetic that vector code needs; infinities and the order of magnitude of errors stay.
VECTOR_MATH = {"contract", "nsz", "arcp", "nnan", "reassoc"}


def kernel(
    fastmath: bool | set[str] = False, allocates: bool = False, inline: bool = False, door: bool = True
) -> Callable[[F], F]:
    """Compile a function with numba at its first call, without Python's lock, and keep the code on disk.

    Only a kernel that `allocates` arrays counts references to them. Counting is atomic: it would wait for all
    stores before it, at every array that is passed on inside a loop (half of the virtual chip's time). A kernel
    that is called often and gets many arrays goes `inline` into its callers.

    Division by zero follows IEEE 754, which vector code needs. Where no folder is writable, the kernel is
    compiled in every process. `door`: whether Python may call it, which takes code of its own (see `inner_kernel`).
    """
    # In its caller's source, a function need not be compiled on its own, but gets the caller's kind of arithmetic.
    placing = {"inline": "always"} if inline and not fastmath else {"forceinline": inline}

    def compile_lazily(function: F) -> F:
        dispatcher: Any = numba.njit(
            nogil=True, error_model="numpy", fastmath=fastmath, _nrt=allocates,
            no_cpython_wrapper=not door, no_cfunc_wrapper=True, pipeline_class=_Compiler, **placing,
        )(function)  # fmt: skip
        dispatcher._cache = KernelCache(function)
        compiled: F = dispatcher  # to Python and to other kernels it is the function
        return compiled

    return compile_lazily


def inner_kernel(
    fastmath: bool | set[str] = False, allocates: bool = False, inline: bool = False
) -> Callable[[F], F]:
    """Compile a function that kernels alone call, as `kernel` does.

    It has no door for Python, which would have to be compiled as well: unpacking the arrays of its arguments is
    often longer than the function. Python must never call it; a test sees to that.
    """
    return kernel(fastmath, allocates, inline, door=False)


class _Compiler(Compiler):  # type: ignore[misc]  # numba has no types
    """Numba's compiler with less effort, and without a search for garbage in all that torch has in memory.

    Both are settings of the process: numba's lock, which is held here, keeps others from them.
    """

    def compile_extra(self, function: Function) -> Any:
        collecting, before = gc.isenabled(), numba.config.OPT
        gc.disable()
        numba.config.OPT = type(before)(min(EFFORT, before))
        try:
            return super().compile_extra(function)
        finally:
            numba.config.OPT = before
            if collecting:
                gc.enable()


def intrinsic(generate: Callable[Concatenate[Any, P], Any]) -> Callable[P, Any]:
    """Make a function for kernels out of one that generates LLVM's instructions for the types of its arguments."""
    made: Callable[P, Any] = extending.intrinsic(generate)
    return made


@intrinsic
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
