"""What to say of a network that does not fit: what is needed, what there is, and the smallest change that fits."""

from __future__ import annotations

from collections.abc import Mapping

from hxtorch.mapping.errors import MappingError
from hxtorch.mapping.network import Network, NeuronPopulation, Structure
from hxtorch.mapping.packing import pack
from hxtorch.mapping.resizing import counted, largest_that_fits
from hxtorch.twin.places.coordinates import CIRCUITS


def no_room(
    network: Network, structures: Mapping[int, Structure], population: NeuronPopulation, placed: int
) -> str:
    """Message for a chip with too few circuits, on which `placed` neurons of a population found a place."""
    available = CIRCUITS - len(network.avoid)
    sizes = {p.key: structures[p.key].size for p in network.neurons}
    needed = sum(p.size * sizes[p.key] for p in network.neurons)
    layers = ", ".join(
        f"{p.name}: {p.size}" + (f" x {sizes[p.key]} = {p.size * sizes[p.key]}" if sizes[p.key] > 1 else "")
        for p in network.neurons
    )
    who = "The part of the network on one execution instance" if network.is_part else "The network"
    if needed <= available:
        return _not_side_by_side(network, structures[population.key], population, placed, needed, layers, who)
    largest = max(network.neurons, key=lambda p: p.size * sizes[p.key])
    changes = []
    fits = largest_that_fits(network, largest, available)
    if fits:
        where = f" in {largest.name}" if len(network.neurons) > 1 else ""
        changes.append(f"{counted(largest.size - fits, 'neuron')} fewer{where}")
    changes += _several_instances(network, largest)
    advice = (
        f"Smallest change that fits: {', or '.join(changes)}."
        if changes
        else "Use fewer neurons, or fewer inputs or circuits per neuron."
    )
    return f"{who} needs {needed} neuron circuits, but the chip has {available} ({layers}). {advice}"


def _not_side_by_side(
    network: Network,
    structure: Structure,
    population: NeuronPopulation,
    placed: int,
    needed: int,
    layers: str,
    who: str,
) -> str:
    changes = ["fewer circuits per neuron (neuron_structure)", "an execution instance of its own"]
    if structure.horizontal:
        changes.insert(0, "expand_horizontally=False")
    if any(p.circuits is not None for p in network.neurons):
        changes.insert(0, "other placement constraints, or none")
    return (
        f"{who} needs {needed} of {CIRCUITS - len(network.avoid)} neuron circuits ({layers}), but for "
        f"{population.size - placed} of the {population.size} neurons of {population.name} there are no "
        f"{structure.size} free circuits side by side{' in a row' * structure.horizontal}. "
        f"Changes that may fit: {', '.join(changes[:-1])}, or {changes[-1]}."
    )


def _several_instances(network: Network, largest: NeuronPopulation) -> list[str]:
    """Spreading a network over runs, if counting says that this is possible."""
    try:
        runs = pack(network)
    except MappingError:
        return []
    most = max(member.size for run in runs for member in run if member.key == largest.key)
    each = counted(most, "neuron") + (f" of {largest.name}" if len(network.neurons) > 1 else "")
    instances = counted(len(runs), "execution instance")
    if network.is_part:
        return [f"{instances} in its place, of at most {each} each"]
    return [f"{instances} of at most {each} each, as Experiment(partition=True) makes them"]
