"""From a network to chip programs: placed and routed once, then only weights and events change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hxtorch.mapping.network import Network
from hxtorch.mapping.placement import Placement, place
from hxtorch.mapping.routing import Routing, route
from hxtorch.twin.config import NeuronConfig
from hxtorch.twin.coordinates import CIRCUITS, COLUMNS, HEMISPHERES, MAX_WEIGHT, ROWS
from hxtorch.twin.program import InputEvents, Record


@dataclass(frozen=True, eq=False)
class Mapping:
    """A placed and routed network: `circuits` per population key, `routing`, and what to `record`."""

    network: Network
    circuits: Placement
    routing: Routing
    record: Record

    def neurons(self, calibrated: NeuronConfig) -> NeuronConfig:
        """Calibrated circuits with the labels and thresholds that this network needs."""
        enabled = np.zeros(CIRCUITS, dtype=np.bool_)
        for population in self.network.neurons:
            enabled[self.circuits[population.key]] = population.spiking
        return replace(calibrated, enable_threshold=enabled, label=self.routing.neuron_label)

    def weights(self, matrices: dict[int, NDArray[np.int64]]) -> NDArray[np.uint8]:
        """Synapse weights of the chip (hemisphere, row, column) from one (post, pre) matrix per projection.

        Positive weights go to the excitatory row, the magnitude of negative ones to the inhibitory row.
        """
        weights = np.zeros(HEMISPHERES * ROWS * COLUMNS, dtype=np.uint8)
        for projection in self.network.projections:
            matrix = matrices[projection.key]
            excitatory, inhibitory = self.routing.synapses[projection.key]
            if matrix.shape != excitatory.shape:
                raise ValueError(
                    f"{projection.name} has weights of shape {matrix.shape}, expected {excitatory.shape} (out, in)."
                )
            if matrix.size and max(int(matrix.max()), -int(matrix.min())) > MAX_WEIGHT:
                raise ValueError(
                    f"{projection.name} has a weight beyond +-{MAX_WEIGHT}, the range of a synapse. "
                    "Clip the weights in its transform."
                )
            weights[excitatory] = np.maximum(matrix, 0)
            weights[inhibitory] = np.maximum(-matrix, 0)
        return weights.reshape(HEMISPHERES, ROWS, COLUMNS)

    def events(
        self,
        key: int,
        entry: NDArray[np.int64],
        time: NDArray[np.int64],
        channel: NDArray[np.int64],
    ) -> InputEvents:
        """Events of input population `key` as the chip wants them; see `merge_events` for several inputs."""
        size = self.network.population(key).size
        if channel.size and not (channel.min() >= 0 and channel.max() < size):
            raise ValueError(
                f"{self.network.population(key).name} has channels 0 to {size - 1}, but an event comes from "
                f"channel {int(channel.min() if channel.min() < 0 else channel.max())}."
            )
        source = channel + self.routing.input_offset[key]
        return InputEvents(entry, time, source, self.routing.addresses)


def merge_events(parts: list[InputEvents], addresses: NDArray[np.int64]) -> InputEvents:
    """Merge the events of several inputs and sort them by batch entry and time."""
    if not parts:
        return InputEvents(addresses=addresses)
    entry = np.concatenate([part.entry for part in parts])
    time = np.concatenate([part.time for part in parts])
    source = np.concatenate([part.source for part in parts])
    order = np.lexsort((source, time, entry))
    return InputEvents(entry[order], time[order], source[order], addresses)


@lru_cache(maxsize=64)
def map_network(network: Network) -> Mapping:
    """Place and route a network; equal networks are mapped once. Raises `MappingError` if it does not fit."""
    circuits = place(network)
    return Mapping(network, circuits, route(network, circuits), _record(network, circuits))


def _record(network: Network, circuits: Placement) -> Record:
    def chosen(keys: list[int]) -> NDArray[np.int64]:
        return np.concatenate([circuits[k] for k in keys]) if keys else np.empty(0, dtype=np.int64)

    madc = [int(circuits[p.key][i]) for p in network.neurons for i in p.record_madc]
    return Record(
        spikes=chosen([p.key for p in network.neurons if p.record_spikes and p.spiking]),
        cadc=chosen([p.key for p in network.neurons if p.record_cadc]),
        madc=np.asarray(madc, dtype=np.int64),
        cadc_in_dram=any(p.cadc_in_dram for p in network.neurons),
    )
