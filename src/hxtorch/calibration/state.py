"""What a calibration knows while it goes from step to step, and where it starts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxtorch.calibration.search import Found
from hxtorch.calibration.targets import CalibrationTarget
from hxtorch.twin import CommonConfig, NeuronConfig, circuits
from hxtorch.twin import process as facts
from hxtorch.twin.coordinates import CIRCUITS, MAX_CAPMEM_CODE, QUADRANTS

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class State:
    """Registers found so far and how well each quantity met its target, per circuit (512,)."""

    target: CalibrationTarget
    neurons: NeuronConfig
    common: CommonConfig
    success: dict[str, BoolArray] = field(default_factory=dict)
    residuals: dict[str, Array] = field(default_factory=dict)

    def with_neurons(self, **codes: Any) -> State:
        """Return the state with other neuron registers."""
        return replace(self, neurons=replace(self.neurons, **codes))

    def judged(self, quantity: str, residual: Array, success: BoolArray) -> State:
        """Return the state with a verdict on `quantity`."""
        return replace(
            self,
            success={**self.success, quantity: success},
            residuals={**self.residuals, quantity: residual},
        )

    def found(self, quantity: str, register: str, result: Found) -> State:
        """Return the state with what a search found for `register`."""
        return self.with_neurons(**{register: result.codes}).judged(quantity, result.residual, result.success)


def nominal_codes(target: CalibrationTarget) -> dict[str, Array]:
    """Codes that a chip without any deviation needs, not rounded, not limited to the registers."""
    value = target.per_circuit
    capacitance = value("membrane_capacitance")
    return {
        "v_leak": circuits.code_for_leak(value("leak")),
        "v_reset": circuits.code_for_reset(value("reset")),
        "v_threshold": circuits.code_for_threshold(value("threshold")),
        "i_bias_leak": circuits.code_for_tau_mem(value("tau_mem"), capacitance),
        "i_bias_tau_exc": circuits.code_for_tau_exc(value("tau_syn_exc")),
        "i_bias_tau_inh": circuits.code_for_tau_inh(value("tau_syn_inh")),
        "i_bias_gm_exc": value("i_synin_gm"),
        "i_bias_gm_inh": value("i_synin_gm"),
        "i_shift_exc": np.full(CIRCUITS, facts.SHIFT_CODE_EXC.value),
        "i_shift_inh": np.full(CIRCUITS, facts.SHIFT_CODE_INH.value),
    }


def initial_state(target: CalibrationTarget) -> State:
    """Nominal codes, as far as the registers reach, and the refractory times, which are exact."""
    codes: dict[str, Any] = {
        name: np.clip(code, 0, MAX_CAPMEM_CODE) for name, code in nominal_codes(target).items()
    }
    time = target.per_circuit("refractory_time")
    counter, clock, scales = refractory_registers(time)
    neurons = NeuronConfig(
        **codes,
        membrane_capacitance=target.per_circuit("membrane_capacitance").astype(np.int64),
        refractory_counter=counter,
        refractory_clock=clock,
    )
    common = CommonConfig(
        synapse_dac_bias=np.full(QUADRANTS, target.synapse_dac_bias), refractory_clock_scale=scales
    )
    residual = circuits.refractory_of(neurons, common) / time - 1
    state = State(target, neurons, common)
    return state.judged("refractory_time", residual, np.abs(residual) <= 0.1)


def refractory_registers(time: Array) -> tuple[IntArray, IntArray, tuple[int, int]]:
    """Counters and clocks (512,) and the two clock scales whose worst relative error over `time` (µs) is least.

    Among equals the slowest clocks win, then those that serve all circuits with one clock.
    """
    ticks_of_scale = 2.0 ** (np.arange(16) + 1) / facts.CHIP_CLOCK.value
    counters = np.clip(np.rint(time / ticks_of_scale[:, None]), 1, 255)
    error = np.abs(counters * ticks_of_scale[:, None] / time - 1)
    _, fast, slow = min(
        (round(float(np.minimum(error[f], error[s]).max()), 6), -f, -s) for f in range(16) for s in range(f, 16)
    )
    fast, slow = -fast, -slow
    clock = (error[slow] < error[fast]).astype(np.int64)
    counter = np.where(clock == 1, counters[slow], counters[fast]).astype(np.int64)
    return counter, clock, (fast, slow)
