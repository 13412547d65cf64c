"""What a calibration knows while it goes from step to step, and where it starts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from hxtorch.calibration.quantities import QUANTITIES
from hxtorch.calibration.search import Found
from hxtorch.calibration.targets import CalibrationTarget
from hxtorch.shapes import Array, BoolArray, IntArray
from hxtorch.twin import CommonConfig, NeuronConfig, circuits
from hxtorch.twin.pattern import process as facts
from hxtorch.twin.places.coordinates import CIRCUITS, MAX_CAPMEM_CODE, QUADRANTS
from hxtorch.twin.program.config import MAX_HOLDOFF

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


# Codes of a bias current beyond which a switch takes part: register -> (below, switch, factor on the code) and
# (above, switch, factor). Below, steps of the code are coarse; above, weak circuits would not be reached.
_SWITCHED: dict[str, tuple[tuple[float, str, float], tuple[float, str, float]]] = {
    "i_bias_leak": (
        (30.0, "enable_leak_division", facts.SWITCH_FACTOR.value),
        (750.0, "enable_leak_multiplication", 1 / facts.SWITCH_FACTOR.value),
    ),
    **{
        f"i_bias_tau_{sign}": (
            (24.0, f"enable_high_resistance_{sign}", facts.HIGH_RESISTANCE.value),
            (float(MAX_CAPMEM_CODE), f"enable_small_capacitance_{sign}", 1 / facts.SMALL_CAPACITANCE.value),
        )
        for sign in ("exc", "inh")
    },
    "i_bias_icc": (
        (60.0, "enable_icc_division", facts.ICC_FACTOR.value),
        (1000.0, "enable_icc_multiplication", 1 / facts.ICC_FACTOR.value),
    ),
}


def switches(target: CalibrationTarget) -> dict[str, BoolArray]:
    """Switches (512,) with which the registers reach the target's time constants."""
    codes, chosen = _unswitched_codes(target), {}
    for register, (few, many) in _SWITCHED.items():
        chosen[few[1]], chosen[many[1]] = codes[register] < few[0], codes[register] > many[0]
    return chosen


def nominal_codes(target: CalibrationTarget) -> dict[str, Array]:
    """Codes that a chip without any deviation needs with `switches`, not rounded, not limited to the registers."""
    codes, chosen = _unswitched_codes(target), switches(target)
    for register, sides in _SWITCHED.items():
        for _, switch, factor in sides:
            codes[register] = codes[register] * np.where(chosen[switch], factor, 1.0)
    return codes


def leak_bias(state: State, tau: Array) -> tuple[dict[str, Any], Array]:
    """Registers for another membrane time constant `tau` (µs), and the `tau` (512,) that they give.

    Found from the calibrated code, scaled; without multiplication and division.
    """
    n, factor = state.neurons, facts.SWITCH_FACTOR.value
    plain = n.i_bias_leak * np.where(n.enable_leak_multiplication, factor, 1.0)
    plain = plain / np.where(n.enable_leak_division, factor, 1.0)
    target = state.target.per_circuit("tau_mem")
    code = np.clip(np.rint(plain * target / tau), 1, MAX_CAPMEM_CODE)
    off = np.zeros(CIRCUITS, dtype=np.bool_)
    registers = {"i_bias_leak": code, "enable_leak_multiplication": off, "enable_leak_division": off}
    return registers, target * plain / code


def _unswitched_codes(target: CalibrationTarget) -> dict[str, Array]:
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
        "i_bias_icc": facts.ICC_TIME_CODE.value * circuits.relative_capacitance(capacitance) / wanted_icc(target),
    }


def wanted_icc(target: CalibrationTarget) -> Array:
    """Target of tau_icc (512,); circuits that ask for none take the median of the others, or the default bias."""
    wanted = target.per_circuit("tau_icc")
    known = np.isfinite(wanted)
    return np.where(known, wanted, np.median(wanted[known]) if np.any(known) else 1.0)


