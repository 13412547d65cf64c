"""Listing the places of all entries that are not 0, a vector at a time.

Which entry is a spike cannot be predicted, so branches would cost most of the time. Processors with AVX-512 have an
instruction for this (LLVM's ``vector.compress``, from LLVM 19 on). Everywhere else, the signs of eight comparisons
are a number of 0..255, and a table of 2 KiB holds the places of its bits; written out in steps by LLVM, as it does
where the instruction is missing, the same takes four times as long.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding
import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numpy.typing import NDArray

from hxtorch._kernels.compilation import inner_kernel, intrinsic

ZERO = np.float32(0)
WORD, BYTE = ir.IntType(32), ir.IntType(8)


def _has_instruction() -> bool:
    """Whether machine code for this processor can list sixteen places at once."""
    chosen = numba.config.CPU_FEATURES
    features = llvmlite.binding.get_host_cpu_features().flatten() if chosen is None else chosen
    return llvmlite.binding.llvm_version_info >= (19,) and "+avx512f" in features.split(",")


WIDTH = 16 if _has_instruction() else 8


def _table(module: ir.Module) -> ir.GlobalVariable:
    """The places of the bits of 0..255, ascending, filled up with 0."""
    name = "hxtorch.places_of_bits"
    if name in module.globals:
        return module.globals[name]
    row = ir.ArrayType(BYTE, 8)
    table = ir.GlobalVariable(module, ir.ArrayType(row, 256), name)
    table.global_constant, table.linkage = True, "internal"
    rows = []
    for number in range(256):
        places = [bit for bit in range(8) if number >> bit & 1]
        rows.append(ir.Constant(row, [ir.Constant(BYTE, place) for place in places + [0] * (8 - len(places))]))
    table.initializer = ir.Constant(table.value_type, rows)
    return table


@intrinsic
def _compress(typing: Any, values: Any, at: Any, columns: Any, place: Any, first: Any) -> Any:
    """List ``first + k`` for all ``values[at + k]`` that are not 0, k < WIDTH, in `columns` from `place` on.

    Writes WIDTH numbers, whatever there are; returns `place` behind those that count.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, begin, target, position, number = arguments
        read = context.make_array(signature.args[0])(context, builder, source)
        written = context.make_array(signature.args[2])(context, builder, target)
        floats, words = ir.VectorType(ir.FloatType(), WIDTH), ir.VectorType(WORD, WIDTH)
        nothing = ir.Constant(words, ir.Undefined)

        vector = builder.load(builder.bitcast(builder.gep(read.data, [begin]), floats.as_pointer()), align=4)
        spikes = builder.fcmp_unordered("!=", vector, ir.Constant(floats, [0.0] * WIDTH))
        bits = builder.bitcast(spikes, ir.IntType(WIDTH))
        numbers = builder.insert_element(nothing, builder.trunc(number, WORD), ir.Constant(WORD, 0))
        numbers = builder.shuffle_vector(numbers, nothing, ir.Constant(words, [0] * WIDTH))
        if WIDTH == 8:
            bytes_ = ir.VectorType(BYTE, WIDTH)
            entry = builder.gep(_table(builder.module), [WORD(0), builder.zext(bits, WORD), WORD(0)])
            places = builder.load(builder.bitcast(entry, bytes_.as_pointer()), align=8)
            listed = builder.add(numbers, builder.zext(places, words))
        else:
            compress = cgutils.get_or_insert_function(
                builder.module,
                ir.FunctionType(words, [words, ir.VectorType(ir.IntType(1), WIDTH), words]),
                f"llvm.experimental.vector.compress.v{WIDTH}i32",
            )
            numbers = builder.add(numbers, ir.Constant(words, list(range(WIDTH))))
            listed = builder.call(compress, [numbers, spikes, nothing])
        builder.store(listed, builder.bitcast(builder.gep(written.data, [position]), words.as_pointer()), align=4)
        return builder.add(position, builder.zext(builder.ctpop(bits), position.type))

    return types.int64(values, types.int64, columns, types.int64, types.int64), generate


@inner_kernel(inline=True)
def list_row(values: NDArray[np.float32], at: int, n: int, columns: NDArray[np.int32], place: int) -> int:
    """List which of ``values[at:at + n]`` are not 0, in `columns` from `place` on; returns where the list ends.

    Numbers up to ``place + n`` may be written.
    """
    k = 0
    while k + WIDTH <= n:
        place = _compress(values, at + k, columns, place, k)
        k += WIDTH
    while k < n:
        columns[place] = k  # not beyond the entries seen so far
        place += values[at + k] != ZERO
        k += 1
    return place
