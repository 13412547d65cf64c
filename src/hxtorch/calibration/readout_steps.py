"""Calibration of the CADC: the same voltage reads the same code on all 512 channels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hxtorch.calibration.bench import Bench
from hxtorch.calibration.measure import rest_level
from hxtorch.calibration.quantities import QUANTITIES
from hxtorch.calibration.state import State
from hxtorch.shapes import Array
from hxtorch.twin import CommonConfig, NeuronConfig
from hxtorch.twin.pattern import process as facts
from hxtorch.twin.places.coordinates import CIRCUITS, MAX_CAPMEM_CODE, QUADRANTS

TEST_CODES = (70.0, 550.0)  # CapMem codes of the test voltages, CALIX cadc_calib_target
TEST_LEVELS = (20.0, 220.0)  # CADC LSB that they should read
CHANNEL_TOLERANCE = QUANTITIES["cadc"].tolerance
MIDDLE = sum(TEST_LEVELS) / 2


def _test_levels(bench: Bench, state: State) -> tuple[Array, Array]:
    low, high = (
        rest_level(bench, state.neurons, replace(state.common, cadc_test_voltage=code)) for code in TEST_CODES
    )
    return low, high


def middle_level(bench: Bench, common: CommonConfig) -> Array:
    """Deviation (LSB) of the readings of a voltage in the middle from what it should read."""
    connected = replace(common, cadc_test_voltage=sum(TEST_CODES) / 2)
    return rest_level(bench, NeuronConfig(), connected) - MIDDLE


def _per_quadrant(values: Array) -> Array:
    """Mean over each quadrant without the outer fifths, in which channels clip or are broken."""
    ordered = np.sort(values.reshape(QUADRANTS, CIRCUITS // QUADRANTS), axis=1)
    cut = CIRCUITS // QUADRANTS // 5
    return np.asarray(ordered[:, cut:-cut].mean(axis=1))


def calibrate_ramps(bench: Bench, state: State) -> State:
    """Set slope and start of the ramp of each quadrant so that the two test voltages read 20 and 220 LSB.

    The trimmed means over a quadrant do not see channels that clip.
    """
    for _ in range(3):
        low, high = _test_levels(bench, state)
        gain = _per_quadrant(high - low) / (TEST_LEVELS[1] - TEST_LEVELS[0])
        slope = np.clip(np.rint(state.common.cadc_ramp_slope * gain), 1, MAX_CAPMEM_CODE)
        # the start of the ramp adds to the code as it is: correct for the change of gain at the middle
        excess = _per_quadrant((high + low) / 2) - MIDDLE * gain
        offset = state.common.cadc_ramp_offset - excess / facts.CADC_RAMP_OFFSET_SLOPE.value
        common = replace(
            state.common,
            cadc_ramp_slope=slope,
            cadc_ramp_offset=np.clip(np.rint(offset), 0, MAX_CAPMEM_CODE),
        )
        state = replace(state, common=common)
    return state


def calibrate_channels(bench: Bench, state: State) -> State:
    """Set the digital offset of every channel, from an average over runs at a voltage in the middle."""
    code = sum(TEST_CODES) / 2
    common = replace(state.common, cadc_test_voltage=code)
    error = np.mean([rest_level(bench, state.neurons, common) for _ in range(6)], axis=0) - MIDDLE
    offset = state.common.cadc_offset - np.rint(error).astype(np.int64)
    within = np.abs(offset) < 128
    calibrated = replace(state.common, cadc_offset=np.clip(offset, -128, 127))
    state = replace(state, common=calibrated)
    residual = rest_level(bench, state.neurons, replace(calibrated, cadc_test_voltage=code)) - MIDDLE
    return state.judged("cadc", residual, within & (np.abs(residual) <= CHANNEL_TOLERANCE))
