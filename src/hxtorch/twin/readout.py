"""Reading the circuits while they run: CADC, MADC and the trace of internal states.

The readout multiplexer of a circuit shows its membrane or one of its synaptic input lines as a voltage in
CADC LSB. The CADC samples all circuits of a hemisphere at once, the MADC up to two circuits in every
engine step (a program that uses it runs at the MADC's period).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hxtorch.twin.kernels import kernel
from hxtorch.twin.lanes import (
    LANES,
    NOISE,
    PARAMETER_BLOCK,
    RATE_EXC,
    RATE_INH,
    STATE_BLOCK,
    V_BEFORE,
    X_EXC,
    X_INH,
    V,
)
from hxtorch.twin.random import bytes_normal, lane_normal, next_bits

# Rows of `Readout.weights`: shown voltage = base + weight * membrane + weights * lines + noise
MEMBRANE_WEIGHT, EXC_WEIGHT, INH_WEIGHT, BASE = 0, 1, 2, 3


class Readout(NamedTuple):
    """What is sampled, when, and into which arrays.

    * `weights` (4, lanes): how state turns into the shown voltage; `reads_lines` if not all show membranes.
    * CADC: sample times (µs since the first step) `cadc_time` (B, 2, S) of which `cadc_count`
      (B, 2) are valid; `cadc_lane` (N,)
      sorted lanes to keep, the first `cadc_split` of them in the top hemisphere; `cadc_column` (N,) where
      each goes in `cadc_value` (B, S, N); `cadc_gain`, `cadc_offset` (lanes,) turn voltage into code.
    * MADC: `madc_lane` (M,), gain, offset, noise, and `madc_value` (B, S, M).
    * Trace: `trace_lane` (N,) and `trace` (3, B, S, N) for membrane and both drives.
    """

    weights: NDArray[np.float32]
    reads_lines: bool
    cadc_time: NDArray[np.float64]
    cadc_count: NDArray[np.int64]
    cadc_lane: NDArray[np.int64]
    cadc_split: int
    cadc_column: NDArray[np.int64]
    cadc_gain: NDArray[np.float32]
    cadc_offset: NDArray[np.float32]
    cadc_sigma: float
    cadc_value: NDArray[np.uint8]
    madc_lane: NDArray[np.int64]
    madc_gain: float
    madc_offset: float
    madc_sigma: float
    madc_value: NDArray[np.uint16]
    trace_lane: NDArray[np.int64]
    trace: NDArray[np.float32]


@kernel()
def _shown(s, p, readout, lane, fraction):  # type: ignore[no-untyped-def]
    """Voltage (CADC LSB) that the multiplexer of a lane shows, `fraction` of the way through the last step."""
    block, k = lane // LANES, lane % LANES
    o, q = block * STATE_BLOCK + k, block * PARAMETER_BLOCK + k
    w = readout.weights
    v = s[o + V_BEFORE] + (s[o + V] - s[o + V_BEFORE]) * fraction
    value = w[BASE, lane] + w[MEMBRANE_WEIGHT, lane] * (v + s[o + NOISE])
    if readout.reads_lines:
        back = np.float32(1.5) - fraction  # lines are kept at the middle of the coming step
        value += w[EXC_WEIGHT, lane] * s[o + X_EXC] * math.exp(back * p[q + RATE_EXC])
        value += w[INH_WEIGHT, lane] * s[o + X_INH] * math.exp(back * p[q + RATE_INH])
    return value


@kernel()
def _convert(s, random, gain, offset, sigma, first, last, fraction, codes):  # type: ignore[no-untyped-def]
    """CADC codes (not yet rounded down) of the membranes of the blocks ``first..last-1``."""
    low, high = np.float32(0), np.float32(255)
    for block in range(first, last):
        o, c = block * STATE_BLOCK, block * LANES
        for k in range(LANES):
            v = s[o + V_BEFORE + k] + (s[o + V + k] - s[o + V_BEFORE + k]) * fraction + s[o + NOISE + k]
            codes[c + k] = gain[c + k] * v + offset[c + k]
        if sigma > 0:
            for k in range(LANES):
                bits = next_bits(random[c + k])
                random[c + k] = bits
                codes[c + k] += sigma * bytes_normal(bits)
        for k in range(LANES):
            codes[c + k] = min(max(codes[c + k] + np.float32(0.5), low), high)


@kernel()
def sample_cadc(s, p, random, codes, readout, entry, hemisphere, sample, fraction):  # type: ignore[no-untyped-def]
    """Take one CADC sample of all recorded circuits of a hemisphere."""
    begin = 0 if hemisphere == 0 else readout.cadc_split
    end = readout.cadc_split if hemisphere == 0 else readout.cadc_lane.size
    if begin == end:
        return
    sigma = np.float32(readout.cadc_sigma)
    if readout.reads_lines:
        for j in range(begin, end):
            lane = readout.cadc_lane[j]
            value = readout.cadc_gain[lane] * _shown(s, p, readout, lane, fraction) + readout.cadc_offset[lane]
            value += sigma * lane_normal(random, lane) + np.float32(0.5)
            codes[lane] = min(max(value, np.float32(0)), np.float32(255))
    else:
        first = readout.cadc_lane[begin] // LANES
        last = readout.cadc_lane[end - 1] // LANES + 1
        _convert(s, random, readout.cadc_gain, readout.cadc_offset, sigma, first, last, fraction, codes)
    for j in range(begin, end):
        readout.cadc_value[entry, sample, readout.cadc_column[j]] = np.uint8(codes[readout.cadc_lane[j]])


@kernel()
def sample_madc(s, p, random, readout, entry, sample):  # type: ignore[no-untyped-def]
    """Take one MADC sample of each connected circuit at the end of a step."""
    for j in range(readout.madc_lane.size):
        lane = readout.madc_lane[j]
        value = readout.madc_gain * _shown(s, p, readout, lane, np.float32(1)) + readout.madc_offset
        if readout.madc_sigma > 0:
            value += readout.madc_sigma * lane_normal(random, lane)
        code = math.floor(value + 0.5)
        readout.madc_value[entry, sample, j] = np.uint16(min(max(code, 0), 1023))


@kernel()
def store_trace(s, p, readout, entry, step):  # type: ignore[no-untyped-def]
    """Keep membrane and synaptic drives of the traced circuits at the end of a step."""
    half = np.float32(0.5)
    for j in range(readout.trace_lane.size):
        block, k = readout.trace_lane[j] // LANES, readout.trace_lane[j] % LANES
        o, q = block * STATE_BLOCK + k, block * PARAMETER_BLOCK + k
        readout.trace[0, entry, step, j] = s[o + V] + s[o + NOISE]
        readout.trace[1, entry, step, j] = s[o + X_EXC] * math.exp(half * p[q + RATE_EXC])
        readout.trace[2, entry, step, j] = s[o + X_INH] * math.exp(half * p[q + RATE_INH])
