"""Placement: which neuron circuits emulate which neuron.

Populations with a placement constraint come first. The others are placed first fit: neuron after neuron on
the first free circuits in the order 0..511; a neuron of several circuits uses both circuits of a column and
then the next column, or, if it is horizontal, neighbours in one hemisphere.

The columns of a neuron decide which PADI bus its spikes reach (chip.md 1.3), and large neurons need free
neighbours. Where first fit in the order of the network leaves no way to route, other orders are tried
(`ORDERS`); where none of them finds room, `DENSE` packs the chip as full as it gets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxtorch.mapping.advice import no_room
from hxtorch.mapping.errors import MappingError
from hxtorch.mapping.network import Network, NeuronPopulation, Structure
from hxtorch.twin.places.coordinates import CIRCUITS, COLUMNS, EVENT_OUTPUTS

Placement = dict[int, NDArray[np.int64]]
"""Population key -> circuits (size, circuits per neuron). The first circuit of a neuron fires and is recorded."""

OUTPUT_COLUMNS = COLUMNS // EVENT_OUTPUTS


@dataclass(frozen=True)
class Order:
    """In which order places are given.

    * `large_first`: populations of large neurons before those of small ones.
    * `spread`: consecutive neurons on different event outputs, so that every population reaches all buses.
    """

    large_first: bool = False
    spread: bool = False

    def place_of(self, structure: Structure) -> tuple[int, ...]:
        """What populations are sorted by; those of equal places keep the order of the network."""
        return (-structure.size,) if self.large_first else ()


@dataclass(frozen=True)
class ByShape(Order):
    """Neurons over both rows first, then those in one row, then single circuits; large ones before small ones.

    Of those over both rows, even numbers of circuits come before odd ones. Whole columns then lie side by side, and
    what fills one row does not cut the other into pieces: hardly a circuit is lost.
    """

    def place_of(self, structure: Structure) -> tuple[int, ...]:
        """What populations are sorted by."""
        single = structure.size == 1
        return single, structure.horizontal and not single, structure.size % 2, -structure.size


ORDERS = (Order(), Order(large_first=True), Order(large_first=True, spread=True))
DENSE = ByShape()  # for networks that find no room in any of them


def place(
    network: Network, structures: Mapping[int, Structure] | None = None, order: Order = ORDERS[0]
) -> Placement:
    """Give every neuron circuits of its own: constrained populations first, the others first fit.

    `structures` gives the circuits per neuron (default: `Network.circuits_per_neuron`). Raises `MappingError`
    if the chip is too small or two constraints collide.
    """
    if structures is None:
        structures = network.circuits_per_neuron()
    taken = bytearray(CIRCUITS)
    placement = _place_constrained(network, taken)
    for circuit in network.avoid:
        taken[circuit] = 1
    free = [p for p in network.neurons if p.key not in placement]
    for population in sorted(free, key=lambda p: order.place_of(structures[p.key])):
        structure = structures[population.key]
        candidates = _positions(structure, order.spread)
        rows: list[list[int]] = []
        for circuits in candidates:
            if len(rows) == population.size:
                break
            if not any(taken[c] for c in circuits):
                rows.append(circuits)
                for circuit in circuits:
                    taken[circuit] = 1
        if len(rows) < population.size:
            raise MappingError(no_room(network, structures, population, len(rows)))
        placement[population.key] = np.asarray(rows, dtype=np.int64)
    return {p.key: placement[p.key] for p in network.neurons}


def _place_constrained(network: Network, taken: bytearray) -> Placement:
    owner: dict[int, NeuronPopulation] = {}
    placement: Placement = {}
    for population in network.neurons:
        places = population.places
        if places is None:
            continue
        for circuit in places.reshape(-1).tolist():
            if not 0 <= circuit < CIRCUITS:
                raise MappingError(
                    f"{population.name} asks for circuit {circuit}, but the chip has circuits 0 to {CIRCUITS - 1}. "
                    "Correct its placement_constraint."
                )
            if taken[circuit]:
                raise MappingError(_taken(population, owner[circuit], circuit))
            taken[circuit], owner[circuit] = 1, population
        placement[population.key] = places
        _check_neighbours(population, places)
    return placement


def _taken(population: NeuronPopulation, owner: NeuronPopulation, circuit: int) -> str:
    if owner is population:
        return (
            f"{population.name} asks for circuit {circuit} twice. Give each neuron circuits of its own in "
            "placement_constraint."
        )
    return (
        f"{population.name} asks for circuit {circuit}, which {owner.name} occupies already. Choose disjoint "
        "placement constraints."
    )


def _check_neighbours(population: NeuronPopulation, places: NDArray[np.int64]) -> None:
    """The circuits of a neuron must be joined by switches: between neighbours, and within a column."""
    for circuits in places.tolist():
        if len(circuits) > 1 and len(_joined(circuits)) < len(circuits):
            raise MappingError(
                f"{population.name} asks for a neuron on the circuits {circuits}, but only neighbours in a row and "
                f"the two circuits of a column (n and n + {COLUMNS}) can be joined. Correct its "
                "placement_constraint."
            )


def _joined(circuits: list[int]) -> set[int]:
    """Circuits that can be reached from the first one over switches."""
    reached, todo = {circuits[0]}, [circuits[0]]
    while todo:
        c = todo.pop()
        column = c % COLUMNS
        near = {(c + COLUMNS) % CIRCUITS}
        near |= {c + 1} if column < COLUMNS - 1 else set()
        near |= {c - 1} if column > 0 else set()
        for other in near & set(circuits) - reached:
            reached.add(other)
            todo.append(other)
    return reached


def _positions(structure: Structure, spread: bool) -> Iterator[list[int]]:
    """All places of a neuron, in the order in which they are tried.

    Circuits are counted row by row for single and horizontal ones, else column by column, top before bottom.
    """
    size = structure.size
    by_column = not structure.horizontal and size > 1
    starts = np.arange(0, CIRCUITS - size + 1, 2 if by_column and size % 2 == 0 else 1)
    if not by_column:
        starts = starts[starts % COLUMNS <= COLUMNS - size]
    if spread:
        # whole neurons one behind the other, dealt out over the event outputs; what remains comes last
        per_output = 2 * OUTPUT_COLUMNS if by_column else OUTPUT_COLUMNS
        block, output = starts % per_output, starts // per_output
        starts = starts[np.lexsort((output, block, block % size != 0))]
    for start in starts.tolist():
        counted = range(start, start + size)
        yield [k // 2 + COLUMNS * (k % 2) for k in counted] if by_column else list(counted)
