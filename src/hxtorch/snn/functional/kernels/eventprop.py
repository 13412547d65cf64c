"""The adjoint equations of EventProp, backward through time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hxtorch._kernels.compilation import kernel

F32 = NDArray[np.float32]
ZERO, ONE = np.float32(0), np.float32(1)


@kernel()
def adjoint_lanes(
    spikes: F32,
    current: F32,
    grad: F32,
    leak: F32,
    reset: F32,
    threshold: F32,
    rate_syn: F32,
    rate_mem: F32,
    floor: F32,
    out_v: F32,
    out_i: F32,
    begin: int,
    end: int,
) -> None:
    """Adjoint states `out_v`, `out_i` (T, lanes) for `grad` (T, lanes) of the spikes; parameters are (lanes,).

    `current` is the synaptic current that moved the membrane in the step of the spike; the slope of the membrane
    there, times its time constant, is taken as `floor` at least.
    """
    steps = spikes.shape[0]
    for m in range(begin, end):
        out_v[steps - 1, m] = ZERO
        out_i[steps - 1, m] = ZERO
    for k in range(steps - 1, 0, -1):
        for m in range(begin, end):
            lv, li = out_v[k, m], out_i[k, m]
            out_i[k - 1, m] = li + rate_syn[m] * (lv - li)
            value = lv * (ONE - rate_mem[m])
            if spikes[k, m] != ZERO:
                i = current[k - 1, m]
                before = max(leak[m] - threshold[m] + i, floor[m])
                jump = (leak[m] - reset[m] + i) / before
                out = grad[k, m] / before
                value = (jump if np.isfinite(jump) else ZERO) * value + (out if np.isfinite(out) else ZERO)
            out_v[k - 1, m] = value
