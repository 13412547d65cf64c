"""A network is trained, in mock mode, on the virtual chip, and with the reference."""

import checked  # noqa: F401  # first
import torch

import hxtorch
from hxtorch import snn
from hxtorch.snn import functional as F


def train(mock):
    torch.manual_seed(1)
    experiment = snn.Experiment(mock=mock)
    synapse, neuron = snn.Synapse(8, 4, experiment), snn.Neuron(4, experiment)
    out, readout = snn.Synapse(4, 3, experiment), snn.ReadoutNeuron(3, experiment)
    torch.nn.init.normal_(synapse.weight, 20.0, 10.0)
    optimizer = torch.optim.Adam([synapse.weight, out.weight], lr=1.0)
    x = (torch.rand(30, 2, 8) < 0.3).float()
    for _ in range(2):
        z = neuron(synapse(snn.NeuronHandle(x)))
        y = readout(out(z))
        snn.run(experiment, 30)
        optimizer.zero_grad()
        (y.membrane_cadc.square().mean() + z.spikes.mean()).backward()
        optimizer.step()
    assert z.spikes.shape[1:] == (2, 4) and synapse.weight.grad is not None


train(mock=True)
hxtorch.init_hardware()
train(mock=False)
hxtorch.release_hardware()
with F.reference_numerics():
    train(mock=True)
