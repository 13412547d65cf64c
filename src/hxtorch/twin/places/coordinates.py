"""Places on the chip: how many circuits, rows, drivers and buses there are, and how they are numbered.

Circuit ``c`` (0..511) sits in hemisphere ``c // 256`` (0 top, 1 bottom) and column ``c % 256``; the four
quadrants are numbered top left, top right, bottom left, bottom right (chip.md 1.1).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import total_ordering
from operator import index
from typing import ClassVar, SupportsIndex, TypeVar

import numpy as np
from numpy.typing import NDArray

HEMISPHERES = 2
COLUMNS = 256
CIRCUITS = HEMISPHERES * COLUMNS
QUADRANTS = 4
ROWS = 256  # synapse rows per hemisphere
DRIVERS = 128  # synapse drivers per hemisphere; driver d drives the rows 2 d and 2 d + 1
BUSES = 4  # PADI bus indices; each exists once per hemisphere
DRIVERS_PER_BUS = DRIVERS // BUSES  # 32 positions on a bus
LABELS = 64  # 6-bit synapse labels
EVENT_OUTPUTS = 8  # each collects the events of 32 neighbouring columns of both hemispheres

MAX_WEIGHT = 63
MAX_CAPMEM_CODE = 1022  # code 1023 switches the refresh of a cell off
MAX_CAPACITANCE_CODE = 63

CYCLES_PER_US = 125  # FPGA clock: 8 ns
COUNTER_LIMIT = 255  # 8-bit spike counter of a neuron
MAX_RUNTIME_CYCLES = 2**32 - 1  # 32-bit experiment timer


def hemisphere(circuit: NDArray[np.integer] | int) -> NDArray[np.integer] | int:
    """Hemisphere (0 top, 1 bottom) of a circuit."""
    return circuit // COLUMNS


def column(circuit: NDArray[np.integer] | int) -> NDArray[np.integer] | int:
    """Column 0..255 of a circuit."""
    return circuit % COLUMNS


def quadrant(circuit: NDArray[np.integer] | int) -> NDArray[np.integer] | int:
    """Quadrant 0..3 (top left, top right, bottom left, bottom right) of a circuit."""
    return circuit // (CIRCUITS // QUADRANTS)


def event_output(circuit: NDArray[np.integer] | int) -> NDArray[np.integer] | int:
    """Neuron event output 0..7 that carries the spikes of a circuit."""
    return column(circuit) // (COLUMNS // EVENT_OUTPUTS)


def output_bus(circuit: NDArray[np.integer] | int) -> NDArray[np.integer] | int:
    """The only PADI bus index that the spikes of a circuit can reach (chip.md 1.3)."""
    return event_output(circuit) % BUSES


def driver_bus(driver: NDArray[np.integer] | int) -> NDArray[np.integer] | int:
    """PADI bus that a synapse driver listens to."""
    return driver % BUSES


def driver_position(driver: NDArray[np.integer] | int) -> NDArray[np.integer] | int:
    """Position 0..31 of a synapse driver on its bus, against which the row select of an event is compared."""
    return driver // BUSES


# --- Places as objects: the names that scripts for the chip know, also importable as dlens_vx_v3.halco -------


@total_ordering
class Ranged:
    """A number from 0 to ``size - 1`` that says what it counts. Numbers of different kinds are never equal."""

    size: ClassVar[int]

    def __init__(self, value: int | Enum = 0) -> None:
        number = value.value if isinstance(value, Enum) else value
        if isinstance(number, bool) or not isinstance(number, int | np.integer):
            raise TypeError(f"{type(self).__name__} takes a whole number, got {value!r}.")
        if not 0 <= number < self.size:
            raise ValueError(f"{type(self).__name__} is 0 to {self.size - 1}, got {int(number)}.")
        self._value = int(number)

    @property
    def value(self) -> int:
        """The number."""
        return self._value

    def toEnum(self) -> Enum:  # noqa: N802  # name of the interface
        """The number as an `Enum`."""
        return Enum(self._value)

    def __int__(self) -> int:
        return self._value

    __index__ = __int__

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and int(other) == self._value

    def __lt__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._value < int(other)

    def __hash__(self) -> int:
        return hash((type(self).__name__, self._value))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._value})"


class Enum(Ranged):
    """A plain number, with which any place can be constructed."""

    size = 2**31

    def __init__(self, value: int = 0) -> None:
        if isinstance(value, Enum):
            value = value.value
        super().__init__(value)


class HemisphereOnDLS(Ranged):
    """Hemisphere: 0 top, 1 bottom."""

    size = HEMISPHERES


class NeuronRowOnDLS(Ranged):
    """Row of neuron circuits: 0 top, 1 bottom."""

    size = HEMISPHERES


class NeuronColumnOnDLS(Ranged):
    """Column of neuron circuits."""

    size = COLUMNS


class NeuronEventOutputOnDLS(Ranged):
    """Event output of 32 neighbouring columns."""

    size = EVENT_OUTPUTS


class SynapseRowOnSynram(Ranged):
    """Synapse row of a hemisphere."""

    size = ROWS


class SynapseDriverOnSynapseDriverBlock(Ranged):
    """Synapse driver of a hemisphere."""

    size = DRIVERS


class AtomicNeuronOnDLS(Ranged):
    """One neuron circuit: from its number 0..511, or from its column and row in either order."""

    size = CIRCUITS

    def __init__(self, *place: int | Enum | NeuronRowOnDLS | NeuronColumnOnDLS) -> None:
        if len(place) == 2:
            by_type = {type(item): int(item) for item in place}
            if set(by_type) != {NeuronRowOnDLS, NeuronColumnOnDLS}:
                raise TypeError("AtomicNeuronOnDLS takes a number, or a NeuronColumnOnDLS and a NeuronRowOnDLS.")
            super().__init__(by_type[NeuronRowOnDLS] * COLUMNS + by_type[NeuronColumnOnDLS])
            return
        if len(place) > 1:
            raise TypeError(f"AtomicNeuronOnDLS takes one or two arguments, got {len(place)}.")
        super().__init__(*place)  # type: ignore[arg-type]  # checked there

    def toNeuronColumnOnDLS(self) -> NeuronColumnOnDLS:  # noqa: N802
        """Its column."""
        return NeuronColumnOnDLS(self._value % COLUMNS)

    def toNeuronRowOnDLS(self) -> NeuronRowOnDLS:  # noqa: N802
        """Its row."""
        return NeuronRowOnDLS(self._value // COLUMNS)


class CompartmentOnLogicalNeuron(Ranged):
    """Number of a compartment within a neuron."""

    size = CIRCUITS


class AtomicNeuronOnLogicalNeuron(Ranged):
    """A circuit within a neuron, counted like circuits of the chip from the neuron's first column."""

    size = CIRCUITS

    def __init__(self, *place: int | Enum | NeuronRowOnDLS | NeuronColumnOnDLS) -> None:
        super().__init__(int(AtomicNeuronOnDLS(*place)))


