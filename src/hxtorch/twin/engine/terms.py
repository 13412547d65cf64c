r"""Terms that a membrane may have on top of leak and synaptic currents; blocks without them pay nothing.

Adaptation (AdEx), a current w out of the membrane:

    tau_w dw/dt = a (V - E_w) - w,      w jumps by b at every spike,

kept at the middle of the coming step like the synaptic lines; the jump has decayed until then for as long as the
spike is ago. Exponential current:

    dV/dt = ... + I_exp exp((V - V_T) / D)

whose flow alone is solved exactly, V -> V - D ln(1 - t I_exp / D exp((V - V_T) / D)), half a step before and
half a step after the rest (Strang 1968). Conductance mode: the input's strength depends on the membrane,

    I_exc = S(x_exc) [1 + c_exc (E_exc - V)],    I_inh = S(x_inh) [1 + c_inh (V - E_inh)],

which is a constant current and a conductance g; the latter enters as the trapezoidal rule (Crank, Nicolson).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hxtorch._kernels.compilation import VECTOR_MATH, inner_kernel
from hxtorch.twin.engine.layout import (
    ADAPT_A,
    ADAPT_DECAY,
    ADAPT_GAIN,
    ADAPT_JUMP,
    ADAPT_REFERENCE,
    ADAPTATION,
    ARMED,
    COBA_EXC,
    COBA_INH,
    COBA_OFFSET_EXC,
    COBA_OFFSET_INH,
    COBA_UP,
    CONDUCTANCE,
    DEAD,
    DEAD_STEPS,
    DOWN,
    DRIVE,
    EXP_IN_RESET,
    EXP_ONSET,
    EXP_RATE,
    EXP_WIDTH,
    FRACTION,
    HOLDOFF_STEPS,
    LANES,
    LAYER_ROWS,
    MEMBRANE_ROWS,
    PART_EXC,
    PART_INH,
    RESET_STEPS,
    SHUNT_NOW,
    UP,
    V_BEFORE,
    X_EXC,
    X_INH,
    V,
)
from hxtorch.twin.engine.spiking import NO_SPIKE

_LOG2_E = np.float32(1.4426950408889634)
_LN_2 = np.float32(0.6931471805599453)


@inner_kernel(fastmath=VECTOR_MATH)
def _saturate(u: np.float32) -> np.float32:
    u = min(u, np.float32(3))
    return u * (np.float32(27) + u * u) / (np.float32(27) + np.float32(9) * u * u)


@inner_kernel(fastmath=VECTOR_MATH)
def _exp(y: np.float32) -> np.float32:
    """exp(y) for -80 < y < 80 in plain arithmetic: a power of two times the series of the rest."""
    t = y * _LOG2_E
    whole = np.float32(math.floor(t + np.float32(0.5)))
    x = (t - whole) * _LN_2
    e = np.float32(1 / 24) + x * (np.float32(1 / 120) + x * np.float32(1 / 720))
    e = np.float32(1) + x * (np.float32(1) + x * (np.float32(0.5) + x * (np.float32(1 / 6) + x * e)))
    power = np.int32((np.int32(whole) + np.int32(127)) << np.int32(23))
    return e * np.float32(power.view(np.float32))


@inner_kernel(fastmath=VECTOR_MATH)
def find_conductances(a: NDArray[np.float32], b: int, layers: int) -> None:
    """Collect currents and conductance of the inputs in conductance mode; before the lines advance."""
    zero = np.float32(0)
    for k in range(LANES):
        a[b, CONDUCTANCE + k] = a[b, COBA_UP + k] = zero
    for layer in range(layers):
        o = MEMBRANE_ROWS + layer * LAYER_ROWS
        for k in range(LANES):
            exc = _saturate(a[b, o + X_EXC + k] + a[b, o + PART_EXC + k])
            inh = _saturate(a[b, o + X_INH + k] + a[b, o + PART_INH + k])
            a[b, COBA_UP + k] += exc * a[b, o + COBA_OFFSET_EXC + k] + inh * a[b, o + COBA_OFFSET_INH + k]
            a[b, CONDUCTANCE + k] += exc * a[b, o + COBA_EXC + k] + inh * a[b, o + COBA_INH + k]


@inner_kernel(fastmath=VECTOR_MATH)
def add_conductances(a: NDArray[np.float32], b: int) -> None:
    """Add the currents that `find_conductances` found."""
    for k in range(LANES):
        a[b, UP + k] += a[b, COBA_UP + k]


@inner_kernel(fastmath=VECTOR_MATH)
def apply_conductances(a: NDArray[np.float32], b: int) -> None:
    """Let the conductance act on the step that the membranes have just made."""
    one, half = np.float32(1), np.float32(0.5)
    for k in range(LANES):
        g = half * a[b, CONDUCTANCE + k] * a[b, SHUNT_NOW + k]
        a[b, V + k] = (a[b, V + k] - g * a[b, V_BEFORE + k]) / (one + g)
        a[b, DRIVE + k] -= a[b, CONDUCTANCE + k] * half * (a[b, V + k] + a[b, V_BEFORE + k])


@inner_kernel(fastmath=VECTOR_MATH)
def add_adaptation(a: NDArray[np.float32], b: int) -> None:
    """Take the adaptation current of this step off the membrane's currents."""
    zero = np.float32(0)
    for k in range(LANES):
        lost = a[b, ADAPTATION + k] * a[b, ADAPT_GAIN + k]
        a[b, UP + k] -= min(lost, zero)
        a[b, DOWN + k] += max(lost, zero)
        a[b, FRACTION + k] = NO_SPIKE


