"""Weights of the model as whole numbers; a kernel of its own, which need not know what a network is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hxtorch._kernels.compilation import kernel


@kernel()
def round_to_limit(values: NDArray[np.float32], limit: float, rounded: NDArray[np.int64]) -> int:
    """Round half away from zero and clip; returns how many values were clipped, or -1 if one is not finite."""
    clipped = 0
    for i in range(values.size):
        value = values[i]
        if not np.isfinite(value):
            return -1
        magnitude = np.floor(abs(value) + 0.5)
        if magnitude > limit:
            magnitude = limit
            clipped += 1
        rounded[i] = -magnitude if value < 0 else magnitude
    return clipped
