"""What the last run noted on an execution instance: which neurons ran there, and on which circuits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from hxtorch.snn.morphology.placement import NeuronPlacement
from hxtorch.snn.morphology.registers import Configurable, NeuronBlock, logical_neuron, set_parameters
from hxtorch.snn.parameters.parameter_set import ParameterSet

if TYPE_CHECKING:  # neither is needed to write a network down
    from hxtorch.calibration import CalibrationTarget
    from hxtorch.mapping import Mapping as ChipMapping
    from hxtorch.twin.places.coordinates import LogicalNeuronOnDLS


class Occupant(Configurable, Protocol):
    """What is remembered of neurons that run on the chip."""

    size: int

    enable_cadc_recording: bool
    enable_cadc_recording_placement_in_dram: bool
    enable_madc_recording: bool

    @property
    def parameter_set(self) -> ParameterSet:
        """Their parameters."""


@dataclass(frozen=True, eq=False)
class Occupancy:
    """Neurons of a run by their key in `mapping`, which says where they lie. Before the first run nothing.

    `circuits`: key -> (size, circuits per neuron); `main_circuits`: key -> (size,), those that are read.
    """

    neurons: Mapping[int, Occupant] = field(default_factory=dict)
    circuits: Mapping[int, NDArray[np.int64]] = field(default_factory=dict)
    main_circuits: Mapping[int, NDArray[np.int64]] = field(default_factory=dict)

    @staticmethod
    def of(mapping: ChipMapping, neurons: Mapping[int, Occupant]) -> Occupancy:
        """Of neurons where a mapping puts them."""
        main = {key: mapping.main_circuits(key) for key in neurons}
        return Occupancy(neurons, {key: mapping.circuits[key] for key in neurons}, main)

    @property
    def count(self) -> int:
        """Number of neurons."""
        return sum(len(rows) for rows in self.circuits.values())

    @property
    def placement(self) -> NeuronPlacement:
        """Where the neurons lie, counted over the populations."""
        result = NeuronPlacement()
        places = [place for key in self.neurons for place in self._places(key)]
        result.register_id(range(len(places)), placement_constraint=places)
        return result

    @property
    def cadc_neurons(self) -> dict[Occupant, NDArray[np.int64]]:
        """Neurons whose CADC traces are recorded, and the circuits (size,) that are read."""
        return {item: self.main_circuits[key] for key, item in self.neurons.items() if item.enable_cadc_recording}

    def target(self) -> CalibrationTarget:
        """What the neurons ask a calibration for."""
        from hxtorch.snn.targets.targets import target_of  # imports the calibration

        return target_of(
            (item.parameter_set, row) for key, item in self.neurons.items() for row in self.circuits[key].T
        )

    def set_parameters(self, block: NeuronBlock) -> NeuronBlock:
        """Let the parameters of the neurons write to their registers; returns the block."""
        for key, item in self.neurons.items():
            set_parameters(block, item.params, self._places(key))
        return block

    def _places(self, key: int) -> list[LogicalNeuronOnDLS]:
        return [logical_neuron(row) for row in self.circuits[key]]
