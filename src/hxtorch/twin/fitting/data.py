"""Recordings as equations for `hxtorch.twin.fit`: what was observed, and the membranes that should explain it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hxtorch.shapes import Array, IntArray
from hxtorch.twin.circuits import circuit_parameters
from hxtorch.twin.circuits.sampling import cadc_conversion
from hxtorch.twin.circuits.synapses import synapse_table
from hxtorch.twin.emulation.emulator import Emulator
from hxtorch.twin.pattern import process as p
from hxtorch.twin.pattern.fixed_pattern import FixedPattern, nominal_pattern
from hxtorch.twin.pattern.noise import Noise
from hxtorch.twin.places.coordinates import CIRCUITS, COLUMNS, CYCLES_PER_US
from hxtorch.twin.places.crossbar import neuron_address
from hxtorch.twin.program import CadcSamples, InputEvents, Program, Record, Recording, Spikes
from hxtorch.twin.program.config import ChipConfig

Recorded = tuple[Program, Recording]
Source = tuple[IntArray, IntArray]
"""Synapses of one input source: index into the fitted circuits, and into the flat array of all synapses."""

SOURCE_LIMIT = 64  # input sources whose synapses are fitted one by one
CADC_PER_ENTRY = 3  # samples of each circuit that are used
ENTRIES_AT_A_TIME = 250  # bounds the memory for traces
_NEUTRAL = nominal_pattern("neutral")
SLOWEST = 0.2  # LSB/µs, least slope at a crossing
GUARD = 0.5  # µs before a spike in which CADC samples are not used


@dataclass(frozen=True, eq=False)
class Observations:
    """What one recording says about membranes that have not fired yet.

    One row per first spike or CADC sample: its `entry`, `circuit` (index into the fitted `circuits`), `time`
    (µs; of a spike the start of its reset) and `kind`: 0 for spikes, which come first, 1 for CADC samples with
    their codes `cadc_value`. `config` is that of the recording; `free` is its program with all thresholds off.
    """

    config: ChipConfig
    free: Program
    circuits: IntArray
    entry: IntArray
    circuit: IntArray
    time: Array
    kind: IntArray
    cadc_value: Array

    @property
    def size(self) -> int:
        """Number of observations."""
        return int(self.entry.size)

    def predict(self, die: FixedPattern) -> Prediction:
        """Crossing times, and membranes there and at the CADC samples, of a noiseless chip of this die."""
        threshold = circuit_parameters(self.config, die).threshold[self.circuits]
        time, level, slope = self.time.copy(), np.full(self.size, np.nan), np.full(self.size, np.nan)
        for begin, grid, membrane in self._traces(die):
            own = np.flatnonzero((self.entry >= begin) & (self.entry < begin + membrane.shape[0]))
            entry, circuit, spike = self.entry[own] - begin, self.circuit[own], self.kind[own] == 0
            above = membrane > threshold
            after = np.argmax(above, axis=1)  # 0: never, or from the start, which is no crossing either
            step = grid[1] - grid[0]
            at = after[entry, circuit]
            low = membrane[entry, np.maximum(at - 1, 0), circuit]
            rise = membrane[entry, at, circuit] - low
            part = np.where(at > 0, (threshold[circuit] - low) / np.where(rise > 0, rise, 1), np.nan)
            time[own] = np.where(spike, grid[0] + (at - 1 + part) * step, time[own])
            level[own], slope[own] = _interpolated(grid, membrane, entry, circuit, time[own])
        return Prediction(time, level, slope)

    def levels(self, die: FixedPattern, time: Array) -> Array:
        """Membrane (LSB) of a noiseless chip of this die at a time (µs) for every observation."""
        level = np.full(self.size, np.nan)
        for begin, grid, membrane in self._traces(die):
            own = np.flatnonzero((self.entry >= begin) & (self.entry < begin + membrane.shape[0]))
            level[own], _ = _interpolated(grid, membrane, self.entry[own] - begin, self.circuit[own], time[own])
        return level

    def _traces(self, die: FixedPattern) -> Iterator[tuple[int, Array, NDArray[np.float32]]]:
        """First entry, times and membranes without spikes (B, S, N), a few entries at a time."""
        emulator = Emulator()
        for begin in range(0, self.free.batch_size, ENTRIES_AT_A_TIME):
            part = np.arange(begin, min(begin + ENTRIES_AT_A_TIME, self.free.batch_size))
            trace = emulator.run(subset((self.free, Recording()), part)[0], die, Noise.off()).trace
            assert trace is not None
            yield begin, trace.time, trace.membrane

    def residual(self, die: FixedPattern, seen: Prediction) -> Array:
        """Model minus observation: µs for spikes (nan where the model has none), CADC LSB for samples."""
        delay = circuit_parameters(self.config, die).spike_delay[self.circuits][self.circuit]
        gain, offset = (values[self.circuits][self.circuit] for values in cadc_conversion(self.config.common, die))
        late = seen.time + delay - self.time
        code = np.concatenate([np.zeros(np.count_nonzero(self.kind == 0)), self.cadc_value])
        return np.where(self.kind == 0, late, gain * seen.level + offset - code)

    def per_level(self, die: FixedPattern, seen: Prediction) -> Array:
        """Change of the residual per LSB of the membrane, for every observation."""
        gain = cadc_conversion(self.config.common, die)[0][self.circuits][self.circuit]
        return np.where(self.kind == 0, -1 / np.maximum(seen.slope, SLOWEST), gain)


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says for every observation: `time` (µs), and `level` (LSB) and `slope` (LSB/µs) there."""

    time: Array
    level: Array
    slope: Array


