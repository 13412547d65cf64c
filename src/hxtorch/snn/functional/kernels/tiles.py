"""Adding many rows of a matrix to one, and one to many, with the sums of a tile of outputs in registers.

A plain loop over the outputs, for one row after the other, loads and stores every sum again for each row. Here a
tile of up to 64 outputs stays in registers while the rows of all spikes pass: 246 outputs of 13 spikes take three
quarters of the time, 10 outputs of 25 spikes a third (AVX2). Rows of the matrix begin at multiples of `VECTOR`, so
tiles need no rest of single numbers and vectors do not straddle cache lines. Sums run over the rows in the order
of the list, in every tile and on every processor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numpy.typing import NDArray

from hxtorch._kernels.compilation import inner_kernel, intrinsic

VECTOR = 16  # floats; LLVM splits it where the processor has shorter ones
FULL = 4  # vectors of a whole tile
TILE = FULL * VECTOR
VALUES = ir.VectorType(ir.FloatType(), VECTOR)
BITS = ir.VectorType(ir.IntType(1), VECTOR)
LONG, WORD = ir.IntType(64), ir.IntType(32)


def padded(outputs: int) -> int:
    """Length of the rows of a matrix with so many outputs: an odd number of vectors.

    The tiles of different rows then do not compete for the same places of the cache.
    """
    return (-(-outputs // VECTOR) | 1) * VECTOR


def _vector(builder: Any, data: Any, place: Any) -> Any:
    """Pointer to the vector that begins at `place`."""
    return builder.bitcast(builder.gep(data, [place]), VALUES.as_pointer())


def _last_bits(builder: Any, count: Any) -> Any:
    """The first `count` places of a vector (1..VECTOR)."""
    nothing = ir.Constant(ir.VectorType(WORD, VECTOR), ir.Undefined)
    limit = builder.insert_element(nothing, builder.trunc(count, WORD), WORD(0))
    limit = builder.shuffle_vector(limit, nothing, ir.Constant(nothing.type, [0] * VECTOR))
    return builder.icmp_signed("<", ir.Constant(nothing.type, list(range(VECTOR))), limit)


def _arrays(context: Any, builder: Any, signature: Any, arguments: Any) -> tuple[Any, Any, Any]:
    """Data of the list of columns, of the matrix, and of the one row."""
    data = [context.make_array(signature.args[k])(context, builder, arguments[k]).data for k in (0, 3, 6)]
    return data[0], data[1], data[2]


def _row_place(builder: Any, columns: Any, number: Any, width: Any, first: Any) -> Any:
    """Where the tile of the row begins that the list names at `number`."""
    row = builder.zext(builder.load(builder.gep(columns, [number])), LONG)
    return builder.add(builder.mul(row, width), first)


def _offset(builder: Any, place: Any, vector: int) -> Any:
    return builder.add(place, LONG(vector * VECTOR))


def _make_sum(vectors: int) -> Callable[..., None]:
    """Write the sums of a tile of so many vectors, the last one only in its first `last` places."""

    @intrinsic
    def sum_tile(
        typing: Any, columns: Any, at: Any, end: Any, matrix: Any, width: Any, first: Any, out: Any, last: Any
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            listed, data, target = _arrays(context, builder, signature, arguments)
            _, begin, stop, _, row_width, place, _, count = arguments
            zero = ir.Constant(VALUES, [0.0] * VECTOR)
            sums = [cgutils.alloca_once_value(builder, zero) for _ in range(vectors)]
            for total in sums:  # the place on the stack is initialised once, a loop around needs it every time
                builder.store(zero, total)
            with cgutils.for_range_slice(builder, begin, stop, LONG(1), intp=LONG) as (number, _):
                source = _row_place(builder, listed, number, row_width, place)
                for vector, total in enumerate(sums):
                    pointer = _vector(builder, data, _offset(builder, source, vector))
                    builder.store(builder.fadd(builder.load(total), builder.load(pointer, align=4)), total)
            for vector, total in enumerate(sums[:-1]):
                builder.store(
                    builder.load(total), _vector(builder, target, _offset(builder, place, vector)), align=4
                )
            store = cgutils.get_or_insert_function(
                builder.module,
                ir.FunctionType(ir.VoidType(), [VALUES, VALUES.as_pointer(), WORD, BITS]),
                f"llvm.masked.store.v{VECTOR}f32.p0",
            )
            pointer = _vector(builder, target, _offset(builder, place, vectors - 1))
            builder.call(store, [builder.load(sums[-1]), pointer, WORD(4), _last_bits(builder, count)])
            return context.get_dummy_value()

        return _signature(columns, matrix, out), generate

    return sum_tile


def _make_scatter(vectors: int) -> Callable[..., None]:
    """Add a tile of so many vectors to the rows, the last one only in its first `last` places."""

    @intrinsic
    def scatter_tile(
        typing: Any, columns: Any, at: Any, end: Any, matrix: Any, width: Any, first: Any, row: Any, last: Any
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            listed, data, source = _arrays(context, builder, signature, arguments)
            _, begin, stop, _, row_width, place, _, count = arguments
            values = [
                builder.load(_vector(builder, source, _offset(builder, place, vector)), align=4)
                for vector in range(vectors - 1)
            ]
            load = cgutils.get_or_insert_function(
                builder.module,
                ir.FunctionType(VALUES, [VALUES.as_pointer(), WORD, BITS, VALUES]),
                f"llvm.masked.load.v{VECTOR}f32.p0",
            )
            pointer = _vector(builder, source, _offset(builder, place, vectors - 1))
            zero = ir.Constant(VALUES, [0.0] * VECTOR)
            values.append(builder.call(load, [pointer, WORD(4), _last_bits(builder, count), zero]))
            with cgutils.for_range_slice(builder, begin, stop, LONG(1), intp=LONG) as (number, _):
                target = _row_place(builder, listed, number, row_width, place)
                for vector, value in enumerate(values):
                    pointer = _vector(builder, data, _offset(builder, target, vector))
                    builder.store(builder.fadd(builder.load(pointer, align=4), value), pointer, align=4)
            return context.get_dummy_value()

        return _signature(columns, matrix, row), generate

    return scatter_tile


def _signature(columns: Any, matrix: Any, row: Any) -> Any:
    number = types.int64
    return types.none(columns, number, number, matrix, number, number, row, number)


_sum_1, _sum_2, _sum_3, _sum_4 = (_make_sum(vectors) for vectors in (1, 2, 3, 4))
_scatter_1, _scatter_2, _scatter_3, _scatter_4 = (_make_scatter(vectors) for vectors in (1, 2, 3, 4))


@inner_kernel()
def sum_listed(
    columns: NDArray[np.int32],
    at: int,
    end: int,
    matrix: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """`out` (N,) becomes the sum of the rows ``columns[at:end]`` of `matrix`, (rows, padded(N))."""
    n, width = out.shape[0], matrix.shape[1]
    k = 0
    while k < n:
        rest = n - k
        if rest > TILE - VECTOR:
            _sum_4(columns, at, end, matrix, width, k, out, min(rest - 3 * VECTOR, VECTOR))
        elif rest > 2 * VECTOR:
            _sum_3(columns, at, end, matrix, width, k, out, rest - 2 * VECTOR)
        elif rest > VECTOR:
            _sum_2(columns, at, end, matrix, width, k, out, rest - VECTOR)
        else:
            _sum_1(columns, at, end, matrix, width, k, out, rest)
        k += TILE


@inner_kernel()
def scatter_listed(
    columns: NDArray[np.int32],
    at: int,
    end: int,
    row: NDArray[np.float32],
    matrix: NDArray[np.float32],
) -> None:
    """Add `row` (N,) to the rows ``columns[at:end]`` of `matrix`, (rows, padded(N))."""
    n, width = row.shape[0], matrix.shape[1]
    k = 0
    while k < n:
        rest = n - k
        if rest > TILE - VECTOR:
            _scatter_4(columns, at, end, matrix, width, k, row, min(rest - 3 * VECTOR, VECTOR))
        elif rest > 2 * VECTOR:
            _scatter_3(columns, at, end, matrix, width, k, row, rest - 2 * VECTOR)
        elif rest > VECTOR:
            _scatter_2(columns, at, end, matrix, width, k, row, rest - VECTOR)
        else:
            _scatter_1(columns, at, end, matrix, width, k, row, rest)
        k += TILE
