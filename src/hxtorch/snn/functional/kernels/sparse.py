"""Synaptic products from indices of spikes, and the indices.

Spikes of one row (one time step of one batch entry) lie at `columns[start[r]:start[r + 1]]`, in ascending
order; every entry counts as 1. Sums run over a row's spikes in this order and over rows in ascending order,
whatever the number of threads.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hxtorch.twin.kernels import kernel

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
ZERO, ONE = np.float32(0), np.float32(1)
FAST = {"contract", "nsz"}
LANES = 256  # outputs of a weight gradient that are summed together, so that they stay in the second-level cache


@kernel()
def count_spikes(spikes: F32, counts: I32, other: NDArray[np.int64], slot: int, begin: int, end: int) -> None:
    """Number of entries that are not 0 in each row; `other[slot]` counts those that are not 1 either."""
    graded = 0
    for r in range(begin, end):
        row = spikes[r]
        count = 0
        ones = 0
        for k in range(row.shape[0]):
            count += row[k] != ZERO
            ones += row[k] == ONE
        counts[r] = count
        graded += count - ones
    other[slot] = graded


@kernel()
def sum_counts(counts: I32, start: I32) -> None:
    """Where each row begins: `start` (R + 1,)."""
    total = 0
    for r in range(counts.shape[0]):
        start[r] = total
        total += counts[r]
    start[counts.shape[0]] = total


@kernel()
def fill_columns(spikes: F32, start: I32, columns: I32, begin: int, end: int) -> None:
    """Columns of all entries that are not 0."""
    for r in range(begin, end):
        row = spikes[r]
        at = start[r]
        stop = start[r + 1]
        k = 0
        # Eight zeros are skipped with one comparison: most entries are zero.
        n = row.shape[0]
        while at < stop and k + 8 <= n:
            if (
                (row[k] != ZERO)
                | (row[k + 1] != ZERO)
                | (row[k + 2] != ZERO)
                | (row[k + 3] != ZERO)
                | (row[k + 4] != ZERO)
                | (row[k + 5] != ZERO)
                | (row[k + 6] != ZERO)
                | (row[k + 7] != ZERO)
            ):
                for j in range(k, k + 8):
                    if row[j] != ZERO:
                        columns[at] = j
                        at += 1
            k += 8
        while at < stop:
            if row[k] != ZERO:
                columns[at] = k
                at += 1
            k += 1


@kernel(fastmath=FAST)
def sum_rows(start: I32, columns: I32, weights: F32, out: F32, begin: int, end: int) -> None:
    """Row r of `out` (R, N) becomes the sum of the rows of `weights` (I, N) of its spikes."""
    n = weights.shape[1]
    for r in range(begin, end):
        o = out[r]
        at = start[r]
        stop = start[r + 1]
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
def scatter_rows(start: I32, columns: I32, grads: F32, out: F32, begin: int, end: int) -> None:
    """Add row r of `grads` (R, N) to the rows of `out` (I, N) of its spikes, for the outputs begin..end-1."""
    for first in range(begin, end, LANES):
        stop_lane = min(first + LANES, end)
        n = stop_lane - first
        for i in range(out.shape[0]):
            o = out[i, first:stop_lane]
            for k in range(n):
                o[k] = ZERO
        for r in range(start.shape[0] - 1):
            g = grads[r, first:stop_lane]
            for at in range(start[r], start[r + 1]):
                o = out[columns[at], first:stop_lane]
                for k in range(n):
                    o[k] += g[k]
