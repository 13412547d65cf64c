"""How many neurons of a population would fit, for messages of what does not."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from hxtorch.mapping.errors import MappingError
from hxtorch.mapping.network import Connections, Network, NeuronPopulation, Projection
from hxtorch.twin.places.coordinates import CIRCUITS


def counted(number: int, what: str) -> str:
    """A number with its noun, "1 neuron" or "3 neurons"."""
    return f"{number} {what}{'s' * (number != 1)}"


def largest_that_fits(
    network: Network, population: NeuronPopulation, available: int = CIRCUITS, among: Collection[int] | None = None
) -> int:
    """With how many neurons of a population the network needs no more circuits than `available`; 0: none.

    `among` are the keys of the populations that count (default: all).
    """
    low, high = 0, population.size
    while high - low > 1:
        middle = (low + high) // 2
        if _circuits(_resized(network, population, middle), among) <= available:
            low = middle
        else:
            high = middle
    return low


def _circuits(network: Network, among: Collection[int] | None) -> int:
    try:
        structures = network.circuits_per_neuron()
    except MappingError:
        return CIRCUITS + 1
    return sum(p.size * structures[p.key].size for p in network.neurons if among is None or p.key in among)


def _resized(network: Network, population: NeuronPopulation, size: int) -> Network:
    """The network with the first `size` neurons of a population."""
    smaller = replace(
        population,
        size=size,
        circuits=None if population.circuits is None else population.circuits[:size],
        record_madc=tuple(n for n in population.record_madc if n < size),
    )
    return replace(
        network,
        neurons=tuple(smaller if p.key == population.key else p for p in network.neurons),
        projections=tuple(_cut(p, population.key, size) for p in network.projections),
    )


def _cut(projection: Projection, key: int, size: int) -> Projection:
    links = projection.connections
    if links is None or key not in (projection.pre, projection.post):
        return projection
    kept = ((links.post < size) | (projection.post != key)) & ((links.pre < size) | (projection.pre != key))
    return replace(projection, connections=Connections(links.post[kept], links.pre[kept]))
