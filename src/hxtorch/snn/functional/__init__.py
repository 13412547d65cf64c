"""The numerics: synaptic products, neuron integration, surrogate gradients and injection of chip data."""

from hxtorch.snn.functional.injection import Injection, fit_steps, inject, input_neuron
from hxtorch.snn.functional.integration import (
    Adaptation,
    Exponential,
    Firing,
    Measured,
    Membrane,
    States,
    integrate,
)
from hxtorch.snn.functional.linear import batch_dropout, linear
from hxtorch.snn.functional.surrogate import SuperSpike, check_method, threshold

__all__ = [
    "Adaptation",
    "Exponential",
    "Firing",
    "Injection",
    "Measured",
    "Membrane",
    "States",
    "SuperSpike",
    "batch_dropout",
    "check_method",
    "fit_steps",
    "inject",
    "input_neuron",
    "integrate",
    "linear",
    "threshold",
]
