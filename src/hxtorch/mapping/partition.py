"""Partition: spread a network that exceeds a chip over several runs, whose spikes are forwarded.

A layer of N neurons whose inputs take c circuits each needs ``ceil(N / floor(512 / c))`` runs (chip.md 1.5).
Layers share a run where that is possible: a layer can begin in the run in which the last part of its sources
runs, since those spikes reach it on the chip, and spikes of earlier runs are sent to it. Populations that feed
each other in a circle have to run together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hxtorch.mapping.errors import MappingError
from hxtorch.mapping.mapping import try_mapping
from hxtorch.mapping.network import (
    Connections,
    InputPopulation,
    Network,
    NeuronPopulation,
    Projection,
    Structure,
)
from hxtorch.mapping.packing import Member, Style, pack, with_more_circuits


@dataclass(frozen=True)
class PartProjection:
    """The synapses of projection `key` from sources ``pre`` to targets ``post`` (start, stop)."""

    key: int
    post: tuple[int, int]
    pre: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Part:
    """What one run of the chip emulates.

    `network` has keys of its own: `members` says which neurons its neuron populations are, `inputs` which
    input populations of the whole network it is sent, `forwarded` which neurons of earlier runs, and
    `projections` which synapses its projections are.
    """

    network: Network
    members: dict[int, Member]
    inputs: dict[int, int]
    forwarded: dict[int, Member]
    projections: dict[int, PartProjection]


_STYLES = (
    *(Style(circuits, share) for circuits in (512, 448, 384, 256) for share in (True, False)),
    *(Style(richness=richness) for richness in (2, 3, 4)),
)


@lru_cache(maxsize=16)
def partition(network: Network) -> tuple[Part, ...]:
    """Parts of a network, each of which fits a chip, in the order in which they run.

    A network that fits as a whole is one part. Raises `MappingError` if no partition is found, for example
    for populations in a circle that are too large for a chip.
    """
    try:
        try_mapping(network)
        return (whole(network),)
    except MappingError as error:
        reason = error
    try:
        pack(network)
    except MappingError as error:
        raise error from reason  # says more than that the whole does not fit
    for style in _STYLES:
        try:
            richer = with_more_circuits(network, style.richness)
            parts = parts_of(richer, pack(richer, style))
            for part in parts:
                try_mapping(part.network, quick=True)
        except MappingError as error:
            reason = error if style is _STYLES[0] else reason
            continue
        return parts
    raise reason


def whole(network: Network) -> Part:
    """The network as one part."""
    return parts_of(network, [[Member(p.key, 0, p.size) for p in network.neurons]])[0]


def by_group(network: Network, group: dict[int, int]) -> tuple[Part, ...]:
    """Parts by hand: the populations of a group run together; groups run after those whose spikes they need.

    `group` names the group of every neuron population. Groups that need each other: `MappingError`.
    """
    runs: list[list[Member]] = []
    waiting = list(dict.fromkeys(group[p.key] for p in network.neurons))
    needs: dict[int, set[int]] = {g: set() for g in waiting}
    for projection in network.projections:
        if projection.pre in group and group[projection.pre] != group[projection.post]:
            needs[group[projection.post]].add(group[projection.pre])
    done: set[int] = set()
    while waiting:
        ready = next((g for g in waiting if needs[g] <= done), None)
        if ready is None:
            names = ", ".join(p.name for p in network.neurons if group[p.key] in waiting)
            raise MappingError(
                f"The execution instances of {names} need each other's spikes. Instances run one after another: "
                "put populations that feed each other on the same instance."
            )
        waiting.remove(ready)
        done.add(ready)
        runs.append([Member(p.key, 0, p.size) for p in network.neurons if group[p.key] == ready])
    return parts_of(replace(network, is_part=len(runs) > 1), runs)


def parts_of(network: Network, runs: list[list[Member]]) -> tuple[Part, ...]:
    """Describe each run as a network of its own."""
    parts, earlier = [], dict[int, list[Member]]()
    for members in runs:
        parts.append(_part(network, members, earlier))
        for member in members:
            earlier.setdefault(member.key, []).append(member)
    return tuple(parts)


def _part(network: Network, here: list[Member], earlier: dict[int, list[Member]]) -> Part:
    neurons: list[NeuronPopulation] = []
    inputs: list[InputPopulation] = []
    projections: list[Projection] = []
    part = Part(Network(), {}, {}, {}, {})
    number: dict[Member | int, int] = {}  # key within the part
    structures = network.circuits_per_neuron()
    for member in here:
        population = network.population(member.key)
        assert isinstance(population, NeuronPopulation)
        number[member] = len(number)
        part.members[number[member]] = member
        neurons.append(_slice(population, member, number[member], structures[member.key]))

    def source(key: int, member: Member | None) -> int:
        """Key of a population that sends to this run: an input, or neurons of an earlier run."""
        name: Member | int = key if member is None else member
        if name not in number:
            number[name] = len(number)
            population = network.population(key)
            if member is None:
                part.inputs[number[name]] = key
                inputs.append(replace(population, key=number[name]))  # type: ignore[arg-type]  # an input
            else:
                part.forwarded[number[name]] = member
                some = "" if member.size == population.size else f" {member.start}-{member.stop - 1}"
                inputs.append(InputPopulation(number[name], f"the spikes of {population.name}{some}", member.size))
        return number[name]

    for target in here:
        for projection in network.into(target.key):
            pre = network.population(projection.pre)
            own = [m for m in here if m.key == projection.pre]
            if isinstance(pre, InputPopulation):
                pieces = [(source(pre.key, None), Member(pre.key, 0, pre.size))]
            else:
                pieces = [(number[m], m) for m in own]
                pieces += [(source(pre.key, m), m) for m in earlier.get(pre.key, [])]
            for key, member in pieces:
                cut = PartProjection(projection.key, (target.start, target.stop), (member.start, member.stop))
                part.projections[len(projections)] = cut
                projections.append(
                    Projection(
                        len(projections),
                        projection.name,
                        key,
                        number[target],
                        _cut(projection.connections, cut),
                        projection.parallel,
                    )
                )
    whole_network = Network(tuple(inputs), tuple(neurons), tuple(projections), network.avoid, network.is_part)
    return replace(part, network=whole_network)


def _slice(population: NeuronPopulation, member: Member, key: int, structure: Structure) -> NeuronPopulation:
    """The population of a member; its structure stays that of the whole, whose inputs it has."""
    if member.size == population.size:
        return replace(population, key=key)
    places = population.circuits
    return replace(
        population,
        key=key,
        size=member.size,
        record_madc=tuple(n - member.start for n in population.record_madc if member.start <= n < member.stop),
        circuits=None if places is None else places[member.start : member.stop],
        structure=structure,
    )


def _cut(connections: Connections | None, cut: PartProjection) -> Connections | None:
    if connections is None:
        return None
    kept: NDArray[np.bool_] = (
        (connections.post >= cut.post[0])
        & (connections.post < cut.post[1])
        & (connections.pre >= cut.pre[0])
        & (connections.pre < cut.pre[1])
    )
    return Connections(connections.post[kept] - cut.post[0], connections.pre[kept] - cut.pre[0])
