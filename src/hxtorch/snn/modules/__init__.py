"""The modules that networks are written with."""

from hxtorch.snn.modules.aelif import AELIF, LI, LIF
from hxtorch.snn.modules.base import HXBaseExperimentModule, HXFunctionalModule, HXModule
from hxtorch.snn.modules.batch_dropout import BatchDropout
from hxtorch.snn.modules.eventprop import EventPropLIF, EventPropSynapse
from hxtorch.snn.modules.exponential_euler import NeuronExp, ReadoutNeuronExp
from hxtorch.snn.modules.input_neuron import InputNeuron, InputPopulation
from hxtorch.snn.modules.neuron import Neuron, ReadoutNeuron
from hxtorch.snn.modules.population import Population
from hxtorch.snn.modules.sparse_synapse import SparseSynapse
from hxtorch.snn.modules.synapse import Projection, Synapse
from hxtorch.snn.modules.wrapper import HXModuleWrapper

__all__ = [
    "AELIF",
    "LI",
    "LIF",
    "BatchDropout",
    "EventPropLIF",
    "EventPropSynapse",
    "HXBaseExperimentModule",
    "HXFunctionalModule",
    "HXModule",
    "HXModuleWrapper",
    "InputNeuron",
    "InputPopulation",
    "Neuron",
    "NeuronExp",
    "Population",
    "Projection",
    "ReadoutNeuron",
    "ReadoutNeuronExp",
    "SparseSynapse",
    "Synapse",
]
