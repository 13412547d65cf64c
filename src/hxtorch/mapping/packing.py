"""Packing: which neurons share a run of the chip, by counting circuits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from hxtorch.mapping.errors import MappingError
from hxtorch.mapping.network import Network, NeuronPopulation, Structure
from hxtorch.mapping.resizing import counted, largest_that_fits
from hxtorch.twin.places.coordinates import CIRCUITS


@dataclass(frozen=True)
class Member:
    """The neurons ``start..stop-1`` of population `key`."""

    key: int
    start: int
    stop: int

    @property
    def size(self) -> int:
        """Number of neurons."""
        return self.stop - self.start


@dataclass(frozen=True)
class Style:
    """How to fill a run: up to `circuits`, and whether layers share one.

    With a `richness` above 1, neurons have so many times the circuits that their inputs need, for networks that
    are hard to route.
    """

    circuits: int = CIRCUITS
    share: bool = True
    richness: int = 1


def with_more_circuits(network: Network, richness: int) -> Network:
    """The network with so many times the circuits per neuron, where the user left their number open."""
    if richness == 1:
        return network
    structures = network.circuits_per_neuron()
    return replace(
        network,
        neurons=tuple(
            replace(p, structure=Structure(richness * structures[p.key].size))
            if p.structure is None and p.circuits is None
            else p
            for p in network.neurons
        ),
    )


def pack(network: Network, style: Style = Style()) -> list[list[Member]]:
    """Distribute the neurons over runs by counting circuits."""
    structures = network.circuits_per_neuron()
    runs: list[list[Member]] = []
    free: list[int] = []
    last: dict[int, int] = {}  # run of the last part of a population
    for circle in _circles(network):
        populations = [p for p in network.neurons if p.key in circle]
        sources = [q.pre for p in populations for q in network.into(p.key) if q.pre in last]
        run = max([last[key] for key in sources], default=0)
        if not style.share:
            run = len(runs)
        together = len(circle) > 1 or any(q.pre == q.post for p in populations for q in network.into(p.key))
        needed = sum(p.size * structures[p.key].size for p in populations)
        if together and needed > style.circuits:
            raise MappingError(_too_large_a_circle(network, populations, structures, needed))
        for population in populations:
            size, begin = structures[population.key].size, 0
            if size > style.circuits:
                raise MappingError(_too_large(network, population, structures[population.key]))
            while begin < population.size:
                if run == len(runs):
                    runs.append([])
                    free.append(style.circuits)
                count = min(population.size - begin, free[run] // size)
                fits = (
                    free[run] >= needed if together and begin == 0 and population is populations[0] else count > 0
                )
                if not fits:
                    run += 1
                    continue
                runs[run].append(Member(population.key, begin, begin + count))
                free[run] -= count * size
                begin += count
                last[population.key] = run
    return runs


def _too_large_a_circle(
    network: Network, populations: list[NeuronPopulation], structures: Mapping[int, Structure], needed: int
) -> str:
    names = ", ".join(p.name for p in populations)
    largest = max(populations, key=lambda p: p.size * structures[p.key].size)
    fits = largest_that_fits(network, largest, CIRCUITS, {p.key for p in populations})
    where = f" in {largest.name}" if len(populations) > 1 else ""
    change = f"Smallest change that fits: {counted(largest.size - fits, 'neuron')} fewer{where}." if fits else ""
    return (
        f"{names} feed{'s' if len(populations) == 1 else ''} back and must run at once, which needs {needed} "
        f"circuits, but the chip has {CIRCUITS}. {change or 'Use fewer neurons, or fewer inputs per neuron.'}"
    )


def _too_large(network: Network, population: NeuronPopulation, structure: Structure) -> str:
    return (
        f"A neuron of {population.name} needs {network.fan_in(population.key)} signed inputs and with them "
        f"{structure.size} circuits, but the chip has {CIRCUITS}. Use fewer inputs per neuron."
    )


def _circles(network: Network) -> list[list[int]]:
    """Populations that feed each other, every set after those that it hears."""
    keys = [p.key for p in network.neurons]
    index = {key: i for i, key in enumerate(keys)}
    reach = np.eye(len(keys), dtype=np.bool_)
    for q in network.projections:
        if q.pre in index:
            reach[index[q.pre], index[q.post]] = True
    for i in range(len(keys)):
        reach |= np.outer(reach[:, i], reach[i])
    both = reach & reach.T
    circles: list[list[int]] = []
    for i, key in enumerate(keys):
        if not any(key in circle for circle in circles):
            circles.append([keys[j] for j in np.flatnonzero(both[i])])
    depth = {key: int(reach[:, index[key]].sum()) for key in keys}  # ancestors: grows along every projection
    return sorted(circles, key=lambda circle: depth[circle[0]])
