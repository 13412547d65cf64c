"""Listing the places of all entries that are not 0, sixteen at a time.

Which entry is a spike cannot be predicted, so branches would cost most of the time. LLVM has an instruction for
this, ``llvm.experimental.vector.compress``, which is one of the processor where that has AVX-512 (a third of the
time of the plain loop). LLVM before 19 does not know it: there the plain loop does all.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from hxtorch.twin.kernels import kernel

WIDTH = 16
ZERO = np.float32(0)
CAN_COMPRESS = llvmlite.binding.llvm_version_info >= (19,)


@intrinsic  # type: ignore[untyped-decorator]
def _compress(typing: Any, values: Any, at: Any, columns: Any, place: Any, first: Any) -> Any:
    """List ``first + k`` for all ``values[at + k]`` that are not 0, k < 16, in `columns` from `place` on.

    Writes 16 numbers, whatever there are; returns `place` behind those that count.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, begin, target, position, number = arguments
        read = context.make_array(signature.args[0])(context, builder, source)
        written = context.make_array(signature.args[2])(context, builder, target)
        word = ir.IntType(32)
        floats, words = ir.VectorType(ir.FloatType(), WIDTH), ir.VectorType(word, WIDTH)
        bits = ir.VectorType(ir.IntType(1), WIDTH)
        nothing = ir.Constant(words, ir.Undefined)

        vector = builder.load(builder.bitcast(builder.gep(read.data, [begin]), floats.as_pointer()), align=4)
        spikes = builder.fcmp_unordered("!=", vector, ir.Constant(floats, [0.0] * WIDTH))
        numbers = builder.insert_element(nothing, builder.trunc(number, word), ir.Constant(word, 0))
        numbers = builder.shuffle_vector(numbers, nothing, ir.Constant(words, [0] * WIDTH))
        numbers = builder.add(numbers, ir.Constant(words, list(range(WIDTH))))
        compress = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(words, [words, bits, words]),
            f"llvm.experimental.vector.compress.v{WIDTH}i32",
        )
        listed = builder.call(compress, [numbers, spikes, nothing])
        builder.store(listed, builder.bitcast(builder.gep(written.data, [position]), words.as_pointer()), align=4)
        count = builder.ctpop(builder.bitcast(spikes, ir.IntType(WIDTH)))
        return builder.add(position, builder.zext(count, position.type))

    return types.int64(values, types.int64, columns, types.int64, types.int64), generate


@kernel(inline=True)
def list_row(values: NDArray[np.float32], at: int, n: int, columns: NDArray[np.int32], place: int) -> int:
    """List which of ``values[at:at + n]`` are not 0, in `columns` from `place` on; returns where the list ends.

    Numbers up to ``place + n`` may be written.
    """
    k = 0
    if CAN_COMPRESS:
        while k + WIDTH <= n:
            place = _compress(values, at + k, columns, place, k)
            k += WIDTH
    while k < n:
        columns[place] = k  # not beyond the entries seen so far
        place += values[at + k] != ZERO
        k += 1
    return place
