r"""What happens to all membranes in one integration step.

For every membrane, in CADC LSB and µs,

    dV/dt   = -(V - E_l) / tau_mem + sum_x [S(x_exc) - S(x_inh)] + I_static        (free)
    dV/dt   = the same - (V - V_r) / tau_reset                                     (during the reset)
    dx/dt   = -x / tau_syn,   x jumps with every event by drive * weight

with the saturation S(x) = I_sat s(x / I_sat), s(u) = u (27 + u^2) / (27 + 9 u^2), a tanh that ends at u = 3.
Joined circuits add up their inputs on one membrane. Near the rails of the supply a current loses its strength
linearly with the distance. AdEx terms and conductance mode are in `hxtorch.twin.engine.terms`.

A step is exact for the linear part: exponential propagators, and the weight with which a decaying current
enters the membrane is integrated analytically (`lanes.current_gain`); only S is evaluated in the middle of
the step. Events and spikes inside a step are placed at their own time (`delivery`, `spiking`), so that results
depend on the step only to second order. The noise adds to E_l, and holds during a step.

The functions return whether any membrane of the block needs `spiking.resolve`; `busy_lanes` tells which.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hxtorch._kernels.compilation import VECTOR_MATH, inner_kernel
from hxtorch.twin.engine.board import Rails
from hxtorch.twin.engine.layout import (
    AMPLITUDE_EXC,
    AMPLITUDE_INH,
    ARMED,
    DEAD,
    DECAY,
    DECAY_EXC,
    DECAY_INH,
    DECAY_NOW,
    DOWN,
    DRIVE,
    LANES,
    LAYER_ROWS,
    MEMBRANE_ROWS,
    NEXT,
    NOISE,
    PART_EXC,
    PART_INH,
    RANDOM,
    SHUNT_NOW,
    STATIC_DOWN,
    STATIC_UP,
    TARGET,
    UP,
    V_BEFORE,
    WORD,
    X_EXC,
    X_INH,
    V,
)
from hxtorch.twin.engine.random import next_bits

_INV_2_31 = np.float32(1.0 / 2**31)
_NOTHING = np.float32(1e-15)  # a line that has decayed so far is empty: tiny numbers would be slow


@inner_kernel(fastmath=VECTOR_MATH, inline=True)
def begin_step(a: NDArray[np.float32], b: int, noise_decay: np.float32, noise_step: np.float32) -> None:
    """Advance the noise, sum up constant currents and those of the first line, and let that decay."""
    zero, one, three = np.float32(0), np.float32(1), np.float32(3)
    nine, c = np.float32(9), np.float32(27)
    o = MEMBRANE_ROWS
    for k in range(LANES):
        bits = next_bits(np.float32(a[b, RANDOM + k]).view(np.uint32))
        a[b, RANDOM + k] = np.uint32(bits).view(np.float32)
        uniform = np.float32(np.uint32(bits).view(np.int32)) * _INV_2_31
        a[b, NOISE + k] = a[b, NOISE + k] * noise_decay + noise_step * uniform

        exc, inh = a[b, o + X_EXC + k], a[b, o + X_INH + k]
        e, i = min(exc + a[b, o + PART_EXC + k], three), min(inh + a[b, o + PART_INH + k], three)
        e2, i2 = e * e, i * i
        below_e, below_i = c + nine * e2, c + nine * i2
        inverse = one / (below_e * below_i)  # one division for both saturations
        a[b, UP + k] = a[b, STATIC_UP + k] + a[b, o + AMPLITUDE_EXC + k] * (e * (c + e2) * below_i * inverse)
        a[b, DOWN + k] = a[b, STATIC_DOWN + k] + a[b, o + AMPLITUDE_INH + k] * (i * (c + i2) * below_e * inverse)
        a[b, o + X_EXC + k] = max(exc * a[b, o + DECAY_EXC + k] - _NOTHING, zero)
        a[b, o + X_INH + k] = max(inh * a[b, o + DECAY_INH + k] - _NOTHING, zero)
        a[b, o + PART_EXC + k] = zero
        a[b, o + PART_INH + k] = zero


@inner_kernel(inline=True)
def advance_lines(a: NDArray[np.float32], b: int, layers: int) -> None:
    """Do the same for the lines of all further circuits that share the membranes."""
    _advance_layer(a, b, MEMBRANE_ROWS + LAYER_ROWS)  # a constant: nothing can overlap
    for further in range(layers - 2):  # counted from 0, or the compiler would expect negative indices
        _advance_layer(a, b, MEMBRANE_ROWS + 2 * LAYER_ROWS + further * LAYER_ROWS)


@inner_kernel(fastmath=VECTOR_MATH, inline=True)
def _advance_layer(a: NDArray[np.float32], b: int, o: int) -> None:
    """Add up the currents of the layer that begins at `o`, and let them decay."""
    zero, one, three = np.float32(0), np.float32(1), np.float32(3)
    nine, c = np.float32(9), np.float32(27)
    for k in range(LANES):
        exc, inh = a[b, o + X_EXC + k], a[b, o + X_INH + k]
        e, i = min(exc + a[b, o + PART_EXC + k], three), min(inh + a[b, o + PART_INH + k], three)
        e2, i2 = e * e, i * i
        below_e, below_i = c + nine * e2, c + nine * i2
        inverse = one / (below_e * below_i)
        a[b, UP + k] += a[b, o + AMPLITUDE_EXC + k] * (e * (c + e2) * below_i * inverse)
        a[b, DOWN + k] += a[b, o + AMPLITUDE_INH + k] * (i * (c + i2) * below_e * inverse)
        a[b, o + X_EXC + k] = max(exc * a[b, o + DECAY_EXC + k] - _NOTHING, zero)
        a[b, o + X_INH + k] = max(inh * a[b, o + DECAY_INH + k] - _NOTHING, zero)
        a[b, o + PART_EXC + k] = zero
        a[b, o + PART_INH + k] = zero


@inner_kernel(fastmath=VECTOR_MATH, inline=True)
def advance_membrane(a: NDArray[np.float32], b: int, rails: Rails) -> np.int32:
    """Advance the membranes of a block under the currents that were summed up."""
    zero, one = np.float32(0), np.float32(1)
    floor, floor_rate, ceiling, ceiling_rate = rails
    soft_up, soft_down = ceiling - one / ceiling_rate, floor + one / floor_rate
    events = np.int32(0)
    for k in range(LANES):
        v, target = a[b, V + k], a[b, TARGET + k]
        up, down = a[b, UP + k], a[b, DOWN + k]
        shunt, left = a[b, SHUNT_NOW + k], a[b, DEAD + k] - one
        shake = a[b, NOISE + k] * (one - a[b, DECAY + k])
        a[b, DRIVE + k] = up - down + shake
        base = target + (v - target) * a[b, DECAY_NOW + k] + shake * shunt
        up *= shunt
        down *= shunt
        # Inside the soft zones the currents act like conductances to the rails, which cannot overshoot.
        up_free = max(min(up, zero if v > soft_up else soft_up - base), zero)
        down_free = max(min(down, zero if v < soft_down else base - soft_down), zero)
        pull_up, pull_down = (up - up_free) * ceiling_rate, (down - down_free) * floor_rate
        after = (base + up_free - down_free + pull_up * ceiling + pull_down * floor) / (one + pull_up + pull_down)
        event = (after > a[b, ARMED + k]) | (left < a[b, NEXT + k])
        events = np.int32(events | np.int32(event))  # numba widens `|=` to 64 bit: half the vector
        a[b, V_BEFORE + k] = v
        a[b, V + k] = after
        a[b, DEAD + k] = left
    return events


@inner_kernel(fastmath=VECTOR_MATH, inline=True)
def busy_lanes(a: NDArray[np.float32], b: int) -> tuple[np.uint32, np.uint32]:
    """Two words whose bits are set where the membrane of a lane needs `spiking.resolve`."""
    low, high = np.uint32(0), np.uint32(0)
    for k in range(WORD):
        event = (a[b, V + k] > a[b, ARMED + k]) | (a[b, DEAD + k] < a[b, NEXT + k])
        low = np.uint32(low | np.uint32(np.uint32(event) << np.uint32(k)))
    for k in range(WORD):
        event = (a[b, V + WORD + k] > a[b, ARMED + WORD + k]) | (a[b, DEAD + WORD + k] < a[b, NEXT + WORD + k])
        high = np.uint32(high | np.uint32(np.uint32(event) << np.uint32(k)))
    return low, high
