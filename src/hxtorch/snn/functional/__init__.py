"""The numerics: synaptic products, neuron integration, surrogate gradients and injection of chip data."""

from hxtorch.snn.functional import operators  # noqa: F401  # registers them
from hxtorch.snn.functional.aelif import (
    CuBaStepCode,
    cuba_aelif_integration,
    exp_cuba_li_integration,
    exp_cuba_lif_integration,
    refractory_steps,
)
from hxtorch.snn.functional.eventprop import EventPropLIFFunction, EventPropSynapseFunction
from hxtorch.snn.functional.eventprop_readout import EventPropReadoutFunction
from hxtorch.snn.functional.injection import Injection, fit_steps, inject, input_neuron
from hxtorch.snn.functional.integration import integrate, observe
from hxtorch.snn.functional.later import Later, Postponed
from hxtorch.snn.functional.linear import (
    batch_dropout,
    linear,
    linear_exponential_clamp,
    linear_later,
    linear_sparse,
)
from hxtorch.snn.functional.mode import reference_numerics
from hxtorch.snn.functional.neuron_model import (
    Adaptation,
    Exponential,
    Firing,
    Measured,
    Membrane,
    Observed,
    States,
)
from hxtorch.snn.functional.reference import integrate_reference
from hxtorch.snn.functional.surrogate import SURROGATES, SuperSpike, Surrogate, check_method, threshold
from hxtorch.snn.functional.workspace import set_workspace_limit

__all__ = [
    "SURROGATES",
    "Adaptation",
    "CuBaStepCode",
    "EventPropLIFFunction",
    "EventPropReadoutFunction",
    "EventPropSynapseFunction",
    "Exponential",
    "Firing",
    "Injection",
    "Later",
    "Measured",
    "Membrane",
    "Observed",
    "Postponed",
    "States",
    "SuperSpike",
    "Surrogate",
    "batch_dropout",
    "check_method",
    "cuba_aelif_integration",
    "exp_cuba_li_integration",
    "exp_cuba_lif_integration",
    "fit_steps",
    "inject",
    "input_neuron",
    "integrate",
    "integrate_reference",
    "linear",
    "linear_exponential_clamp",
    "linear_later",
    "linear_sparse",
    "observe",
    "reference_numerics",
    "refractory_steps",
    "set_workspace_limit",
    "threshold",
]
