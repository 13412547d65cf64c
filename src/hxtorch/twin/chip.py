"""The virtual chip: takes a `Program`, gives a `Recording`, like the real one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from hxtorch.twin import process
from hxtorch.twin.circuits import CircuitParameters, circuit_parameters
from hxtorch.twin.config import ChipConfig
from hxtorch.twin.coordinates import CIRCUITS, COLUMNS, CYCLES_PER_US
from hxtorch.twin.crossbar import FIRST_OFF_CHIP, neuron_address, passes
from hxtorch.twin.die import Die
from hxtorch.twin.engine import SpikeBuffer, Stimulus, run_entries
from hxtorch.twin.lanes import LANES, LaneParameters, lane_parameters
from hxtorch.twin.noise import Noise
from hxtorch.twin.program import InputEvents, Program, ProgramError, Recording, SentEvents, Spikes
from hxtorch.twin.random import uniform
from hxtorch.twin.sampling import Sampling, plan_sampling
from hxtorch.twin.synapses import SynapseTable, charge_matrices, synapse_table
from hxtorch.twin.threads import run_chunks

DEFAULT_STEP = 0.25  # µs

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


class _Cache:
    """Results by the identity of the objects they came from (which it keeps alive), the last few of them."""

    def __init__(self, size: int = 16) -> None:
        self._entries: OrderedDict[tuple[object, ...], tuple[object, object]] = OrderedDict()
        self._size = size

    def get(self, objects: tuple[object, ...], values: tuple[object, ...], make: Callable[[], T]) -> T:
        """Return what `make` gave for these very `objects` and equal hashable `values`."""
        key = (*(id(item) for item in objects), *values)
        if key in self._entries:
            self._entries.move_to_end(key)
            return self._entries[key][1]  # type: ignore[return-value]
        result = make()
        self._entries[key] = (objects, result)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)
        return result


@dataclass(frozen=True, eq=False)
class _Wiring:
    """Sources of events and the synapses that hear them; `route` (padded lanes,) names the source of a lane."""

    table: SynapseTable
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
            (config.neurons, config.common), ("parameters",), lambda: circuit_parameters(config, self.die)
        )

    def run(self, program: Program, trial_seed: int = 0) -> Recording:
        """Emulate `program` and return what it asked to record."""
        config, record = program.config, program.record
        circuits = _circuits_in_use(program)
        _refuse_what_is_not_modelled(config)
        if circuits.size == 0:
            raise ProgramError("The program records nothing and no neuron may spike: there is nothing to run.")
        h = process.MADC_PERIOD.value if record.madc.size else self.step
        origin = 0.0 if record.madc.size else self._origin(h)  # the MADC counts from the start
        lanes = self._lanes(config, circuits, h)
        wiring = self._wiring(config, program.events.addresses, circuits)
        exc, inh = charge_matrices(wiring.table, config.weights, wiring.sources, lanes.scale_exc, lanes.scale_inh)
        sampling = plan_sampling(
            program, self.die, self.noise, circuits, lanes.scale_exc.size, h, origin, trial_seed
        )
        stimulus = self._stimulus(program, circuits, wiring, exc, inh, h, origin)
        spikes = self._emulate(program.batch_size, lanes, stimulus, sampling, trial_seed)
        kept, lost = self._transmit(spikes, circuits, program, h, origin, trial_seed)
        return Recording(
            spikes=kept if record.spikes.size else None,
            cadc=sampling.cadc(program),
            madc=sampling.madc(program),
            trace=sampling.trace(program),
            loopback=self._loop_back(program, trial_seed) if record.loopback else None,
            lost_spikes=lost,
        )

    def _origin(self, h: float) -> float:
        """Time (µs) of the first step: such that inputs on a grid of whole steps arrive at the start of a step."""
        return 0.0 if self.die.nominal else process.INPUT_LATENCY.value % h - h

    def _lanes(self, config: ChipConfig, circuits: NDArray[np.int64], h: float) -> LaneParameters:
        def make() -> LaneParameters:
            return lane_parameters(
                self.parameters(config), circuits, h, self.noise,
                process.FLOOR_WIDTH.value, process.CEILING_WIDTH.value,
            )  # fmt: skip

        key = ("lanes", circuits.tobytes(), h, self.noise)
        return self._cache.get((config.neurons, config.common), key, make)

    def _wiring(self, config: ChipConfig, addresses: NDArray[np.int64], circuits: NDArray[np.int64]) -> _Wiring:
        def make() -> _Wiring:
            spiking = np.flatnonzero(config.neurons.enable_threshold[circuits])
            neurons = neuron_address(circuits[spiking], config.neurons.label[circuits[spiking]])
            every = np.concatenate([addresses, neurons]).astype(np.int64)
            table = synapse_table(config.routing, self.die, every, circuits)
            heard = np.zeros(every.size, dtype=np.bool_)
            heard[table.source] = True
            route = np.full(-(-circuits.size // LANES) * LANES, -1, dtype=np.int64)
            route[spiking] = np.where(heard[addresses.size :], addresses.size + np.arange(spiking.size), -1)
            return _Wiring(table, every.size, route)

        key = ("wiring", addresses.tobytes(), circuits.tobytes())
        return self._cache.get((config.routing, config.neurons), key, make)

    def _stimulus(
        self,
        program: Program,
        circuits: NDArray[np.int64],
        wiring: _Wiring,
        exc: NDArray[np.float32],
        inh: NDArray[np.float32],
        h: float,
        origin: float,
    ) -> Stimulus:
        events, noise, config = program.events, self.noise, program.config
        _check_events(events, program.batch_size)
        latency = 0.0 if self.die.nominal else process.INPUT_LATENCY.value
        arrival = (events.time / CYCLES_PER_US + latency - origin) / h
        step = np.ceil(arrival - 1e-6)
        resets = np.rint((np.asarray(sorted(program.resets)) / CYCLES_PER_US - origin) / h)
        return Stimulus(
            first=np.searchsorted(events.entry, np.arange(program.batch_size + 1)).astype(np.int64),
            step=step.astype(np.int64),
            delay=np.maximum(step - arrival, 0).astype(np.float32),
            source=np.require(events.source, np.int64, ["C", "W"]),  # one layout: one compiled kernel
            exc=exc,
            inh=inh,
            route=np.where(_enabled(config, circuits, wiring.route.size), wiring.route, -1),
            resets=resets.astype(np.int64),
            latency=0.0 if self.die.nominal else process.ONCHIP_LATENCY.value / h,
            charge_sigma=noise.charge,
            threshold_sigma=noise.threshold,
            noise_sigma=noise.membrane,
        )

    def _emulate(
        self, batch_size: int, lanes: LaneParameters, stimulus: Stimulus, sampling: Sampling, seed: int
    ) -> list[SpikeBuffer]:
        """Run all batch entries; a worker whose spike buffer was too small repeats its range."""
        parts: list[tuple[int, SpikeBuffer]] = []
        key = np.uint64(seed & (2**64 - 1))

        def work(begin: int, end: int) -> None:
            capacity = self._spike_capacity
            while True:
                buffer = SpikeBuffer(
                    np.empty(capacity, dtype=np.int64), np.empty(capacity),
                    np.empty(capacity, dtype=np.int64), np.zeros(1, dtype=np.int64),
                )  # fmt: skip
                run_entries(
                    lanes.rows, lanes.circuits, key, begin, end, sampling.steps, lanes.h, stimulus,
                    sampling.readout, buffer,
                )  # fmt: skip
                if buffer.used[0] <= capacity:
                    parts.append((begin, buffer))
                    return
                capacity = self._spike_capacity = 2 * int(buffer.used[0])

        run_chunks(work, batch_size)
        return [buffer for _, buffer in sorted(parts, key=lambda part: part[0])]

    def _transmit(
        self,
        parts: list[SpikeBuffer],
        circuits: NDArray[np.int64],
        program: Program,
        h: float,
        origin: float,
        seed: int,
    ) -> tuple[Spikes, int]:
        """Stamp the recorded spikes, lose some on the way, and sort the rest by entry and time."""
        entry, time, lane = (
            np.concatenate([getattr(part, name)[: part.used[0]] for part in parts])
            for name in ("entry", "time", "lane")
        )
        latency = 0.0 if self.die.nominal else process.SPIKE_LATENCY.value
        stamp = np.rint((time * h + origin + latency) * CYCLES_PER_US).astype(np.int64)
        circuit = circuits[lane]
        recorded = np.zeros(CIRCUITS, dtype=np.bool_)
        recorded[program.record.spikes] = program.config.enable_events[program.record.spikes]
        wanted = recorded[circuit] & (stamp <= program.runtime)
        entry, stamp, circuit = entry[wanted], stamp[wanted], circuit[wanted]
        kept = uniform(seed, "spike loss", entry, circuit, stamp) >= self.noise.spike_loss
        lost = int(np.count_nonzero(~kept))
        entry, stamp, circuit = entry[kept], stamp[kept], circuit[kept]
        # nearly sorted already, which a stable sort makes use of
        order = np.argsort(entry * 2**42 + stamp * 2**9 + circuit, kind="stable")
        return Spikes(entry[order], stamp[order], circuit[order]), lost

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


def _refuse_what_is_not_modelled(config: ChipConfig) -> None:
    """Registers that exist, but whose circuits the engine does not know yet."""
    for name in (
        "connect_right", "connect_vertical", "connect_soma", "enable_icc", "enable_coba_exc", "enable_coba_inh",
        "enable_exponential", "enable_adaptation", "enable_pause",
    ):  # fmt: skip
        if np.any(getattr(config.neurons, name)):
            raise ProgramError(f"{name} is on, but this version of the twin does not model it. Switch it off.")
    if np.any(config.plasticity.enable):
        raise ProgramError("plasticity.enable is on, but this version of the twin does not model it.")


def _circuits_in_use(program: Program) -> NDArray[np.int64]:
    """Circuits that are recorded or may spike, sorted."""
    record = program.record
    used = program.config.neurons.enable_threshold.copy()
    for circuits in (record.spikes, record.cadc, record.madc, record.trace):
        used[circuits] = True
    return np.flatnonzero(used)


def _enabled(config: ChipConfig, circuits: NDArray[np.int64], lanes: int) -> NDArray[np.bool_]:
    """Whether the spikes of each lane become events."""
    enabled = np.zeros(lanes, dtype=np.bool_)
    enabled[: circuits.size] = config.enable_events[circuits]
    return enabled


def _check_events(events: InputEvents, batch_size: int) -> None:
    if events.entry.size == 0:
        return
    if not events.entry.shape == events.time.shape == events.source.shape:
        raise ProgramError("Input events need one entry, one time and one source each.")
    if events.entry.min() < 0 or events.entry.max() >= batch_size:
        raise ProgramError(f"An input event belongs to no batch entry 0..{batch_size - 1}.")
    if events.source.min() < 0 or events.source.max() >= events.addresses.size:
        raise ProgramError("An input event has a source without an address.")
    if events.time.min() < 0:
        raise ProgramError("An input event lies before the start of the run.")
    same = events.entry[1:] == events.entry[:-1]
    if np.any(np.diff(events.entry) < 0) or np.any(np.diff(events.time)[same] < 0):
        raise ProgramError("Input events must be sorted by batch entry and time.")


DEFAULT_CHIP_SEED = 52  # its first neuron resembles that of the published introduction

assert COLUMNS % LANES == 0  # a block never spans two hemispheres when all circuits are in use
