"""Shapes of neurons: how many circuits a neuron is made of, and how they lie on the chip."""

from __future__ import annotations

from hxtorch.snn.checks import positive_int
from hxtorch.twin.coordinates import (
    CIRCUITS,
    COLUMNS,
    AtomicNeuronOnDLS,
    AtomicNeuronOnLogicalNeuron,
    CompartmentOnLogicalNeuron,
    LogicalNeuronCompartments,
    LogicalNeuronOnDLS,
)


class Morphology:
    """Base of all shapes: a neuron of `compartments`."""

    def __init__(self, compartments: LogicalNeuronCompartments) -> None:
        if len(compartments) > 1:
            raise ValueError("Currently only neurons with a single compartment are supported.")
        self._compartments = compartments

    @property
    def compartments(self) -> LogicalNeuronCompartments:
        """The circuits of each compartment."""
        return self._compartments

    @property
    def logical_neuron(self) -> LogicalNeuronOnDLS:
        """A neuron of this shape at the first circuit of the chip."""
        return self.at(AtomicNeuronOnDLS(0))

    def at(self, anchor: AtomicNeuronOnDLS) -> LogicalNeuronOnDLS:
        """A neuron of this shape whose first circuit is `anchor`."""
        return LogicalNeuronOnDLS(self._compartments, anchor)


class SingleCompartmentNeuron(Morphology):
    """A neuron of `size` circuits on one membrane, for `size` times 128 inputs.

    The circuits fill both hemispheres column by column, in the order (0, 256), (1, 257), ..., or lie side by
    side in one hemisphere with `expand_horizontally`.
    """

    def __init__(self, size: int = 1, expand_horizontally: bool = False) -> None:
        self.size = positive_int("size", size)
        self.expand_horizontally = bool(expand_horizontally)
        limit = COLUMNS if self.expand_horizontally else CIRCUITS
        if self.size > limit:
            row = " side by side in a row" if self.expand_horizontally else ""
            raise ValueError(
                f"A neuron of {self.size} circuits does not fit: the chip has {limit}{row}. Use fewer."
            )
        places = range(self.size) if self.expand_horizontally else (k // 2 + COLUMNS * (k % 2) for k in range(size))
        circuits = [AtomicNeuronOnLogicalNeuron(place) for place in places]
        super().__init__(LogicalNeuronCompartments({CompartmentOnLogicalNeuron(0): circuits}))

    def __repr__(self) -> str:
        return f"SingleCompartmentNeuron({self.size}{', expand_horizontally=True' * self.expand_horizontally})"
