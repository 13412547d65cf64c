"""Derivatives of the surrogate gradients, as `hxtorch.snn.functional.gradients.surrogate` lists them."""

from __future__ import annotations

import numpy as np

from hxtorch._kernels.compilation import inner_kernel
from hxtorch.shapes import F32

SUPERSPIKE = 0
SIGMOID = 1
ARCTAN = 2
TRIANGULAR = 3
MULTI_GAUSSIAN = 4
STRAIGHT_THROUGH = 5

# Constants of the multi-Gaussian (Yin, Corradi & Bohte 2021).
HEIGHT, WIDENING, DAMPING = np.float32(0.15), np.float32(6.0), np.float32(0.5)
ONE, HALF, ZERO = np.float32(1), np.float32(0.5), np.float32(0)
HALF_PI = np.float32(np.pi / 2)
INV_SQRT_2PI = np.float32(1 / np.sqrt(2 * np.pi))


@inner_kernel(fastmath={"contract", "arcp", "nsz"})
def derivative(method: int, alpha: np.float32, before: F32, s: F32, threshold: int, out: int, n: int) -> None:
    """Write the surrogate derivative at ``before - threshold`` into a block.

    `before` (n,) is the membrane; `threshold` and `out` say where their rows begin in the block `s`.
    """
    if method == SUPERSPIKE:
        for k in range(n):
            root = ONE / (alpha * abs(before[k] - s[threshold + k]) + ONE)
            s[out + k] = root * root
    elif method == SIGMOID:
        for k in range(n):
            # with the negative argument, exp cannot overflow
            e = np.exp(-abs(alpha * (before[k] - s[threshold + k])))
            s[out + k] = alpha * e / ((ONE + e) * (ONE + e))
    elif method == ARCTAN:
        for k in range(n):
            u = HALF_PI * alpha * (before[k] - s[threshold + k])
            s[out + k] = HALF * alpha / (ONE + u * u)
    elif method == TRIANGULAR:
        for k in range(n):
            s[out + k] = max(ONE - alpha * abs(before[k] - s[threshold + k]), ZERO)
    elif method == MULTI_GAUSSIAN:
        for k in range(n):
            u = alpha * (before[k] - s[threshold + k])
            left, right = (u + ONE) / WIDENING, (u - ONE) / WIDENING
            sides = np.exp(-HALF * left * left) + np.exp(-HALF * right * right)
            centre = (ONE + HEIGHT) * np.exp(-HALF * u * u)
            s[out + k] = DAMPING * alpha * INV_SQRT_2PI * (centre - HEIGHT / WIDENING * sides)
    else:
        for k in range(n):
            s[out + k] = ONE
