"""Six networks, as a training step of hxtorch, as a plain loop in torch, and as the least that has to be done."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from hxtorch import snn
from hxtorch.snn import functional as F

Step = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Network:
    steps: int
    batch: int
    sizes: tuple[int, ...]
    recurrent: bool = False


NETWORKS = {
    "introduction": Network(100, 1, (128, 3)),
    "yin-yang": Network(60, 64, (5, 120, 3)),
    "mnist 30 steps": Network(30, 100, (256, 246, 10)),
    "mnist 100 steps": Network(100, 100, (256, 246, 10)),
    "recurrent": Network(100, 100, (70, 256, 20), recurrent=True),
    "large": Network(100, 128, (700, 1024, 1024, 20)),
}


def input_of(network: Network, density: float = 0.05) -> Tensor:
    """Input spikes (steps, batch, inputs), always the same."""
    generator = torch.Generator().manual_seed(1)
    shape = (network.steps, network.batch, network.sizes[0])
    return (torch.rand(shape, generator=generator) < density).float()


def weights_of(network: Network) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = list(zip(network.sizes[1:], network.sizes, strict=False))
    weights = [torch.randn(shape, generator=generator) * (0.05 * shape[1]) ** -0.5 for shape in shapes]
    if network.recurrent:
        size = network.sizes[1]
        weights.append(torch.randn(size, size, generator=generator) * 0.3 * size**-0.5)
    return weights


def with_hxtorch(network: Network) -> Step:
    experiment = snn.Experiment(mock=True)
    unit = {
        name: snn.MixedHXModelParameter(v, 100) for name, v in (("leak", 0.0), ("reset", 0.0), ("threshold", 1.0))
    }
    sizes = network.sizes
    synapses = [snn.Synapse(a, b, experiment) for a, b in itertools.pairwise(sizes)]
    neurons: list[snn.Neuron] = [snn.Neuron(n, experiment, **unit) for n in sizes[1:-1]]
    neurons.append(snn.ReadoutNeuron(sizes[-1], experiment, leak=unit["leak"]))
    loop = snn.Synapse(sizes[1], sizes[1], experiment) if network.recurrent else None
    everything = [*synapses, *([loop] if loop else [])]
    for synapse, weight in zip(everything, weights_of(network), strict=True):
        synapse.weight.data = weight

    def step(x: Tensor) -> Tensor:
        handle = snn.NeuronHandle(x)
        for synapse, neuron in zip(synapses, neurons, strict=True):
            drive = [synapse(handle)]
            if loop and neuron is neurons[0]:
                drive.append(loop(neuron.output_handle))
            handle = neuron(*drive)
        snn.run(experiment, None)
        loss = handle.membrane_cadc.square().mean()
        for synapse in everything:
            synapse.weight.grad = None
        loss.backward()
        return loss

    return step


def plain_loop(network: Network) -> Step:
    weights = [weight.requires_grad_() for weight in weights_of(network)]
    recurrent = weights.pop() if network.recurrent else None

    def step(x: Tensor) -> Tensor:
        for layer, weight in enumerate(weights):
            spiking = layer < len(weights) - 1
            i = v = x.new_zeros(x.shape[1], weight.shape[0])
            rows = []
            for drive in torch.nn.functional.linear(x, weight).unbind(0):
                v = v + 0.1 * (i - v)
                if spiking:
                    z = F.threshold(v - 1)
                    v = torch.where(z.bool(), 0.0, v)
                    rows.append(z)
                    if recurrent is not None:
                        drive = drive + z @ recurrent.T
                else:
                    rows.append(v)
                i = i * 0.9 + drive
            x = torch.stack(rows)
        loss = x.square().mean()
        loss.backward()
        for weight in (*weights, *([] if recurrent is None else [recurrent])):
            weight.grad = None
        return loss

    return step


def limit(network: Network) -> Step:
    """The dense products of forward and backward, and nothing else."""
    rows = network.steps * network.batch
    pairs = list(zip(network.sizes, network.sizes[1:], strict=False))
    inputs = [False] + [True] * (len(pairs) - 1)
    if network.recurrent:
        pairs.append((network.sizes[1], network.sizes[1]))
        inputs.append(True)
    data = [(torch.rand(rows, a), torch.rand(b, a), torch.rand(rows, b)) for a, b in pairs]

    def step(x: Tensor) -> Tensor:
        for needs_input, (spikes, weight, grad) in zip(inputs, data, strict=True):
            spikes @ weight.T
            grad.T @ spikes
            if needs_input:
                grad @ weight
        return x

    return step


def traffic(network: Network) -> Step:
    """Copies of as many bytes as have to be read and written at least.

    The input and the spikes of every layer once each way, and what a backward pass has to know of the membranes
    (4 bytes per step and neuron) written and read; of the readout its membranes and their gradients.
    """
    hidden, readout = sum(network.sizes[1:-1]), network.sizes[-1]
    numbers = network.steps * network.batch * (network.sizes[0] + 4 * hidden + 2 * readout)
    source = torch.zeros(max(numbers // 2, 1))  # a copy reads and writes
    target = torch.zeros_like(source)

    def step(x: Tensor) -> Tensor:
        target.copy_(source)
        return x

    return step
