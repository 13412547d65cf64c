"""Routing: addresses of all sources, and the synapse that makes every connection of a placed network.

The drivers of the chip fall into address classes (`hxtorch.mapping.classes`), every source gets a class and
a label in it, and every connection a driver of that class at one of the circuits of its neuron: the first
row of a driver is excitatory, the second inhibitory. Synapses of different sources share rows, since each
synapse picks its source by label.

Sources that are many compared with the inputs of a neuron may be given several addresses (`copies`): each
of their spikes is then sent once per address, and every neuron listens to the one that it has room for. Only
external sources can be sent twice; a neuron of the chip has one address, on the bus of its event output.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxtorch.mapping.addressing import Addressing
from hxtorch.mapping.assignment import Demand, demand_of, exchange, greedy, match_all, overfull
from hxtorch.mapping.classes import MOST_GROUPS, MOST_GROUPS_OF_NEURONS, Classes, classes
from hxtorch.mapping.errors import MappingError
from hxtorch.mapping.network import Network
from hxtorch.mapping.placement import Placement
from hxtorch.mapping.registers import Registers, lay
from hxtorch.mapping.resizing import counted
from hxtorch.mapping.sources import Sources, sources_of
from hxtorch.twin.places.coordinates import BUSES, LABELS

MOST_COPIES = 4
_QUICK, _THOROUGH = 6, 200  # rounds of exchanges
_HOPELESS = 100  # synapses too many, beyond which other plans come first
_SAMPLES = 24
_FEW_REPAIRS, _REPAIRS = 1_000, 20_000


class RoutingError(MappingError):
    """No addresses were found with which every neuron hears all of its sources.

    `key` is the population that has the least room; `facts` say what is short, `advice` what to change.
    """

    def __init__(self, facts: str, advice: str, key: int) -> None:
        super().__init__(f"{facts} {advice}")
        self.facts, self.key = facts, key


@dataclass(frozen=True)
class Plan:
    """How to route: `groups` address classes per bus, and `copies` addresses of every external source."""

    groups: int
    copies: int = 1


def route(
    network: Network, placement: Placement, plans: tuple[Plan, ...] | None = None, quick: bool = False
) -> Registers:
    """Find an address for every source and a synapse for every connection.

    Tries `plans` one after the other (default: `plans_for` the network) and raises `RoutingError` if none
    works; `quick`: without going on for long.
    """
    sources = sources_of(network, placement)
    if plans is None:
        plans = plans_for(network, sources)
        if not plans:
            raise MappingError(_too_many_sources(network, sources))
    for rounds in (_QUICK,) if quick else (_QUICK, _THOROUGH):
        for plan in plans:
            if rounds == _QUICK or plan.copies == 1:
                addressing = _search(sources, plan, rounds, _FEW_REPAIRS if quick else _REPAIRS)
                if addressing is not None:
                    return lay(network, placement, sources, addressing)
    fullest = int(np.argmax(_filling(sources)))
    key = int(sources.listener_population[fullest])
    advice = (
        f"Changes that may fit: fewer inputs per neuron in {network.population(key).name}, fewer sources, or "
        "several execution instances, with fewer neurons of more circuits each."
    )
    raise RoutingError(_no_route(network, sources, fullest), advice, key)


def plans_for(network: Network, sources: Sources) -> tuple[Plan, ...]:
    """Plans worth a try: the fewest classes that tell all sources apart, then more classes or more copies."""
    neurons, external = int(sources.on_chip.sum()), int((~sources.on_chip).sum())
    most = MOST_GROUPS_OF_NEURONS if neurons else MOST_GROUPS
    plans = []
    copies = 1
    sparse = any(projection.connections is not None for projection in network.projections)
    while copies <= (MOST_COPIES if sparse and external else 1):
        needed = -(-(neurons + copies * external) // (BUSES * LABELS))
        groups = 1 << max(0, needed - 1).bit_length()
        # with one copy, more classes only help where buses are filled unevenly
        options = (groups, 2 * groups) if copies == 1 else (groups,)
        plans += [Plan(g, copies) for g in options if g <= most and (g == groups or neurons)]
        copies *= 2
    return tuple(plans)


def _search(sources: Sources, plan: Plan, rounds: int, repairs: int) -> Addressing | None:
    parts = classes(plan.groups)
    demand = demand_of(
        sources.listener, sources.source, sources.amount, sources.count,
        sources.circuits * parts.drivers_per_class,
    )  # fmt: skip
    allowed = np.ones((sources.count, parts.count), dtype=np.bool_)
    allowed[sources.on_chip] = parts.of_output[sources.output[sources.on_chip]]
    used = np.zeros(parts.count, dtype=np.int64)
    _reserve_silent(sources, parts, used)
    if used.max(initial=0) > LABELS:
        return None
    if plan.copies == 1:
        chosen = _single(sources, demand, allowed, used, rounds)
        if chosen is None:
            return None
        return Addressing(parts, chosen[:, None], chosen[demand.source], demand)
    choices = _several(sources, allowed, used, plan.copies)
    if choices is None:
        return None
    taken = np.full(demand.source.size, -1, dtype=np.int64)
    if match_all(demand, choices, used, LABELS, taken, repairs, 1) > 0:
        return None
    return Addressing(parts, _only_needed(choices, taken, demand), taken, demand)


def _reserve_silent(sources: Sources, parts: Classes, used: NDArray[np.int64]) -> None:
    """Labels that are kept free for neurons that fire, but are heard by nobody, see `registers`."""
    if parts.groups > 2:  # with fewer, bit 7 of the label tells them apart
        for output, count in enumerate(sources.silent_per_output):
            if count and sources.heard_outputs[output]:
                options = np.flatnonzero(parts.of_output[output])
                for _ in range(count):
                    used[options[np.argmin(used[options])]] += 1


def _single(
    sources: Sources, demand: Demand, allowed: NDArray[np.bool_], used: NDArray[np.int64], rounds: int
) -> NDArray[np.int64] | None:
    """One class per source: greedy, then exchanges; None if that leaves a cell overfull."""
    chosen = np.full(sources.count, -1, dtype=np.int64)
    load = np.zeros((demand.capacity.size, used.size), dtype=np.int64)
    degree = np.diff(demand.source_first)
    order = np.lexsort((-degree, ~sources.on_chip))  # neurons, which are bound to a bus, first
    if greedy(demand, allowed, order, LABELS, load, used, chosen) >= 0:
        return None
    beyond = overfull(demand, load)
    if rounds == _QUICK and beyond > _HOPELESS:
        return None
    if beyond and exchange(demand, allowed, LABELS, load, used, chosen, rounds, _SAMPLES, 0):
        return None
    return chosen


def _several(
    sources: Sources, allowed: NDArray[np.bool_], used: NDArray[np.int64], copies: int
) -> NDArray[np.int64] | None:
    """Several classes per external source, spread at random over the emptiest; None if labels run out."""
    random = np.random.default_rng(0)
    choices = np.full((sources.count, copies), -1, dtype=np.int64)
    for s in np.lexsort((random.random(sources.count), ~sources.on_chip)):
        count = 1 if sources.on_chip[s] else copies
        options = np.flatnonzero(allowed[s] & (used < LABELS))
        if options.size < count:
            return None
        chosen = options[np.lexsort((random.random(options.size), used[options]))[:count]]
        choices[s, :count] = chosen
        used[chosen] += 1
    return choices


def _only_needed(choices: NDArray[np.int64], taken: NDArray[np.int64], demand: Demand) -> NDArray[np.int64]:
    """Choices without the copies that no listener uses."""
    needed = np.zeros((choices.shape[0], int(choices.max()) + 1), dtype=np.bool_)
    needed[demand.source, taken] = True
    kept = np.where(needed[np.arange(choices.shape[0])[:, None], choices] & (choices >= 0), choices, -1)
    order = np.argsort(kept < 0, axis=1, kind="stable")
    return np.take_along_axis(kept, order, axis=1)


def _filling(sources: Sources) -> NDArray[np.float64]:
    """Synapses per circuit that every listener needs."""
    return np.asarray(np.bincount(sources.listener, sources.amount, sources.circuits.size) / sources.circuits)


def _heard_counts(network: Network) -> str:
    counts = {network.population(key).name: int(heard.sum()) for key, heard in network.heard().items()}
    return ", ".join(f"{name}: {count}" for name, count in counts.items() if count)


def _too_many_sources(network: Network, sources: Sources) -> str:
    """Message for a chip with too few addresses."""
    external = int((~sources.on_chip).sum())
    most = classes(MOST_GROUPS_OF_NEURONS if external < sources.count else MOST_GROUPS).labels
    change = f"{counted(sources.count - most, 'source')} fewer"
    if external < sources.count and external <= classes(MOST_GROUPS).labels:
        change += ", or neurons that are heard on an execution instance before the one that hears them"
    return (
        f"{sources.count} sources are heard ({_heard_counts(network)}), but the chip tells {most} apart"
        f"{' where neurons of the chip are among them' if external < sources.count else ''}. "
        f"Smallest change that fits: {change}."
    )


def _no_route(network: Network, sources: Sources, fullest: int) -> str:
    name = network.population(int(sources.listener_population[fullest])).name
    circuits = int(sources.circuits[fullest])
    needed = round(float(_filling(sources)[fullest]) * circuits)
    columns = " Neurons of 64 neighbouring columns (0 to 63, ...) send over two of the buses only."
    return (
        f"The spikes of {sources.count} sources ({_heard_counts(network)}) do not all find a way to {name}: one of "
        f"its neurons needs {needed} signed inputs, and its {counted(circuits, 'circuit')} "
        f"{'has' if circuits == 1 else 'have'} {32 * circuits} synapse drivers on each of the {BUSES} buses. A bus "
        f"tells {LABELS} sources apart for each address class, and more classes leave fewer drivers to each."
        f"{columns if sources.on_chip.any() else ''}"
    )
