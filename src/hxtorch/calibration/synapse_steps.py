"""Calibration of the synaptic inputs: time constants, offset currents and gains, each for both signs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hxtorch.calibration.bench import SRAM_RUNTIME, Bench
from hxtorch.calibration.measure import (
    ENTRIES,
    FEW_ENTRIES,
    Train,
    decay_times,
    membranes,
    psp_drive,
    rest_level,
    stimulus,
)
from hxtorch.calibration.membrane_steps import TIME_RUNS, TIME_TOLERANCE, quiet, v_leak_for
from hxtorch.calibration.psp import PspCourse
from hxtorch.calibration.quantities import QUANTITIES
from hxtorch.calibration.search import Response, predict
from hxtorch.calibration.state import State, leak_bias
from hxtorch.shapes import Array
from hxtorch.twin import NeuronConfig, ReadoutSource, Recording, RowMode, circuits
from hxtorch.twin.pattern import process as facts
from hxtorch.twin.places.coordinates import CIRCUITS, MAX_CAPACITANCE_CODE, MAX_CAPMEM_CODE, MAX_WEIGHT, QUADRANTS

Sign = Literal["exc", "inh"]

SIGNS: tuple[Sign, Sign] = ("exc", "inh")
ROWS_USED = 32
REQUEST_RUNS = 40
GAIN_RUNS = 40  # each sees another error of the cell, 1.5 %
WEIGHT = 3  # of each row, in gain measurements: together well below saturation
GAIN_TOLERANCE = QUANTITIES["gain_exc"].tolerance
SHIFT_TOLERANCE = QUANTITIES["i_shift_exc"].tolerance
LINE_AMPLITUDE = 80.0  # LSB, decay on the readout of a synaptic line that leaves room for strong inputs
DEFLECTION = 35.0  # LSB, likewise on the membrane
REST = 120.0  # LSB, rest potential that leaves room to both sides
REST_FOR_GAIN = {"exc": 120.0, "inh": 145.0}  # LSB: currents lose strength long before the membrane is at its floor

_MODE = {"exc": RowMode.EXCITATORY, "inh": RowMode.INHIBITORY}
_LINE = {"exc": ReadoutSource.SYNAPTIC_EXCITATORY, "inh": ReadoutSource.SYNAPTIC_INHIBITORY}


def _only(neurons: NeuronConfig, sign: Sign) -> NeuronConfig:
    """Enable one of the two synaptic inputs, as a current-based one."""
    on, off = np.ones(CIRCUITS, dtype=np.bool_), np.zeros(CIRCUITS, dtype=np.bool_)
    return replace(
        neurons,
        enable_exc=on if sign == "exc" else off,
        enable_inh=on if sign == "inh" else off,
        enable_coba_exc=off,
        enable_coba_inh=off,
    )


def charge_factor(neurons: NeuronConfig, sign: Sign) -> Array:
    """Factor (512,) by which a small capacitance of the line lets the same charge answer more strongly."""
    return np.where(getattr(neurons, f"enable_small_capacitance_{sign}"), facts.SMALL_CAPACITANCE.value, 1.0)


def _register(name: str, codes: Array) -> dict[str, Any]:
    """Keyword argument for a register whose name depends on the sign."""
    return {name: codes}


# --- Time constants -----------------------------------------------------------------------------------------


def tau_syn_meter(bench: Bench, state: State, sign: Sign, entries: int = ENTRIES) -> Callable[[Array], Array]:
    """Return a function that measures synaptic time constants (µs) for i_bias_tau codes, in so many batch entries.

    The synaptic line itself is read while it decays after events. Gain, DAC bias and capacitance are set to
    their defaults meanwhile, which gives a good signal.
    """
    gm, dac = np.full(CIRCUITS, facts.GM_REFERENCE.value), facts.DAC_REFERENCE.value
    full = np.full(CIRCUITS, MAX_CAPACITANCE_CODE, dtype=np.int64)
    common = replace(state.common, synapse_dac_bias=np.full(QUADRANTS, dac))
    neurons = replace(
        _only(quiet(state), sign),
        membrane_capacitance=full,
        readout_source=np.full(CIRCUITS, int(_LINE[sign]), dtype=np.int64),
        **_register(f"i_bias_gm_{sign}", gm),
    )
    per_weight = facts.LINE_READOUT_SLOPE.value * circuits.nominal_drive(gm, np.full(CIRCUITS, dac), full)
    per_weight = per_weight * charge_factor(state.neurons, sign)
    weight = _weights(LINE_AMPLITUDE / per_weight)
    register = f"i_bias_tau_{sign}"
    target = state.target.per_circuit(f"tau_syn_{sign}")

    def measure(codes: Array) -> Array:
        configured = replace(neurons, **_register(register, codes))

        def run(period: float, runtime: float, entries: int) -> tuple[Recording, float]:
            events = stimulus(_MODE[sign], weight, ROWS_USED, np.arange(0, runtime, period) + 1.0)
            recording = membranes(bench, configured, common, entries=entries, runtime=runtime, train=events)
            return recording, 1.0 + facts.INPUT_LATENCY.value

        return decay_times(run, target, entries)

    return measure


def calibrate_tau_syn(bench: Bench, state: State, sign: Sign) -> State:
    """Search i_bias_tau for the time constant of one of the synaptic inputs."""
    register = f"i_bias_tau_{sign}"
    result = predict(
        tau_syn_meter(bench, state, sign, FEW_ENTRIES), getattr(state.neurons, register),
        state.target.per_circuit(f"tau_syn_{sign}"), Response(-1.0, logarithmic=True, significant=0.15),
        runs=TIME_RUNS, average=TIME_RUNS - 2, tolerance=TIME_TOLERANCE, low=1,
    )  # fmt: skip
    return state.found(f"tau_syn_{sign}", register, result)


def _weights(total: Array) -> NDArray[np.int64]:
    """Weight of each of the rows used, for a `total` weight per circuit."""
    return np.clip(np.rint(total / ROWS_USED), 1, MAX_WEIGHT).astype(np.int64)


# --- Offset currents ----------------------------------------------------------------------------------------


def calibrate_shift(bench: Bench, state: State, sign: Sign, *, fine: bool) -> State:
    """Search i_shift: an enabled but silent input must not move the rest potential.

    A long membrane time constant makes the offset current visible; the coarse search uses a short one
    because the circuits are far off in the beginning.
    """
    register = f"i_shift_{sign}"
    gm = getattr(state.neurons, f"i_bias_gm_{sign}")
    capacitance = circuits.relative_capacitance(state.neurons.membrane_capacitance)
    current = facts.INPUT_OFFSET_SLOPE.value * gm / facts.GM_REFERENCE.value / capacitance  # LSB/µs per code
    per_code = 0.8 if fine else 0.15  # LSB
    bias, tau = leak_bias(state, np.clip(per_code / current, 1.0, 60.0))
    neurons = replace(quiet(state), v_leak=v_leak_for(state, REST), **bias)
    reference = np.mean([rest_level(bench, neurons, state.common) for _ in range(4)], axis=0)
    enabled = _only(neurons, sign)
    slope = current * tau * (1 if sign == "exc" else -1)
    result = predict(
        lambda codes: rest_level(bench, replace(enabled, **_register(register, codes)), state.common) - reference,
        getattr(state.neurons, register), np.zeros(CIRCUITS), Response(slope),
        runs=5, average=3, tolerance=float("inf"),
    )  # fmt: skip
    residual = result.residual / slope
    state = state.with_neurons(**{register: result.codes})
    weak = np.minimum(
        gm / facts.GM_REFERENCE.value, 1.0
    )  # with weak gains codes are hard to see, and matter little
    return state.judged(register, residual, result.success & (np.abs(residual) * weak <= SHIFT_TOLERANCE))


# --- Gains --------------------------------------------------------------------------------------------------


def gain_meter(bench: Bench, state: State, sign: Sign, entries: int = 16) -> Callable[[Array], Array]:
    """Return a function that measures the drive (LSB/µs) of weight 1 for i_bias_gm codes, in so many batch entries.

    Weights of several synapses share in it, so that their own deviations average out. The time constants are
    fitted along (`hxtorch.calibration.psp`), about what their searches expect of the whole codes.
    """
    train = gain_train(state, sign)
    tau_mem = _expected(state, "tau_mem", train.tau_mem)
    tau_syn = _expected(state, f"tau_syn_{sign}", train.tau_syn)
    course = PspCourse.around(tau_mem, tau_syn, train.period)

    def response(codes: Array) -> Array:
        configured = replace(train.neurons, **_register(f"i_bias_gm_{sign}", codes))
        drive = psp_drive(bench, configured, state.common, train.events, train.settling, course, entries)
        return drive / train.weight * (1 if sign == "exc" else -1)

    return response


def _expected(state: State, name: str, tau: Array) -> Array:
    """Time constants (512,) with what their search left over by whole codes, where it succeeded."""
    left = state.residuals.get(name, np.zeros(CIRCUITS))
    return tau * np.where(np.abs(left) < TIME_TOLERANCE, 1 + left, 1.0)


def calibrate_gain(bench: Bench, state: State) -> State:
    """Search i_bias_gm of both inputs for the response of the median excitatory input at the target's code."""
    requested = state.target.per_circuit("i_synin_gm")
    meters = {sign: gain_meter(bench, state, sign, FEW_ENTRIES) for sign in SIGNS}
    at_request = {sign: _at_request(meter, requested) for sign, meter in meters.items()}
    # a small capacitance of the line makes up for a lower code, it does not make synapses stronger
    goal = middle_gain(at_request["exc"] / charge_factor(state.neurons, "exc") / requested) * requested
    for sign, meter in meters.items():
        result = predict(
            meter, requested * goal / np.maximum(at_request[sign], 1e-3), goal,
            Response(1.0, logarithmic=True, significant=0.15),
            runs=GAIN_RUNS, average=GAIN_RUNS - 2, tolerance=GAIN_TOLERANCE, low=1,
        )  # fmt: skip
        state = state.found(f"gain_{sign}", f"i_bias_gm_{sign}", result)
    return state


