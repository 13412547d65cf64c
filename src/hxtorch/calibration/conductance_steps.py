"""Calibration of conductance-based synaptic inputs.

The strength of such an input depends on the membrane V: it is ``(E - V) / (E - R)`` of that of a current-based
input, with the reversal potential E and the reference potential R.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from hxtorch.calibration.bench import Bench
from hxtorch.calibration.measure import mean_response, weakened
from hxtorch.calibration.membrane_steps import v_leak_for
from hxtorch.calibration.quantities import QUANTITIES
from hxtorch.calibration.search import Response, predict
from hxtorch.calibration.state import State
from hxtorch.calibration.synapse_steps import DEFLECTION as GAIN_DEFLECTION
from hxtorch.calibration.synapse_steps import SIGNS, Sign, gain_train
from hxtorch.calibration.targets import CalibrationTarget
from hxtorch.shapes import Array
from hxtorch.twin import NeuronConfig
from hxtorch.twin.circuits import code_for_threshold
from hxtorch.twin.pattern import process as facts
from hxtorch.twin.places.coordinates import CIRCUITS, MAX_CAPMEM_CODE

STRENGTH_TOLERANCE = QUANTITIES["coba_strength_exc"].tolerance
REFERENCE_TOLERANCE = QUANTITIES["coba_reference_exc"].tolerance
CHECKS = 4  # runs that judge the result
DEFLECTION = 15.0  # LSB by which the train moves the membrane
LOWEST = {"exc": 40.0, "inh": facts.FLOOR.value + facts.FLOOR_WIDTH.value + DEFLECTION + 5.0}
HIGHEST = 185.0  # LSB, of a rest potential that most circuits reach
FROM_REVERSAL = 20.0  # LSB that the membrane keeps from the reversal potential


class _Meter:
    """Measures how the strength of the inputs of one sign depends on the membrane.

    The strength is compared at two levels of the membrane, as far from each other as inputs keep theirs: near
    the floor, inhibition fades whatever its mode.
    """

    def __init__(self, bench: Bench, state: State, sign: Sign) -> None:
        self.bench, self.state, self.sign = bench, state, sign
        self.slope = 1.0 if sign == "exc" else -1.0
        train = gain_train(state, sign)
        neurons, self.settling = train.neurons, train.settling
        self.events = weakened(train.events, DEFLECTION / GAIN_DEFLECTION)
        reversal = state.target.per_circuit(f"e_coba_reversal_{sign}")
        reversal = np.where(np.isfinite(reversal), reversal, np.nanmedian(reversal))
        lowest, highest = np.full(CIRCUITS, LOWEST[sign]), np.full(CIRCUITS, HIGHEST)
        if sign == "exc":
            highest = np.clip(reversal - FROM_REVERSAL - DEFLECTION, lowest + DEFLECTION, highest)
        else:
            lowest = np.clip(reversal + FROM_REVERSAL + DEFLECTION, lowest, highest - DEFLECTION)
        codes = [v_leak_for(state, level) for level in (lowest, highest)]
        leak, per_code = state.target.per_circuit("leak"), facts.LEAK_SLOPE.value
        self.levels = [
            leak + per_code * (code - state.neurons.v_leak) for code in codes
        ]  # a register may end before
        self.neurons = [replace(neurons, v_leak=code) for code in codes]

    def _moved(self, neurons: NeuronConfig) -> Array:
        moved = mean_response(self.bench, neurons, self.state.common, self.events, self.settling)
        return np.where(np.abs(moved) > DEFLECTION / 5, moved, np.nan)

    def __call__(self, bias: Array, reference: Array) -> tuple[Array, Array]:
        """Distance of reversal and reference, and reference potential (LSB) for codes of both registers.

        The mode is a switch: with it on and off, all cells hold the same values, and the errors of gain and time
        constants, of some 3.5 %, cancel in the ratio of both responses.
        """
        registers: dict[str, Any] = {f"i_bias_coba_{self.sign}": bias, f"v_rev_coba_{self.sign}": reference}
        off = [replace(n, **registers) for n in self.neurons]
        switch: dict[str, Any] = {f"enable_coba_{self.sign}": np.ones(CIRCUITS, dtype=np.bool_)}
        on = [self._moved(replace(n, **switch)) for n in off]
        ratio = [a / self._moved(n) for a, n in zip(on, off, strict=True)]
        where = [level + moved for level, moved in zip(self.levels, on, strict=True)]
        apart = where[1] - where[0]
        falling = self.slope * (ratio[0] - ratio[1]) / np.where(apart > DEFLECTION, apart, np.nan)
        distance = 1 / np.where(falling > 1e-5, falling, np.nan)
        found = [at + self.slope * (r - 1) * distance for at, r in zip(where, ratio, strict=True)]
        return distance, np.mean(found, axis=0)


def nominal_conductance(target: CalibrationTarget, sign: Sign) -> tuple[Array, Array]:
    """Codes of bias and reference voltage (512,) for a chip without any deviation, as far as the registers reach.

    Circuits that ask for none get the median distance of the others.
    """
    reversal, reference = target.per_circuit(f"e_coba_reversal_{sign}"), target.coba_reference(sign)
    distance = np.abs(reversal - reference)
    distance = np.where(np.isfinite(distance), distance, np.nanmedian(distance))
    voltage = np.clip(np.rint(code_for_threshold(reference)), 0, MAX_CAPMEM_CODE)
    return 1 / (facts.COBA_SLOPE.value * distance), voltage


def conductance_registers(target: CalibrationTarget) -> dict[str, Any]:
    """Registers of a chip without any deviation for the inputs that the target wants conductance-based."""
    registers: dict[str, Any] = {}
    for sign in SIGNS:
        if not target.asks_for(f"e_coba_reversal_{sign}"):
            continue
        bias, voltage = nominal_conductance(target, sign)
        registers[f"i_bias_coba_{sign}"] = np.clip(bias, 0, MAX_CAPMEM_CODE)
        registers[f"v_rev_coba_{sign}"] = voltage
        registers[f"enable_coba_{sign}"] = np.isfinite(target.per_circuit(f"e_coba_reversal_{sign}"))
    return registers


def calibrate_conductances(bench: Bench, state: State) -> State:
    """Search bias and reference voltage of the inputs that the target wants conductance-based, and enable them."""
    for sign in SIGNS:
        if state.target.asks_for(f"e_coba_reversal_{sign}"):
            state = _calibrated(bench, state, sign)
    return state


def _calibrated(bench: Bench, state: State, sign: Sign) -> State:
    reversal, reference = state.target.per_circuit(f"e_coba_reversal_{sign}"), state.target.coba_reference(sign)
    asked = np.isfinite(reversal)
    wanted = np.abs(reversal - reference)
    wanted = np.where(asked, wanted, np.median(wanted[asked]))
    meter = _Meter(bench, state, sign)
    start, voltage = nominal_conductance(state.target, sign)
    bias = predict(
        lambda codes: meter(codes, voltage)[0], start, wanted,
        Response(-1.0, logarithmic=True, significant=0.5),
        runs=7, average=5, tolerance=STRENGTH_TOLERANCE, low=1,
    )  # fmt: skip
    place = predict(
        lambda codes: meter(bias.codes, codes)[1], voltage, reference, Response(facts.THRESHOLD_SLOPE.value),
        runs=5, average=4, tolerance=REFERENCE_TOLERANCE,
    )  # fmt: skip
    checked = [meter(bias.codes, place.codes) for _ in range(CHECKS)]
    strength = wanted * np.mean([1 / distance for distance, _ in checked], axis=0) - 1
    strength = np.where(np.isfinite(strength), strength, np.inf)
    found = np.mean([potential for _, potential in checked], axis=0) - reference
    found = np.where(np.isfinite(found), found, np.inf)
    inside = (bias.codes > 1) & (bias.codes < MAX_CAPMEM_CODE)
    state = state.with_neurons(
        **{
            f"i_bias_coba_{sign}": bias.codes,
            f"v_rev_coba_{sign}": place.codes,
            f"enable_coba_{sign}": asked,
        }
    )
    good = inside & (np.abs(strength) <= STRENGTH_TOLERANCE)
    state = state.judged(f"coba_strength_{sign}", strength, good | ~asked)
    inside = (place.codes > 0) & (place.codes < MAX_CAPMEM_CODE)
    good = inside & (np.abs(found) <= REFERENCE_TOLERANCE)
    return state.judged(f"coba_reference_{sign}", found, good | ~asked)
