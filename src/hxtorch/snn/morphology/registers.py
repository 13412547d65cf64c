"""The registers of all neuron circuits, open to modules that want to set some by themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hxtorch.snn.parameters.parameter import HXBaseParameter
from hxtorch.snn.refusals import warn_user
from hxtorch.twin import NeuronConfig
from hxtorch.twin.places.coordinates import (
    COLUMNS,
    MAX_CAPMEM_CODE,
    AtomicNeuronOnDLS,
    AtomicNeuronOnLogicalNeuron,
    CompartmentOnLogicalNeuron,
    LogicalNeuronCompartments,
    LogicalNeuronOnDLS,
)

NAMES = tuple(item.name for item in fields(NeuronConfig))


class NeuronBlock:
    """All registers of `hxtorch.twin.NeuronConfig` as arrays (512,) that may be written to.

    ``block.i_bias_leak[list(coord.circuits)] = 200`` sets the leak of one neuron. CapMem codes beyond 0..1022 are
    clipped, with a warning.
    """

    def __init__(self, config: NeuronConfig) -> None:
        for name in NAMES:
            object.__setattr__(self, name, getattr(config, name).copy())

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> NDArray[Any]: ...

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in NAMES:
            raise AttributeError(f"The chip has no neuron register {name!r}. There are {', '.join(NAMES)}.")
        getattr(self, name)[:] = value

    def take(self, config: NeuronConfig) -> None:
        """Take over all registers of a configuration."""
        for name in NAMES:
            getattr(self, name)[:] = getattr(config, name)

    def config(self) -> NeuronConfig:
        """The registers as the chip takes them; what they cannot hold: `hxtorch.twin.ConfigError`."""
        values: dict[str, NDArray[Any]] = {name: getattr(self, name).copy() for name in NAMES}
        for name in NAMES:
            if not name.startswith(("v_", "i_")):
                continue
            beyond = (values[name] < 0) | (values[name] > MAX_CAPMEM_CODE)
            if beyond.any():
                warn_user(
                    f"{name} of circuit {int(np.argmax(beyond))} is set to {values[name][beyond][0]:g}, but CapMem "
                    f"codes reach from 0 to {MAX_CAPMEM_CODE}. It is clipped ({int(beyond.sum())} circuits)."
                )
                values[name] = values[name].clip(0, MAX_CAPMEM_CODE)
        return NeuronConfig(**values)


class Configurable(Protocol):
    """Neurons that may set registers of their circuits by themselves."""

    @property
    def configures_itself(self) -> bool:
        """Whether they do."""

    @property
    def params(self) -> Mapping[str, HXBaseParameter]:
        """Parameters by name."""

    def configure_hw_entity(self, neuron_id: int, neuron_block: NeuronBlock, coord: LogicalNeuronOnDLS) -> Any:
        """Set registers of the neuron of a number at its place."""


def logical_neuron(circuits: Iterable[int]) -> LogicalNeuronOnDLS:
    """The neuron of these circuits, the first of which fires."""
    numbers = [int(circuit) for circuit in circuits]
    row, column = numbers[0] // COLUMNS, min(number % COLUMNS for number in numbers)
    relative = [
        AtomicNeuronOnLogicalNeuron((number // COLUMNS - row) % 2 * COLUMNS + number % COLUMNS - column)
        for number in numbers
    ]
    shape = LogicalNeuronCompartments({CompartmentOnLogicalNeuron(0): relative})
    return LogicalNeuronOnDLS(shape, AtomicNeuronOnDLS(row * COLUMNS + column))


def configured(
    neurons: NeuronConfig, placed: Iterable[tuple[Configurable, range, NDArray[np.int64]]]
) -> NeuronConfig | None:
    """Registers after the modules have set theirs; None if no module wants to.

    `placed` are populations with the numbers of their neurons and their circuits (neurons, per neuron).
    """
    block: NeuronBlock | None = None
    for population, numbers, circuits in placed:
        if not population.configures_itself:
            continue
        if block is None:
            block = NeuronBlock(neurons)
        places = [logical_neuron(row) for row in circuits]
        set_parameters(block, population.params, places)
        for number, place in zip(numbers, places, strict=True):
            population.configure_hw_entity(number, block, place)
    return None if block is None else block.config()


def set_parameters(
    block: NeuronBlock, parameters: Mapping[str, HXBaseParameter], places: list[LogicalNeuronOnDLS]
) -> None:
    """Let parameters with a function for it write to the registers of their neurons."""
    for parameter in parameters.values():
        if parameter.has_chip_function:
            parameter.set_on_chip(block, places)


def equal(a: NeuronConfig, b: NeuronConfig) -> bool:
    """Whether two configurations hold the same values."""
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in NAMES)
