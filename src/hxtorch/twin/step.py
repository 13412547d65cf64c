r"""What happens to all membranes in one integration step.

For every membrane, in CADC LSB and µs,

    dV/dt   = -(V - E_l) / tau_mem + sum_x [S(x_exc) - S(x_inh)] + I_static        (free)
    dV/dt   = the same - (V - V_r) / tau_reset                                     (during the reset)
    dx/dt   = -x / tau_syn,   x jumps with every event by drive * weight

with the saturation S(x) = I_sat s(x / I_sat), s(u) = u (27 + u^2) / (27 + 9 u^2), a tanh that ends at u = 3.
Joined circuits add up their inputs on one membrane. Near the rails of the supply a current loses its strength
linearly with the distance. AdEx terms and conductance mode are in `hxtorch.twin.terms`.

A step is exact for the linear part: exponential propagators, and the weight with which a decaying current
enters the membrane is integrated analytically (`lanes.current_gain`); only S is evaluated in the middle of
the step. Events and spikes inside a step are placed at their own time (`delivery`, `spiking`), so that results
depend on the step only to second order. The voltage noise adds to the membrane wherever it is compared or read.
"""

from __future__ import annotations

import numpy as np

from hxtorch.twin.kernels import VECTOR_MATH, kernel
from hxtorch.twin.layout import (
    AMPLITUDE_EXC,
    AMPLITUDE_INH,
    DEAD,
    DECAY,
    DECAY_EXC,
    DECAY_INH,
    DECAY_RESET,
    DOWN,
    HOLDOFF_STEPS,
    LANES,
    LAYER_ROWS,
    LEAK,
    LEAK_IN_RESET,
    MEMBRANE_ROWS,
    NOISE,
    RANDOM,
    RESET_STEPS,
    SHUNT,
    STATIC_DOWN,
    STATIC_UP,
    THRESHOLD,
    UP,
    V_BEFORE,
    X_EXC,
    X_INH,
    V,
)
from hxtorch.twin.random import next_bits

_INV_2_31 = np.float32(1.0 / 2**31)
_NOTHING = np.float32(1e-15)  # a line that has decayed so far is empty: tiny numbers would be slow


@kernel(fastmath=VECTOR_MATH)
def begin_step(a, b, noise_decay, noise_step):  # type: ignore[no-untyped-def]
    """Advance the noise and start the sum of currents with the constant ones."""
    for k in range(LANES):
        bits = next_bits(np.float32(a[b, RANDOM + k]).view(np.uint32))
        a[b, RANDOM + k] = np.uint32(bits).view(np.float32)
        uniform = np.float32(np.uint32(bits).view(np.int32)) * _INV_2_31
        a[b, NOISE + k] = a[b, NOISE + k] * noise_decay + noise_step * uniform
        a[b, UP + k] = a[b, STATIC_UP + k]
        a[b, DOWN + k] = a[b, STATIC_DOWN + k]


@kernel(fastmath=VECTOR_MATH)
def advance_lines(a, b, layers):  # type: ignore[no-untyped-def]
    """Add the currents of all synaptic lines in the middle of the step, and let the lines decay."""
    zero, one, three = np.float32(0), np.float32(1), np.float32(3)
    nine, c = np.float32(9), np.float32(27)
    for layer in range(layers):
        o = MEMBRANE_ROWS + layer * LAYER_ROWS
        for k in range(LANES):
            exc, inh = a[b, o + X_EXC + k], a[b, o + X_INH + k]
            e, i = min(exc, three), min(inh, three)
            e2, i2 = e * e, i * i
            below_e, below_i = c + nine * e2, c + nine * i2
            inverse = one / (below_e * below_i)  # one division for both saturations
            a[b, UP + k] += a[b, o + AMPLITUDE_EXC + k] * (e * (c + e2) * below_i * inverse)
            a[b, DOWN + k] += a[b, o + AMPLITUDE_INH + k] * (i * (c + i2) * below_e * inverse)
            exc *= a[b, o + DECAY_EXC + k]
            inh *= a[b, o + DECAY_INH + k]
            a[b, o + X_EXC + k] = exc if exc > _NOTHING else zero
            a[b, o + X_INH + k] = inh if inh > _NOTHING else zero


@kernel(fastmath=VECTOR_MATH)
def advance_membrane(a, b, rails):  # type: ignore[no-untyped-def]
    """Advance the membranes of a block; return whether any of them needs `spiking.resolve`.

    Everything is loaded before it is chosen between, so that the loop becomes straight vector code.
    """
    zero, one = np.float32(0), np.float32(1)
    floor, floor_rate, ceiling, ceiling_rate = rails
    soft_up, soft_down = ceiling - one / ceiling_rate, floor + one / floor_rate
    events = np.int32(0)
    for k in range(LANES):
        v, remaining = a[b, V + k], a[b, DEAD + k]
        up, down = a[b, UP + k], a[b, DOWN + k]
        leak, leak_in_reset = a[b, LEAK + k], a[b, LEAK_IN_RESET + k]
        decay_free, decay_held = a[b, DECAY + k], a[b, DECAY_RESET + k]
        shunt_held = a[b, SHUNT + k]
        on, off = a[b, RESET_STEPS + k], a[b, HOLDOFF_STEPS + k]
        threshold = a[b, THRESHOLD + k] - a[b, NOISE + k]
        left = remaining - one
        held = (remaining > off) & (remaining <= on)
        target = leak_in_reset if held else leak
        decay = decay_held if held else decay_free
        shunt = shunt_held if held else one
        base = target + (v - target) * decay
        up *= shunt
        down *= shunt
        # Inside the soft zones the currents act like conductances to the rails, which cannot overshoot.
        up_free = max(min(up, zero if v > soft_up else soft_up - base), zero)
        down_free = max(min(down, zero if v < soft_down else base - soft_down), zero)
        pull_up, pull_down = (up - up_free) * ceiling_rate, (down - down_free) * floor_rate
        after = (base + up_free - down_free + pull_up * ceiling + pull_down * floor) / (one + pull_up + pull_down)
        crossed = (after > threshold) & (remaining <= zero)
        switches = ((remaining > on) & (left < on)) | ((remaining > off) & (left < off))
        ends = (remaining > zero) & (left < zero)
        events |= np.int32(crossed | switches | ends)
        a[b, V_BEFORE + k] = v
        a[b, V + k] = after
        a[b, DEAD + k] = left
    return events