def _interpolated(
    grid: Array, membrane: NDArray[np.float32], entry: IntArray, circuit: IntArray, time: Array
) -> tuple[Array, Array]:
    """Membrane and slope between the steps of a trace; nan at times that are nan."""
    step = grid[1] - grid[0]
    place = np.clip((np.nan_to_num(time) - grid[0]) / step, 0, grid.size - 1.001)
    before = place.astype(np.int64)
    low, high = (membrane[entry, before + i, circuit].astype(np.float64) for i in (0, 1))
    level = low + (high - low) * (place - before)
    unknown = ~np.isfinite(time)
    level[unknown] = np.nan
    return level, np.where(unknown, np.nan, (high - low) / step)


def subset(item: Recorded, entries: IntArray) -> Recorded:
    """Return program and recording of some batch entries, renumbered in their order."""
    program, recording = item
    number = np.full(program.batch_size, -1, dtype=np.int64)
    number[entries] = np.arange(entries.size)
    events = program.events
    kept = number[events.entry] >= 0
    chosen = InputEvents(number[events.entry[kept]], events.time[kept], events.source[kept], events.addresses)
    spikes, cadc = recording.spikes, recording.cadc
    if spikes is not None:
        own = number[spikes.entry] >= 0
        spikes = Spikes(number[spikes.entry[own]], spikes.time[own], spikes.circuit[own])
    if cadc is not None:
        cadc = CadcSamples(cadc.circuits, cadc.time[entries], cadc.count[entries], cadc.value[entries])
    return replace(program, batch_size=int(entries.size), events=chosen), Recording(spikes=spikes, cadc=cadc)


def recorded_circuits(item: Recorded) -> IntArray:
    """Circuits of which a recording holds spikes or CADC samples."""
    program, recording = item
    parts = [program.record.spikes if recording.spikes is not None else np.empty(0, dtype=np.int64)]
    parts.append(program.record.cadc if recording.cadc is not None else np.empty(0, dtype=np.int64))
    return np.unique(np.concatenate(parts)).astype(np.int64)


def first_spikes(recording: Recording, entries: int) -> Array:
    """Time stamps (µs) of the first spike of every circuit (B, 512); nan where there is none."""
    first = np.full((entries, CIRCUITS), np.nan)
    spikes = recording.spikes
    if spikes is not None:
        # sorted by time: written backwards, the first one stays
        first[spikes.entry[::-1], spikes.circuit[::-1]] = spikes.time[::-1] / CYCLES_PER_US
    return first


