"""From a program to its recording: lay out the run, let the engine emulate it, send off what was recorded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hxtorch._kernels.threads import run_chunks
from hxtorch.twin.circuits import CircuitParameters
from hxtorch.twin.circuits.coupling import Links, propagators
from hxtorch.twin.circuits.lanes import LaneParameters
from hxtorch.twin.circuits.plasticity import plasticity_parameters
from hxtorch.twin.circuits.sampling import plan_sampling
from hxtorch.twin.circuits.stimulus import input_stimulus, spike_link
from hxtorch.twin.emulation.derived import Derived, Wiring
from hxtorch.twin.engine.arguments import Run, SpikeBuffer, blocks_are_independent, scratch
from hxtorch.twin.engine.board import Board
from hxtorch.twin.engine.link import Link, transmit
from hxtorch.twin.engine.loop import run_entries
from hxtorch.twin.engine.membranes import Membranes
from hxtorch.twin.engine.plasticity import Plasticity, no_plasticity
from hxtorch.twin.engine.random import uniform
from hxtorch.twin.pattern import process
from hxtorch.twin.pattern.fixed_pattern import FixedPattern
from hxtorch.twin.pattern.noise import Noise
from hxtorch.twin.places.coordinates import CIRCUITS, COUNTER_LIMIT, CYCLES_PER_US
from hxtorch.twin.places.crossbar import FIRST_OFF_CHIP, passes
from hxtorch.twin.program import Program, Recording, SentEvents, Spikes
from hxtorch.twin.program.config import ChipConfig, PlasticityConfig

DEFAULT_STEP = 0.5  # µs
STIFF_PARTS = 8  # into which a step is divided where compartments are coupled or currents exponential


class Emulator:
    """Runs programs on chips that it is told of, and keeps what it derived for the last ones.

    Several threads may use it at once. `spike_capacity` is the size of a worker's spike buffer, which grows.
    """

    def __init__(self) -> None:
        self.spike_capacity = 4096
        self._derived = Derived()

    def parameters(self, config: ChipConfig, die: FixedPattern) -> CircuitParameters:
        """Physical parameters of the circuits of `die` under `config`."""
        return self._derived.parameters(config, die)

    def run(
        self, program: Program, die: FixedPattern, noise: Noise, step: float = DEFAULT_STEP, trial_seed: int = 0
    ) -> Recording:
        """Emulate `program` in steps of `step` µs and return what it asked to record."""
        config, record, derived = program.config, program.record, self._derived
        wires = derived.links(config.neurons, die)
        membranes = derived.membranes(program, die, wires)
        h = _step(program, wires, step)
        origin = _origin(die, h)
        lanes = derived.lanes(config, die, membranes, h)
        wiring = derived.wiring(config, die, program.events.addresses, membranes)
        stimulus = input_stimulus(program, die, noise, h, origin)
        read = derived.channels(program, die, lanes)
        sampling = plan_sampling(program, die, noise, h, read, origin, trial_seed)
        board = _board(config, lanes, wiring)
        coupling = propagators(wires, config.neurons.membrane, membranes, lanes.capacitance, h)
        run = Run(
            board=board,
            charges=derived.charges(config.weights, wiring, lanes),
            stimulus=stimulus,
            plasticity=_plasticity(config.plasticity, die, h),
            coupling=coupling,
            readout=sampling.readout,
            seed=np.uint64(trial_seed & (2**64 - 1)),
            steps=sampling.steps,
            together=sampling.steps if blocks_are_independent(board, coupling, sampling.readout) else 1,
            h=h,
        )
        link = spike_link(program, die, noise, board.circuits, h, origin)
        counts = np.zeros((program.batch_size if record.counters else 0, CIRCUITS), dtype=np.int64)
        spikes, lost = self._emulate(run, link, program.batch_size, counts)
        return Recording(
            spikes=spikes if record.spikes.size else None,
            cadc=sampling.cadc(program),
            madc=sampling.madc(program),
            trace=sampling.trace(program),
            loopback=_loop_back(program, die, noise, trial_seed) if record.loopback else None,
            lost_spikes=lost,
            counters=np.minimum(counts, COUNTER_LIMIT) if record.counters else None,
        )

    def _emulate(self, run: Run, link: Link, batch_size: int, counts: NDArray[np.int64]) -> tuple[Spikes, int]:
        """Run all batch entries; a worker whose spike buffer was too small repeats its range."""
        parts: list[tuple[int, Spikes, int]] = []

        def work(begin: int, end: int) -> None:
            capacity = self.spike_capacity
            memory = scratch(run.board, run.charges, run.stimulus, run.plasticity, run.coupling, run.readout)
            while True:
                buffer = SpikeBuffer(
                    np.empty(capacity, dtype=np.int64), np.empty(capacity),
                    np.empty(capacity, dtype=np.int64), np.zeros(1, dtype=np.int64),
                )  # fmt: skip
                run_entries(run, memory, buffer, begin, end)
                used = int(buffer.used[0])
                if used <= capacity:
                    break
                capacity = self.spike_capacity = 2 * used
            stamp, arrived, lost = transmit(buffer.entry, buffer.time, buffer.lane, used, run.seed, link, counts)
            spikes = Spikes(buffer.entry[:arrived], stamp[:arrived], buffer.lane[:arrived])
            parts.append((begin, spikes, lost))

        run_chunks(work, batch_size)
        ordered = [spikes for _, spikes, _ in sorted(parts, key=lambda part: part[0])]
        every = Spikes(
            entry=np.concatenate([part.entry for part in ordered]),
            time=np.concatenate([part.time for part in ordered]),
            circuit=np.concatenate([part.circuit for part in ordered]),
        )
        return every, sum(lost for _, _, lost in parts)


def _step(program: Program, wires: Links, step: float) -> float:
    """Step of a program: a finer one where circuits are stiff."""
    stiff = wires.first.size > 0 or bool(np.any(program.config.neurons.enable_exponential))
    return step / STIFF_PARTS if stiff else step


def _origin(die: FixedPattern, h: float) -> float:
    """Time (µs) of the first step: such that inputs on a grid of whole steps arrive at the start of a step."""
    return 0.0 if die.nominal else process.INPUT_LATENCY.value % h - h


def _board(config: ChipConfig, lanes: LaneParameters, wiring: Wiring) -> Board:
    membranes = lanes.membranes
    every = np.arange(membranes.lanes)
    speakers = np.where(every < membranes.speaker.size, every, 0)
    return Board(
        rows=lanes.rows,
        layers=membranes.layers,
        column=membranes.column,
        features=lanes.features,
        rails=lanes.rails,
        circuits=np.where(every < membranes.speaker.size, membranes.speaker[speakers], CIRCUITS + every),
        route=np.where(_sends(config, membranes), wiring.route, -1),
        spike_delay=lanes.spike_delay,
    )


def _sends(config: ChipConfig, membranes: Membranes) -> NDArray[np.bool_]:
    """Whether the spikes of each lane become events."""
    sends = np.zeros(membranes.lanes, dtype=np.bool_)
    sends[: membranes.speaker.size] = config.enable_events[membranes.speaker]
    return sends


def _plasticity(config: PlasticityConfig, die: FixedPattern, h: float) -> Plasticity:
    return plasticity_parameters(config, die, h) if np.any(config.enable) else no_plasticity()


def _loop_back(program: Program, die: FixedPattern, noise: Noise, seed: int) -> SentEvents:
    """Input events that the crossbar sends back, stamped and thinned like spikes."""
    events, routing = program.events, program.config.routing
    returned = passes(routing.crossbar_mask, routing.crossbar_target, events.addresses)[:, FIRST_OFF_CHIP:]
    latency = 0.0 if die.nominal else process.INPUT_LATENCY.value + process.SPIKE_LATENCY.value
    stamp = events.time + round(latency * CYCLES_PER_US)
    kept = np.any(returned, axis=1)[events.source] & (stamp <= program.runtime)
    loss = np.asarray(uniform(seed, "loopback loss", events.entry, events.source, stamp))
    kept &= loss >= noise.spike_loss
    return SentEvents(events.entry[kept], stamp[kept], events.source[kept])
