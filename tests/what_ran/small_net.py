"""A small network in sizes on both sides of every switch, and what it computes, in plain torch.

The reference is a loop over time on copies. There are lists of spikes or dense products, and membranes that are
computed at once or when they are read.
"""

import torch
from torch.testing import assert_close

from hxtorch import snn

STEPS = 40
# inputs, neurons, batch, density
SIZES = {
    "tiny": (5, 8, 2, 0.3),
    "small": (20, 16, 6, 0.2),
    "dense": (100, 64, 20, 0.5),
    "sparse": (200, 64, 20, 0.02),
    "long": (60, 64, 64, 0.05),
}
ALPHA, DECAY, PULL = 50.0, 0.875, 0.125  # a step is 1/8 of both time constants
TAU = 8e-6


def unit():
    values = {"leak": 0.0, "reset": 0.0, "threshold": 1.0}
    return {name: snn.MixedHXModelParameter(value, 100) for name, value in values.items()}


def spikes(size, seed=0):
    inputs, _, batch, density = SIZES[size]
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(STEPS, batch, inputs, generator=generator) < density).float()


class Net:
    """Inputs to spiking neurons to leaky integrators, with weights whose sums float32 holds exactly for long."""

    def __init__(self, size, **experiment):
        inputs, hidden, _, density = SIZES[size]
        generator = torch.Generator().manual_seed(1)
        self.experiment = snn.Experiment(mock=True, **experiment)
        self.first, self.second = (
            snn.Synapse(inputs, hidden, self.experiment),
            snn.Synapse(hidden, 3, self.experiment),
        )
        scale = 2 / (inputs * density) ** 0.5
        for synapse in (self.first, self.second):
            weight = torch.randn(synapse.weight.shape, generator=generator) * scale
            synapse.weight.data = (weight * 64).round() / 64
        self.lif = snn.Neuron(hidden, self.experiment, **unit(), tau_mem=TAU, tau_syn=TAU)
        self.li = snn.ReadoutNeuron(3, self.experiment, leak=unit()["leak"], tau_mem=TAU, tau_syn=TAU)

    def call(self, x):
        handle = x if isinstance(x, snn.Handle) else snn.NeuronHandle(x)
        s = self.first(handle)
        z = self.lif(s)
        t = self.second(z)
        return s, z, t, self.li(t)

    def run(self, x):
        handles = self.call(x)
        snn.run(self.experiment, None)
        return handles

    @property
    def weights(self):
        return self.first.weight, self.second.weight


class Step(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return (x > 0).float()

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad / (ALPHA * x.abs() + 1) ** 2


def reference(x, first, second):
    """s, z, membrane, current of the hidden layer, t, membrane and current of the readout."""

    def layer(drive, fires):
        i = v = torch.zeros_like(drive[0])
        rows = []
        for now in drive.unbind(0):
            v = v + PULL * (i - v)
            z = Step.apply(v - 1) if fires else torch.zeros_like(v)
            v = torch.where(z.bool(), 0.0, v)
            i = i * DECAY + now
            rows.append((z, v, i))
        return [torch.stack(part) for part in zip(*rows, strict=True)]

    s = x @ first.T
    z, v, i = layer(s, True)
    t = z @ second.T
    _, y, current = layer(t, False)
    return s, z, v, i, t, y, current


def expected(x, net):
    """Values of the reference and gradients of a loss over all of them, for weights and input as they are now."""
    first, second, x = (t.detach().clone().requires_grad_() for t in (*net.weights, x))
    values = reference(x, first, second)
    return [v.detach() for v in values], torch.autograd.grad(loss_of(values), (first, second, x))


def loss_of(values):
    return sum((value * torch.linspace(0.5, 1.5, value.shape[-1])).square().sum() for value in values) / 1000


def shown(handles):
    s, z, t, y = handles
    return (
        s.graded_spikes, z.spikes, z.membrane_cadc, z.current, t.graded_spikes, y.membrane_cadc, y.current,
    )  # fmt: skip


def same(got, wanted):
    for a, b in zip(got, wanted, strict=True):
        scale = max(1.0, float(b.abs().max()))
        assert_close(a.detach() / scale, b / scale, rtol=1e-5, atol=2e-5)


def weight_gradients(net, handles):
    return torch.autograd.grad(loss_of(shown(handles)), net.weights)
