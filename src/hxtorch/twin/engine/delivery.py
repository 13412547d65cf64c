"""Delivering events to the synaptic lines.

An event jumps every line that it reaches by its charge. A line is kept at the middle of the coming step, and
the charges at what they are half a step after the event (`charges`). An event that arrives `f` steps after the
start of the step (f < 0: before it, as spikes on the chip may) leaves exp(f r) of that at the middle, r = h /
tau_syn. In this one step, however, the membrane sees its current only from f on. With d = h / tau_mem - r the part

    c = (exp(d) - exp(d f)) / (exp(d) - 1) = (1 - f) exp(d f / 2) (1 + d^2 (f^2 - 2 f) / 24) + ...

of the step's gain belongs to it, computed here to the second order in d; the remaining ``(c - 1)`` of the jump
act in this step alone.

What an event is to all lines, powers of f and so on, is computed once, when it comes (`add_delivery`). Each block
of membranes then takes from the list what reaches it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hxtorch._kernels.compilation import VECTOR_MATH, inner_kernel, kernel, prefetch
from hxtorch.twin.engine.layout import (
    BEAT_EXC,
    BEAT_INH,
    LANES,
    PART_EXC,
    PART_INH,
    RATE_EXC,
    RATE_INH,
    X_EXC,
    X_INH,
    Index,
    aligned,
)

# The rows of an inhibitory line lie as far from each other as those of the excitatory one, which precede them.
_PART, _RATE, _BEAT = np.uint64(PART_EXC - X_EXC), np.uint64(RATE_EXC - X_EXC), np.uint64(BEAT_EXC - X_EXC)
NEGATIVE, BOTH = 2, 3  # signs of a row
AHEAD = 6  # deliveries: how long it takes to load the charges of one
ON_TIME = np.float32(1e-5)  # steps: an event so soon counts as one at the start of the step


class Charges(NamedTuple):
    """Charges of all sources of events.

    Source s has the rows ``row[first[s]:first[s + 1]]`` of `charge` (columns / 64, rows, 64): positive numbers jump
    the excitatory line of a column, negative ones the inhibitory line; ``signs[row]`` has bit 0 set if there are
    positive ones, bit 1 if there are negative ones. A row is zero outside of the blocks ``begin[row]:end[row]``,
    and belongs to the driver `driver[row]` with short-term plasticity, or to none (-1).
    """

    first: NDArray[np.int64]
    row: NDArray[np.int64]
    charge: NDArray[np.float32]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    signs: NDArray[np.int64]
    driver: NDArray[np.int64]


class Deliveries(NamedTuple):
    """Events on their way to the lines, sorted by step: one per row of `Charges` that an event excites.

    `step` (N,); `place` (4 N,): the row's signs, where its charges begin in a block of columns, begin and end of
    the blocks that it reaches; `factor` (8 N,): the event's strength times f^n / n!, n = 0..4 (negative where the
    row is), and what c - 1 is as a polynomial in d, the lowest power first: 0 for an event at the start of a step.
    """

    step: NDArray[np.int64]
    place: NDArray[np.uint64]
    factor: NDArray[np.float32]


def deliveries(most: int) -> Deliveries:
    """Memory for so many of them."""
    return Deliveries(
        np.zeros(most, dtype=np.int64), np.zeros(4 * (most + AHEAD), dtype=np.uint64), aligned((8 * most,))
    )


@kernel()
def most_deliveries(first_event: NDArray[np.int64], source: NDArray[np.int64], first_row: NDArray[np.int64]) -> int:
    """Largest number of deliveries that the input events of a batch entry make."""
    most = 0
    for entry in range(first_event.size - 1):
        count = 0
        for event in range(first_event[entry], first_event[entry + 1]):
            count += first_row[source[event] + 1] - first_row[source[event]]
        most = max(most, count)
    return most


@inner_kernel(inline=True)
def add_delivery(
    deliveries: Deliveries, n: int, charges: Charges, step: int, row: int, f: np.float32, strength: np.float32
) -> None:
    """Note as number `n` that an event of so much strength excites a row, `f` steps after the start of `step`."""
    one, half = np.float32(1), np.float32(0.5)
    deliveries.step[n] = step
    place, factor = deliveries.place[4 * n :], deliveries.factor[8 * n :]
    place[0], place[1] = charges.signs[row], row * LANES
    place[2], place[3] = charges.begin[row], charges.end[row]
    if abs(f) < ON_TIME:
        f = np.float32(0)
    if charges.signs[row] == NEGATIVE:
        strength = -strength
    for power in range(5):
        factor[power] = strength
        strength *= f / np.float32(power + 1)
    curve = (f * f - np.float32(2) * f) * np.float32(1 / 24)
    factor[5] = -f
    factor[6] = half * f * (one - f)
    factor[7] = (np.float32(0.125) * f * f + curve) * (one - f)


@inner_kernel(fastmath=VECTOR_MATH, inline=True)
def deliver(
    lines: NDArray[np.float32],
    charge: NDArray[np.float32],
    coming: NDArray[np.float32],
    deliveries: Deliveries,
    first: Index,
    last: Index,
    later: int,
    b: int,
    lanes: int,
) -> None:
    """Bring the deliveries ``first..last-1``, those of one step, to the lines of one layer of block `b`.

    `lines` begins where the block keeps the layer, `charge` (rows * 64,) belongs to it. `coming`, likewise, is what
    soon will be delivered, `later` further down the list. `lanes` is their number, not known to the compiler, which
    would unroll the loop rather than vectorise it. Indices are unsigned: none can count from the end.
    """
    place, factor = deliveries.place, deliveries.factor
    block, zero = np.uint64(b), np.float32(0)
    for n in range(np.uint64(first), np.uint64(last)):
        p, s = n << np.uint64(2), n << np.uint64(3)
        if block < place[p + np.uint64(2)] or block >= place[p + np.uint64(3)]:
            continue
        signs, q = place[p], place[p + np.uint64(1)]
        ahead = place[p + np.uint64(1) + (np.uint64(later) << np.uint64(2))]
        # Two of the row's four cache lines: the processor fetches the next ones by itself, and to ask for all four
        # makes a whole chip 2 to 5 % slower.
        prefetch(coming, ahead)
        prefetch(coming, ahead + np.uint64(16))
        s0, c0 = factor[s], factor[s + np.uint64(5)]
        x = np.uint64(LANES) * (signs >> np.uint64(1))  # the line of a row of one sign
        if c0 == 0:
            if signs == BOTH:
                for k in range(lanes):
                    jump = s0 * charge[q + np.uint64(k)]
                    lines[k] += max(jump, zero)
                    lines[LANES + k] -= min(jump, zero)
            else:
                for k in range(lanes):
                    lines[x + np.uint64(k)] += s0 * charge[q + np.uint64(k)]
            continue
        s1, s2 = factor[s + np.uint64(1)], factor[s + np.uint64(2)]
        s3, s4 = factor[s + np.uint64(3)], factor[s + np.uint64(4)]
        c1, c2 = factor[s + np.uint64(6)], factor[s + np.uint64(7)]
        if signs == BOTH:
            for k in range(LANES):
                r, d = lines[k + RATE_EXC], lines[k + BEAT_EXC]
                jump = max(charge[q + np.uint64(k)], zero) * (s0 + r * (s1 + r * (s2 + r * (s3 + r * s4))))
                lines[k + X_EXC] += jump
                lines[k + PART_EXC] += jump * (c0 + d * (c1 + d * c2))
            for k in range(LANES):
                r, d = lines[k + RATE_INH], lines[k + BEAT_INH]
                jump = min(charge[q + np.uint64(k)], zero) * (s0 + r * (s1 + r * (s2 + r * (s3 + r * s4))))
                lines[k + X_INH] -= jump
                lines[k + PART_INH] -= jump * (c0 + d * (c1 + d * c2))
            continue
        for k in range(LANES):
            at = x + np.uint64(k)
            r, d = lines[at + _RATE], lines[at + _BEAT]
            jump = charge[q + np.uint64(k)] * (s0 + r * (s1 + r * (s2 + r * (s3 + r * s4))))
            lines[at] += jump
            lines[at + _PART] += jump * (c0 + d * (c1 + d * c2))