def observe(item: Recorded, circuits: IntArray, rng: np.random.Generator) -> Observations:
    """Collect the first spikes of `circuits` and, chosen with `rng`, a few CADC samples before them."""
    program, recording = item
    if has_feedback(program):
        raise ValueError(
            "In a recording to fit, neurons excite each other: what moved their membranes is not known. Record a "
            "network without connections between neurons."
        )
    seen = first_spikes(recording, program.batch_size)[:, circuits]
    entry, circuit = np.nonzero(np.isfinite(seen))
    time = seen[entry, circuit] - p.SPIKE_LATENCY.value
    c_entry, c_circuit, c_time, value = _cadc(recording.cadc, seen, circuits, rng)
    end = float(np.max(np.concatenate([time, c_time, [1.0]]))) + 1.0
    neurons = replace(program.config.neurons, enable_threshold=np.zeros(CIRCUITS, dtype=np.bool_))
    free = replace(
        program,
        config=replace(program.config, neurons=neurons),
        runtime=min(int(end * CYCLES_PER_US), program.runtime),
        record=Record(trace=circuits),
    )
    return Observations(
        config=program.config,
        free=free,
        circuits=circuits,
        entry=np.concatenate([entry, c_entry]).astype(np.int64),
        circuit=np.concatenate([circuit, c_circuit]).astype(np.int64),
        time=np.concatenate([time, c_time]),
        kind=np.repeat([0, 1], [time.size, c_time.size]).astype(np.int64),
        cadc_value=value,
    )


def _cadc(
    cadc: CadcSamples | None, first: Array, circuits: IntArray, rng: np.random.Generator
) -> tuple[IntArray, IntArray, Array, Array]:
    """Entry, circuit, true time (µs) and code of `CADC_PER_ENTRY` samples per entry and circuit."""
    none = np.empty(0, dtype=np.int64)
    if cadc is None:
        return none, none, np.empty(0), np.empty(0)
    place = {int(c): i for i, c in enumerate(cadc.circuits)}
    chosen = [(i, place[int(c)]) for i, c in enumerate(circuits) if int(c) in place]
    entries, samples = cadc.value.shape[:2]
    parts = []
    for i, column in chosen:
        side = int(circuits[i]) // COLUMNS
        number = rng.integers(0, np.maximum(cadc.count[:, side], 1)[:, None], (entries, CADC_PER_ENTRY))
        entry = np.repeat(np.arange(entries), CADC_PER_ENTRY)
        number = np.minimum(number.reshape(-1), samples - 1)
        time = cadc.time[entry, side, number] / CYCLES_PER_US + p.CADC_EARLINESS.value
        value = cadc.value[entry, number, column].astype(np.float64)
        limit = np.where(np.isfinite(first[:, i]), first[:, i] - GUARD, np.inf)[entry]
        good = (time < limit) & (value > 1) & (value < 254) & (cadc.count[entry, side] > 0)
        parts.append((entry[good], np.full(np.count_nonzero(good), i), time[good], value[good]))
    if not parts:
        return none, none, np.empty(0), np.empty(0)
    entry, circuit, time, value = (np.concatenate(part) for part in zip(*parts, strict=True))
    return entry, circuit, time, value


def has_feedback(program: Program) -> bool:
    """Whether a neuron's spikes reach synapses with a weight."""
    config = program.config
    spiking = np.flatnonzero(config.neurons.enable_threshold & config.enable_events)
    table = synapse_table(
        config.routing, _NEUTRAL, neuron_address(spiking, config.neurons.label[spiking]), np.arange(CIRCUITS)
    )
    return bool(np.any(config.weights.reshape(-1)[table.synapse] > 0))


def sources_of(data: list[Observations]) -> list[Source]:
    """Synapses of each input source on the fitted circuits; empty if the programs have too many sources.

    Sources of several programs are the same if their synapses are.
    """
    found: dict[bytes, Source] = {}
    for item in data:
        addresses = item.free.events.addresses
        table = synapse_table(item.config.routing, _NEUTRAL, addresses, item.circuits)
        active = item.config.weights.reshape(-1)[table.synapse] > 0
        for source in range(addresses.size):
            own = active & (table.source == source)
            if np.any(own):
                place = table.synapse[own].astype(np.int64)
                found[place.tobytes()] = (table.lane[own].astype(np.int64), place)
    used = np.concatenate([place for _, place in found.values()]) if found else np.empty(0)
    if len(found) > SOURCE_LIMIT or np.unique(used).size != used.size:
        return []
    return list(found.values())
