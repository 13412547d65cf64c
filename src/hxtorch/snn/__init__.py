"""Spiking neural networks on BrainScaleS-2: modules, experiments and parameters."""

from typing import TYPE_CHECKING

from hxtorch._alias import moved_modules_of
from hxtorch._moved import MOVED
from hxtorch.snn import datasets, morphology, utils
from hxtorch.snn.execution_instance import ExecutionInstance
from hxtorch.snn.experiment import Experiment, run
from hxtorch.snn.handles.handle import (
    Handle,
    LIFObservables,
    LIObservables,
    NeuronHandle,
    ReadoutNeuronHandle,
    SynapseHandle,
    TensorHandle,
)
from hxtorch.snn.modules import (
    AELIF,
    LI,
    LIF,
    BatchDropout,
    EventPropLIF,
    EventPropSynapse,
    HXBaseExperimentModule,
    HXModule,
    HXModuleWrapper,
    InputNeuron,
    Neuron,
    NeuronExp,
    ReadoutNeuron,
    ReadoutNeuronExp,
    SparseSynapse,
    Synapse,
)
from hxtorch.snn.morphology import placement as neuron_placement
from hxtorch.snn.nir import ConversionConfig, from_nir, from_nir_data, to_nir, to_nir_data
from hxtorch.snn.parameters.parameter import (
    HXParameter,
    HXTransformedModelParameter,
    MixedHXModelParameter,
    ModelParameter,
)
from hxtorch.snn.recording.execution_info import ExecutionInfo

__all__ = [
    "AELIF",
    "LI",
    "LIF",
    "BatchDropout",
    "ConversionConfig",
    "EventPropLIF",
    "EventPropSynapse",
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
    "LIFObservables",
    "LIObservables",
    "MixedHXModelParameter",
    "ModelParameter",
    "Neuron",
    "NeuronExp",
    "NeuronHandle",
    "ReadoutNeuron",
    "ReadoutNeuronExp",
    "ReadoutNeuronHandle",
    "SparseSynapse",
    "Synapse",
    "SynapseHandle",
    "TensorHandle",
    "datasets",
    "from_nir",
    "from_nir_data",
    "morphology",
    "neuron_placement",
    "run",
    "to_nir",
    "to_nir_data",
    "utils",
]

if not TYPE_CHECKING:  # a type checker would take any name for a module
    __getattr__ = moved_modules_of(__name__, MOVED)