class LogicalNeuronCompartments:
    """The circuits of each compartment of a neuron: a dict compartment -> circuits within the neuron."""

    def __init__(
        self, compartments: Mapping[CompartmentOnLogicalNeuron, Sequence[AtomicNeuronOnLogicalNeuron]]
    ) -> None:
        self._compartments = {key: tuple(circuits) for key, circuits in compartments.items()}
        if not any(self._compartments.values()):
            raise ValueError("A neuron has at least one compartment with one circuit.")

    def get_compartments(self) -> dict[CompartmentOnLogicalNeuron, tuple[AtomicNeuronOnLogicalNeuron, ...]]:
        """Circuits by compartment."""
        return dict(self._compartments)

    def __len__(self) -> int:
        return len(self._compartments)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LogicalNeuronCompartments) and other._compartments == self._compartments

    def __hash__(self) -> int:
        return hash(tuple(sorted((int(key), tuple(map(int, c))) for key, c in self._compartments.items())))

    def __repr__(self) -> str:
        parts = {int(key): [int(c) for c in circuits] for key, circuits in self._compartments.items()}
        return f"LogicalNeuronCompartments({parts})"


class LogicalNeuronOnDLS:
    """A neuron of one or several circuits at a place: its compartments, put down at the circuit `anchor`."""

    def __init__(self, compartments: LogicalNeuronCompartments, anchor: AtomicNeuronOnDLS) -> None:
        row, col = int(anchor) // COLUMNS, int(anchor) % COLUMNS
        self._placed: dict[CompartmentOnLogicalNeuron, list[AtomicNeuronOnDLS]] = {}
        for key, circuits in compartments.get_compartments().items():
            self._placed[key] = [
                AtomicNeuronOnDLS(
                    NeuronColumnOnDLS(col + int(c) % COLUMNS),
                    NeuronRowOnDLS((row + int(c) // COLUMNS) % HEMISPHERES),
                )
                for c in circuits
            ]

    def get_placed_compartments(self) -> dict[CompartmentOnLogicalNeuron, list[AtomicNeuronOnDLS]]:
        """Circuits of the chip by compartment."""
        return {key: list(circuits) for key, circuits in self._placed.items()}

    def get_atomic_neurons(self) -> list[AtomicNeuronOnDLS]:
        """All circuits, the first one first."""
        return [circuit for circuits in self._placed.values() for circuit in circuits]

    @property
    def circuits(self) -> tuple[int, ...]:
        """Numbers of all circuits."""
        return tuple(int(circuit) for circuit in self.get_atomic_neurons())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LogicalNeuronOnDLS) and other._placed == self._placed

    def __hash__(self) -> int:
        return hash(self.circuits)

    def __repr__(self) -> str:
        return f"LogicalNeuronOnDLS({list(self.circuits)})"


PlaceLike = SupportsIndex | LogicalNeuronOnDLS | Sequence[SupportsIndex] | NDArray[np.integer]


def circuits_of(place: PlaceLike) -> tuple[int, ...]:
    """Circuit numbers of a place: a number, circuit, logical neuron or sequence of numbers; else TypeError."""
    if isinstance(place, LogicalNeuronOnDLS):
        return place.circuits
    if isinstance(place, np.ndarray):
        return tuple(int(item) for item in place.reshape(-1))
    if isinstance(place, Sequence) and not isinstance(place, str):
        return tuple(_circuit_number(item) for item in place)
    return (_circuit_number(place),)


def _circuit_number(place: object) -> int:
    if hasattr(place, "__index__") and not isinstance(place, bool | np.bool_):
        return index(place)
    raise TypeError(
        f"{place!r} is no place for a neuron. Give the number of a circuit, 0 to {CIRCUITS - 1}, an "
        "AtomicNeuronOnDLS, a LogicalNeuronOnDLS, or the circuits of the neuron in a tuple."
    )


R = TypeVar("R", bound=Ranged)


def iter_all(kind: type[R]) -> Iterator[R]:
    """All places of a kind."""
    return (kind(number) for number in range(kind.size))
