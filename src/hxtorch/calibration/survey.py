"""How well the circuits of a chip meet a target, measured: the residuals before and after a calibration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from hxtorch.calibration.bench import Bench
from hxtorch.calibration.measure import peak_level, rest_level, spike_counts
from hxtorch.calibration.membrane_steps import quiet, reset_meter, tau_mem_meter
from hxtorch.calibration.readout_steps import middle_level
from hxtorch.calibration.state import State, leak_bias
from hxtorch.calibration.synapse_steps import SIGNS, Sign, gain_meter, middle_gain, tau_syn_meter
from hxtorch.shapes import Array
from hxtorch.twin import CommonConfig, NeuronConfig, circuits
from hxtorch.twin.pattern import process as facts
from hxtorch.twin.places.coordinates import CIRCUITS, MAX_CAPMEM_CODE

OVERDRIVE = 1.35  # where a current would take the membrane, relative to the threshold's distance
RUNS = 4  # that are averaged, because every run shifts the readings of a circuit a little
RATE_RUNTIME = 600.0  # µs


def survey(
    bench: Bench, state: State, *, cadc: CommonConfig | None = None, inputs: bool = True
) -> dict[str, Array]:
    """Deviation of every circuit (512,) from the target of `state` with the registers of `state`.

    CADC LSB for `leak`, `reset`, `threshold` and `cadc`, relative for the others; nan or inf where nothing
    could be measured. Gains are relative to that of the median excitatory input; `rate` is the firing rate
    with the leak above the threshold, relative to the rate of the target. `cadc` are the registers with which
    the CADC itself is judged (default: those of `state`). The leak is measured with the synaptic inputs on,
    unless `inputs` is False.
    """
    target, neurons = state.target, state.neurons
    goal = target.per_circuit

    def mean(measure: Callable[[], Array], runs: int = RUNS) -> Array:
        return np.asarray(np.mean([measure() for _ in range(runs)], axis=0))

    silent = replace(neurons if inputs else quiet(state), enable_threshold=np.zeros(CIRCUITS, dtype=np.bool_))
    reset, tau_mem = reset_meter(bench, state), tau_mem_meter(bench, state)
    deviations = {
        "cadc": mean(lambda: middle_level(bench, state.common if cadc is None else cadc)),
        "leak": mean(lambda: rest_level(bench, silent, state.common)) - goal("leak"),
        "reset": mean(lambda: reset(neurons.v_reset)) - goal("reset"),
        "threshold": threshold_level(bench, state) - goal("threshold"),
        "tau_mem": mean(lambda: tau_mem(neurons.i_bias_leak), 2) / goal("tau_mem") - 1,
    }
    for sign in SIGNS:
        deviations[f"tau_syn_{sign}"] = _tau_syn(bench, state, sign)
    gains = {sign: _gain(bench, state, sign) for sign in SIGNS}
    per_code = middle_gain(gains["exc"] / goal("i_synin_gm"))
    for sign in SIGNS:
        deviations[f"gain_{sign}"] = gains[sign] / (per_code * goal("i_synin_gm")) - 1
    deviations["rate"] = firing_rates(bench, state) - 1
    return deviations


def _tau_syn(bench: Bench, state: State, sign: Sign) -> Array:
    meter, codes = tau_syn_meter(bench, state, sign), getattr(state.neurons, f"i_bias_tau_{sign}")
    measured = np.mean([meter(codes) for _ in range(2)], axis=0)
    return np.asarray(measured / state.target.per_circuit(f"tau_syn_{sign}") - 1)


def _gain(bench: Bench, state: State, sign: Sign) -> Array:
    meter, codes = gain_meter(bench, state, sign), getattr(state.neurons, f"i_bias_gm_{sign}")
    return np.asarray(np.mean([meter(codes) for _ in range(RUNS)], axis=0))


def threshold_level(bench: Bench, state: State) -> Array:
    """Highest level (LSB) that membranes reach under a constant current that makes them fire.

    Membranes that are too fast for the current to lift them are slowed down meanwhile.
    """
    target, neurons = state.target, quiet(state)
    lifted = OVERDRIVE * (target.per_circuit("threshold") - target.per_circuit("leak"))
    tau = target.per_circuit("tau_mem")
    capacitance = circuits.relative_capacitance(neurons.membrane_capacitance)
    fastest = lifted * capacitance / (facts.OFFSET_CURRENT.value * facts.OFFSET_LINEAR.value)  # µs, that it lifts
    short = tau < fastest
    if np.any(short):
        registers, slower = leak_bias(state, np.maximum(tau, fastest))
        registers = {name: np.where(short, code, getattr(neurons, name)) for name, code in registers.items()}
        neurons, tau = replace(neurons, **registers), np.where(short, slower, tau)
    neurons = _driven(neurons, lifted / tau)
    return np.asarray(np.mean([peak_level(bench, neurons, state.common) for _ in range(RUNS)], axis=0))


def _driven(neurons: NeuronConfig, slope: Array) -> NeuronConfig:
    """Neurons that may fire, with a constant current of `slope` (LSB/µs) as far as the register reaches."""
    on = np.ones(CIRCUITS, dtype=np.bool_)
    code = slope * circuits.relative_capacitance(neurons.membrane_capacitance) / facts.OFFSET_CURRENT.value
    code = np.clip(np.rint(code), 0, MAX_CAPMEM_CODE)
    return replace(neurons, enable_threshold=on, enable_offset=on, i_offset=code)


def firing_rates(bench: Bench, state: State) -> Array:
    """Rates of neurons whose leak lies above the threshold, relative to those of the target (512,).

    The leak is set for intervals of the refractory time and 0.8 membrane time constants (100 kHz for the
    target "spiking"); nan where the register does not reach it or leak and threshold leave no such level. In a
    holdoff the membrane is free already.
    """
    target = state.target
    value = target.per_circuit
    fade = np.exp(-0.8)
    level = (value("threshold") - value("reset") * fade) / (1 - fade)
    codes = state.neurons.v_leak + (level - value("leak")) / facts.LEAK_SLOPE.value
    reached = (codes <= MAX_CAPMEM_CODE) & (value("threshold") > value("reset"))
    neurons = replace(
        quiet(state),
        v_leak=np.clip(np.rint(codes), 0, MAX_CAPMEM_CODE),
        enable_threshold=np.ones(CIRCUITS, dtype=np.bool_),
    )
    free = np.maximum(0.8 * value("tau_mem") - value("holdoff_time"), 0.0)
    interval = value("refractory_time") + free + facts.SPIKE_DELAY.value
    counters = spike_counts(bench, neurons, state.common, entries=4, runtime=RATE_RUNTIME)
    rate = counters.mean(axis=0) / RATE_RUNTIME
    return np.where(reached & (interval < RATE_RUNTIME / 10), rate * interval, np.nan)
