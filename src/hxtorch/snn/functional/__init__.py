"""The numerics: synaptic products, neuron integration, surrogate gradients and injection of chip data."""

from typing import TYPE_CHECKING

from hxtorch._alias import moved_modules_of
from hxtorch._moved import MOVED
from hxtorch.snn.functional.carried import Carried, Fill, carried, part_of
from hxtorch.snn.functional.contexts.mode import reference_numerics
from hxtorch.snn.functional.gradients.injection import Injection, fit_steps, inject, input_neuron
from hxtorch.snn.functional.gradients.surrogate import SURROGATES, SuperSpike, Surrogate, check_method, threshold
from hxtorch.snn.functional.integrators import operators  # noqa: F401  # registers them
from hxtorch.snn.functional.integrators.aelif import (
    CuBaStepCode,
    cuba_aelif_integration,
    exp_cuba_li_integration,
    exp_cuba_lif_integration,
    refractory_steps,
)
from hxtorch.snn.functional.integrators.eventprop import EventPropLIFFunction, EventPropSynapseFunction
from hxtorch.snn.functional.integrators.eventprop_readout import EventPropReadoutFunction
from hxtorch.snn.functional.integrators.integration import integrate, observe
from hxtorch.snn.functional.integrators.reference import integrate_reference
from hxtorch.snn.functional.linear import (
    batch_dropout,
    linear,
    linear_exponential_clamp,
    linear_later,
    linear_sparse,
)
from hxtorch.snn.functional.memory.spikes import CarriedSpikes, carried_spikes, indexed_spikes
from hxtorch.snn.functional.memory.workspace import set_workspace_limit
from hxtorch.snn.functional.model.neuron_model import (
    Adaptation,
    Dynamics,
    Exponential,
    Firing,
    Measured,
    Membrane,
    Observed,
    States,
)

__all__ = [
    "SURROGATES",
    "Adaptation",
    "Carried",
    "CarriedSpikes",
    "CuBaStepCode",
    "Dynamics",
    "EventPropLIFFunction",
    "EventPropReadoutFunction",
    "EventPropSynapseFunction",
    "Exponential",
    "Fill",
    "Firing",
    "Injection",
    "Measured",
    "Membrane",
    "Observed",
    "States",
    "SuperSpike",
    "Surrogate",
    "batch_dropout",
    "carried",
    "carried_spikes",
    "check_method",
    "cuba_aelif_integration",
    "exp_cuba_li_integration",
    "exp_cuba_lif_integration",
    "fit_steps",
    "indexed_spikes",
    "inject",
    "input_neuron",
    "integrate",
    "integrate_reference",
    "linear",
    "linear_exponential_clamp",
    "linear_later",
    "linear_sparse",
    "observe",
    "part_of",
    "reference_numerics",
    "refractory_steps",
    "set_workspace_limit",
    "threshold",
]

if not TYPE_CHECKING:  # a type checker would take any name for a module
    __getattr__ = moved_modules_of(__name__, MOVED)
