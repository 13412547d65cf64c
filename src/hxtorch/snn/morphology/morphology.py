"""Shapes of neurons: how many circuits a neuron is made of, how they lie on the chip, and their registers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hxtorch.snn.morphology.registers import NeuronBlock
from hxtorch.snn.recording.readout_source import ReadoutSource
from hxtorch.snn.refusals import positive_int, warn_user
from hxtorch.twin import NeuronConfig
from hxtorch.twin.places.coordinates import (
    CIRCUITS,
    COLUMNS,
    MAX_CAPMEM_CODE,
    AtomicNeuronOnDLS,
    AtomicNeuronOnLogicalNeuron,
    CompartmentOnLogicalNeuron,
    LogicalNeuronCompartments,
    LogicalNeuronOnDLS,
)

Block = TypeVar("Block", NeuronConfig, NeuronBlock)
Places = LogicalNeuronOnDLS | Sequence[LogicalNeuronOnDLS]


class Morphology:
    """Base of all shapes: a neuron of `compartments`.

    The static methods return `neuron_block`, the registers of all circuits, as these neurons want them. They are
    for neurons with a `configure_hw_entity` of their own, whose block they change in place, and for an
    `ExecutionInstance` of one's own, whose `neuron_config` returns what the chip is set to.

    Examples:
        >>> from hxtorch.snn import ExecutionInstance
        >>> class Leakless(ExecutionInstance):
        ...     def neuron_config(self, mapping, calibrated):
        ...         neurons = super().neuron_config(mapping, calibrated)
        ...         return Morphology.disable_leak(SingleCompartmentNeuron(1).logical_neuron, neurons)
    """

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

    @staticmethod
    def implement_morphology(coord: Places, neuron_block: Block) -> Block:
        """Join the circuits of each neuron to one membrane; the first one keeps capacitor, leak and threshold."""
        from hxtorch.mapping.groups import join_circuits  # not needed without a chip

        groups = [np.asarray([place.circuits]) for place in _listed(coord)]
        if isinstance(neuron_block, NeuronBlock):
            neuron_block.take(join_circuits(neuron_block.config(), groups))
            return neuron_block
        return join_circuits(neuron_block, groups)

    @staticmethod
    def set_spike_recording(enable: bool, coord: Places, neuron_block: Block) -> Block:
        """Let neurons fire, by the threshold of their first circuit, or not."""
        return _with(neuron_block, _first(coord), enable_threshold=bool(enable))

    @staticmethod
    def disable_spiking(coord: Places, neuron_block: Block) -> Block:
        """Switch the thresholds of all circuits off: the neurons integrate only."""
        return _with(neuron_block, _all(coord), enable_threshold=False)

    @staticmethod
    def disable_leak(coord: Places, neuron_block: Block) -> Block:
        """Switch the leak of all circuits off."""
        return _with(neuron_block, _all(coord), enable_leak=False)

    @staticmethod
    def enable_madc_recording(
        coord: Places, neuron_block: Block, readout_source: ReadoutSource = ReadoutSource.VOLTAGE
    ) -> Block:
        """Connect the membrane, or the adaptation, of the first circuit with the readout."""
        from hxtorch.twin.program.config import ReadoutSource as Register

        source = Register.ADAPTATION if readout_source is ReadoutSource.ADAPTATION else Register.MEMBRANE
        return _with(neuron_block, _first(coord), readout_source=int(source))

    @staticmethod
    def set_exponential_params(coord: Places, neuron_block: Block, *, v_exp: float, i_bias_exp: float) -> Block:
        """Switch the exponential current of the first circuit on, with CapMem codes 0..1022 (others: a warning)."""
        codes = {"v_exp": _code("v_exp", v_exp), "i_bias_exp": _code("i_bias_exp", i_bias_exp)}
        return _with(neuron_block, _first(coord), enable_exponential=True, **codes)

    @staticmethod
    def set_adaptation_base_params(
        coord: Places,
        neuron_block: Block,
        *,
        v_adapt_ref: float,
        v_adapt_leak: float,
        i_bias_adapt_tau: float,
    ) -> Block:
        """Switch the adaptation of the first circuit on, with CapMem codes 0..1022 (others: a warning)."""
        codes = {
            "v_adapt_ref": _code("v_adapt_ref", v_adapt_ref),
            "v_adapt_leak": _code("v_adapt_leak", v_adapt_leak),
            "i_bias_adapt_tau": _code("i_bias_adapt_tau", i_bias_adapt_tau),
        }
        return _with(neuron_block, _first(coord), enable_adaptation=True, **codes)


def _listed(coord: Places) -> list[LogicalNeuronOnDLS]:
    return [coord] if isinstance(coord, LogicalNeuronOnDLS) else list(coord)


def _first(coord: Places) -> NDArray[np.int64]:
    return np.asarray([place.circuits[0] for place in _listed(coord)], dtype=np.int64)


def _all(coord: Places) -> NDArray[np.int64]:
    return np.concatenate([np.asarray(place.circuits, dtype=np.int64) for place in _listed(coord)])


def _with(neuron_block: Block, circuits: NDArray[np.int64], **values: Any) -> Block:
    """The registers with other values for some circuits."""
    if isinstance(neuron_block, NeuronBlock):
        for name, value in values.items():
            getattr(neuron_block, name)[circuits] = value
        return neuron_block
    changed = {}
    for name, value in values.items():
        changed[name] = getattr(neuron_block, name).copy()
        changed[name][circuits] = value
    return replace(neuron_block, **changed)


def _code(name: str, value: float) -> float:
    clipped = float(np.clip(value, 0, MAX_CAPMEM_CODE))
    if clipped != value:
        warn_user(f"{name} is {value:g}, but CapMem codes are 0 to {MAX_CAPMEM_CODE}: set to {clipped:g}.")
    return clipped


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
