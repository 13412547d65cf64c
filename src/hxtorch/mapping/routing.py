"""Routing: labels, addresses and synapse rows for every connection of a placed network.

An event runs on one of four PADI buses with a 2-bit group (the low bits of its row select) and a 6-bit
label. Every driver compares only its group (mask 0b00011), so that an event of group g is seen by the eight
drivers at the positions g, g + 4, ... of its bus; the synapses behind them pick their source by label. One
driver carries one signed source for a population: its first row is excitatory, its second inhibitory.
Populations occupy different columns, so they share drivers freely.

The upper bits of a neuron's row select come from its event output and cannot be chosen, which is why the
group has two bits only (chip.md 1.2, 1.3).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxtorch.mapping.network import (
    InputPopulation,
    MappingError,
    Network,
    NeuronPopulation,
    Population,
    Projection,
)
from hxtorch.mapping.placement import Placement
from hxtorch.twin.config import RoutingConfig, RowMode
from hxtorch.twin.coordinates import (
    BUSES,
    CIRCUITS,
    COLUMNS,
    DRIVERS,
    DRIVERS_PER_BUS,
    HEMISPHERES,
    LABELS,
    ROWS,
    hemisphere,
    output_bus,
)

GROUPS = 4
GROUP_MASK = GROUPS - 1
DRIVERS_PER_GROUP = DRIVERS_PER_BUS // GROUPS
UNUSED_LABEL = 0  # stored in synapses that listen to nobody
SILENT_LABEL = LABELS - 1  # sent by sources that nobody listens to
LABELS_PER_GROUP = LABELS - 2
MAX_SIGNED_INPUTS = DRIVERS

Target = tuple[int, int]  # population key, hemisphere


@dataclass(frozen=True)
class Source:
    """One emitter of events: neuron or input channel `index` of population `population`."""

    population: int
    index: int


@dataclass(frozen=True, eq=False)
class Routing:
    """The digital configuration of all connections.

    * `config`: labels, row modes, driver masks.
    * `neuron_label` (512,): programmable label of every circuit.
    * `addresses`: addresses of all external sources; those of input population k start at `input_offset[k]`.
    * `synapses`: per projection key the flat indices of its synapses (post, pre) in the weight array, for
      the excitatory and the inhibitory row.
    """

    config: RoutingConfig
    neuron_label: NDArray[np.int64]
    addresses: NDArray[np.int64]
    input_offset: dict[int, int]
    synapses: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]]


def route(network: Network, placement: Placement) -> Routing:
    """Find an address for every source and a driver for every source of every population."""
    _check_fan_in(network)
    uses = _uses(network, placement)
    channels = _assign_channels(network, placement, uses)
    labels = np.full((HEMISPHERES, ROWS, COLUMNS), UNUSED_LABEL, dtype=np.uint8)
    row_mode = np.zeros((HEMISPHERES, ROWS), dtype=np.uint8)
    synapses = {}
    filled: dict[tuple[Target, int, int], int] = defaultdict(int)
    for projection in network.projections:
        synapses[projection.key] = _lay_rows(network, placement, projection, channels, labels, row_mode, filled)

    neuron_label = np.full(CIRCUITS, SILENT_LABEL, dtype=np.int64)
    addresses: list[int] = []
    input_offset = {}
    for population in network.inputs:
        input_offset[population.key] = len(addresses)
        for i in range(population.size):
            bus, group, label = channels.get(Source(population.key, i), (0, 0, SILENT_LABEL))
            addresses.append((bus << 11) | (group << 6) | label)
    for source, (_, group, label) in channels.items():
        if isinstance(network.population(source.population), NeuronPopulation):
            neuron_label[placement[source.population][source.index]] = (group << 6) | label
    mask = np.full((HEMISPHERES, DRIVERS), GROUP_MASK, dtype=np.uint8)
    return Routing(
        RoutingConfig(labels, row_mode, mask),
        neuron_label,
        np.asarray(addresses, dtype=np.int64),
        input_offset,
        synapses,
    )


def _check_fan_in(network: Network) -> None:
    for population in network.neurons:
        projections = network.into(population.key)
        fan_in = sum(network.population(p.pre).size for p in projections)
        if fan_in > MAX_SIGNED_INPUTS:
            parts = ", ".join(f"{p.name}: {network.population(p.pre).size}" for p in projections)
            raise MappingError(
                f"A neuron of {population.name} needs {fan_in} signed inputs, but a neuron circuit has "
                f"{MAX_SIGNED_INPUTS} ({parts}). Smallest change that fits: {fan_in - MAX_SIGNED_INPUTS} inputs "
                f"fewer, or {-(-fan_in // MAX_SIGNED_INPUTS)} circuits per neuron."
            )


def _targets(placement: Placement, key: int) -> list[Target]:
    return [(key, int(side)) for side in np.unique(np.asarray(hemisphere(placement[key])))]


def _uses(network: Network, placement: Placement) -> dict[Source, dict[Target, int]]:
    """How many drivers every source needs in every (population, hemisphere)."""
    uses: dict[Source, dict[Target, int]] = defaultdict(lambda: defaultdict(int))
    for projection in network.projections:
        for target in _targets(placement, projection.post):
            for i in range(network.population(projection.pre).size):
                uses[Source(projection.pre, i)][target] += 1
    return uses


def _assign_channels(
    network: Network, placement: Placement, uses: dict[Source, dict[Target, int]]
) -> dict[Source, tuple[int, int, int]]:
    """Bus, group and label of every source, filling the emptiest group; neurons, which are bound, first."""
    load: dict[tuple[Target, int, int], int] = defaultdict(int)
    labels_used: dict[tuple[int, int], int] = defaultdict(int)
    channels: dict[Source, tuple[int, int, int]] = {}
    order = sorted(uses, key=lambda s: isinstance(network.population(s.population), InputPopulation))
    for source in order:
        population = network.population(source.population)
        if isinstance(population, NeuronPopulation):
            circuit = int(placement[source.population][source.index])
            buses: Iterable[int] = (int(output_bus(circuit)),)
        else:
            buses = range(BUSES)
        best: tuple[int, int, int, int] | None = None
        for bus in buses:
            for group in range(GROUPS):
                if labels_used[bus, group] >= LABELS_PER_GROUP:
                    continue
                fullest = max(load[t, bus, group] + n for t, n in uses[source].items())
                if fullest <= DRIVERS_PER_GROUP:
                    candidate = (fullest, labels_used[bus, group], bus, group)
                    best = candidate if best is None else min(best, candidate)
        if best is None:
            raise MappingError(_no_channel(network, population, uses[source]))
        *_, bus, group = best
        labels_used[bus, group] += 1
        channels[source] = (bus, group, labels_used[bus, group])
        for target, count in uses[source].items():
            load[target, bus, group] += count
    return channels


def _no_channel(network: Network, population: Population, targets: dict[Target, int]) -> str:
    sources = sum(p.size for p in network.populations)
    names = ", ".join(sorted({network.population(key).name for key, _ in targets}))
    return (
        f"The events of {population.name} find no free synapse driver on their bus on the way to {names}: a bus "
        f"has {DRIVERS_PER_BUS} drivers per hemisphere and {GROUPS * LABELS_PER_GROUP} labels, and the network "
        f"has {sources} sources. The spikes of neurons in columns 64 n to 64 n + 63 share two of the four buses: "
        "place the sources of one layer in neighbouring columns, or use fewer of them."
    )


def _lay_rows(
    network: Network,
    placement: Placement,
    projection: Projection,
    channels: dict[Source, tuple[int, int, int]],
    labels: NDArray[np.uint8],
    row_mode: NDArray[np.uint8],
    filled: dict[tuple[Target, int, int], int],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Reserve a row pair for every source of a projection; return flat synapse indices (post, pre)."""
    circuits = placement[projection.post]
    side = np.asarray(hemisphere(circuits))
    pre_size = network.population(projection.pre).size
    excitatory = np.empty((circuits.size, pre_size), dtype=np.int64)
    for target in _targets(placement, projection.post):
        members = np.flatnonzero(side == target[1])
        columns = circuits[members] % COLUMNS
        for i in range(pre_size):
            bus, group, label = channels[Source(projection.pre, i)]
            position = group + GROUPS * filled[target, bus, group]
            filled[target, bus, group] += 1
            row = 2 * (BUSES * position + bus)
            row_mode[target[1], row], row_mode[target[1], row + 1] = RowMode.EXCITATORY, RowMode.INHIBITORY
            labels[target[1], row : row + 2, columns] = label
            excitatory[members, i] = (target[1] * ROWS + row) * COLUMNS + columns
    return excitatory, excitatory + COLUMNS
