"""Reading the circuits while they run: the CADC and the trace of internal states (`madc`: the MADC).

The readout multiplexer of a circuit shows its membrane, one of its synaptic input lines or its adaptation as a
voltage in CADC LSB. The CADC samples all circuits of a hemisphere at once, the MADC up to two circuits.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hxtorch._kernels.compilation import VECTOR_MATH, inner_kernel
from hxtorch.twin.engine.layout import (
    CONDUCTANCE,
    DEAD,
    DEAD_STEPS,
    DECAY,
    DECAY_RESET,
    DRIVE,
    HOLDOFF_STEPS,
    LANES,
    LEAK,
    LEAK_IN_RESET,
    NOISE,
    RATE_EXC,
    RATE_INH,
    RATE_MEM,
    RATE_RESET,
    RESET_STEPS,
    SHUNT,
    THRESHOLD,
    V_BEFORE,
    WORD,
    X_EXC,
    X_INH,
    Index,
    V,
)
from hxtorch.twin.engine.random import bytes_normal, circuit_key, entry_key, next_bits
from hxtorch.twin.engine.spiking import fade, gained, lowest_lane
from hxtorch.twin.engine.terms import adaptation_at

# Rows of `Readout.cadc_mux` and `madc_mux`: shown = base + weight * membrane + weights * lines + ...
MEMBRANE_WEIGHT, EXC_WEIGHT, INH_WEIGHT, ADAPTATION_WEIGHT, BASE = range(5)
_CADC_STREAM, _MADC_STREAM = 1024, 2048  # added to the circuit in the keys of their random streams

# States that a trace can show
MEMBRANE, I_EXC, I_INH, VOLTAGE, NOISE_VOLTAGE, FIRING_THRESHOLD, REFRACTORY, ADAPT, CURRENT, INPUT_CONDUCTANCE = (
    range(10)
)


class Readout(NamedTuple):
    """What is sampled, when, and into which arrays.

    * CADC: sample times (µs since the first step) `cadc_time` (B, 2, S) of which `cadc_count` (B, 2) are valid.
      Recorded circuits are sorted, the first `cadc_split` of them in the top hemisphere. `cadc_circuit`,
      `cadc_place` and `cadc_line` (N,) tell which they are and where their membranes and lines lie, `cadc_mux`
      (5, N) what their multiplexers show; `cadc_gain`, `cadc_offset` (N,) turn that voltage into a code.
      `cadc_lane` (2,) is the lane of the first circuit of a hemisphere where all show their membranes, which lie
      in consecutive lanes; else -1. Codes go to `cadc_value` (B, S, N).
    * MADC: the same for up to two circuits, `madc_value` (B, S, M); the first sample `madc_start` steps after the
      start of the first one, then every `madc_spacing` steps.
    * Trace: `trace_place`, `trace_line` (N,) and `trace_saturation` (2, N) of the chosen circuits; `trace_state`
      (Q,) the chosen states, `trace_slot` (B,) where each batch entry goes in `trace` (Q, E, S, N) or -1, and
      every how many steps.
    """

    cadc_time: NDArray[np.float64]
    cadc_count: NDArray[np.int64]
    cadc_split: int
    cadc_circuit: NDArray[np.int64]
    cadc_place: NDArray[np.int64]
    cadc_line: NDArray[np.int64]
    cadc_mux: NDArray[np.float32]
    cadc_lane: tuple[int, int]
    cadc_gain: NDArray[np.float32]
    cadc_offset: NDArray[np.float32]
    cadc_sigma: np.float32
    cadc_value: NDArray[np.uint8]
    madc_circuit: NDArray[np.int64]
    madc_place: NDArray[np.int64]
    madc_line: NDArray[np.int64]
    madc_mux: NDArray[np.float32]
    madc_gain: np.float32
    madc_offset: np.float32
    madc_sigma: np.float32
    madc_start: float
    madc_spacing: float
    madc_value: NDArray[np.uint16]
    trace_place: NDArray[np.int64]
    trace_line: NDArray[np.int64]
    trace_saturation: NDArray[np.float32]
    trace_state: NDArray[np.int64]
    trace_slot: NDArray[np.int64]
    trace_every: int
    trace: NDArray[np.float32]


@inner_kernel()
def start_readout(random: NDArray[np.uint32], readout: Readout, seed: np.uint64, entry: int) -> None:
    """Start the random streams of the converters (CADC channels, then MADC) for one batch entry."""
    common = entry_key(seed, entry)
    channels = readout.cadc_circuit.size
    for j in range(channels):
        random[j] = np.uint32(circuit_key(common, readout.cadc_circuit[j] + _CADC_STREAM) >> np.uint64(32)) | 1
    for j in range(readout.madc_circuit.size):
        stream = circuit_key(common, readout.madc_circuit[j] + _MADC_STREAM)
        random[channels + j] = np.uint32(stream >> np.uint64(32)) | 1


@inner_kernel(fastmath=VECTOR_MATH)
def reset_course(a: NDArray[np.float32], at: Index, fraction: np.float32) -> np.float32:
    """Membrane `fraction` of the way through a step in which it fired or was dead.

    The course has corners: free until the threshold is crossed and for the comparator's delay, then held at
    reset, then free again (as `hxtorch.twin.engine.spiking.resolve` has it). A straight line would miss its peak.
    """
    zero, one = np.float32(0), np.float32(1)
    left, on, off = a[at + DEAD], a[at + RESET_STEPS], a[at + HOLDOFF_STEPS]
    drive = a[at + DRIVE]
    leak, leak_in_reset = a[at + LEAK], a[at + LEAK_IN_RESET]
    since = a[at + DEAD_STEPS] - left  # steps from crossing to the end of this step, if it fired
    crossed = since <= one
    before = min(fraction, one - since) if crossed else zero
    dead = a[at + DEAD_STEPS] if crossed else left + one
    rest = fraction - before
    late = min(max(dead - on, zero), rest)
    held = min(max(min(dead, on) - off, zero), rest - late)
    free = rest - late - held
    rate_mem, rate_reset, decay = a[at + RATE_MEM], a[at + RATE_RESET], a[at + DECAY]
    early = before + late
    v: np.float32 = (
        leak + (a[at + V_BEFORE] - leak) * fade(early * rate_mem) + drive * gained(early, rate_mem, decay)
    )
    v = leak_in_reset + (v - leak_in_reset) * fade(held * rate_reset)
    v += drive * a[at + SHUNT] * gained(held, rate_reset, a[at + DECAY_RESET])
    ended: np.float32 = leak + (v - leak) * fade(free * rate_mem) + drive * gained(free, rate_mem, decay)
    return ended


@inner_kernel()
def _shown(
    a: NDArray[np.float32], mux: NDArray[np.float32], place: int, line: int, fraction: np.float32
) -> np.float32:
    """Voltage (CADC LSB) that a multiplexer shows, `fraction` of the way through the last step."""
    v = a[place + V_BEFORE] + (a[place + V] - a[place + V_BEFORE]) * fraction
    if fraction < np.float32(1) and a[place + DEAD] > np.float32(-1):
        v = reset_course(a, place, fraction)
    value: np.float32 = mux[BASE] + mux[MEMBRANE_WEIGHT] * v
    back = np.float32(1.5) - fraction  # lines are kept at the middle of the coming step
    value += mux[EXC_WEIGHT] * a[line + X_EXC] * np.float32(math.exp(back * a[line + RATE_EXC]))
    value += mux[INH_WEIGHT] * a[line + X_INH] * np.float32(math.exp(back * a[line + RATE_INH]))
    if mux[ADAPTATION_WEIGHT] != 0:
        value += mux[ADAPTATION_WEIGHT] * adaptation_at(a, place, fraction)
    return value


@inner_kernel(inline=True)
def cadc_due(readout: Readout, entry: int, hemisphere: int, sample: int, time: float) -> bool:
    """Whether the next sample of a hemisphere, number `sample`, lies before `time` (µs since the first step)."""
    if sample >= readout.cadc_count[entry, hemisphere]:
        return False
    due: bool = readout.cadc_time[entry, hemisphere, sample] < time
    return due


@inner_kernel(inline=True)
def next_sample(readout: Readout, entry: int, sample: NDArray[np.int64], h: float) -> Index:
    """Step of `h` µs in which the next sample of either hemisphere lies, `sample` (2,) having been taken; or -1."""
    found: Index = np.int64(-1)
    for side in range(2):
        if sample[side] < readout.cadc_count[entry, side]:
            time = readout.cadc_time[entry, side, sample[side]]
            step = np.int64(time / h)
            while (step + 1) * h <= time:
                step += 1
            while step > 0 and step * h > time:
                step -= 1
            found = step if found < 0 else min(found, step)
    return found


@inner_kernel(inline=True)
def first_sample(
    readout: Readout, entry: int, b: int, taken: NDArray[np.int64], sample: NDArray[np.int64], h: float
) -> Index:
    """Set `sample` (2,) to the samples `taken` by now; where block `b` takes no part, all are; as `next_sample`."""
    for side in range(2):
        channels = readout.cadc_split if side == 0 else readout.cadc_place.size - readout.cadc_split
        lane = readout.cadc_lane[side]
        concerned = lane >= 0 and lane < (b + 1) * LANES and b * LANES < lane + channels
        sample[side] = taken[side] if concerned else readout.cadc_count[entry, side]
    return next_sample(readout, entry, sample, h)


@inner_kernel(inline=True)
def sample_block(
    a: NDArray[np.float32],
    b: int,
    random: NDArray[np.uint32],
    shown: NDArray[np.float32],
    readout: Readout,
    entry: int,
    hemisphere: int,
    sample: int,
    fraction: np.float32,
) -> None:
    """Take one CADC sample of those circuits of a hemisphere whose membranes lie in block `b`, one to a lane.

    For a hemisphere with `cadc_lane`; `shown` (lanes or more,) is scratch.
    """
    begin = 0 if hemisphere == 0 else readout.cadc_split
    end = readout.cadc_split if hemisphere == 0 else readout.cadc_place.size
    channel = begin + b * LANES - readout.cadc_lane[hemisphere]  # of the block's first lane
    skipped = max(begin - channel, 0)
    begin, end = channel + skipped, min(channel + LANES, end)
    _show_lanes(a, b, shown, fraction)
    _convert(
        shown[skipped:], random[begin:end], readout.cadc_gain[begin:end], readout.cadc_offset[begin:end],
        readout.cadc_sigma, readout.cadc_value[entry, sample, begin:end],
    )  # fmt: skip


@inner_kernel(inline=True)
def _show_lanes(a: NDArray[np.float32], b: int, shown: NDArray[np.float32], fraction: np.float32) -> None:
    """Membranes of a block, into `shown`."""
    _show_word(a, b, 0, shown, fraction)
    _show_word(a, b, WORD, shown, fraction)


@inner_kernel(fastmath=VECTOR_MATH, inline=True)
def _show_word(
    a: NDArray[np.float32], b: int, first: int, shown: NDArray[np.float32], fraction: np.float32
) -> None:
    near, here = np.float32(-1), np.float32(1.5)
    corners = np.uint32(0)
    for k in range(WORD):
        before, after = a[b, V_BEFORE + first + k], a[b, V + first + k]
        rise = after - before
        shown[first + k] = before + rise * fraction
        # Where the reset pulls, the course inside the step has corners that a straight line misses.
        corner = (a[b, DEAD + first + k] > near) & (abs(rise) > here)
        corners = np.uint32(corners | np.uint32(np.uint32(corner) << np.uint32(k)))
    while corners != 0:
        lane = first + lowest_lane(corners)
        corners = np.uint32(corners & np.uint32(corners - np.uint32(1)))
        shown[lane] = reset_course(a[b], lane, fraction)


@inner_kernel()
def sample_channels(
    a: NDArray[np.float32],
    random: NDArray[np.uint32],
    shown: NDArray[np.float32],
    readout: Readout,
    entry: int,
    hemisphere: int,
    sample: int,
    fraction: np.float32,
) -> None:
    """Take one CADC sample of all recorded circuits of a hemisphere, whatever they show, wherever they lie."""
    begin = 0 if hemisphere == 0 else readout.cadc_split
    end = readout.cadc_split if hemisphere == 0 else readout.cadc_place.size
    for j in range(begin, end):
        shown[j - begin] = _shown(a, readout.cadc_mux[:, j], readout.cadc_place[j], readout.cadc_line[j], fraction)
    _convert(
        shown, random[begin:end], readout.cadc_gain[begin:end], readout.cadc_offset[begin:end],
        readout.cadc_sigma, readout.cadc_value[entry, sample, begin:end],
    )  # fmt: skip


@inner_kernel(fastmath=VECTOR_MATH, inline=True)
def _convert(
    voltage: NDArray[np.float32],
    streams: NDArray[np.uint32],
    gain: NDArray[np.float32],
    offset: NDArray[np.float32],
    sigma: np.float32,
    codes: NDArray[np.uint8],
) -> None:
    """Turn voltages into codes of the CADC, each channel with its gain, offset and noise."""
    low, high, half = np.float32(0), np.float32(255), np.float32(0.5)
    for j in range(streams.size):
        bits = next_bits(streams[j])
        streams[j] = bits
        value = gain[j] * voltage[j] + offset[j] + sigma * bytes_normal(bits)
        codes[j] = np.uint8(np.int32(min(max(value + half, low), high)))


@inner_kernel()
def store_trace(a: NDArray[np.float32], readout: Readout, entry: int, sample: int, h: np.float32) -> None:
    """Keep the chosen states of the traced circuits at the end of a step."""
    half = np.float32(0.5)
    slot = readout.trace_slot[entry]
    if slot < 0:
        return
    for q in range(readout.trace_state.size):
        state, row = readout.trace_state[q], readout.trace[q, slot, sample]
        for j in range(row.size):
            at, line = readout.trace_place[j], readout.trace_line[j]
            if state in (MEMBRANE, VOLTAGE):
                row[j] = a[at + V]
            elif state == I_EXC:
                back = np.float32(math.exp(half * a[line + RATE_EXC]))
                row[j] = a[line + X_EXC] * back * readout.trace_saturation[0, j]
            elif state == I_INH:
                back = np.float32(math.exp(half * a[line + RATE_INH]))
                row[j] = a[line + X_INH] * back * readout.trace_saturation[1, j]
            elif state == NOISE_VOLTAGE:
                row[j] = a[at + NOISE]
            elif state == FIRING_THRESHOLD:
                row[j] = a[at + THRESHOLD]
            elif state == REFRACTORY:
                row[j] = max(a[at + DEAD], np.float32(0)) * h
            elif state == ADAPT:
                row[j] = adaptation_at(a, at, np.float32(1))
            elif state == CURRENT:
                row[j] = a[at + DRIVE] / h
            else:
                row[j] = a[at + CONDUCTANCE] / h
