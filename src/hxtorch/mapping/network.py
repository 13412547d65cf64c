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


Population = InputPopulation | NeuronPopulation


@dataclass(frozen=True)
class Projection:
    """All-to-all signed synapses from population `pre` to population `post` (their keys)."""

    key: int
    name: str
    pre: int
    post: int


@dataclass(frozen=True)
class Network:
    """A network for one chip; hashable, so that equal structures are mapped once."""

    inputs: tuple[InputPopulation, ...] = ()
    neurons: tuple[NeuronPopulation, ...] = ()
    projections: tuple[Projection, ...] = ()
    _by_key: dict[int, Population] = field(init=False, repr=False, compare=False, hash=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._by_key.update({p.key: p for p in self.populations})

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
