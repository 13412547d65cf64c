"""Spiking neural networks on BrainScaleS-2: modules, experiments and parameters."""

from hxtorch.snn import morphology
from hxtorch.snn.execution_info import ExecutionInfo
from hxtorch.snn.execution_instance import ExecutionInstance
from hxtorch.snn.experiment import Experiment, run
from hxtorch.snn.handle import Handle, NeuronHandle, ReadoutNeuronHandle, SynapseHandle, TensorHandle
from hxtorch.snn.modules import (
    BatchDropout,
    HXBaseExperimentModule,
    HXModule,
    HXModuleWrapper,
    InputNeuron,
    Neuron,
    ReadoutNeuron,
    SparseSynapse,
    Synapse,
)
from hxtorch.snn.parameter import (
    HXParameter,
    HXTransformedModelParameter,
    MixedHXModelParameter,
    ModelParameter,
)
from hxtorch.snn.utils.from_nir import ConversionConfig, from_nir
from hxtorch.snn.utils.nir_data import from_nir_data, to_nir_data
from hxtorch.snn.utils.to_nir import to_nir

__all__ = [
    "BatchDropout",
    "ConversionConfig",
    "ExecutionInfo",
    "ExecutionInstance",
    "Experiment",
    "HXBaseExperimentModule",
    "HXModule",
    "HXModuleWrapper",
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
    "SparseSynapse",
    "Synapse",
    "SynapseHandle",
    "TensorHandle",
    "from_nir",
    "from_nir_data",
    "morphology",
    "run",
    "to_nir",
    "to_nir_data",
]
