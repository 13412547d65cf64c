"""Products with recurrent weights within one time step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hxtorch._kernels.compilation import inner_kernel
from hxtorch.shapes import F32

ZERO = np.float32(0)
FAST = {"contract", "nsz"}


@inner_kernel(fastmath=FAST)
def add_recurrent(spikes: F32, weights: F32, fired: NDArray[np.int64], out: F32) -> None:
    """Add to `out` the rows of `weights` (N pre, N post) of the neurons that spiked, for each batch entry.

    `fired` (N,) is room to work.
    """
    size = weights.shape[0]
    for entry in range(spikes.shape[0] // size):
        z = spikes[entry * size : (entry + 1) * size]
        o = out[entry * size : (entry + 1) * size]
        count = 0
        for n in range(size):
            fired[count] = n
            count += z[n] != ZERO
        at = 0
        while at + 3 < count:
            i, j, m, q = fired[at], fired[at + 1], fired[at + 2], fired[at + 3]
            a, b, c, d = z[i], z[j], z[m], z[q]
            wa, wb, wc, wd = weights[i], weights[j], weights[m], weights[q]
            for k in range(size):
                o[k] += a * wa[k] + b * wb[k] + c * wc[k] + d * wd[k]
            at += 4
        while at < count:
            a = z[fired[at]]
            wa = weights[fired[at]]
            for k in range(size):
                o[k] += a * wa[k]
            at += 1


@inner_kernel(fastmath=FAST)
def multiply_dense(g: F32, weights: F32, out: F32) -> None:
    """``out = g @ weights`` for each batch entry: g and out (entries*N,), weights (N post, N pre).

    Entries are the inner loop: a few rows of the weights serve all of them from the first-level cache.
    """
    size = weights.shape[0]
    entries = g.shape[0] // size
    for k in range(out.shape[0]):
        out[k] = ZERO
    whole = size - size % 8
    for j in range(0, whole, 8):
        wa, wb, wc, wd = weights[j], weights[j + 1], weights[j + 2], weights[j + 3]
        we, wf, wg, wh = weights[j + 4], weights[j + 5], weights[j + 6], weights[j + 7]
        for entry in range(entries):
            first = entry * size
            o = out[first : first + size]
            a, b, c, d = g[first + j], g[first + j + 1], g[first + j + 2], g[first + j + 3]
            e, f, h, i = g[first + j + 4], g[first + j + 5], g[first + j + 6], g[first + j + 7]
            for k in range(size):
                o[k] += (
                    a * wa[k] + b * wb[k] + c * wc[k] + d * wd[k] + e * we[k] + f * wf[k] + h * wg[k] + i * wh[k]
                )
    for j in range(whole, size):
        wa = weights[j]
        for entry in range(entries):
            first = entry * size
            o = out[first : first + size]
            a = g[first + j]
            for k in range(size):
                o[k] += a * wa[k]
