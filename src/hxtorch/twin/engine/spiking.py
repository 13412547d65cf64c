"""What a spike does inside a step: crossing the threshold, delay, reset, hold-off, each at its own time.

From crossing the threshold on, a neuron is dead for the delay of its comparator plus the refractory time. The
reset conductance is on while the remaining dead time lies between `RESET_STEPS` (the refractory time) and
`HOLDOFF_STEPS`; before and after that the membrane is free.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hxtorch._kernels.compilation import VECTOR_MATH, inner_kernel
from hxtorch.twin.engine.board import Rails
from hxtorch.twin.engine.layout import (
    ARMED,
    DEAD,
    DEAD_STEPS,
    DECAY,
    DECAY_NOW,
    DECAY_RESET,
    DRIVE,
    FRACTION,
    HOLDOFF_STEPS,
    LANES,
    LEAK,
    LEAK_IN_RESET,
    NEVER,
    NEXT,
    RANDOM,
    RATE_MEM,
    RATE_RESET,
    RESET_STEPS,
    SHUNT,
    SHUNT_NOW,
    TARGET,
    THRESHOLD,
    THRESHOLD_MEAN,
    V_BEFORE,
    Index,
    V,
)
from hxtorch.twin.engine.random import bytes_normal, next_bits

NO_SPIKE = np.float32(-2)


@inner_kernel(fastmath=VECTOR_MATH)
def fade(y: np.float32) -> np.float32:
    """exp(-y) for y >= 0: Taylor series of a 16th of it, squared four times (relative error 1e-5 up to 3)."""
    x = min(y, np.float32(16)) * np.float32(1 / 16)
    e = np.float32(1 / 24) - x * np.float32(1 / 120)
    e = np.float32(1 / 6) - x * e
    e = np.float32(0.5) - x * e
    e = np.float32(1) - x * (np.float32(1) - x * e)
    e *= e
    e *= e
    e *= e
    return e * e


@inner_kernel(fastmath=VECTOR_MATH, inline=True)
def gained(x: np.float32, rate: np.float32, decay: np.float32) -> np.float32:
    """Part of what a constant current adds in a step that it has added after `x` of it."""
    one = np.float32(1)
    if rate < np.float32(1e-3):  # where a membrane hardly leaks, it adds the same everywhere
        return x
    return (one - fade(x * rate)) / (one - decay)


@inner_kernel()
def lowest_lane(lanes: np.uint32) -> np.int64:
    """Number of the lowest bit that is set, read off the exponent of its value."""
    bit = np.uint32(lanes & np.uint32(~lanes + np.uint32(1)))
    return np.int64(np.float32(bit).view(np.uint32) >> np.uint32(23)) - 127


@inner_kernel()
def set_state(a: NDArray[np.float32], b: int, k: Index) -> None:
    """Choose what acts on a membrane, now that so much of its dead time remains."""
    left, on, off = a[b, DEAD + k], a[b, RESET_STEPS + k], a[b, HOLDOFF_STEPS + k]
    held = (left > off) and (left <= on)
    a[b, TARGET + k] = a[b, LEAK_IN_RESET + k] if held else a[b, LEAK + k]
    a[b, DECAY_NOW + k] = a[b, DECAY_RESET + k] if held else a[b, DECAY + k]
    a[b, SHUNT_NOW + k] = a[b, SHUNT + k] if held else np.float32(1)
    a[b, ARMED + k] = NEVER if left > np.float32(0) else a[b, THRESHOLD + k]
    if left > on:
        a[b, NEXT + k] = on
    elif left > off:
        a[b, NEXT + k] = off
    else:
        a[b, NEXT + k] = np.float32(0) if left > np.float32(0) else -NEVER


@inner_kernel(fastmath=VECTOR_MATH, inline=True)
def resolve(
    a: NDArray[np.float32],
    b: int,
    k: Index,
    rails: Rails,
    threshold_sigma: np.float32,
) -> np.float32:
    """Redo the last step of a membrane whose reset circuit switched or that crossed the threshold.

    Returns the time of crossing (steps since the start of the step), which also goes to `FRACTION`, or
    `NO_SPIKE`. A neuron whose dead time ended inside the step before may have crossed as early as that.
    """
    zero, one = np.float32(0), np.float32(1)
    before, after, drive = a[b, V_BEFORE + k], a[b, V + k], a[b, DRIVE + k]
    dead = a[b, DEAD + k] + one  # at the start of the step
    v, rest, fraction = before, one, NO_SPIKE
    if after > a[b, ARMED + k]:
        rise = after - before
        fraction = (a[b, ARMED + k] - before) / max(rise, np.float32(1e-9))
        fraction = min(max(fraction, dead if dead > -one else zero), one)
        v += fraction * rise
        rest -= fraction
        dead = a[b, DEAD_STEPS + k]
        bits = next_bits(np.float32(a[b, RANDOM + k]).view(np.uint32))
        a[b, RANDOM + k] = np.uint32(bits).view(np.float32)
        a[b, THRESHOLD + k] = a[b, THRESHOLD_MEAN + k] + threshold_sigma * bytes_normal(bits)
        a[b, FRACTION + k] = fraction
    # What is left of the step, and of the dead time, from here on: free, reset, free
    on, off = a[b, RESET_STEPS + k], a[b, HOLDOFF_STEPS + k]
    leak, leak_in_reset, rate_mem = a[b, LEAK + k], a[b, LEAK_IN_RESET + k], a[b, RATE_MEM + k]
    late = min(max(dead - on, zero), rest)
    held = min(max(min(dead, on) - off, zero), rest - late)
    free = rest - late - held
    decay, rate_reset = a[b, DECAY + k], a[b, RATE_RESET + k]
    if late > zero:
        v = leak + (v - leak) * fade(late * rate_mem) + drive * gained(late, rate_mem, decay)
    if held > zero:
        v = leak_in_reset + (v - leak_in_reset) * fade(held * rate_reset)
        v += drive * a[b, SHUNT + k] * gained(held, rate_reset, a[b, DECAY_RESET + k])
    if free > zero:
        v = leak + (v - leak) * fade(free * rate_mem) + drive * gained(free, rate_mem, decay)
    a[b, V + k] = min(max(v, rails[0]), rails[2])
    a[b, DEAD + k] = dead - rest
    set_state(a, b, k)
    return fraction


@inner_kernel()
def command_reset(a: NDArray[np.float32], b: int) -> None:
    """Start a refractory period in all lanes of a block, as the reset command of the chip does."""
    for k in range(LANES):
        a[b, DEAD + k] = a[b, RESET_STEPS + k]
        set_state(a, b, k)
