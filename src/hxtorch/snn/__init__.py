"""Spiking neural networks on BrainScaleS-2: modules, experiments and parameters."""

from hxtorch.snn.execution_info import ExecutionInfo
from hxtorch.snn.execution_instance import ExecutionInstance
from hxtorch.snn.experiment import Experiment, run
from hxtorch.snn.handle import Handle, NeuronHandle, ReadoutNeuronHandle, SynapseHandle, TensorHandle
from hxtorch.snn.modules import (
    HXBaseExperimentModule,
    HXModule,
    InputNeuron,
    Neuron,
    ReadoutNeuron,
    Synapse,
)
from hxtorch.snn.parameter import (
    HXParameter,
    HXTransformedModelParameter,
    MixedHXModelParameter,
    ModelParameter,
)

__all__ = [
    "ExecutionInfo",
    "ExecutionInstance",
    "Experiment",
    "HXBaseExperimentModule",
    "HXModule",
    "HXParameter",
    "HXTransformedModelParameter",
    "Handle",
    "InputNeuron",
    "MixedHXModelParameter",
    "ModelParameter",
    "Neuron",
    "NeuronHandle",
    "ReadoutNeuron",
    "ReadoutNeuronHandle",
    "Synapse",
    "SynapseHandle",
    "TensorHandle",
    "run",
]
