"""All neurons of the package keep the contract that any neuron model has to keep."""

from __future__ import annotations

import pytest
import torch

import hxtorch.snn as hxsnn
from hxtorch.snn.modules import EventPropLIF, EventPropSynapse, NeuronExp, ReadoutNeuronExp
from hxtorch.testing import NeuronContract

deprecated = pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")


class TestNeuron(NeuronContract):
    def make_neuron(self, size, experiment):
        return hxsnn.Neuron(size, experiment, reset=70)


class TestNeuronInUnitsOfTheModel(NeuronContract):
    """Another surrogate gradient, values of the model, and parameters of each neuron."""

    weak, strong, rest_tolerance = 0.1, 1.0, 1e-6

    def make_neuron(self, size, experiment):
        return hxsnn.Neuron(
            size,
            experiment,
            leak=hxsnn.MixedHXModelParameter(0.0, 80),
            reset=hxsnn.MixedHXModelParameter(-0.2, 70),
            threshold=hxsnn.MixedHXModelParameter(torch.linspace(0.9, 1.1, size), 125),
            method="sigmoid",
            alpha=4.0,
        )


class TestReadoutNeuron(NeuronContract):
    spikes = False

    def make_neuron(self, size, experiment):
        return hxsnn.ReadoutNeuron(size, experiment, tau_mem=6e-6)


class TestLIF(NeuronContract):
    def make_neuron(self, size, experiment):
        return hxsnn.LIF(size, experiment, refractory_time=3e-6)


class TestLI(NeuronContract):
    spikes = False

    def make_neuron(self, size, experiment):
        return hxsnn.LI(size, experiment, tau_syn=4e-6)


class TestAELIF(NeuronContract):
    """All terms: leak, firing, exponential, both adaptations."""

    weak, rest_tolerance = 3.0, 1.0  # at rest the exponential term carries the membrane up a little
    slope_tolerance = 1e-2  # the adaptation sees surrogate gradients of spikes

    def make_neuron(self, size, experiment):
        return hxsnn.AELIF(
            size,
            experiment,
            exponential_slope=3.0,
            exponential_threshold=115.0,
            subthreshold_adaptation_strength=0.2,
            spike_triggered_adaptation_increment=3.0,
            tau_adap=20e-6,
            refractory_time=2e-6,
        )


class TestAELIFWithoutFiring(NeuronContract):
    spikes = False

    def make_neuron(self, size, experiment):
        return hxsnn.AELIF(size, experiment, fire=False, exponential=False, spike_triggered_adaptation=False)


class TestAELIFWithoutLeak(NeuronContract):
    weak = 1.0
    slope_tolerance = 1e-2

    def make_neuron(self, size, experiment):
        return hxsnn.AELIF(size, experiment, leaky=False, exponential=False, subthreshold_adaptation=False)


@deprecated
class TestNeuronExp(NeuronContract):
    def make_neuron(self, size, experiment):
        return NeuronExp(size, experiment, tau_mem=0.9, tau_syn=0.8)


@deprecated
class TestReadoutNeuronExp(NeuronContract):
    spikes = False

    def make_neuron(self, size, experiment):
        return ReadoutNeuronExp(size, experiment, tau_mem=0.9, tau_syn=0.8)


class TestEventPropLIF(NeuronContract):
    """Spikes have gradients, which reach the synapse in front and nothing else."""

    smooth, parameters, loops, adds_inputs = False, (), False, False

    def make_neuron(self, size, experiment):
        return EventPropLIF(size, experiment)

    def connect(self, neuron, x):
        synapse = EventPropSynapse(x.shape[-1], x.shape[-1], neuron.experiment).to(x)
        synapse.weight.data.copy_(torch.eye(x.shape[-1]))
        return synapse(hxsnn.NeuronHandle(x))


class ByHand(hxsnn.Neuron):
    """The equations of `Neuron` in a loop over time of its own."""

    def forward_func(self, *input, hw_data=None):
        x = self.summed_input(input)
        leak, threshold = self.model("leak", x), self.model("threshold", x)
        decay = 1 - self.dt / self.model("tau_syn", x)
        v, i, rows = torch.zeros_like(x[0]) + leak, torch.zeros_like(x[0]), []
        for row in x.unbind(0):
            v = v + self.dt / self.model("tau_mem", x) * (leak - v + i)
            z = hxsnn.functional.threshold(v - threshold, "superspike", 50.0)
            v = torch.where(z.bool(), self.model("reset", x), v)
            i = decay * i + row
            rows.append((z, v, i))
        return hxsnn.NeuronHandle(*map(torch.stack, zip(*rows, strict=True)))


class TestNeuronWithALoopOfItsOwn(NeuronContract):
    """Knows nothing of a chip: `forward_func` ignores its data."""

    takes_hw_data = False

    def make_neuron(self, size, experiment):
        return ByHand(size, experiment)
