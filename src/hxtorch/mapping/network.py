"""Description of a network in terms that a chip understands: populations and projections between them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hxtorch.mapping.errors import MappingError
from hxtorch.twin.frozen import frozen
from hxtorch.twin.places.coordinates import CIRCUITS, DRIVERS

MAX_SIGNED_INPUTS = DRIVERS
"""Signed inputs of one neuron circuit: each takes the two rows of a driver (chip.md 1.5)."""

Place = int | tuple[int, ...]


@dataclass(frozen=True)
class InputPopulation:
    """`size` external spike sources; `name` is what messages call it."""

    key: int
    name: str
    size: int

    def __post_init__(self) -> None:
        _check_size(self)


@dataclass(frozen=True)
class Structure:
    """How many circuits a neuron is made of, and how they lie.

    They share one membrane. `horizontal` ones lie side by side in one hemisphere; others use both circuits
    of a column before they go on to the next.
    """

    size: int = 1
    horizontal: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.size <= CIRCUITS or (self.horizontal and self.size > CIRCUITS // 2):
            raise MappingError(
                f"A neuron of {self.size} circuits {'in a row ' if self.horizontal else ''}does not fit the chip, "
                f"which has {CIRCUITS} circuits in two rows."
            )


@dataclass(frozen=True)
class NeuronPopulation:
    """`size` neurons and what to record of them.

    `spiking` switches the threshold on; `record_madc` lists neuron indices. `structure` gives the circuits
    of a neuron; None: as many as its inputs need. `circuits` fixes the placement: per neuron a circuit, or
    all of its circuits, of which the first one fires and is recorded.
    """

    key: int
    name: str
    size: int
    spiking: bool = True
    record_spikes: bool = True
    record_cadc: bool = True
    cadc_in_dram: bool = False
    record_madc: tuple[int, ...] = ()
    circuits: tuple[Place, ...] | None = None
    structure: Structure | None = Structure()

    def __post_init__(self) -> None:
        _check_size(self)
        if self.circuits is not None and len(self.circuits) != self.size:
            raise MappingError(
                f"{self.name} has {self.size} neurons, but its placement constraint names {len(self.circuits)} "
                "circuits. Name one for each neuron."
            )
        for neuron in self.record_madc:
            if not 0 <= neuron < self.size:
                raise MappingError(
                    f"{self.name} is to record neuron {neuron} with the MADC, but has neurons 0 to {self.size - 1}."
                )

    @cached_property
    def places(self) -> NDArray[np.int64] | None:
        """The fixed circuits (size, circuits per neuron), or None."""
        if self.circuits is None:
            return None
        rows = [(place,) if isinstance(place, int | np.integer) else tuple(place) for place in self.circuits]
        if len({len(row) for row in rows}) != 1 or not rows[0]:
            raise MappingError(
                f"{self.name} has neurons of unequal numbers of circuits in its placement constraint. Give all "
                "neurons of a population the same."
            )
        return np.asarray(rows, dtype=np.int64)


Population = InputPopulation | NeuronPopulation


@dataclass(frozen=True, eq=False)
class Connections:
    """Which synapses a sparse projection has: `post` and `pre` (n,), sorted by post, then pre, each pair once."""

    post: NDArray[np.int64]
    pre: NDArray[np.int64]

    @classmethod
    def of(cls, exists: NDArray[np.bool_]) -> Connections:
        """Connections from a matrix (post, pre) that is true where a synapse exists."""
        post, pre = np.nonzero(exists)
        return cls(post.astype(np.int64), pre.astype(np.int64))

    def __post_init__(self) -> None:
        # networks with connections are kept by their content
        object.__setattr__(self, "post", frozen(self.post))
        object.__setattr__(self, "pre", frozen(self.pre))

    @cached_property
    def _key(self) -> tuple[bytes, bytes]:
        return self.post.tobytes(), self.pre.tobytes()

    @cached_property
    def _hash(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Connections) and self._key == other._key)

    def __hash__(self) -> int:
        return self._hash


@dataclass(frozen=True)
class Projection:
    """Signed synapses from population `pre` to population `post` (their keys).

    All-to-all, or those of `connections`. A synapse takes `parallel` row pairs, for weights up to 63 times
    that number.
    """

    key: int
    name: str
    pre: int
    post: int
    connections: Connections | None = None
    parallel: int = 1

    def __post_init__(self) -> None:
        if self.parallel < 1:
            raise MappingError(f"{self.name} has {self.parallel} parallel rows, but a synapse needs at least one.")


def _check_size(population: Population) -> None:
    if population.size < 1:
        raise MappingError(f"{population.name} has {population.size} members, but a population has at least one.")


@dataclass(frozen=True)
class Network:
    """A network for one chip; hashable, so that equal structures are mapped once.

    `avoid` lists circuits that are used only where a population asks for them. `is_part` says that there are more
    execution instances, for messages.
    """

    inputs: tuple[InputPopulation, ...] = ()
    neurons: tuple[NeuronPopulation, ...] = ()
    projections: tuple[Projection, ...] = ()
    avoid: tuple[int, ...] = ()
    is_part: bool = field(default=False, compare=False)
    _by_key: dict[int, Population] = field(init=False, repr=False, compare=False, hash=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._by_key.update({p.key: p for p in self.populations})
        if len(self._by_key) != len(self.populations):
            raise MappingError("Two populations of the network have the same key. Give each its own.")
        neurons = {p.key for p in self.neurons}
        for projection in self.projections:
            if projection.pre not in self._by_key or projection.post not in neurons:
                raise MappingError(
                    f"{projection.name} connects {projection.pre} to {projection.post}, but the network has no "
                    "such source and neurons."
                )
            links = projection.connections
            if links is not None and links.post.size:
                shape = self.population(projection.post).size, self.population(projection.pre).size
                if int(links.post.max()) >= shape[0] or int(links.pre.max()) >= shape[1]:
                    raise MappingError(f"{projection.name} has a connection outside of {shape} (post, pre).")

    @property
    def populations(self) -> tuple[Population, ...]:
        """Inputs and neurons."""
        return (*self.inputs, *self.neurons)

    def population(self, key: int) -> Population:
        """Population of a key."""
        return self._by_key[key]

    def into(self, key: int) -> tuple[Projection, ...]:
        """Projections that end in a population."""
        return tuple(p for p in self.projections if p.post == key)

    def fan_in(self, key: int) -> int:
        """Signed inputs that the neuron of a population with the most inputs needs."""
        dense, sparse = 0, np.zeros(self.population(key).size, dtype=np.int64)
        for projection in self.into(key):
            if projection.connections is None:
                dense += projection.parallel * self.population(projection.pre).size
            else:
                counts = np.bincount(projection.connections.post, minlength=sparse.size)
                sparse += projection.parallel * counts
        return dense + int(sparse.max())

    def circuits_per_neuron(self) -> dict[int, Structure]:
        """Structure of the neurons of every population; where none is given, the smallest that hears all inputs."""
        structures: dict[int, Structure] = {}
        for population in self.neurons:
            if population.places is not None:
                structures[population.key] = Structure(population.places.shape[1])
            elif population.structure is not None:
                structures[population.key] = population.structure
            else:
                fan_in = self.fan_in(population.key)
                circuits = max(1, -(-fan_in // MAX_SIGNED_INPUTS))
                if circuits > CIRCUITS:
                    raise MappingError(
                        f"A neuron of {population.name} needs {fan_in} signed inputs and with them {circuits} "
                        f"circuits, but the chip has {CIRCUITS}. Use at most {MAX_SIGNED_INPUTS * CIRCUITS} inputs."
                    )
                structures[population.key] = Structure(circuits)
        return structures

    def heard(self) -> dict[int, NDArray[np.bool_]]:
        """Which members (size,) of every population anybody listens to."""
        heard: dict[int, NDArray[np.bool_]] = defaultdict(lambda: np.zeros(0, dtype=np.bool_))
        for population in self.populations:
            heard[population.key] = np.zeros(population.size, dtype=np.bool_)
        for projection in self.projections:
            if projection.connections is None:
                heard[projection.pre][:] = True
            else:
                heard[projection.pre][projection.connections.pre] = True
        return heard