@inner_kernel(fastmath=VECTOR_MATH, inline=True)
def since_spike(a: NDArray[np.float32], at: int) -> np.float32:
    """Steps from the spike in the last step of the membrane that lies `at` to the middle of the coming one."""
    delay = a[at + DEAD_STEPS] - a[at + RESET_STEPS]
    since: np.float32 = np.float32(1.5) - a[at + FRACTION] - delay
    return since


@inner_kernel(fastmath=VECTOR_MATH, inline=True)
def power(decay: np.float32, x: np.float32) -> np.float32:
    """Raise `decay` to the power of a small x, for 0.9 < decay <= 1, by the binomial series."""
    one, r = np.float32(1), np.float32(1) - decay
    c2 = x * (x - one) * np.float32(0.5)
    c3 = c2 * (x - np.float32(2)) * np.float32(1 / 3)
    return one - r * (x - r * (c2 - r * c3))


@inner_kernel(fastmath=VECTOR_MATH, inline=True)
def adaptation_jump(jump: np.float32, decay: np.float32, since: np.float32) -> np.float32:
    """What is left of a jump `since` steps later."""
    return jump * power(decay, since)


@inner_kernel(fastmath=VECTOR_MATH)
def adaptation_at(a: NDArray[np.float32], at: int, fraction: np.float32) -> np.float32:
    """Adaptation current of the membrane that lies `at`, `fraction` of the way through the last step."""
    decay, x = a[at + ADAPT_DECAY], np.float32(1.5) - fraction
    w, since = a[at + ADAPTATION], since_spike(a, at)
    if a[at + FRACTION] > np.float32(-1.5) and since < x:  # the spike comes later
        w -= adaptation_jump(a[at + ADAPT_JUMP], decay, since)
    left = power(decay, x)
    pull = a[at + ADAPT_A] * (a[at + V] - a[at + ADAPT_REFERENCE])
    found: np.float32 = (w - pull * (np.float32(1) - left) / (np.float32(1) - decay)) / left
    return found


@inner_kernel(fastmath=VECTOR_MATH)
def advance_adaptation(a: NDArray[np.float32], b: int) -> None:
    """Advance the adaptation current; `FRACTION` tells which neurons have spiked in this step."""
    zero = np.float32(0)
    for k in range(LANES):
        w, target = a[b, ADAPTATION + k], a[b, ADAPT_A + k] * (a[b, V + k] - a[b, ADAPT_REFERENCE + k])
        jump = adaptation_jump(a[b, ADAPT_JUMP + k], a[b, ADAPT_DECAY + k], since_spike(a[b], k))
        w = w * a[b, ADAPT_DECAY + k] + target
        a[b, ADAPTATION + k] = w + (jump if a[b, FRACTION + k] > np.float32(-1.5) else zero)


@inner_kernel(fastmath=VECTOR_MATH)
def exponential_flow(a: NDArray[np.float32], b: int, ceiling: np.float32) -> None:
    """Let the exponential current alone act for half a step."""
    zero, one, two = np.float32(0), np.float32(1), np.float32(2)
    for k in range(LANES):
        v, width = a[b, V + k], a[b, EXP_WIDTH + k]
        y = min(max((v - a[b, EXP_ONSET + k]) / width, np.float32(-60)), np.float32(20))
        z = min(a[b, EXP_RATE + k] * _exp(y), np.float32(0.9))
        s = z / (two - z)  # -ln(1 - z) = 2 artanh(s)
        s2 = s * s
        series = np.float32(1 / 5) + s2 * (np.float32(1 / 7) + s2 * np.float32(1 / 9))
        rise = width * two * s * (one + s2 * (np.float32(1 / 3) + s2 * series))
        held = (a[b, DEAD + k] > a[b, HOLDOFF_STEPS + k]) & (a[b, DEAD + k] <= a[b, RESET_STEPS + k])
        rise *= a[b, EXP_IN_RESET + k] if held else one
        a[b, V + k] = v + min(rise, max(ceiling - v, zero))


@inner_kernel(fastmath=VECTOR_MATH)
def crossed_again(a: NDArray[np.float32], b: int) -> np.int32:
    """Whether any membrane of a block is above its threshold after all terms have acted."""
    events = np.int32(0)
    for k in range(LANES):
        events |= np.int32(a[b, V + k] > a[b, ARMED + k])
    return events
