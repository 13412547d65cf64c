"""Delivering events to the synaptic lines.

An event jumps every line that it reaches by its charge. A line is kept at the middle of the coming step, and
the charges at what they are half a step after the event (`charges`). An event that arrives `f` steps after the
start of the step (f < 0: before it, as spikes on the chip may) leaves exp(f r) of that at the middle, r = h /
tau_syn. In this one step, however, the membrane sees its current only from f on. With d = h / tau_mem - r the part

    c = (exp(d) - exp(d f)) / (exp(d) - 1) = (1 - f) exp(d f / 2) (1 + d^2 (f^2 - 2 f) / 24) + ...

of the step's gain belongs to it, computed here to the second order in d; the remaining ``(c - 1)`` of the jump
are added for this step alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hxtorch.twin.kernels import VECTOR_MATH, kernel
from hxtorch.twin.layout import (
    BEAT_EXC,
    BEAT_INH,
    LANES,
    LAYER_ROWS,
    MEMBRANE_ROWS,
    PART_EXC,
    PART_INH,
    RATE_EXC,
    RATE_INH,
    X_EXC,
    X_INH,
)


class Charges(NamedTuple):
    """Charges of all sources of events.

    Source s has the rows ``first[s]:first[s + 1]`` of `charge` (rows, columns / 32, 32): positive numbers jump
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
    e = np.float32(0.5) + y * (np.float32(1 / 6) + y * np.float32(1 / 24))
    return np.float32(1) + y * (np.float32(1) + y * e)


@kernel(fastmath=VECTOR_MATH)
def deliver(a, layers, column, charge, begin, end, strength):  # type: ignore[no-untyped-def]
    """Deliver an event at the start of a step to all lines of the blocks ``begin..end-1``.

    `charge` (columns / 32, 32) is a row of `Charges`, `layers` and `column` are those of `engine.Board`.
    """
    zero = np.float32(0)
    blocks, layers, column = a[begin:end], layers[begin:end], column[begin:end]
    for b in range(blocks.shape[0]):
        for layer in range(layers[b]):
            jump = charge[column[b] + layer]
            o = MEMBRANE_ROWS + layer * LAYER_ROWS
            for k in range(LANES):
                q = strength * jump[k]
                blocks[b, o + X_EXC + k] += max(q, zero)
                blocks[b, o + X_INH + k] -= min(q, zero)


@kernel(fastmath=VECTOR_MATH)
def deliver_inside(a, layers, column, charge, begin, end, strength, f):  # type: ignore[no-untyped-def]
    """Deliver an event `f` steps after the start of the step, as `deliver` does."""
    zero, one, half = np.float32(0), np.float32(1), np.float32(0.5)
    # (c - 1) as a polynomial in d
    curve = (f * f - np.float32(2) * f) * np.float32(1 / 24)
    c1 = half * f * (one - f)
    c2 = (np.float32(0.125) * f * f + curve) * (one - f)
    blocks, layers, column = a[begin:end], layers[begin:end], column[begin:end]
    for b in range(blocks.shape[0]):
        for layer in range(layers[b]):
            jump = charge[column[b] + layer]
            o = MEMBRANE_ROWS + layer * LAYER_ROWS
            for k in range(LANES):
                q = strength * jump[k]
                excitatory = q > zero
                rate_exc, rate_inh = blocks[b, o + RATE_EXC + k], blocks[b, o + RATE_INH + k]
                beat_exc, beat_inh = blocks[b, o + BEAT_EXC + k], blocks[b, o + BEAT_INH + k]
                d = beat_exc if excitatory else beat_inh
                q *= _exp(f * (rate_exc if excitatory else rate_inh))
                part = q * (d * (c1 + d * c2) - f)
                both = q + part
                blocks[b, o + X_EXC + k] += both if excitatory else zero
                blocks[b, o + X_INH + k] -= zero if excitatory else both
                blocks[b, o + PART_EXC + k] += part if excitatory else zero
                blocks[b, o + PART_INH + k] -= zero if excitatory else part
