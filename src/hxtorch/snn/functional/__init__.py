"""The numerics: synaptic products, neuron integration, surrogate gradients and injection of chip data."""

from hxtorch.snn.functional import operators  # noqa: F401  # registers them
from hxtorch.snn.functional.injection import Injection, fit_steps, inject, input_neuron
from hxtorch.snn.functional.integration import integrate
from hxtorch.snn.functional.linear import batch_dropout, linear
from hxtorch.snn.functional.mode import reference_numerics
from hxtorch.snn.functional.neuron_model import Adaptation, Exponential, Firing, Measured, Membrane, States
from hxtorch.snn.functional.reference import integrate_reference
from hxtorch.snn.functional.surrogate import SURROGATES, SuperSpike, Surrogate, check_method, threshold

__all__ = [
    "SURROGATES",
    "Adaptation",
    "Exponential",
    "Firing",
    "Injection",
    "Measured",
    "Membrane",
    "States",
    "SuperSpike",
    "Surrogate",
    "batch_dropout",
    "check_method",
    "fit_steps",
    "inject",
    "input_neuron",
    "integrate",
    "integrate_reference",
    "linear",
    "reference_numerics",
    "threshold",
]
