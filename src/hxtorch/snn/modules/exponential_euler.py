"""Neurons stepped with exact decay factors; kept for scripts that use them."""

from __future__ import annotations

from torch import Tensor

from hxtorch.snn import functional as F
from hxtorch.snn.handles.handle import SynapseHandle
from hxtorch.snn.modules.neuron import Neuron, ReadoutNeuron
from hxtorch.snn.modules.population import Population
from hxtorch.snn.parameters.table import ModelUse
from hxtorch.snn.recording.observables import NeuronData, ReadoutData
from hxtorch.snn.refusals import warn_deprecated


class NeuronExp(Neuron):
    """`Neuron` stepped by exponential Euler. The model values of tau_mem and tau_syn are exp(-dt/tau)."""

    model_use = ModelUse((), ("leak", "reset", "threshold"), ("tau_mem", "tau_syn"))
    resumes = True

    def forward_func(self, *input: SynapseHandle, hw_data: NeuronData | None = None):  # type: ignore[no-untyped-def]
        """As in `Neuron`; warns that the class is deprecated."""
        warn_deprecated(type(self).__name__, "LIF")
        return super().forward_func(*input, hw_data=hw_data)

    def _membrane(self, x: Tensor) -> F.Membrane:
        return _membrane(self, x)


class ReadoutNeuronExp(ReadoutNeuron):
    """`ReadoutNeuron` stepped by exponential Euler. The model values of tau_mem and tau_syn are exp(-dt/tau)."""

    model_use = ModelUse((), ("leak",), ("tau_mem", "tau_syn"))
    resumes = True

    def forward_func(self, *input: SynapseHandle, hw_data: ReadoutData | None = None):  # type: ignore[no-untyped-def,override]
        """As in `ReadoutNeuron`; warns that the class is deprecated."""
        warn_deprecated(type(self).__name__, "LI")
        return super().forward_func(*input, hw_data=hw_data)

    def _membrane(self, x: Tensor) -> F.Membrane:
        return _membrane(self, x)


def _membrane(module: Population, x: Tensor) -> F.Membrane:
    """Forward Euler with the same factors: dt/tau = 1 - exp(-dt/tau_exact)."""
    return F.Membrane(
        module.model("leak", x),
        tau_syn=module.dt / (1 - module.model("tau_syn", x)),
        c=module.dt / (1 - module.model("tau_mem", x)),
    )
