"""Gradients of neuron parameters, added up over the time steps of a block."""

from __future__ import annotations

import numpy as np

from hxtorch._kernels.compilation import inner_kernel
from hxtorch.shapes import F32
from hxtorch.snn.functional.kernels import layout as at

STRIDE = at.STRIDE
LEAK, DECAY, GAIN, CONDUCTANCE = at.LEAK * STRIDE, at.DECAY * STRIDE, at.GAIN * STRIDE, at.CONDUCTANCE * STRIDE
EXP_GAIN, EXP_SLOPE, EXP_THRESHOLD = at.EXP_GAIN * STRIDE, at.EXP_SLOPE * STRIDE, at.EXP_THRESHOLD * STRIDE
THRESHOLD = at.THRESHOLD * STRIDE
GRAD = at.AT_GRAD * STRIDE
LARGEST_EXPONENT, OVERSHOOT, ZERO = np.float32(at.LARGEST_EXPONENT), np.float32(at.OVERSHOOT), np.float32(0)
GV, GI = at.AT_GRAD_V * STRIDE, at.AT_GRAD_CURRENT * STRIDE
D, TOTAL, EXP = at.AT_GRAD_DRIVE * STRIDE, at.AT_SLOPE * STRIDE, at.AT_EXP * STRIDE


@inner_kernel(fastmath={"contract", "nsz", "arcp"})
def add_exponential_gradients(s: F32, n: int, v_old: F32, fire: bool) -> None:
    """One step of the parameters of the exponential term, and its part of the drive in the row TOTAL.

    A term that fills the room up to its limit depends on nothing but this limit; its part of the drive is inverse
    to the gain, so that the gradient of the gain sees none of it. Where neurons `fire`, bounds are constants.
    """
    for k in range(n):
        v, peak = v_old[k], s[THRESHOLD + k]
        term = s[EXP_GAIN + k] * s[EXP + k]
        distance = peak - s[LEAK + k]
        room = max(peak + OVERSHOOT * abs(distance) - v, ZERO)
        full = s[GAIN + k] * term > room
        exponent = (min(v, peak) - s[EXP_THRESHOLD + k]) / s[EXP_SLOPE + k]
        slope = ZERO if full or exponent > LARGEST_EXPONENT else s[D + k] * (term / s[EXP_SLOPE + k])
        s[TOTAL + k] += ZERO if full else term
        s[GRAD + EXP_GAIN + k] += ZERO if full else s[D + k] * s[EXP + k]
        s[GRAD + EXP_THRESHOLD + k] -= slope
        s[GRAD + EXP_SLOPE + k] -= slope * exponent
        if not fire:
            limit = s[GV + k] if full and room > ZERO else ZERO
            of_distance = limit * (OVERSHOOT if distance >= ZERO else -OVERSHOOT)
            s[GRAD + THRESHOLD + k] += limit + of_distance + (slope if v > peak else ZERO)
            s[GRAD + LEAK + k] -= of_distance


@inner_kernel(fastmath={"contract", "nsz", "arcp"})
def add_parameter_gradients(
    s: F32, n: int, v_old: F32, i_old: F32, w_old: F32, leaky: bool, exponential: bool, adaptive: bool, fire: bool
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
        add_exponential_gradients(s, n, v_old, fire)
    if adaptive:
        for k in range(n):
            s[TOTAL + k] -= w_old[k]
    for k in range(n):
        s[GRAD + GAIN + k] += s[GV + k] * s[TOTAL + k]
