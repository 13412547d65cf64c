"""From a network to chip programs: placed and routed once, then only weights and events change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from hxtorch.mapping.errors import MappingError
from hxtorch.mapping.groups import join_circuits
from hxtorch.mapping.network import Network, Projection, Structure
from hxtorch.mapping.placement import DENSE, ORDERS, Placement, place
from hxtorch.mapping.registers import SYNAPSES, Registers
from hxtorch.mapping.routing import RoutingError, route
from hxtorch.mapping.weights import write_weights
from hxtorch.twin.places.coordinates import CIRCUITS, COLUMNS, HEMISPHERES, MAX_WEIGHT, ROWS
from hxtorch.twin.program import InputEvents, Record
from hxtorch.twin.program.config import NeuronConfig


@dataclass(frozen=True, eq=False)
class Mapping:
    """A placed and routed network: `circuits` (size, per neuron) by population, `routing`, what to `record`."""

    network: Network
    circuits: Placement
    routing: Registers
    record: Record

    def main_circuits(self, key: int) -> NDArray[np.int64]:
        """The circuit (size,) of every neuron that fires and is recorded."""
        return self.circuits[key][:, 0]

    def neurons(self, calibrated: NeuronConfig) -> NeuronConfig:
        """Calibrated circuits, joined, with the labels and thresholds that this network needs."""
        enabled = np.zeros(CIRCUITS, dtype=np.bool_)
        for population in self.network.neurons:
            enabled[self.main_circuits(population.key)] = population.spiking
        config = replace(calibrated, enable_threshold=enabled, label=self.routing.neuron_label)
        return join_circuits(config, [c for c in self.circuits.values() if c.shape[1] > 1])

    def weights(self, matrices: dict[int, NDArray[np.int64]]) -> NDArray[np.uint8]:
        """Synapse weights of the chip (hemisphere, row, column) from one (post, pre) matrix per projection.

        Positive weights go to the excitatory row, the magnitude of negative ones to the inhibitory row; with
        parallel rows, a weight beyond 63 fills one row after the other. A matrix of the wrong shape or with a
        weight beyond the rows' range: ValueError. What a sparse projection has no synapse for is ignored.
        """
        weights = np.zeros(SYNAPSES, dtype=np.uint8)
        for projection in self.network.projections:
            matrix = matrices[projection.key]
            expected = self._shape(projection)
            if matrix.shape != expected:
                raise ValueError(
                    f"{projection.name} has weights of shape {matrix.shape}, expected {expected} (out, in)."
                )
            flat = np.ascontiguousarray(matrix).reshape(-1)
            chosen = self._connected.get(projection.key)
            if not write_weights(
                flat if chosen is None else flat[chosen], self.routing.synapses[projection.key], weights
            ):
                limit = MAX_WEIGHT * projection.parallel
                raise ValueError(
                    f"{projection.name} has a weight beyond +-{limit}, the range of a synapse"
                    + (f" of {projection.parallel} parallel rows" if projection.parallel > 1 else "")
                    + ". Clip the weights in its transform."
                )
        return weights.reshape(HEMISPHERES, ROWS, COLUMNS)

    def _shape(self, projection: Projection) -> tuple[int, int]:
        return self.network.population(projection.post).size, self.network.population(projection.pre).size

    @cached_property
    def _connected(self) -> dict[int, NDArray[np.int64]]:
        """Flat indices of the connections within the weights of every sparse projection."""
        return {
            p.key: p.connections.post * self._shape(p)[1] + p.connections.pre
            for p in self.network.projections
            if p.connections is not None
        }

    def events(
        self,
        key: int,
        entry: NDArray[np.int64],
        time: NDArray[np.int64],
        channel: NDArray[np.int64],
    ) -> InputEvents:
        """Events of input population `key` as the chip wants them; see `merge_events` for several inputs.

        A channel with several addresses sends each event to all of them.
        """
        size = self.network.population(key).size
        if channel.size and not (channel.min() >= 0 and channel.max() < size):
            raise ValueError(
                f"{self.network.population(key).name} has channels 0 to {size - 1}, but an event comes from "
                f"channel {int(channel.min() if channel.min() < 0 else channel.max())}."
            )
        sources = self.routing.input_sources[key]
        copies = sources.shape[1]
        if copies == 1:
            return InputEvents(entry, time, sources[channel, 0], self.routing.addresses)
        source = sources[channel].reshape(-1)
        kept = source >= 0
        return InputEvents(
            np.repeat(entry, copies)[kept], np.repeat(time, copies)[kept], source[kept], self.routing.addresses
        )


def merge_events(parts: list[InputEvents], addresses: NDArray[np.int64]) -> InputEvents:
    """Merge the events of several inputs and sort them by batch entry and time."""
    if not parts:
        return InputEvents(addresses=addresses)
    entry = np.concatenate([part.entry for part in parts])
    time = np.concatenate([part.time for part in parts])
    source = np.concatenate([part.source for part in parts])
    order = np.lexsort((source, time, entry))
    return InputEvents(entry[order], time[order], source[order], addresses)


def map_network(network: Network) -> Mapping:
    """Place and route a network; equal networks are mapped once.

    Raises `MappingError` if it does not fit, which names the smallest change that would, if one is found.
    """
    try:
        return try_mapping(network)
    except RoutingError as error:
        change = _change_that_routes(network, error.key)
        if change is None:
            raise
        raise RoutingError(error.facts, f"Smallest change that fits: {change}.", error.key) from None


@lru_cache(maxsize=64)
def try_mapping(network: Network, quick: bool = False) -> Mapping:
    """As `map_network`, without a search for what would fit; `quick`: nor for long of any kind.

    Several orders of placement are tried where the first one leaves no room or no way to route.
    """
    structures = network.circuits_per_neuron()
    unplaced: MappingError | None = None
    unrouted: MappingError | None = None
    tried: set[bytes] = set()
    for order in (*ORDERS, DENSE):
        if order is DENSE and tried:
            break  # there is room
        try:
            circuits = place(network, structures, order)
        except MappingError as error:
            unplaced = unplaced or error
            continue
        state = b"".join(rows.tobytes() for rows in circuits.values())
        if state in tried:
            continue
        tried.add(state)
        try:
            return Mapping(network, circuits, route(network, circuits, quick=quick), _record(network, circuits))
        except RoutingError as error:
            unrouted = unrouted or error
            if not any(network.heard()[p.key].any() for p in network.neurons):
                break  # where neurons lie does not matter if nobody hears them
    raise unrouted or unplaced or AssertionError("no order of placement")


def _change_that_routes(network: Network, crowded: int) -> str | None:
    """The smallest change with which a network that is not routed fits, found by trying; None if there is none.

    `crowded` is the population that has the least room.
    """
    free = replace(network, neurons=tuple(replace(p, circuits=None) for p in network.neurons))
    if free != network and _fits(free):
        return "no placement_constraint for " + ", ".join(p.name for p in network.neurons if p.circuits is not None)
    population = next(p for p in network.neurons if p.key == crowded)
    circuits = network.circuits_per_neuron()[crowded].size
    for count in range(circuits + 1, min(2 * circuits, CIRCUITS // population.size) + 1):
        changed = replace(population, structure=Structure(count), circuits=None)
        neurons = tuple(changed if p.key == crowded else p for p in network.neurons)
        if _fits(replace(network, neurons=neurons)):
            return (
                f"{count} circuits per neuron in {population.name}, as "
                f"neuron_structure=SingleCompartmentNeuron({count}) gives"
            )
    return None


def _fits(network: Network) -> bool:
    try:
        try_mapping(network, quick=True)
    except MappingError:
        return False
    return True


def _record(network: Network, circuits: Placement) -> Record:
    def chosen(keys: list[int]) -> NDArray[np.int64]:
        return np.concatenate([circuits[k][:, 0] for k in keys]) if keys else np.empty(0, dtype=np.int64)

    madc = [int(circuits[p.key][i, 0]) for p in network.neurons for i in p.record_madc]
    return Record(
        spikes=chosen([p.key for p in network.neurons if p.record_spikes and p.spiking]),
        cadc=chosen([p.key for p in network.neurons if p.record_cadc]),
        madc=np.asarray(madc, dtype=np.int64),
        cadc_in_dram=any(p.cadc_in_dram for p in network.neurons),
    )
