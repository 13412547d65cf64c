"""Synaptic products from indices of spikes, and the indices.

Spikes of one row (one time step of one batch entry) lie at `columns[start[r]:stop[r]]`, in ascending order; every
entry counts as 1. The order of summation is fixed, whatever the number of threads.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hxtorch.snn.functional.kernels.compress import list_row
from hxtorch.twin.kernels import kernel

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
ZERO, ONE = np.float32(0), np.float32(1)
FAST = {"contract", "nsz"}
TOO_MANY = -1  # spikes for the room of the list


@kernel()
def find_spikes(
    spikes: F32, start: I64, stop: I64, columns: I32, begin: int, end: int, place: int, limit: int
) -> int:
    """List the entries of the rows begin..end-1 that are not 0, in ``columns[place:limit]``.

    Returns how many entries are not 1 either, or `TOO_MANY` if the room is too small.
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
        other = 0
        for k in range(size):
            other += (row[k] != ZERO) & (row[k] != ONE)
        graded += other
    return graded


@kernel(fastmath=FAST)
def sum_row(start: I64, stop: I64, columns: I32, weights: F32, r: int, o: F32) -> None:
    """`o` (N,) becomes the sum of the rows of `weights` (I, N) of the spikes of row r."""
    n = weights.shape[1]
    at, end = start[r], stop[r]
    if at + 3 < end:
        a, b = weights[columns[at]], weights[columns[at + 1]]
        c, d = weights[columns[at + 2]], weights[columns[at + 3]]
        for k in range(n):
            o[k] = a[k] + b[k] + c[k] + d[k]
        at += 4
    else:
        for k in range(n):
            o[k] = ZERO
    while at + 3 < end:
        a, b = weights[columns[at]], weights[columns[at + 1]]
        c, d = weights[columns[at + 2]], weights[columns[at + 3]]
        for k in range(n):
            o[k] += a[k] + b[k] + c[k] + d[k]
        at += 4
    while at < end:
        a = weights[columns[at]]
        for k in range(n):
            o[k] += a[k]
        at += 1


@kernel(fastmath=FAST)
def sum_rows(start: I64, stop: I64, columns: I32, weights: F32, out: F32, begin: int, end: int) -> None:
    """Row r of `out` (R, N) becomes the sum of the rows of `weights` (I, N) of its spikes."""
    for r in range(begin, end):
        sum_row(start, stop, columns, weights, r, out[r])


@kernel(fastmath=FAST)
def scatter_row(start: I64, stop: I64, columns: I32, r: int, grad: F32, total: F32) -> None:
    """Add `grad` (N,) to the rows of `total`, (I, N) as a flat array, of the spikes of row r."""
    n = grad.shape[0]
    for at in range(start[r], stop[r]):
        place = columns[at] * n
        o = total[place : place + n]
        for k in range(n):
            o[k] += grad[k]


@kernel(fastmath=FAST)
def scatter_rows(start: I64, stop: I64, columns: I32, grads: F32, parts: F32, begin: int, end: int) -> None:
    """Add row r of `grads` (R, N) to the rows of its spikes in `parts` (K, I, N).

    Part p takes the rows of the p-th of K shares; the parts begin..end-1 are computed. All outputs of a row
    at once read the gradients in the order of memory; tiles of outputs took up to twice the time.
    """
    shares, inputs, n = parts.shape
    rows = start.shape[0]
    for share in range(begin, end):
        total = parts[share].reshape(-1)
        for k in range(inputs * n):
            total[k] = ZERO
        for r in range(rows * share // shares, rows * (share + 1) // shares):
            scatter_row(start, stop, columns, r, grads[r], total)
