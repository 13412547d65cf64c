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

MIN_COUNTER = 30  # ticks of a refractory time, CALIX refractory_period


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

    def with_common(self, **codes: Any) -> State:
        """Return the state with other registers of the chip."""
        return replace(self, common=replace(self.common, **codes))

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
    """Counters and clocks (512,) and the scales of the two clocks that come closest to all of `time` (µs),
    first in the worst case, then in the mean.

    A counter below 30 counts as an error of one tick, because a clock does not start with the spike.
    Among equally good scales the slowest clocks win, then those that serve all circuits with one clock.
    """
    ticks = 2.0 ** (np.arange(16)[:, None] + 1) / facts.CHIP_CLOCK.value  # µs
    counters = np.clip(np.rint(time / ticks), 1, 255)
    error = np.abs(counters * ticks / time - 1)
    error = np.where(counters < MIN_COUNTER, np.maximum(error, 1 / counters), error)
    pairs = [(fast, slow) for fast in range(16) for slow in range(fast, 16)]

    def cost(pair: tuple[int, int]) -> tuple[float, float, int, int]:
        remaining = error[list(pair)].min(axis=0)
        return round(float(remaining.max()), 6), round(float(remaining.mean()), 6), -pair[0], -pair[1]

    fast, slow = min(pairs, key=cost)
    clock = (error[slow] < error[fast]).astype(np.int64)
    counter = np.where(clock == 1, counters[slow], counters[fast]).astype(np.int64)
    return counter, clock, (fast, slow)
