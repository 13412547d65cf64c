"""CADC samples between their times: the kernel behind `observables`."""

from __future__ import annotations

import numpy as np

from hxtorch._kernels.compilation import kernel
from hxtorch.shapes import F32, CadcCodes, CadcCounts, CadcTimes, Hemispheres


@kernel(allocates=True)
def interpolate(
    value: CadcCodes,
    time: CadcTimes,
    count: CadcCounts,
    hemisphere: Hemispheres,
    dt: float,
    nearest: bool,
    dense: F32,
) -> None:
    """Fill `dense` (rows, B, N) with signed values; `dt` in cycles.

    Segment and fraction of a grid point are the same for all neurons of a hemisphere, so they are found once.
    """
    rows, batch, neurons = dense.shape
    hemispheres = time.shape[1]
    before = np.zeros(hemispheres, dtype=np.int64)  # last sample that is not later than the grid point
    after = np.zeros(hemispheres, dtype=np.int64)
    fraction = np.zeros(hemispheres, dtype=np.float32)
    for b in range(batch):
        before[:] = -1
        for r in range(rows):
            now = r * dt
            for h in range(hemispheres):
                n = count[b, h]
                while before[h] + 1 < n and time[b, h, before[h] + 1] <= now:
                    before[h] += 1
                k = before[h]
                if k < 0 or k >= n - 1:
                    after[h] = max(k, 0)
                    fraction[h] = 1.0
                else:
                    start = time[b, h, k]
                    width = time[b, h, k + 1] - start
                    after[h] = k + 1
                    fraction[h] = (now - start) / width
                    if nearest:
                        fraction[h] = 1.0 if 2 * (now - start) >= width else 0.0
            begin = 0
            while begin < neurons:  # runs of neurons of one hemisphere fill vectors
                h = hemisphere[begin]
                end = begin + 1
                while end < neurons and hemisphere[end] == h:
                    end += 1
                share, out = fraction[h], dense[r, b, begin:end]
                first, second = value[b, max(before[h], 0), begin:end], value[b, after[h], begin:end]
                for i in range(out.size):
                    v0, v1 = np.float32(first[i]), np.float32(second[i])
                    out[i] = v0 + share * (v1 - v0) - np.float32(128.0)
                begin = end
