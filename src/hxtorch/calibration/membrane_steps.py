"""Calibration of the membrane: time constant, leak, reset and threshold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hxtorch.calibration.bench import Bench
from hxtorch.calibration.measure import (
    ENTRIES,
    FEW_ENTRIES,
    decay_times,
    membranes,
    reset_level,
    rest_level,
    spiking,
)
from hxtorch.calibration.quantities import QUANTITIES
from hxtorch.calibration.search import Response, bisect, predict
from hxtorch.calibration.state import State, leak_bias, refractory_registers
from hxtorch.shapes import Array
from hxtorch.twin import NeuronConfig, Recording, circuits
from hxtorch.twin.pattern import process as facts
from hxtorch.twin.places.coordinates import CIRCUITS, MAX_CAPMEM_CODE

TIME_TOLERANCE = QUANTITIES["tau_mem"].tolerance
TIME_RUNS = 32  # each sees another error of the cell, 2 to 3 %
POTENTIAL_TOLERANCE = QUANTITIES["leak"].tolerance
THRESHOLD_TOLERANCE = QUANTITIES["threshold"].tolerance
TAU_THRESHOLD = 10.0  # µs, membrane time constant while the threshold is searched
RECOVERY = 20.0  # LSB
PUSHED_CODES = 60.0  # codes of v_leak that a constant current replaces where v_leak does not reach
NEAR = 16.0  # codes around a threshold in which it is searched again
CLEAR = 20.0  # codes beside a threshold at which a neuron has to fire or to be silent


def quiet(state: State) -> NeuronConfig:
    """Neurons without synaptic input, constant current and spikes."""
    off = np.zeros(CIRCUITS, dtype=np.bool_)
    return replace(state.neurons, enable_exc=off, enable_inh=off, enable_offset=off, enable_threshold=off)


def v_leak_for(state: State, level: Array | float) -> Array:
    """v_leak codes for another rest `level` (LSB), from the calibrated ones and the nominal slope."""
    shift = (level - state.target.per_circuit("leak")) / facts.LEAK_SLOPE.value
    return np.clip(np.rint(state.neurons.v_leak + shift), 0, MAX_CAPMEM_CODE)


def _moved(v_reset: Array, by: Array) -> Array:
    """Return v_reset codes for a reset `by` (LSB) higher."""
    return np.clip(np.rint(v_reset + by / facts.RESET_SLOPE.value), 0, MAX_CAPMEM_CODE)


def tau_mem_meter(bench: Bench, state: State, entries: int = ENTRIES) -> Callable[[Array], Array]:
    """Return a function that measures membrane time constants (µs) for i_bias_leak codes, in so many batch entries.

    The membrane decays back to a high leak after commanded resets to a low one.
    """
    counter, clock, scales = refractory_registers(np.full(CIRCUITS, 2.0))
    held = float(2.0 ** (scales[0] + 1) * counter[0] / facts.CHIP_CLOCK.value)
    common = replace(state.common, refractory_clock_scale=scales)
    neurons = replace(
        quiet(state),
        v_leak=circuits.code_for_leak(np.full(CIRCUITS, 150.0)),
        v_reset=circuits.code_for_reset(np.full(CIRCUITS, 60.0)),
        refractory_counter=counter,
        refractory_clock=clock,
    )
    target = state.target.per_circuit("tau_mem")

    def measure(codes: Array) -> Array:
        configured = replace(neurons, i_bias_leak=codes)

        def run(period: float, runtime: float, entries: int) -> tuple[Recording, float]:
            resets = np.arange(0, runtime, period) + 1.0
            recording = membranes(bench, configured, common, entries=entries, runtime=runtime, resets=resets)
            return recording, 1.0 + held

        return decay_times(run, target, entries)

    return measure


def calibrate_tau_mem(bench: Bench, state: State) -> State:
    """Search i_bias_leak for the time constant of the membrane."""
    result = predict(
        tau_mem_meter(bench, state, FEW_ENTRIES), state.neurons.i_bias_leak, state.target.per_circuit("tau_mem"),
        Response(-1.0, logarithmic=True, significant=0.15),
        runs=TIME_RUNS, average=TIME_RUNS - 2, tolerance=TIME_TOLERANCE, low=1,
    )  # fmt: skip
    return state.found("tau_mem", "i_bias_leak", result)


def calibrate_leak(bench: Bench, state: State) -> State:
    """Search v_leak for the rest potential, with the synaptic inputs as they will be used."""
    neurons = replace(state.neurons, enable_threshold=np.zeros(CIRCUITS, dtype=np.bool_))
    if "i_shift_exc" not in state.success:  # inputs that are not calibrated would shift the rest potential
        neurons = quiet(state)
    result = predict(
        lambda codes: rest_level(bench, replace(neurons, v_leak=codes), state.common),
        state.neurons.v_leak, state.target.per_circuit("leak"), Response(facts.LEAK_SLOPE.value),
        runs=6, average=4, tolerance=POTENTIAL_TOLERANCE,
    )  # fmt: skip
    return state.found("leak", "v_leak", result)


def reset_meter(bench: Bench, state: State) -> Callable[[Array], Array]:
    """Return a function that measures reset potentials (LSB) for v_reset codes.

    They are the plateau that the membrane holds during a long refractory time.
    """
    counter, clock, scales = refractory_registers(np.full(CIRCUITS, 100.0))
    common = replace(state.common, refractory_clock_scale=scales)
    neurons = replace(quiet(state), refractory_counter=counter, refractory_clock=clock)
    return lambda codes: reset_level(bench, replace(neurons, v_reset=codes), common)


def calibrate_reset(bench: Bench, state: State) -> State:
    """Search v_reset for the reset potential."""
    result = predict(
        reset_meter(bench, state), state.neurons.v_reset, state.target.per_circuit("reset"),
        Response(facts.RESET_SLOPE.value),
        runs=6, average=4, tolerance=POTENTIAL_TOLERANCE,
    )  # fmt: skip
    return state.found("reset", "v_reset", result)


def calibrate_threshold(bench: Bench, state: State) -> State:
    """Bring the rest potential to the threshold's target, then find the code at which neurons begin to fire.

    The membrane is the ruler: what the CADC reads as the target level is where the threshold will be, a
    little above because noise lifts the membrane now and then. Levels that v_leak cannot reach are
    reached with the help of the constant current.
    """
    target = state.target.per_circuit("threshold")
    counter, clock, scales = refractory_registers(np.full(CIRCUITS, 5.0))
    common = replace(state.common, refractory_clock_scale=scales)
    neurons = replace(
        quiet(state),
        **leak_bias(state, np.full(CIRCUITS, TAU_THRESHOLD))[0],
        # a reset a little below the threshold lets a neuron that fired come back within the run
        v_reset=_moved(state.neurons.v_reset, target - RECOVERY - state.target.per_circuit("reset")),
        refractory_counter=counter,
        refractory_clock=clock,
    )
    lifted = predict(
        lambda codes: rest_level(bench, replace(neurons, v_leak=codes), common),
        v_leak_for(state, target), target, Response(facts.LEAK_SLOPE.value),
        runs=6, average=4, tolerance=POTENTIAL_TOLERANCE,
    )  # fmt: skip
    neurons = replace(neurons, v_leak=lifted.codes)
    residual, reached = lifted.residual, lifted.success
    short = lifted.codes >= MAX_CAPMEM_CODE
    if np.any(short):
        v_leak = np.where(short, MAX_CAPMEM_CODE - PUSHED_CODES, lifted.codes)
        neurons = replace(neurons, v_leak=v_leak, enable_offset=short)
        capacitance = circuits.relative_capacitance(neurons.membrane_capacitance)
        pushed = predict(
            lambda codes: rest_level(bench, replace(neurons, i_offset=codes), common),
            np.full(CIRCUITS, 100.0), target, Response(facts.OFFSET_CURRENT.value * TAU_THRESHOLD / capacitance),
            runs=7, average=4, tolerance=POTENTIAL_TOLERANCE,
        )  # fmt: skip
        neurons = replace(neurons, i_offset=pushed.codes)
        residual = np.where(short, pushed.residual, residual)
        reached = np.where(short, pushed.success, reached)

    every = np.ones(CIRCUITS, dtype=np.bool_)

    def silent(codes: Array) -> NDArray[np.bool_]:
        tried = replace(neurons, v_threshold=np.clip(codes, 0, MAX_CAPMEM_CODE), enable_threshold=every)
        return ~spiking(bench, tried, common)

    coarse, inside = bisect(silent, np.zeros(CIRCUITS), np.full(CIRCUITS, float(MAX_CAPMEM_CODE)))
    # cells and noise differ from run to run: the mean of several short searches is better than one
    searches = [bisect(silent, coarse - NEAR, coarse + NEAR)[0] for _ in range(4)]
    codes = np.clip(np.rint(np.mean(searches, axis=0)), 0, MAX_CAPMEM_CODE)
    clear = silent(codes + CLEAR) & ~silent(codes - CLEAR)
    state = state.with_neurons(v_threshold=codes)
    return state.judged("threshold", residual, reached & inside & clear)
