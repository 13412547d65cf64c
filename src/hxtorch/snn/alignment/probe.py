"""One layer of a network alone, with one input that all its neurons hear, on the chip and in its model."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hxtorch.snn.execution_instance import ExecutionInstance
from hxtorch.snn.experiment import Experiment, run
from hxtorch.snn.handles.handle import NeuronHandle, ReadoutNeuronHandle
from hxtorch.snn.modules import LI, LIF, Neuron, ReadoutNeuron, Synapse
from hxtorch.snn.parameters.parameter import Value, on_cpu

if TYPE_CHECKING:
    from hxtorch.calibration import CalibrationResult

LEAD = 5
"""Steps before the first input, which show the membrane at rest."""

ONE_INPUT = slice(LEAD, LEAD + 1)
"""A single spike."""

DRIVEN = slice(LEAD, None)
"""A spike in every step."""

_TRIALS = 40  # batch entries on the chip: their mean has a sixth of the noise of one
_TIME_CONSTANTS = 6  # means of membrane and synaptic one after which 0.2 % of a response are left
_LEAST_STEPS = 10  # of a response, so that its shape can be told from that of its neighbours in time


@dataclass(frozen=True, eq=False)
class Probe:
    """How to ask a layer for its response.

    * `layer`: the neurons whose parameters, structure and place the probe has.
    * `calibration`: with which the network uses the chip.
    * `steps`: length of a run.
    """

    layer: Neuron
    calibration: CalibrationResult | None
    steps: int

    def membranes(self, weight: float, inputs: slice, *, mock: bool) -> Tensor:
        """Membranes (T, B, size) without spikes: raw codes of the chip, or those of the model with ``B = 1``.

        One source spikes in the steps `inputs`, over synapses of one `weight` to all neurons.
        """
        kind: type[Neuron] = LI if self._has_capacitance else ReadoutNeuron
        return _filled(self._run(kind, weight, inputs, mock).membrane_cadc)

    def spiking(self, weight: float, inputs: slice) -> tuple[Tensor, Tensor]:
        """Membranes and spikes (T, B, size) of neurons on the chip that fire; see `membranes`."""
        kind: type[Neuron] = LIF if self._has_capacitance else Neuron
        handle = self._run(kind, weight, inputs, False)
        assert isinstance(handle, NeuronHandle)
        return _filled(handle.membrane_cadc), _filled(handle.spikes)

    @property
    def _has_capacitance(self) -> bool:
        """Whether the model of the layer has one, as those of LIF and LI."""
        return isinstance(self.layer, LIF | LI)

    def _run(
        self, kind: type[Neuron], weight: float, inputs: slice, mock: bool
    ) -> NeuronHandle | ReadoutNeuronHandle:
        layer = self.layer
        experiment = Experiment(mock=mock, dt=layer.dt)
        if not mock:
            experiment.default_execution_instance.calibration = self.calibration
        synapse = Synapse(1, layer.size, experiment)
        nn.init.constant_(synapse.weight, weight)
        parameters: dict[str, Any] = {**layer.params}  # a readout has no use for some of them
        neurons = kind(
            layer.size,
            experiment,
            **parameters,
            neuron_structure=layer.neuron_structure,
            placement_constraint=None if mock else layer.placement_constraint,
        )
        spikes = torch.zeros(self.steps, 1 if mock else _TRIALS, 1)
        spikes[inputs] = 1
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a probe takes over a calibration on purpose
            handle = neurons(synapse(NeuronHandle(spikes)))
            run(experiment, self.steps)
        return handle


def probe_of(layer: Neuron) -> Probe:
    """Make the probe of a layer that ran on the chip."""
    instance = layer.execution_instance
    assert isinstance(instance, ExecutionInstance)
    tau = (mean(layer.params["tau_mem"].model_value) + mean(layer.params["tau_syn"].model_value)) / 2
    steps = LEAD + max(_LEAST_STEPS, round(_TIME_CONSTANTS * tau / layer.dt))
    return Probe(layer, calibration_of(instance), steps)


def calibration_of(instance: ExecutionInstance) -> CalibrationResult | None:
    """The calibration with which an execution instance used the chip: the one loaded, else that of its last run."""
    if instance.calibration is not None:
        return instance.calibration
    return None if instance.made_calibration is None else instance.made_calibration[1]


def mean(value: Value) -> float:
    """Mean of a parameter over the neurons."""
    return float(on_cpu(value, torch.float64).mean())


def _filled(tensor: Tensor | None) -> Tensor:
    assert isinstance(tensor, Tensor)  # the run is over
    return tensor
