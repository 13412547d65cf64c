"""Places of neurons by number, for scripts that want to know or choose them before a network runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import overload

from hxtorch.snn.morphology.morphology import Morphology, SingleCompartmentNeuron
from hxtorch.twin.places.coordinates import (
    CIRCUITS,
    AtomicNeuronOnDLS,
    LogicalNeuronCompartments,
    LogicalNeuronOnDLS,
)


class NeuronPlacement:
    """Gives neuron numbers places on the chip, first fit over the circuits 0..511."""

    def __init__(self) -> None:
        self._places: dict[int, LogicalNeuronOnDLS] = {}
        self._taken: set[int] = set()

    def register_id(
        self,
        neuron_id: int | Iterable[int],
        shape: Morphology | LogicalNeuronCompartments | None = None,
        placement_constraint: LogicalNeuronOnDLS | Sequence[LogicalNeuronOnDLS] | None = None,
    ) -> None:
        """Place neurons of a shape (default: one circuit), at the given places if there are any.

        ValueError if the chip is full, or a place is taken.
        """
        ids = [neuron_id] if isinstance(neuron_id, int) else list(neuron_id)
        if shape is None:
            shape = SingleCompartmentNeuron(1)
        compartments = shape.compartments if isinstance(shape, Morphology) else shape
        if placement_constraint is not None:
            given = placement_constraint
            places = [given] if isinstance(given, LogicalNeuronOnDLS) else list(given)
            if len(places) != len(ids):
                raise ValueError(f"There are {len(ids)} neurons, but {len(places)} places for them.")
            for number, place in zip(ids, places, strict=True):
                if self._taken & set(place.circuits):
                    raise ValueError(
                        f"Cannot register LogicalNeuron {place}. One of its circuits is taken already."
                    )
                self._put(number, place)
            return
        for number in ids:
            found = self._first_fit(compartments)
            if found is None:
                raise ValueError(f"Cannot register ID {number}. The chip has no room for it.")
            self._put(number, found)

    def _put(self, number: int, place: LogicalNeuronOnDLS) -> None:
        self._places[number] = place
        self._taken |= set(place.circuits)

    def _first_fit(self, compartments: LogicalNeuronCompartments) -> LogicalNeuronOnDLS | None:
        for anchor in range(CIRCUITS):
            try:
                place = LogicalNeuronOnDLS(compartments, AtomicNeuronOnDLS(anchor))
            except ValueError:  # reaches over the edge of the chip
                continue
            if not self._taken & set(place.circuits):
                return place
        return None

    @overload
    def id2logicalneuron(self, neuron_id: int) -> LogicalNeuronOnDLS: ...

    @overload
    def id2logicalneuron(self, neuron_id: Iterable[int] | None = None) -> list[LogicalNeuronOnDLS]: ...

    def id2logicalneuron(
        self, neuron_id: int | Iterable[int] | None = None
    ) -> LogicalNeuronOnDLS | list[LogicalNeuronOnDLS]:
        """Place of a neuron, or places of several (None: all). KeyError for a number that has none."""
        if isinstance(neuron_id, int):
            return self._places[neuron_id]
        return [self._places[number] for number in (self._places if neuron_id is None else neuron_id)]
