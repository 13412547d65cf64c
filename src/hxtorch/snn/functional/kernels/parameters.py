"""Gradients of neuron parameters, added up over the time steps of a block."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hxtorch.snn.functional.kernels import layout as at
from hxtorch.twin.kernels import inner_kernel

F32 = NDArray[np.float32]
STRIDE = at.STRIDE
LEAK, DECAY, GAIN, CONDUCTANCE = at.LEAK * STRIDE, at.DECAY * STRIDE, at.GAIN * STRIDE, at.CONDUCTANCE * STRIDE
EXP_GAIN, EXP_SLOPE, EXP_THRESHOLD = at.EXP_GAIN * STRIDE, at.EXP_SLOPE * STRIDE, at.EXP_THRESHOLD * STRIDE
GRAD = at.AT_GRAD * STRIDE
GV, GI = at.AT_GRAD_V * STRIDE, at.AT_GRAD_CURRENT * STRIDE
D, TOTAL, EXP = at.AT_GRAD_DRIVE * STRIDE, at.AT_SLOPE * STRIDE, at.AT_EXP * STRIDE


@inner_kernel(fastmath={"contract", "nsz", "arcp"})
def add_parameter_gradients(
    s: F32, n: int, v_old: F32, i_old: F32, w_old: F32, leaky: bool, exponential: bool, adaptive: bool
) -> None:
    """One step of the parameters of membrane and current; old values (n,) are those before the step.

    The row EXP of the block holds the exponential of the term; the row TOTAL becomes the drive of the membrane.
    """
    for k in range(n):
        s[D + k] = s[GV + k] * s[GAIN + k]
    for k in range(n):
        s[GRAD + DECAY + k] += s[GI + k] * i_old[k]
        s[TOTAL + k] = i_old[k]
    if leaky:
        for k in range(n):
            pull = s[LEAK + k] - v_old[k]
            s[TOTAL + k] += s[CONDUCTANCE + k] * pull
            s[GRAD + CONDUCTANCE + k] += s[D + k] * pull
        for k in range(n):
            s[GRAD + LEAK + k] += s[D + k] * s[CONDUCTANCE + k]
    if exponential:
        for k in range(n):
            s[TOTAL + k] += s[EXP_GAIN + k] * s[EXP + k]
            s[GRAD + EXP_GAIN + k] += s[D + k] * s[EXP + k]
        for k in range(n):
            slope = s[D + k] * s[EXP_GAIN + k] * s[EXP + k] / s[EXP_SLOPE + k]
            s[GRAD + EXP_THRESHOLD + k] -= slope
            s[GRAD + EXP_SLOPE + k] -= slope * ((v_old[k] - s[EXP_THRESHOLD + k]) / s[EXP_SLOPE + k])
    if adaptive:
        for k in range(n):
            s[TOTAL + k] -= w_old[k]
    for k in range(n):
        s[GRAD + GAIN + k] += s[GV + k] * s[TOTAL + k]
