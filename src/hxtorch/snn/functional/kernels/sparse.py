"""Synaptic products from indices of spikes, and the indices.

Spikes of one row (one time step of one batch entry) lie at `columns[start[r]:stop[r]]`, in ascending order; every
entry counts as 1. The order of summation is fixed, whatever the number of threads.
"""

from __future__ import annotations

import numpy as np

from hxtorch._kernels.compilation import inner_kernel, kernel
from hxtorch.shapes import F32, I32, I64
from hxtorch.snn.functional.kernels.compress import list_row
from hxtorch.snn.functional.kernels.tiles import scatter_listed, sum_listed

ZERO, ONE = np.float32(0), np.float32(1)
TOO_MANY = -1  # spikes for the room of the list


@kernel(fastmath={"reassoc"})
def find_spikes(
    spikes: F32, start: I64, stop: I64, columns: I32, begin: int, end: int, place: int, limit: int
) -> int:
    """List the entries of the rows begin..end-1 that are not 0, in ``columns[place:limit]``.

    Returns how many rows have entries that are not 1 either, or `TOO_MANY` if the room is too small.
    """
    size = spikes.shape[1]
    flat = spikes.reshape(-1)
    graded = 0
    for r in range(begin, end):
        if place + size > limit:
            return TOO_MANY
        start[r] = place
        place = list_row(flat, r * size, size, columns, place)
        stop[r] = place
        row = spikes[r]
        # stays 0 as long as every entry is 0 or 1; a sum of floats fills vectors, one of integers half
        other = ZERO
        for k in range(size):
            other += abs(row[k] * (row[k] - ONE))
        graded += other != ZERO
    return graded


@inner_kernel()
def sum_row(start: I64, stop: I64, columns: I32, weights: F32, r: int, o: F32) -> None:
    """`o` (N,) becomes the sum of the rows of `weights` (I, padded(N)) of the spikes of row r."""
    sum_listed(columns, start[r], stop[r], weights, o)


@kernel()
def sum_rows(start: I64, stop: I64, columns: I32, weights: F32, out: F32, begin: int, end: int) -> None:
    """Row r of `out` (R, N) becomes the sum of the rows of `weights` (I, padded(N)) of its spikes."""
    for r in range(begin, end):
        sum_row(start, stop, columns, weights, r, out[r])


@inner_kernel()
def scatter_row(start: I64, stop: I64, columns: I32, r: int, grad: F32, total: F32) -> None:
    """Add `grad` (N,) to the rows of `total` (I, padded(N)) of the spikes of row r."""
    scatter_listed(columns, start[r], stop[r], grad, total)


@kernel()
def scatter_rows(start: I64, stop: I64, columns: I32, grads: F32, parts: F32, begin: int, end: int) -> None:
    """Add row r of `grads` (R, N) to the rows of its spikes in `parts` (K, I, padded(N)).

    Part p takes the rows of the p-th of K shares; the parts begin..end-1 are computed.
    """
    shares, inputs, n = parts.shape
    rows = start.shape[0]
    for share in range(begin, end):
        total = parts[share]
        for i in range(inputs):
            for k in range(n):
                total[i, k] = ZERO
        for r in range(rows * share // shares, rows * (share + 1) // shares):
            scatter_row(start, stop, columns, r, grads[r], total)