def initial_state(target: CalibrationTarget) -> State:
    """Nominal codes, as far as the registers reach, and the refractory times, which are exact."""
    codes: dict[str, Any] = {
        name: np.clip(code, 0, MAX_CAPMEM_CODE) for name, code in nominal_codes(target).items()
    }
    time = target.per_circuit("refractory_time")
    holdoff = target.per_circuit("holdoff_time")
    counter, clock, scales = refractory_registers(time, holdoff)
    codes |= switches(target)
    neurons = NeuronConfig(
        **codes,
        membrane_capacitance=target.per_circuit("membrane_capacitance").astype(np.int64),
        refractory_counter=counter,
        refractory_clock=clock,
        reset_holdoff=MAX_HOLDOFF - _holdoff_steps(holdoff, np.asarray(clock_ticks(scales)[clock])),
    )
    common = CommonConfig(
        synapse_dac_bias=np.full(QUADRANTS, target.synapse_dac_bias), refractory_clock_scale=scales
    )
    residual = circuits.refractory_of(neurons, common) / time - 1
    state = State(target, neurons, common)
    state = state.judged("refractory_time", residual, np.abs(residual) <= QUANTITIES["refractory_time"].tolerance)
    if np.any(holdoff > 0):
        tick = clock_ticks(scales)[clock]
        steps = MAX_HOLDOFF - neurons.reset_holdoff
        off = np.where(holdoff > 0, ((2 * steps + 1) * tick - holdoff) / time, 0.0)
        state = state.judged("holdoff_time", off, np.abs(off) <= QUANTITIES["holdoff_time"].tolerance)
    return state


def clock_ticks(scales: tuple[int, int]) -> Array:
    """Length (µs) of a tick of the fast and of the slow clock."""
    return np.asarray(2.0 ** (np.asarray(scales) + 1) / facts.CHIP_CLOCK.value)


def _holdoff_steps(holdoff: Array, tick: Array) -> IntArray:
    """Steps of two ticks that come closest to a holdoff (µs); the reset ends at least one tick early."""
    return np.clip(np.rint((holdoff / tick - 1) / 2), 0, MAX_HOLDOFF).astype(np.int64)


def refractory_registers(time: Array, holdoff: Array | None = None) -> tuple[IntArray, IntArray, tuple[int, int]]:
    """Counters and clocks (512,) and the scales of the two clocks that come closest to all of `time` (µs),
    first in the worst case, then in the mean.

    A counter below 30 counts as an error of one tick, because a clock does not start with the spike. A
    `holdoff` (µs) that the clock cannot give counts by its part in the refractory time.
    Among equally good scales the slowest clocks win, then those that serve all circuits with one clock.
    """
    ticks = 2.0 ** (np.arange(16)[:, None] + 1) / facts.CHIP_CLOCK.value  # µs
    counters = np.clip(np.rint(time / ticks), 1, 255)
    error = np.abs(counters * ticks / time - 1)
    error = np.where(counters < MIN_COUNTER, np.maximum(error, 1 / counters), error)
    if holdoff is not None:
        reached = (2 * _holdoff_steps(holdoff, np.asarray(ticks, dtype=np.float64)) + 1) * ticks
        error = np.where(holdoff > 0, np.maximum(error, np.abs(reached - holdoff) / time), error)
    pairs = [(fast, slow) for fast in range(16) for slow in range(fast, 16)]

    def cost(pair: tuple[int, int]) -> tuple[float, float, int, int]:
        remaining = error[list(pair)].min(axis=0)
        return round(float(remaining.max()), 6), round(float(remaining.mean()), 6), -pair[0], -pair[1]

    fast, slow = min(pairs, key=cost)
    clock = (error[slow] < error[fast]).astype(np.int64)
    counter = np.where(clock == 1, counters[slow], counters[fast]).astype(np.int64)
    return counter, clock, (fast, slow)
