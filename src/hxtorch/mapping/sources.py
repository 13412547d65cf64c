"""The network as the router sees it: numbered sources, listeners and the connections between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxtorch.mapping.errors import MappingError
from hxtorch.mapping.network import MAX_SIGNED_INPUTS, Network, NeuronPopulation
from hxtorch.mapping.placement import Placement
from hxtorch.mapping.resizing import counted
from hxtorch.twin.places.coordinates import EVENT_OUTPUTS, event_output

Array = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Sources:
    """Sources that somebody listens to, and who listens.

    * `number`: population key -> number of the source of every member, -1 for those that nobody hears.
    * `on_chip` (sources,): whether a source is a neuron, and then its event `output`.
    * `listener`, `source`, `amount` (entries,): connections; a listener is a population whose neurons all
      hear the same, else a neuron. Those of projection p are ``entries[p]``.
    * `listener_population`, `circuits` (listeners,): whose neurons they are, and circuits per neuron.
    * `per_neuron`: population key -> whether each of its neurons is a listener of its own.
    * `silent_per_output` (8,): neurons that fire though nobody hears them; `heard_outputs` (8,): outputs
      with a neuron that is heard.
    """

    number: dict[int, Array]
    on_chip: NDArray[np.bool_]
    output: Array
    listener: Array
    source: Array
    amount: Array
    entries: dict[int, slice]
    listener_population: Array
    circuits: Array
    per_neuron: dict[int, bool]
    silent_per_output: Array
    heard_outputs: NDArray[np.bool_]

    @property
    def count(self) -> int:
        """Number of sources."""
        return int(self.on_chip.size)


def sources_of(network: Network, placement: Placement) -> Sources:
    """Number sources and listeners. Raises `MappingError` if a neuron has more inputs than its circuits."""
    number: dict[int, Array] = {}
    on_chip: list[NDArray[np.bool_]] = []
    output: list[Array] = []
    silent = np.zeros(EVENT_OUTPUTS, dtype=np.int64)
    heard_outputs = np.zeros(EVENT_OUTPUTS, dtype=np.bool_)
    total = 0
    for key, heard in network.heard().items():
        numbers = np.full(heard.size, -1, dtype=np.int64)
        count = int(heard.sum())
        numbers[heard] = total + np.arange(count)
        total += count
        number[key] = numbers
        population = network.population(key)
        outputs = np.zeros(heard.size, dtype=np.int64)
        if isinstance(population, NeuronPopulation):
            outputs = np.asarray(event_output(placement[key][:, 0]), dtype=np.int64)
            heard_outputs[outputs[heard]] = True
            if population.spiking:
                silent += np.bincount(outputs[~heard], minlength=EVENT_OUTPUTS)
        on_chip.append(np.full(count, isinstance(population, NeuronPopulation)))
        output.append(outputs[heard])

    first: dict[int, int] = {}
    per_neuron: dict[int, bool] = {}
    owner: list[int] = []
    circuits: list[int] = []
    for population in network.neurons:
        into = network.into(population.key)
        per_neuron[population.key] = any(p.connections is not None for p in into)
        first[population.key] = len(owner)
        count = population.size if per_neuron[population.key] else 1
        owner += [population.key] * count
        circuits += [placement[population.key].shape[1]] * count

    listener: list[Array] = []
    source: list[Array] = []
    amount: list[Array] = []
    entries: dict[int, slice] = {}
    begin = 0
    for projection in network.projections:
        pre, post = number[projection.pre], network.population(projection.post)
        if projection.connections is not None:
            rows = first[post.key] + projection.connections.post
            sent = pre[projection.connections.pre]
        elif per_neuron[post.key]:
            rows = first[post.key] + np.repeat(np.arange(post.size), pre.size)
            sent = np.tile(pre, post.size)
        else:
            rows, sent = np.full(pre.size, first[post.key]), pre
        listener.append(rows)
        source.append(sent)
        amount.append(np.full(sent.size, projection.parallel))
        entries[projection.key] = slice(begin, begin + sent.size)
        begin += sent.size

    result = Sources(
        number,
        _joined(on_chip).astype(np.bool_),
        _joined(output),
        _joined(listener),
        _joined(source),
        _joined(amount),
        entries,
        np.asarray(owner, dtype=np.int64),
        np.asarray(circuits, dtype=np.int64),
        per_neuron,
        silent,
        heard_outputs,
    )
    _check_fan_in(network, result)
    return result


def _joined(parts: Sequence[NDArray[np.generic]]) -> Array:
    return np.concatenate([*parts, np.empty(0, dtype=np.int64)]).astype(np.int64)


def _check_fan_in(network: Network, sources: Sources) -> None:
    needed = np.bincount(sources.listener, sources.amount, minlength=sources.circuits.size)
    beyond = needed - MAX_SIGNED_INPUTS * sources.circuits
    if beyond.max(initial=0) <= 0:
        return
    worst = int(np.argmax(beyond))
    population = network.population(int(sources.listener_population[worst]))
    fan_in, circuits = int(needed[worst]), int(sources.circuits[worst])
    parts = ", ".join(
        f"{p.name}: {network.population(p.pre).size if p.connections is None else 'sparse'}"
        + (f" x {p.parallel}" if p.parallel > 1 else "")
        for p in network.into(population.key)
    )
    has = f"a neuron circuit has {MAX_SIGNED_INPUTS}"
    if circuits > 1:
        has = f"its {circuits} circuits have {circuits * MAX_SIGNED_INPUTS}"
    fewer = counted(int(beyond[worst]), "input")
    raise MappingError(
        f"A neuron of {population.name} needs {fan_in} signed inputs, but {has} ({parts}). "
        f"Smallest change that fits: {fewer} fewer, or {-(-fan_in // MAX_SIGNED_INPUTS)} "
        f"circuits per neuron, as neuron_structure=SingleCompartmentNeuron({-(-fan_in // MAX_SIGNED_INPUTS)}) or "
        "no neuron_structure at all gives."
    )
