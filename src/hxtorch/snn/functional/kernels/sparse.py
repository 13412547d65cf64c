"""Synaptic products from indices of spikes, and the indices.

Spikes of one row (one time step of one batch entry) lie at `columns[start[r]:start[r + 1]]`, in ascending
order; every entry counts as 1. The order of summation is fixed, whatever the number of threads.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hxtorch.twin.kernels import kernel

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
ZERO, ONE = np.float32(0), np.float32(1)
FAST = {"contract", "nsz"}


@kernel()
def find_spikes(spikes: F32, start: I32, columns: I32, begin: int, end: int) -> tuple[int, int]:
    """Columns of all entries of the rows begin..end-1 that are not 0: into `columns` from ``begin * size`` on.

    `start[r + 1]` becomes the number of spikes in the rows begin..r. Returns the number of all of them, and of
    those that are not 1 either. There are no branches: which entry is a spike cannot be predicted.
    """
    size = spikes.shape[1]
    first = begin * size
    at = first
    graded = 0
    for r in range(begin, end):
        row = spikes[r]
        for k in range(size):
            columns[at] = k  # not beyond the entries seen so far
            at += row[k] != ZERO
        other = 0
        for k in range(size):
            other += (row[k] != ZERO) & (row[k] != ONE)
        graded += other
        start[r + 1] = at - first
    return at - first, graded


@kernel()
def pack_spikes(places: NDArray[np.int64], room: I32, start: I32, columns: I32, begin: int, end: int) -> None:
    """Copy the spikes of the rows begin..end-1 from where they were listed in `room` to their place in order."""
    for r in range(begin, end):
        place = places[r] - start[r]
        for at in range(start[r], start[r + 1]):
            columns[at] = room[place + at]


@kernel(fastmath=FAST)
def sum_rows(start: I32, columns: I32, weights: F32, out: F32, begin: int, end: int) -> None:
    """Row r of `out` (R, N) becomes the sum of the rows of `weights` (I, N) of its spikes."""
    n = weights.shape[1]
    for r in range(begin, end):
        o = out[r]
        at = start[r]
        stop = start[r + 1]
        if at + 3 < stop:
            a, b = weights[columns[at]], weights[columns[at + 1]]
            c, d = weights[columns[at + 2]], weights[columns[at + 3]]
            for k in range(n):
                o[k] = a[k] + b[k] + c[k] + d[k]
            at += 4
        else:
            for k in range(n):
                o[k] = ZERO
        while at + 3 < stop:
            a, b = weights[columns[at]], weights[columns[at + 1]]
            c, d = weights[columns[at + 2]], weights[columns[at + 3]]
            for k in range(n):
                o[k] += a[k] + b[k] + c[k] + d[k]
            at += 4
        while at < stop:
            a = weights[columns[at]]
            for k in range(n):
                o[k] += a[k]
            at += 1


@kernel(fastmath=FAST)
def scatter_rows(start: I32, columns: I32, grads: F32, parts: F32, begin: int, end: int) -> None:
    """Add row r of `grads` (R, N) to the rows of its spikes in `parts` (K, I, N).

    Part p takes the rows of the p-th of K shares; the parts begin..end-1 are computed. All outputs of a row
    at once read the gradients in the order of memory; tiles of outputs took up to twice the time.
    """
    shares, inputs, n = parts.shape
    rows = start.shape[0] - 1
    for share in range(begin, end):
        total = parts[share].reshape(-1)
        for k in range(inputs * n):
            total[k] = ZERO
        for r in range(rows * share // shares, rows * (share + 1) // shares):
            g = grads[r]
            for at in range(start[r], start[r + 1]):
                place = columns[at] * n
                o = total[place : place + n]
                for k in range(n):
                    o[k] += g[k]
