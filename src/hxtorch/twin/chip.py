"""The virtual chip: takes a `Program`, gives a `Recording`, like the real one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from hxtorch.twin import process
from hxtorch.twin.circuits import CircuitParameters, circuit_parameters
from hxtorch.twin.config import ChipConfig, NeuronConfig
from hxtorch.twin.coordinates import CIRCUITS, COUNTER_LIMIT, CYCLES_PER_US
from hxtorch.twin.coupling import Coupling, Links, links, no_links, propagators
from hxtorch.twin.crossbar import FIRST_OFF_CHIP, neuron_address, passes
from hxtorch.twin.delivery import Charges
from hxtorch.twin.die import Die
from hxtorch.twin.engine import Board, SpikeBuffer, Stimulus, blocks_are_independent, run_entries, scratch
from hxtorch.twin.lanes import LaneParameters, lane_parameters
from hxtorch.twin.link import Link, transmit
from hxtorch.twin.membranes import Membranes, lowest_connected, membranes_in_use
from hxtorch.twin.noise import Noise
from hxtorch.twin.plasticity import Plasticity, no_plasticity, plasticity_parameters
from hxtorch.twin.program import Program, ProgramError, Recording, SentEvents, Spikes
from hxtorch.twin.random import uniform
from hxtorch.twin.sampling import Sampling, channels, plan_sampling
from hxtorch.twin.stimulus import input_stimulus, spike_link
from hxtorch.twin.synapses import ChargeRows, charge_rows, charges, synapse_table
from hxtorch.twin.threads import run_chunks

DEFAULT_STEP = 0.5  # µs
STIFF_PARTS = 8  # into which a step is divided where compartments are coupled or currents exponential

T = TypeVar("T")


class Chip(Protocol):
    """What the rest of the library knows of a chip: a name, and that it runs programs."""

    @property
    def identifier(self) -> str:
        """Name of this chip; calibrations belong to it."""
        ...

    @property
    def nominal(self) -> bool:
        """Whether the chip is the mathematical model, whose nominal translation of codes is exact."""
        ...

    def run(self, program: Program, trial_seed: int = 0) -> Recording:
        """Emulate a program."""
        ...


def fingerprint(chip: Chip) -> str:
    """What a calibration of `chip` depends on besides its target; more than a name for a virtual chip.

    Dies of one name may differ (`dataclasses.replace`), and the temporal noise moves what a calibration measures.
    So does the step of the integration, a little.
    """
    if not isinstance(chip, VirtualChip):
        return chip.identifier
    return f"{chip.identifier} {chip.die.fingerprint} {chip.noise} {chip.step}"


class _Cache:
    """Results by the identity of the objects they came from (which it keeps alive), the last few of them.

    The objects are such that nobody can change them (`hxtorch.twin.frozen`). Several threads may use it at once.
    """

    def __init__(self, size: int = 16) -> None:
        self._entries: OrderedDict[tuple[object, ...], tuple[object, object]] = OrderedDict()
        self._size = size
        self._lock = Lock()

    def get(self, objects: tuple[object, ...], values: tuple[object, ...], make: Callable[[], T]) -> T:
        """Return what `make` gave for these very `objects` and equal hashable `values`."""
        key = (*(id(item) for item in objects), *values)
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key][1]  # type: ignore[return-value]
        result = make()  # without the lock: it takes long, and asks for other entries
        with self._lock:
            first = self._entries.setdefault(key, (objects, result))  # another thread may have been faster
            if len(self._entries) > self._size:
                self._entries.popitem(last=False)
        return first[1]  # type: ignore[return-value]

    def __reduce__(self) -> tuple[Any, ...]:
        return _Cache, (self._size,)  # empty: identities mean nothing in a copy or another process


@dataclass(frozen=True, eq=False)
class _Wiring:
    """Sources of events and the synapses that hear them; `route` (lanes,) names the source of a lane, or -1."""

    rows: ChargeRows
    sources: int
    route: NDArray[np.int64]


class VirtualChip:
    """A BrainScaleS-2 chip in software: one `die` with temporal `noise`.

    `step` is the integration step in µs; results depend on it to second order only. The same program with
    the same `trial_seed` gives the same recording, whatever the number of threads.
    """

    def __init__(self, die: Die | None = None, noise: Noise | None = None, step: float = DEFAULT_STEP) -> None:
        if not 0 < step <= 1:
            raise ValueError(f"The integration step is {step} µs, but it lies in (0, 1].")
        self.die = die if die is not None else Die.from_seed(DEFAULT_CHIP_SEED)
        self.noise = noise if noise is not None else Noise()
        self.step = step
        self._cache = _Cache()
        self._spike_capacity = 4096
        self._last_charges: tuple[_Wiring, LaneParameters, NDArray[np.uint8], Charges] | None = None

    @property
    def identifier(self) -> str:
        """Name of the die."""
        return self.die.identifier

    @property
    def nominal(self) -> bool:
        """Whether the die is ideal."""
        return self.die.nominal

    def __repr__(self) -> str:
        return f"VirtualChip({self.die.identifier!r})"

    def parameters(self, config: ChipConfig) -> CircuitParameters:
        """Physical parameters of the circuits under `config`: what no real chip would tell."""
        return self._cache.get(
            (self.die, config.neurons, config.common), ("parameters",), lambda: circuit_parameters(config, self.die)
        )

    def run(self, program: Program, trial_seed: int = 0) -> Recording:
        """Emulate `program` and return what it asked to record."""
        config, record = program.config, program.record
        wires = self._links(config.neurons)
        read = (record.spikes, record.cadc, record.madc, record.trace)
        membranes = self._cache.get(
            (
                self.die,
                config.neurons,
            ),
            ("membranes", *(circuits.tobytes() for circuits in read)),
            lambda: _membranes_in_use(program, wires),
        )
        h = self._step(program, wires)
        origin = self._origin(h)
        lanes = self._lanes(config, membranes, h)
        wiring = self._wiring(config, program.events.addresses, membranes)
        stimulus = input_stimulus(program, self.die, self.noise, h, origin)
        channel = self._cache.get(
            (self.die, config.neurons, config.common, lanes),
            ("channels", *(circuits.tobytes() for circuits in read[1:])),
            lambda: channels(program, self.die, lanes),
        )
        sampling = plan_sampling(program, self.die, self.noise, h, channel, origin, trial_seed)
        every = np.arange(membranes.lanes)
        speakers = np.where(every < membranes.speaker.size, every, 0)
        circuits = np.where(every < membranes.speaker.size, membranes.speaker[speakers], CIRCUITS + every)
        board = Board(
            rows=lanes.rows,
            layers=membranes.layers,
            column=membranes.column,
            features=lanes.features,
            rails=lanes.rails,
            circuits=circuits,
            route=np.where(_sends(config, membranes), wiring.route, -1),
            spike_delay=lanes.spike_delay,
        )
        charge = self._charges(config.weights, wiring, lanes)
        coupling = propagators(wires, config.neurons.membrane, membranes, lanes.capacitance, h)
        plasticity = no_plasticity()
        if np.any(config.plasticity.enable):
            plasticity = plasticity_parameters(config.plasticity, self.die, h)
        link = spike_link(program, self.die, self.noise, circuits, h, origin)
        counts = np.zeros((program.batch_size if record.counters else 0, CIRCUITS), dtype=np.int64)
        spikes, lost = self._emulate(
            program.batch_size, board, charge, stimulus, plasticity, coupling, sampling, link, counts, trial_seed
        )
        return Recording(
            spikes=spikes if record.spikes.size else None,
            cadc=sampling.cadc(program),
            madc=sampling.madc(program),
            trace=sampling.trace(program),
            loopback=self._loop_back(program, trial_seed) if record.loopback else None,
            lost_spikes=lost,
            counters=np.minimum(counts, COUNTER_LIMIT) if record.counters else None,
        )

    def _step(self, program: Program, wires: Links) -> float:
        """Step of a program: a finer one where circuits are stiff."""
        stiff = wires.first.size > 0 or bool(np.any(program.config.neurons.enable_exponential))
        return self.step / STIFF_PARTS if stiff else self.step

    def _origin(self, h: float) -> float:
        """Time (µs) of the first step: such that inputs on a grid of whole steps arrive at the start of a step."""
        return 0.0 if self.die.nominal else process.INPUT_LATENCY.value % h - h

    def _links(self, neurons: NeuronConfig) -> Links:
        if not np.any(neurons.enable_icc):
            return no_links()
        return self._cache.get((self.die, neurons), ("links",), lambda: links(neurons, self.die))

    def _lanes(self, config: ChipConfig, membranes: Membranes, h: float) -> LaneParameters:
        return self._cache.get(
            (self.die, config.neurons, config.common),
            ("lanes", membranes.circuits.tobytes(), h),
            lambda: lane_parameters(self.parameters(config), membranes, h),
        )

    def _wiring(self, config: ChipConfig, addresses: NDArray[np.int64], membranes: Membranes) -> _Wiring:
        def make() -> _Wiring:
            speaker = membranes.speaker
            spiking = np.flatnonzero(config.neurons.enable_threshold[speaker])
            neurons = neuron_address(speaker[spiking], config.neurons.label[speaker[spiking]])
            every = np.concatenate([addresses, neurons]).astype(np.int64)
            table = synapse_table(config.routing, self.die, every, membranes.circuits)
            heard = np.zeros(every.size, dtype=np.bool_)
            heard[table.source] = True
            route = np.full(membranes.lanes, -1, dtype=np.int64)
            route[spiking] = np.where(heard[addresses.size :], addresses.size + np.arange(spiking.size), -1)
            rows = charge_rows(table, config.plasticity.enable, membranes)
            return _Wiring(rows, every.size, route)

        key = ("wiring", addresses.tobytes(), membranes.circuits.tobytes())
        return self._cache.get((self.die, config.routing, config.neurons, config.plasticity), key, make)

    def _charges(self, weights: NDArray[np.uint8], wiring: _Wiring, lanes: LaneParameters) -> Charges:
        """Charges of all synapses: those of the last run if it had the same weights, which may change in place."""
        last = self._last_charges
        if last is not None and last[0] is wiring and last[1] is lanes and np.array_equal(last[2], weights):
            return last[3]
        found = charges(wiring.rows, weights, wiring.sources, lanes.scale_exc, lanes.scale_inh)
        self._last_charges = wiring, lanes, weights.copy(), found
        return found

    def _emulate(
        self,
        batch_size: int,
        board: Board,
        charge: Charges,
        stimulus: Stimulus,
        plasticity: Plasticity,
        coupling: Coupling,
        sampling: Sampling,
        link: Link,
        counts: NDArray[np.int64],
        seed: int,
    ) -> tuple[Spikes, int]:
        """Run all batch entries; a worker whose spike buffer was too small repeats its range."""
        parts: list[tuple[int, Spikes, int]] = []
        key = np.uint64(seed & (2**64 - 1))
        together = sampling.steps if blocks_are_independent(board, coupling, sampling.readout) else 1

        def work(begin: int, end: int) -> None:
            capacity = self._spike_capacity
            memory = scratch(board, charge, stimulus, plasticity, coupling, sampling.readout)
            while True:
                buffer = SpikeBuffer(
                    np.empty(capacity, dtype=np.int64), np.empty(capacity),
                    np.empty(capacity, dtype=np.int64), np.zeros(1, dtype=np.int64),
                )  # fmt: skip
                run_entries(
                    memory, board, charge, stimulus, plasticity, coupling, sampling.readout,
                    key, begin, end, sampling.steps, together, sampling.h, buffer,
                )  # fmt: skip
                used = int(buffer.used[0])
                if used <= capacity:
                    break
                capacity = self._spike_capacity = 2 * used
            stamp, arrived, lost = transmit(buffer.entry, buffer.time, buffer.lane, used, key, link, counts)
            spikes = Spikes(buffer.entry[:arrived], stamp[:arrived], buffer.lane[:arrived])
            parts.append((begin, spikes, lost))

        run_chunks(work, batch_size)
        ordered = [spikes for _, spikes, _ in sorted(parts, key=lambda part: part[0])]
        return (
            Spikes(
                *(
                    np.concatenate([getattr(part, name) for part in ordered])
                    for name in ("entry", "time", "circuit")
                )
            ),
            sum(lost for _, _, lost in parts),
        )

    def _loop_back(self, program: Program, seed: int) -> SentEvents:
        """Input events that the crossbar sends back, stamped and thinned like spikes."""
        events, routing = program.events, program.config.routing
        returned = passes(routing.crossbar_mask, routing.crossbar_target, events.addresses)[:, FIRST_OFF_CHIP:]
        latency = 0.0 if self.die.nominal else process.INPUT_LATENCY.value + process.SPIKE_LATENCY.value
        stamp = events.time + round(latency * CYCLES_PER_US)
        kept = np.any(returned, axis=1)[events.source] & (stamp <= program.runtime)
        loss = np.asarray(uniform(seed, "loopback loss", events.entry, events.source, stamp))
        kept &= loss >= self.noise.spike_loss
        return SentEvents(events.entry[kept], stamp[kept], events.source[kept])


def _membranes_in_use(program: Program, wires: Links) -> Membranes:
    """Membranes that are recorded, may spike, or exchange charge with one of those."""
    record, neurons = program.record, program.config.neurons
    used = neurons.enable_threshold.copy()
    for circuits in (record.spikes, record.cadc, record.madc, record.trace):
        used[circuits] = True
    if not np.any(used):
        raise ProgramError("The program records nothing and no neuron may spike: there is nothing to run.")
    if wires.first.size:
        cell = lowest_connected(wires.first, wires.second)[neurons.membrane]
        used = np.isin(cell, cell[used])
    return membranes_in_use(neurons.membrane, neurons.enable_threshold, used)


def _sends(config: ChipConfig, membranes: Membranes) -> NDArray[np.bool_]:
    """Whether the spikes of each lane become events."""
    sends = np.zeros(membranes.lanes, dtype=np.bool_)
    sends[: membranes.speaker.size] = config.enable_events[membranes.speaker]
    return sends


def at_usual_step(chip: Chip) -> Chip:
    """The same chip, a virtual one with the default step of its integration."""
    return VirtualChip(chip.die, chip.noise) if isinstance(chip, VirtualChip) else chip


DEFAULT_CHIP_SEED = 13  # its first neuron resembles that of the published introduction
