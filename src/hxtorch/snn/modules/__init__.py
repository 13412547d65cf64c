"""The modules that networks are written with."""

from hxtorch.snn.modules.base import HXBaseExperimentModule, HXModule
from hxtorch.snn.modules.input_neuron import InputNeuron
from hxtorch.snn.modules.neuron import Neuron, ReadoutNeuron
from hxtorch.snn.modules.population import Population
from hxtorch.snn.modules.synapse import Synapse

__all__ = [
    "HXBaseExperimentModule",
    "HXModule",
    "InputNeuron",
    "Neuron",
    "Population",
    "ReadoutNeuron",
    "Synapse",
]
