"""Shared bench of the twin's tests: short ways to build programs, and slow, plain references to compare with.

The references share no code with the package: float64, an exact propagator on the 8 ns grid, and a
decoder that follows the register descriptions literally.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hxtorch.twin import (
    ChipConfig,
    CommonConfig,
    Die,
    InputEvents,
    NeuronConfig,
    Noise,
    Program,
    Record,
    RoutingConfig,
    VirtualChip,
)
from hxtorch.twin.pattern import process
from hxtorch.twin.pattern.fixed_pattern import EFFECTS

Float = NDArray[np.float64]
Int = NDArray[np.int64]

CYCLE = 0.008  # µs
DRIVE = process.SYNAPSE_DRIVE.value  # LSB/µs of one event of weight 1 at the default biases
TICK = 2.0**4 / 250  # µs of the fast refractory clock by default


def ideal(step: float = 0.25) -> VirtualChip:
    return VirtualChip(Die.ideal(), Noise.off(), step)


def plain_die() -> Die:
    """No deviation, but every limit and latency of a real circuit."""
    return Die.from_seed(0).without(*EFFECTS)


def neurons(
    *,
    leak: float = 80.0,
    reset: float = 70.0,
    threshold: float | None = None,
    tau_mem: float = 10.0,
    tau_exc: float = 10.0,
    tau_inh: float = 10.0,
    ticks: int = 31,
    **registers: object,
) -> NeuronConfig:
    """Registers of all circuits from physical numbers (LSB and µs), by the nominal translation."""
    full = lambda value: np.full(512, value, dtype=np.float64)
    values: dict[str, object] = {
        "v_leak": full(process.LEAK_CODE.value + (leak - 80) / process.LEAK_SLOPE.value),
        "v_reset": full(process.RESET_CODE.value + (reset - 80) / process.RESET_SLOPE.value),
        "i_bias_leak": full(process.LEAK_TIME_CODE.value / tau_mem),
        "i_bias_tau_exc": full(process.TAU_EXC_CODE.value / tau_exc),
        "i_bias_tau_inh": full(process.TAU_INH_CODE.value / tau_inh),
        "refractory_counter": np.full(512, ticks),
    }
    if threshold is not None:
        values["v_threshold"] = full(
            process.THRESHOLD_CODE.value + (threshold - 150) / process.THRESHOLD_SLOPE.value
        )
        values["enable_threshold"] = np.ones(512, dtype=np.bool_)
    return NeuronConfig(**{**values, **registers})  # type: ignore[arg-type]


def only(*circuits: int) -> NDArray[np.bool_]:
    """Switch (512,) that is on for these circuits."""
    chosen = np.zeros(512, dtype=np.bool_)
    chosen[list(circuits)] = True
    return chosen


def addresses(sources: int) -> Int:
    """Source s reaches the driver s alone, and there the synapses with label 1."""
    driver = np.arange(sources)
    return (driver % 4 << 11) | (driver // 4 << 6) | 1


def crossbar(weights: Int, circuits: Int) -> tuple[RoutingConfig, NDArray[np.uint8]]:
    """Routing and weights such that source s (driver s) reaches ``circuits[j]`` with signed ``weights[s, j]``."""
    count = weights.shape[0]
    labels = np.zeros((2, 256, 256), dtype=np.uint8)
    mode = np.zeros((2, 256), dtype=np.uint8)
    array = np.zeros((2, 256, 256), dtype=np.uint8)
    mode[:, 0 : 2 * count : 2], mode[:, 1 : 2 * count : 2] = 1, 2
    labels[:, : 2 * count] = 1
    for j, circuit in enumerate(circuits):
        side, column = divmod(int(circuit), 256)
        array[side, 0 : 2 * count : 2, column] = np.maximum(weights[:, j], 0)
        array[side, 1 : 2 * count : 2, column] = np.maximum(-weights[:, j], 0)
    return RoutingConfig(labels=labels, row_mode=mode), array


def program(
    weights: Int | list[list[int]],
    events: list[tuple[int, int]],
    circuits: list[int] | None = None,
    *,
    runtime: float = 60.0,
    batch: int = 1,
    cells: NeuronConfig | None = None,
    common: CommonConfig | None = None,
    record: Record | None = None,
    resets: tuple[int, ...] = (),
) -> Program:
    """Program whose `events` (cycle, source) go to every batch entry; `weights` (sources, circuits)."""
    matrix = np.asarray(weights, dtype=np.int64)
    chosen = np.asarray([0] if circuits is None else circuits)
    routing, array = crossbar(matrix, chosen)
    config = ChipConfig(cells or neurons(), common or CommonConfig(), routing, array)
    time, source = np.array(sorted(events), dtype=np.int64).reshape(-1, 2).T
    sent = InputEvents(
        np.repeat(np.arange(batch), time.size),
        np.tile(time, batch),
        np.tile(source, batch),
        addresses(matrix.shape[0]),
    )
    record = record or Record(spikes=chosen, trace=chosen)
    return Program(config, batch, round(runtime / CYCLE), sent, record, resets)


def silent(record: Record, *, runtime: float = 60.0, batch: int = 1, **cells: object) -> Program:
    """Program without input."""
    config = ChipConfig(neurons(**cells))  # type: ignore[arg-type]
    return Program(config, batch, round(runtime / CYCLE), record=record)


def with_neurons(base: Program, **registers: object) -> Program:
    """Change registers of the neurons of a program."""
    changed = replace(base.config.neurons, **registers)  # type: ignore[arg-type]
    return replace(base, config=replace(base.config, neurons=changed))


# --- References ---------------------------------------------------------------------------------------------


def double_exponential(t: Float, drive: float, tau_mem: float, tau_syn: float) -> Float:
    """Membrane deflection `t` µs after an event whose current starts at `drive` LSB/µs."""
    t = np.maximum(t, 0)
    if tau_mem == tau_syn:
        return drive * t * np.exp(-t / tau_mem)
    factor = tau_mem * tau_syn / (tau_mem - tau_syn)
    return drive * factor * (np.exp(-t / tau_mem) - np.exp(-t / tau_syn))


def reference(
    weights: Int,
    events: list[tuple[int, int]],
    runtime: float,
    recurrent: Int | None = None,
    *,
    leak: float = 80.0,
    reset: float = 70.0,
    threshold: float = np.inf,
    tau_mem: float = 10.0,
    tau_exc: float = 10.0,
    tau_inh: float = 10.0,
    refractory: float = 31 * TICK,
) -> tuple[Float, list[tuple[float, int]]]:
    """Ideal LIF neurons on the 8 ns grid, exact between spikes: membranes (cycles + 1, N), spikes (µs, neuron).

    `weights` (sources, N) are signed and `recurrent` (N, N) goes from rows to columns; events are (cycle, source).
    """
    drive = DRIVE * np.asarray(weights, dtype=np.float64)
    n = drive.shape[1]
    lateral = DRIVE * np.asarray(np.zeros((n, n)) if recurrent is None else recurrent, dtype=np.float64)
    stimulus = np.array(sorted(events), dtype=np.int64).reshape(-1, 2)
    membrane = np.empty((round(runtime / CYCLE) + 1, n))
    constants = leak, reset, threshold, tau_mem, tau_exc, tau_inh, refractory
    spikes = _simulate(drive, lateral, stimulus, membrane, constants)
    return membrane, sorted((time, int(neuron)) for time, neuron in spikes)


@njit(cache=True)
def _gained(dt, tau_mem, tau):  # type: ignore[no-untyped-def]
    rate = 1 / tau_mem - 1 / tau
    return (dt if abs(rate) < 1e-9 else math.expm1(rate * dt) / rate) * math.exp(-dt / tau_mem)


@njit(cache=True)
def _after(v, exc, inh, dt, leak, tau_mem, tau_exc, tau_inh):  # type: ignore[no-untyped-def]
    """Membrane `dt` µs later without a spike."""
    return (
        leak
        + (v - leak) * math.exp(-dt / tau_mem)
        + exc * _gained(dt, tau_mem, tau_exc)
        - inh * _gained(dt, tau_mem, tau_inh)
    )


@njit(cache=True)
def _simulate(drive, lateral, events, membrane, constants):  # type: ignore[no-untyped-def]
    leak, reset, threshold, tau_mem, tau_exc, tau_inh, refractory = constants
    n, event = drive.shape[1], 0
    v, until, exc, inh = np.full(n, leak), np.full(n, -1.0), np.zeros(n), np.zeros(n)
    late_exc, late_inh = np.zeros(n), np.zeros(n)
    spikes = [(0.0, 0) for _ in range(0)]
    for cycle in range(membrane.shape[0]):
        late = (cycle + 1) * CYCLE
        while event < len(events) and events[event, 0] == cycle:
            for k in range(n):
                exc[k] += max(drive[events[event, 1], k], 0.0)
                inh[k] += max(-drive[events[event, 1], k], 0.0)
            event += 1
        for k in range(n):
            membrane[cycle, k] = v[k]
            late_exc[k], late_inh[k] = exc[k] * math.exp(-CYCLE / tau_exc), inh[k] * math.exp(-CYCLE / tau_inh)
        for k in range(n):
            part = min(late - until[k], CYCLE)  # free part of this cycle
            if part <= 0:
                v[k] = reset
                continue
            x, y = exc[k] * math.exp((part - CYCLE) / tau_exc), inh[k] * math.exp((part - CYCLE) / tau_inh)
            before, v[k] = v[k], _after(v[k], x, y, part, leak, tau_mem, tau_exc, tau_inh)
            if v[k] > threshold:
                share = (threshold - before) / (v[k] - before) if before < threshold else 0.0
                spike = late - part + share * part
                spikes.append((spike, k))
                v[k], until[k] = reset, spike + refractory
                for j in range(n):
                    late_exc[j] += max(lateral[k, j], 0.0) * math.exp((spike - late) / tau_exc)
                    late_inh[j] += max(-lateral[k, j], 0.0) * math.exp((spike - late) / tau_inh)
        for k in range(n):
            exc[k], inh[k] = late_exc[k], late_inh[k]
    return spikes


def decode(routing: RoutingConfig, address: int) -> set[tuple[int, int, int, int]]:
    """Synapses (hemisphere, row, column, sign) that an event of an external 16-bit address reaches, bit by bit."""
    bits = [(address >> i) & 1 for i in range(14)]
    channel = address >> 14
    heard = set()
    for side in range(2):
        for driver in range(128):
            node = 8 + channel, 4 * side + driver % 4
            mask, target = int(routing.crossbar_mask[node]), int(routing.crossbar_target[node])
            if any(bits[i] * ((mask >> i) & 1) != (target >> i) & 1 for i in range(14)):
                continue
            place, mask = driver // 4, int(routing.driver_mask[side, driver])
            if any((mask >> i) & 1 and bits[6 + i] != (place >> i) & 1 for i in range(5)):
                continue
            for row in (2 * driver, 2 * driver + 1):
                sign = {0: 0, 1: 1, 2: -1}[int(routing.row_mode[side, row])]
                if sign:
                    for column in np.flatnonzero(routing.labels[side, row] == (address & 63)):
                        heard.add((side, row, int(column), sign))
    return heard
