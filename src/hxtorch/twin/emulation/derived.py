"""What follows from the parts of a configuration and a fixed pattern, kept while these stay the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxtorch.twin.circuits import CircuitParameters, circuit_parameters
from hxtorch.twin.circuits.coupling import Links, links, no_links
from hxtorch.twin.circuits.lanes import LaneParameters, lane_parameters
from hxtorch.twin.circuits.sampling import Channels, channels
from hxtorch.twin.circuits.synapses import ChargeRows, charge_rows, charges, synapse_table
from hxtorch.twin.emulation.cache import Cache
from hxtorch.twin.engine.delivery import Charges
from hxtorch.twin.engine.membranes import Membranes, membranes_in_use
from hxtorch.twin.pattern.fixed_pattern import FixedPattern
from hxtorch.twin.places.crossbar import neuron_address
from hxtorch.twin.places.joined_circuits import lowest_connected
from hxtorch.twin.program import Program, ProgramError, Record
from hxtorch.twin.program.config import ChipConfig, NeuronConfig


@dataclass(frozen=True, eq=False)
class Wiring:
    """Sources of events and the synapses that hear them; `route` (lanes,) names the source of a lane, or -1."""

    rows: ChargeRows
    sources: int
    route: NDArray[np.int64]


class Derived:
    """Derives the parts of a run, and keeps the last ones. Several threads may use it at once."""

    def __init__(self) -> None:
        self._cache = Cache()
        self._last_charges: tuple[Wiring, LaneParameters, NDArray[np.uint8], Charges] | None = None

    def parameters(self, config: ChipConfig, die: FixedPattern) -> CircuitParameters:
        """Physical parameters of the circuits."""
        return self._cache.get(
            (die, config.neurons, config.common), ("parameters",), lambda: circuit_parameters(config, die)
        )

    def links(self, neurons: NeuronConfig, die: FixedPattern) -> Links:
        """Conductances between membranes."""
        if not np.any(neurons.enable_icc):
            return no_links()
        return self._cache.get((die, neurons), ("links",), lambda: links(neurons, die))

    def membranes(self, program: Program, die: FixedPattern, wires: Links) -> Membranes:
        """Membranes of a run, and their places."""
        read = (circuits.tobytes() for circuits in _read(program.record))
        return self._cache.get(
            (die, program.config.neurons), ("membranes", *read), lambda: _membranes_in_use(program, wires)
        )

    def lanes(self, config: ChipConfig, die: FixedPattern, membranes: Membranes, h: float) -> LaneParameters:
        """Parameters of the circuits as the engine wants them, for steps of `h` µs."""
        return self._cache.get(
            (die, config.neurons, config.common),
            ("lanes", membranes.circuits.tobytes(), h),
            lambda: lane_parameters(self.parameters(config, die), membranes, h),
        )

    def channels(self, program: Program, die: FixedPattern, lanes: LaneParameters) -> Channels:
        """How the converters see the recorded circuits."""
        read = (circuits.tobytes() for circuits in _read(program.record)[1:])
        return self._cache.get(
            (die, program.config.neurons, program.config.common, lanes),
            ("channels", *read),
            lambda: channels(program, die, lanes),
        )

    def wiring(
        self, config: ChipConfig, die: FixedPattern, addresses: NDArray[np.int64], membranes: Membranes
    ) -> Wiring:
        """Which synapses hear events from the `addresses` and from the neurons."""
        return self._cache.get(
            (die, config.routing, config.neurons, config.plasticity),
            ("wiring", addresses.tobytes(), membranes.circuits.tobytes()),
            lambda: _wiring(config, die, addresses, membranes),
        )

    def charges(self, weights: NDArray[np.uint8], wiring: Wiring, lanes: LaneParameters) -> Charges:
        """Charges of all synapses: those of the last run if it had the same weights, which may change in place."""
        last = self._last_charges
        if last is not None and last[0] is wiring and last[1] is lanes and np.array_equal(last[2], weights):
            return last[3]
        found = charges(wiring.rows, weights, wiring.sources, lanes.scale_exc, lanes.scale_inh)
        self._last_charges = wiring, lanes, weights.copy(), found
        return found


def _read(record: Record) -> tuple[NDArray[np.int64], ...]:
    return record.spikes, record.cadc, record.madc, record.trace


def _membranes_in_use(program: Program, wires: Links) -> Membranes:
    """Membranes that are recorded, may spike, or exchange charge with one of those."""
    neurons = program.config.neurons
    used = neurons.enable_threshold.copy()
    for circuits in _read(program.record):
        used[circuits] = True
    if not np.any(used):
        raise ProgramError("The program records nothing and no neuron may spike: there is nothing to run.")
    if wires.first.size:
        cell = lowest_connected(wires.first, wires.second)[neurons.membrane]
        used = np.isin(cell, cell[used])
    return membranes_in_use(neurons.membrane, neurons.enable_threshold, used)


def _wiring(config: ChipConfig, die: FixedPattern, addresses: NDArray[np.int64], membranes: Membranes) -> Wiring:
    speaker = membranes.speaker
    spiking = np.flatnonzero(config.neurons.enable_threshold[speaker])
    neurons = neuron_address(speaker[spiking], config.neurons.label[speaker[spiking]])
    every = np.concatenate([addresses, neurons]).astype(np.int64)
    table = synapse_table(config.routing, die, every, membranes.circuits)
    heard = np.zeros(every.size, dtype=np.bool_)
    heard[table.source] = True
    route = np.full(membranes.lanes, -1, dtype=np.int64)
    route[spiking] = np.where(heard[addresses.size :], addresses.size + np.arange(spiking.size), -1)
    return Wiring(charge_rows(table, config.plasticity.enable, membranes), every.size, route)