def _at_request(meter: Callable[[Array], Array], requested: Array) -> Array:
    """Response at the `requested` codes, as the mean over codes on both sides of them.

    A configuration keeps its errors of CapMem cells: only other codes have others. That of the synapse DAC and the
    noise of the charge are common to many circuits, and would move the gains of the whole chip.
    """
    total = np.zeros(CIRCUITS)
    for run in range(REQUEST_RUNS):
        codes: Array = np.clip(np.rint(requested) + float(run - REQUEST_RUNS // 2), 1, MAX_CAPMEM_CODE)
        total += meter(codes) * requested / codes
    return total / REQUEST_RUNS


def middle_gain(gains: Array) -> float:
    """Mean of the middle fifth of `gains` (512,).

    Nearly their median; but where quadrants lie far apart, that falls into the gap between them and hangs by the
    two circuits at its edges.
    """
    low, high = int(0.4 * gains.size), int(0.6 * gains.size)
    return float(np.mean(np.sort(gains)[low:high]))


@dataclass(frozen=True, eq=False)
class GainTrain:
    """A measurement of gains: a regular train of `events`, every `period` µs, to `neurons` that answer clearly.

    `weight` (512,) is the total of an event, `tau_mem` and `tau_syn` (512,) are the time constants (µs) asked of
    the circuits meanwhile, `settling` is how long (µs) the answer takes to settle.
    """

    neurons: NeuronConfig
    events: Train
    period: float
    weight: NDArray[np.int64]
    tau_mem: Array
    tau_syn: Array
    settling: float


def gain_train(state: State, sign: Sign) -> GainTrain:
    """Prepare the measurement of the gains of an input."""
    tau_mem, tau_syn = state.target.per_circuit("tau_mem"), state.target.per_circuit(f"tau_syn_{sign}")
    code = getattr(state.neurons, f"i_bias_tau_{sign}")
    # Very slow circuits would not settle in a run, very fast ones hardly answer: both are set to the middle.
    bias, reached = leak_bias(state, np.clip(tau_mem, 5.0, 12.0))
    bias_tau = np.clip(np.rint(code * tau_syn / np.clip(tau_syn, 5.0, 12.0)), 1, MAX_CAPMEM_CODE)
    tau_mem = reached
    tau_syn = tau_syn * code / bias_tau
    neurons = replace(
        _only(quiet(state), sign),
        v_leak=v_leak_for(state, REST_FOR_GAIN[sign]),
        **bias,
        **_register(f"i_bias_tau_{sign}", bias_tau),
    )
    drive = circuits.nominal_drive(
        state.target.per_circuit("i_synin_gm"),
        np.full(CIRCUITS, state.target.synapse_dac_bias),
        state.neurons.membrane_capacitance,
    )
    area = drive * tau_mem * tau_syn  # LSB µs per weight
    area = area * charge_factor(state.neurons, sign)
    period = float(np.clip(np.rint(WEIGHT * ROWS_USED * np.median(area) / DEFLECTION), 2, 20))
    weight = _weights(DEFLECTION * period / area)
    events = stimulus(_MODE[sign], weight, ROWS_USED, np.arange(25.0, SRAM_RUNTIME - period, period))
    return GainTrain(neurons, events, period, weight * ROWS_USED, tau_mem, tau_syn, 6.0 * 12.0 + 5.0)
