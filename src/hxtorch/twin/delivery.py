"""Delivering events to the synaptic lines.

An event jumps every line that it reaches by its charge. A line is kept at the middle of the coming step, and
the charges at what they are half a step after the event (`charges`). An event that arrives `f` steps after the
start of the step (f < 0: before it, as spikes on the chip may) leaves exp(f r) of that at the middle, r = h /
tau_syn. In this one step, however, the membrane sees its current only from f on. With d = h / tau_mem - r the part

    c = (exp(d) - exp(d f)) / (exp(d) - 1) = (1 - f) exp(d f / 2) (1 + d^2 (f^2 - 2 f) / 24) + ...

of the step's gain belongs to it; the remaining ``(c - 1)`` of the jump are added for this step alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hxtorch.twin.kernels import VECTOR_MATH, kernel
from hxtorch.twin.layout import (
    DECAY_EXC,
    DECAY_INH,
    LANES,
    LAYER_ROWS,
    MEMBRANE_ROWS,
    PART_EXC,
    PART_INH,
    RATE_EXC,
    RATE_INH,
    RATE_MEM,
    X_EXC,
    X_INH,
)


class Charges(NamedTuple):
    """Charges of all sources of events.

    Source s has the rows ``first[s]:first[s + 1]`` of `charge` (rows, columns / 16, 16): positive numbers jump
    the excitatory line of a column, negative ones the inhibitory line. A row is zero outside of the blocks
    ``begin[row]:end[row]``, and belongs to the driver `driver[row]` with short-term plasticity, or to none
    (-1).
    """

    first: NDArray[np.int64]
    charge: NDArray[np.float32]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    driver: NDArray[np.int64]


@kernel(fastmath=VECTOR_MATH)
def _exp(y):  # type: ignore[no-untyped-def]
    """exp(y) for |y| < 1, by its series."""
    e = np.float32(1 / 6) + y * (np.float32(1 / 24) + y * np.float32(1 / 120))
    return np.float32(1) + y * (np.float32(1) + y * (np.float32(0.5) + y * e))


@kernel(fastmath=VECTOR_MATH)
def deliver(a, b, layers, charges, row, column, strength):  # type: ignore[no-untyped-def]
    """Deliver an event at the start of a step to all lines of a block, whose first column block is `column`."""
    zero = np.float32(0)
    for layer in range(layers):
        o = MEMBRANE_ROWS + layer * LAYER_ROWS
        for k in range(LANES):
            q = strength * charges[row, column + layer, k]
            a[b, o + X_EXC + k] += max(q, zero)
            a[b, o + X_INH + k] -= min(q, zero)


@kernel(fastmath=VECTOR_MATH)
def deliver_inside(a, b, layers, charges, row, column, strength, f):  # type: ignore[no-untyped-def]
    """Deliver an event `f` steps after the start of the step to all lines of a block."""
    zero, one, half = np.float32(0), np.float32(1), np.float32(0.5)
    curve = (f * f - np.float32(2) * f) * np.float32(1 / 24)
    for layer in range(layers):
        o = MEMBRANE_ROWS + layer * LAYER_ROWS
        for k in range(LANES):
            q = strength * charges[row, column + layer, k]
            rate_exc, rate_inh = a[b, o + RATE_EXC + k], a[b, o + RATE_INH + k]
            excitatory = q > zero
            r = rate_exc if excitatory else rate_inh
            d = a[b, RATE_MEM + k] - r
            q *= _exp(f * r)
            part = q * ((one - f) * _exp(half * f * d) * (one + curve * d * d) - one)
            part_up, part_down = (part if excitatory else zero), (zero if excitatory else part)
            a[b, o + X_EXC + k] += max(q, zero) + part_up
            a[b, o + X_INH + k] -= min(q, zero) + part_down
            a[b, o + PART_EXC + k] += part_up
            a[b, o + PART_INH + k] -= part_down


@kernel(fastmath=VECTOR_MATH)
def forget_parts(a, b, layers):  # type: ignore[no-untyped-def]
    """Take back, after the step, what `deliver_inside` added for that step alone."""
    zero = np.float32(0)
    for layer in range(layers):
        o = MEMBRANE_ROWS + layer * LAYER_ROWS
        for k in range(LANES):
            a[b, o + X_EXC + k] -= a[b, o + PART_EXC + k] * a[b, o + DECAY_EXC + k]
            a[b, o + X_INH + k] -= a[b, o + PART_INH + k] * a[b, o + DECAY_INH + k]
            a[b, o + PART_EXC + k] = zero
            a[b, o + PART_INH + k] = zero
