"""The MADC: a sample of up to two circuits every 34 ns, wherever that falls inside a step of the engine.

From the start to the end of a step a membrane follows its linear equation, with a kink where an event arrives:

    V(f) = E_l + (V_0 - E_l) exp(-f r) + D (1 - exp(-f r)) / (1 - exp(-r)) + sum_i a_i max(f - f_i, 0) + f M

`f` steps after the start, with r = h / tau_mem, D what the older currents add in the step, a_i what an event at
f_i adds per step, and M what is missing at the end (rails and optional terms). A membrane that fires or is held
has the course of `readout.reset_course`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hxtorch._kernels.compilation import inner_kernel
from hxtorch.twin.engine.board import Board
from hxtorch.twin.engine.delivery import Charges
from hxtorch.twin.engine.layout import (
    AMPLITUDE_EXC,
    AMPLITUDE_INH,
    DEAD,
    DECAY,
    DECAY_EXC,
    DECAY_INH,
    DRIVE,
    LAYER_ROWS,
    LEAK,
    MEMBRANE_ROWS,
    RATE_EXC,
    RATE_INH,
    RATE_MEM,
    V_BEFORE,
    X_EXC,
    X_INH,
    Index,
    V,
)
from hxtorch.twin.engine.random import bytes_normal, next_bits
from hxtorch.twin.engine.readout import (
    ADAPTATION_WEIGHT,
    BASE,
    EXC_WEIGHT,
    INH_WEIGHT,
    MEMBRANE_WEIGHT,
    Readout,
    reset_course,
)
from hxtorch.twin.engine.spiking import fade
from hxtorch.twin.engine.terms import adaptation_at

CHANNELS = 2
_MOST = 256  # events of one step; the current of any further ones counts from the start of the step


class Arrivals(NamedTuple):
    """Events inside the present step at the circuits that the MADC reads, per channel.

    `number` (2,) of them: the `fraction` (2, N) of the step before each, the voltage per step that its current adds
    (`rise`), and the jumps `exc` and `inh` of the circuit's own lines, as they are in the middle of the step.
    """

    number: NDArray[np.int64]
    fraction: NDArray[np.float32]
    rise: NDArray[np.float32]
    exc: NDArray[np.float32]
    inh: NDArray[np.float32]


def arrivals() -> Arrivals:
    """Memory for one worker."""
    fraction, rise, exc, inh = (np.zeros((CHANNELS, _MOST), dtype=np.float32) for _ in range(4))
    return Arrivals(np.zeros(CHANNELS, dtype=np.int64), fraction, rise, exc, inh)


@inner_kernel()
def note_arrival(
    arrivals: Arrivals,
    a: NDArray[np.float32],
    board: Board,
    charges: Charges,
    row: int,
    strength: np.float32,
    f: np.float32,
    readout: Readout,
) -> None:
    """Remember an event inside a step that excites a row of `charges`, where the MADC reads."""
    zero = np.float32(0)
    stride = a.shape[1]
    for j in range(readout.madc_place.size):
        n, place = arrivals.number[j], readout.madc_place[j]
        b = place // stride
        k = place - b * stride
        if b < charges.begin[row] or b >= charges.end[row] or n >= arrivals.fraction.shape[1]:
            continue
        own = (readout.madc_line[j] - place - MEMBRANE_ROWS) // LAYER_ROWS
        rise = exc = inh = zero
        for layer in range(board.layers[b]):
            jump = strength * charges.charge[board.column[b] + layer, row, k]
            o = MEMBRANE_ROWS + layer * LAYER_ROWS + k
            if jump > zero:
                jump *= np.float32(math.exp(f * a[b, o + RATE_EXC]))
                rise += jump * a[b, o + AMPLITUDE_EXC]
                exc = jump if layer == own else exc
            elif jump < zero:
                jump *= np.float32(math.exp(f * a[b, o + RATE_INH]))
                rise += jump * a[b, o + AMPLITUDE_INH]
                inh = -jump if layer == own else inh
        if rise != zero:
            arrivals.fraction[j, n], arrivals.rise[j, n] = f, rise
            arrivals.exc[j, n], arrivals.inh[j, n] = exc, inh
            arrivals.number[j] = n + 1


@inner_kernel()
def _line(
    x: np.float32,
    decay: np.float32,
    rate: np.float32,
    fraction: np.float32,
    jumps: NDArray[np.float32],
    times: NDArray[np.float32],
    number: int,
) -> np.float32:
    """A synaptic line `fraction` of the way through the last step, without the events that arrive later in it."""
    for i in range(number):
        if times[i] > fraction:
            x -= jumps[i] * decay
    return x * np.float32(math.exp((np.float32(1.5) - fraction) * rate))  # kept at the middle of the coming step


@inner_kernel()
def sample_madc(
    a: NDArray[np.float32],
    random: NDArray[np.uint32],
    readout: Readout,
    arrivals: Arrivals,
    entry: int,
    begin: Index,
    end: Index,
    fraction: np.float32,
    spacing: np.float32,
) -> None:
    """Take the samples ``begin..end-1``, the first `fraction` of the way through the last step, `spacing` apart."""
    zero, one = np.float32(0), np.float32(1)
    channels = readout.cadc_circuit.size
    for j in range(readout.madc_place.size):
        place, line, mux = readout.madc_place[j], readout.madc_line[j], readout.madc_mux[:, j]
        number, times = arrivals.number[j], arrivals.fraction[j]
        before, leak = a[place + V_BEFORE], a[place + LEAK]
        rate, decay, drive = a[place + RATE_MEM], a[place + DECAY], a[place + DRIVE]
        missing = a[place + V] - (leak + (before - leak) * decay + drive)
        for i in range(number):
            drive -= arrivals.rise[j, i] * (one - times[i])
        corner = a[place + DEAD] > -one
        left, factor = fade(fraction * rate), fade(spacing * rate)
        bits = random[channels + j]
        f = fraction
        for sample in range(begin, end):
            if corner:
                v = reset_course(a, place, f)
            else:
                gained = f if rate < np.float32(1e-3) else (one - left) / (one - decay)
                v = leak + (before - leak) * left + drive * gained + missing * f
                for i in range(number):
                    v += arrivals.rise[j, i] * max(f - times[i], zero)
            shown = mux[BASE] + mux[MEMBRANE_WEIGHT] * v
            if mux[EXC_WEIGHT] != 0:
                shown += mux[EXC_WEIGHT] * _line(
                    a[line + X_EXC], a[line + DECAY_EXC], a[line + RATE_EXC], f, arrivals.exc[j], times, number
                )
            if mux[INH_WEIGHT] != 0:
                shown += mux[INH_WEIGHT] * _line(
                    a[line + X_INH], a[line + DECAY_INH], a[line + RATE_INH], f, arrivals.inh[j], times, number
                )
            if mux[ADAPTATION_WEIGHT] != 0:
                shown += mux[ADAPTATION_WEIGHT] * adaptation_at(a, place, f)
            bits = next_bits(bits)
            noise = readout.madc_sigma * bytes_normal(bits)
            code = math.floor(readout.madc_gain * shown + readout.madc_offset + noise + np.float32(0.5))
            readout.madc_value[entry, sample, j] = np.uint16(min(max(code, 0), 1023))
            left *= factor
            f = min(f + spacing, one)
        random[channels + j] = bits
