"""What a spike does inside a step: crossing the threshold, delay, reset, hold-off, each at its own time.

From crossing the threshold on, a neuron is dead for the delay of its comparator plus the refractory time. The
reset conductance is on while the remaining dead time lies between `RESET_STEPS` (the refractory time) and
`HOLDOFF_STEPS`; before and after that the membrane is free.
"""

from __future__ import annotations

import numpy as np

from hxtorch.twin.kernels import VECTOR_MATH, kernel
from hxtorch.twin.layout import (
    DEAD,
    DEAD_STEPS,
    DOWN,
    FRACTION,
    HOLDOFF_STEPS,
    LANES,
    LEAK,
    LEAK_IN_RESET,
    NOISE,
    RANDOM,
    RATE_MEM,
    RATE_RESET,
    RESET_STEPS,
    SHUNT,
    THRESHOLD,
    THRESHOLD_MEAN,
    UP,
    V_BEFORE,
    V,
)
from hxtorch.twin.random import bytes_normal, next_bits

NO_SPIKE = np.float32(-2)


@kernel(fastmath=VECTOR_MATH)
def fade(y):  # type: ignore[no-untyped-def]
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


@kernel(fastmath=VECTOR_MATH)
def resolve(a, b, rails, threshold_sigma):  # type: ignore[no-untyped-def]
    """Redo the last step of those membranes whose reset circuit switched or that crossed the threshold.

    The time of crossing (steps since the start of the step) goes to `FRACTION`, or `NO_SPIKE`. A neuron whose
    dead time ended inside the step before may have crossed as early as that.
    """
    zero, one = np.float32(0), np.float32(1)
    floor, ceiling = rails[0], rails[2]
    for k in range(LANES):
        before, after, drive = a[b, V_BEFORE + k], a[b, V + k], a[b, UP + k] - a[b, DOWN + k]
        left = a[b, DEAD + k]
        remaining = left + one  # at the start of the step
        on, off, dead_steps = a[b, RESET_STEPS + k], a[b, HOLDOFF_STEPS + k], a[b, DEAD_STEPS + k]
        leak, leak_in_reset, shunt = a[b, LEAK + k], a[b, LEAK_IN_RESET + k], a[b, SHUNT + k]
        rate_mem, rate_reset = a[b, RATE_MEM + k], a[b, RATE_RESET + k]
        threshold, mean = a[b, THRESHOLD + k], a[b, THRESHOLD_MEAN + k]
        bits = next_bits(np.float32(a[b, RANDOM + k]).view(np.uint32))
        old_bits = a[b, RANDOM + k]

        crossing = threshold - a[b, NOISE + k]
        crossed = (after > crossing) & (remaining <= zero)
        rise = after - before
        fraction = (crossing - before) / (rise if rise > np.float32(1e-9) else np.float32(1e-9))
        earliest = remaining if remaining > -one else zero
        fraction = min(max(fraction, earliest), one)
        switches = ((remaining > on) & (left < on)) | ((remaining > off) & (left < off))
        redo = crossed | switches | ((remaining > zero) & (left < zero))

        # What is left of the step, and of the dead time, from here on: free, reset, free
        v = before + fraction * rise if crossed else before
        rest = one - fraction if crossed else one
        dead = dead_steps if crossed else remaining
        late = min(max(dead - on, zero), rest)
        held = min(max(min(dead, on) - off, zero), rest - late)
        free = rest - late - held
        v = leak + (v - leak) * fade(late * rate_mem) + drive * late
        v = leak_in_reset + (v - leak_in_reset) * fade(held * rate_reset) + drive * shunt * held
        v = leak + (v - leak) * fade(free * rate_mem) + drive * free
        v = min(max(v, floor), ceiling)

        a[b, V + k] = v if redo else after
        a[b, DEAD + k] = dead_steps - rest if crossed else left
        a[b, FRACTION + k] = fraction if crossed else NO_SPIKE
        a[b, THRESHOLD + k] = mean + threshold_sigma * bytes_normal(bits) if crossed else threshold
        a[b, RANDOM + k] = np.uint32(bits).view(np.float32) if crossed else old_bits


@kernel()
def command_reset(a, b):  # type: ignore[no-untyped-def]
    """Start a refractory period in all lanes of a block, as the reset command of the chip does."""
    for k in range(LANES):
        a[b, DEAD + k] = a[b, RESET_STEPS + k]
