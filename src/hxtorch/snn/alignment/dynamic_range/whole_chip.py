"""One population over the whole chip, with or without a constant current, and the parameters of its neurons."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hxtorch.connection import connected_chip, init_hardware, release_hardware
from hxtorch.snn.execution_instance import ExecutionInstance
from hxtorch.snn.experiment import Experiment, run
from hxtorch.snn.handles.handle import NeuronHandle
from hxtorch.snn.modules import Neuron, ReadoutNeuron, Synapse
from hxtorch.snn.morphology import Morphology, SingleCompartmentNeuron
from hxtorch.snn.parameters.parameter import HXParameter, MixedHXModelParameter
from hxtorch.twin import NeuronConfig
from hxtorch.twin.places.coordinates import CIRCUITS

if TYPE_CHECKING:
    from hxtorch.calibration import CalibrationResult
    from hxtorch.mapping import Mapping as NetworkMapping

Parameters = Mapping[str, Any]

STEPS = 100
DEFAULTS: dict[str, Any] = {
    # the chip's default target, and a model between rest 0 and threshold 1
    "leak": MixedHXModelParameter(0.0, 80),
    "reset": MixedHXModelParameter(0.0, 70),
    "threshold": MixedHXModelParameter(1.0, 125),
    "tau_mem": 10e-6,
    "tau_syn": 10e-6,
}
_RECORDING = {
    "enable_spike_recording",
    "enable_cadc_recording",
    "trace_scale",
    "trace_offset",
    "experiment",
    "size",
}


class DrivenInstance(ExecutionInstance):
    """An execution instance that drives a constant current into the first circuit of every neuron.

    `current` is its CapMem code, up to 1022; a negative one draws the current out of the membrane.
    """

    def __init__(self, calib_path: str | Path | None = None) -> None:
        super().__init__(calib_path)
        self.current = 0

    def neuron_config(self, mapping: NetworkMapping, calibrated: CalibrationResult) -> NeuronConfig:
        """Registers of the mapped network, with the current."""
        neurons = super().neuron_config(mapping, calibrated)
        driven = np.zeros(CIRCUITS, dtype=np.bool_)
        for population in mapping.network.neurons:
            driven[mapping.main_circuits(population.key)] = self.current != 0
        return replace(
            neurons,
            enable_offset=driven,
            i_offset=np.where(driven, float(abs(self.current)), neurons.i_offset),
            offset_sink=driven & (self.current < 0),
        )


class WholeChip:
    """As many neurons of a structure as the chip has, of one kind, with one input each neuron hears.

    `params` are arguments of `Neuron` and `ReadoutNeuron`; what they leave out is the chip's default target with a
    model between rest 0 and threshold 1. `calib_path` is loaded, otherwise the chip is calibrated to `params`.
    """

    def __init__(
        self, params: Parameters, calib_path: str | Path | None, neuron_structure: Morphology | None
    ) -> None:
        self.params = {**DEFAULTS, **{name: value for name, value in params.items() if name not in _RECORDING}}
        self.calib_path = calib_path
        self.structure = SingleCompartmentNeuron(1) if neuron_structure is None else neuron_structure
        circuits = len(self.structure.logical_neuron.circuits)
        self.size = CIRCUITS // circuits
        self._networks: dict[tuple[bool, bool], tuple[Synapse, Neuron, Experiment, DrivenInstance]] = {}

    def values(self, name: str) -> tuple[float, float]:
        """Mean value of a parameter in the model and on the chip."""
        value = self.params[name]
        parameter = value if hasattr(value, "hardware_value") else HXParameter(value)
        model, chip = (
            float(torch.as_tensor(v, dtype=torch.float64).mean())
            for v in (parameter.model_value, parameter.hardware_value)
        )
        return model, chip

    def record(
        self, weight: float, inputs: torch.Tensor, *, spiking: bool, current: int = 0, mock: bool = False
    ) -> NeuronHandle:
        """Run `inputs` (steps, batch, 1) over synapses of one `weight`; the current is that of `DrivenInstance`."""
        synapse, neuron, experiment, instance = self._network(spiking, mock)
        instance.current = current
        with torch.no_grad(), warnings.catch_warnings():
            synapse.weight.fill_(weight)
            warnings.filterwarnings("ignore", message=".*failed to calibrate")  # a few of all neurons of a chip
            warnings.filterwarnings("ignore", message=".*overrides")  # a loaded calibration is meant to decide
            handle = neuron(synapse(NeuronHandle(inputs)))
            run(experiment, inputs.shape[0])
        return handle

    def _network(self, spiking: bool, mock: bool) -> tuple[Synapse, Neuron, Experiment, DrivenInstance]:
        """Build a network once: it is mapped at its first run."""
        key = (spiking, mock)
        if key not in self._networks:
            experiment, instance = Experiment(mock=mock), DrivenInstance(None if mock else self.calib_path)
            size = 1 if mock else self.size
            synapse = Synapse(1, size, experiment, execution_instance=instance)
            neuron = (Neuron if spiking else ReadoutNeuron)(
                size,
                experiment,
                execution_instance=instance,
                neuron_structure=None if mock else self.structure,
                **self.params,
            )
            self._networks[key] = (synapse, neuron, experiment, instance)
        return self._networks[key]


@contextmanager
def connection() -> Iterator[None]:
    """Use the chip that is connected, else the default one as long as this lasts."""
    if connected_chip() is not None:
        yield
        return
    init_hardware()
    try:
        yield
    finally:
        release_hardware()
