"""Chips as they are before any calibration: the same codes for all circuits.

The leak-over-threshold neurons of the published demonstration (DEMO-ts_00) have a leak about 72 CADC LSB above
the threshold, and the membrane falls about 61 below it. The codes here put the levels of the mean circuit there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hxtorch.fidelity.bench import Settings, codes, switch
from hxtorch.shapes import IntArray
from hxtorch.twin import CommonConfig, NeuronConfig
from hxtorch.twin.places.coordinates import CIRCUITS, QUADRANTS

V_LEAK, V_THRESHOLD, V_RESET = 1000.0, 340.0, 512.0
I_RESET = 1022.0
LEAK_BIAS = {6.0: 150.0, 13.0: 55.0}  # i_bias_leak by the interval (µs) that it gives
REFRACTORY_TICKS = 32  # of 64 ns: 2.05 µs


def raw_settings(**registers: Any) -> Settings:
    """Registers of an uncalibrated chip: shared bias cells as after power-up, `registers` for all circuits."""
    common = CommonConfig(v_bias_casc_n=np.zeros(QUADRANTS))
    return Settings(NeuronConfig(**registers), common)


def leak_over_threshold(interval: float, circuits: IntArray) -> Settings:
    """Uncalibrated neurons that fire about every `interval` µs (6 or 13) without input; the others are silent."""
    return raw_settings(
        v_leak=codes(V_LEAK),
        v_threshold=codes(V_THRESHOLD),
        v_reset=codes(V_RESET),
        i_bias_leak=codes(LEAK_BIAS[interval]),
        i_bias_reset=codes(I_RESET),
        refractory_counter=np.full(CIRCUITS, REFRACTORY_TICKS),
        enable_exc=switch(False),
        enable_inh=switch(False),
        enable_threshold=switch(circuits),
    )
