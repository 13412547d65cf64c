"""The adjoint equations of EventProp, backward through time."""

from __future__ import annotations

import numpy as np

from hxtorch._kernels.compilation import kernel
from hxtorch.snn.functional.kernels.arguments import Adjoint, AdjointParameters, Events

ZERO, ONE = np.float32(0), np.float32(1)


@kernel()
def adjoint_lanes(events: Events, given: AdjointParameters, found: Adjoint, begin: int, end: int) -> None:
    """Adjoint states of the lanes begin..end-1, last step first."""
    spikes, current, grad = events.spikes, events.current, events.grad
    steps = spikes.shape[0]
    for m in range(begin, end):
        found.v[steps - 1, m] = ZERO
        found.i[steps - 1, m] = ZERO
    for k in range(steps - 1, 0, -1):
        for m in range(begin, end):
            lv, li = found.v[k, m], found.i[k, m]
            found.i[k - 1, m] = li + given.rate_syn[m] * (lv - li)
            value = lv * (ONE - given.rate_mem[m])
            if spikes[k, m] != ZERO:
                i = current[k - 1, m]
                before = max(given.leak[m] - given.threshold[m] + i, given.floor[m])
                jump = (given.leak[m] - given.reset[m] + i) / before
                out = grad[k, m] / before
                value = (jump if np.isfinite(jump) else ZERO) * value + (out if np.isfinite(out) else ZERO)
            found.v[k - 1, m] = value
