"""Description of a network in terms that a chip understands: populations and projections between them."""

from __future__ import annotations

from dataclasses import dataclass, field


class MappingError(RuntimeError):
    """A network does not fit the chip; the message says which resource is short and what would fit."""


@dataclass(frozen=True)
class InputPopulation:
    """`size` external spike sources; `name` is what messages call it."""

    key: int
    name: str
    size: int

    def __post_init__(self) -> None:
        _check_size(self)


@dataclass(frozen=True)
class NeuronPopulation:
    """`size` neurons and what to record of them.

    `spiking` switches the threshold on; `record_madc` lists neuron indices; `circuits` fixes the placement.
    """

    key: int
    name: str
    size: int
    spiking: bool = True
    record_spikes: bool = True
    record_cadc: bool = True
    cadc_in_dram: bool = False
    record_madc: tuple[int, ...] = ()
    circuits: tuple[int, ...] | None = None

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


Population = InputPopulation | NeuronPopulation


@dataclass(frozen=True)
class Projection:
    """All-to-all signed synapses from population `pre` to population `post` (their keys)."""

    key: int
    name: str
    pre: int
    post: int


def _check_size(population: Population) -> None:
    if population.size < 1:
        raise MappingError(f"{population.name} has {population.size} members, but a population has at least one.")


@dataclass(frozen=True)
class Network:
    """A network for one chip; hashable, so that equal structures are mapped once."""

    inputs: tuple[InputPopulation, ...] = ()
    neurons: tuple[NeuronPopulation, ...] = ()
    projections: tuple[Projection, ...] = ()
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
