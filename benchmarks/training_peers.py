"""The networks of `training.py` in other libraries."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from training_networks import Network, Step


def with_norse(network: Network) -> Step:
    import norse.torch as norse

    p = norse.LIFParameters(100.0, 100.0, v_th=torch.tensor(1.0), alpha=torch.tensor(50.0))
    sizes = network.sizes
    linears = [torch.nn.Linear(a, b, bias=False) for a, b in itertools.pairwise(sizes)]
    hidden = [norse.LIF(p, dt=0.001) for _ in sizes[1:-1]]
    if network.recurrent:
        linears[0] = torch.nn.Identity()
        hidden = [norse.LIFRecurrent(sizes[0], sizes[1], p, dt=0.001)]
    modules = torch.nn.ModuleList([*hidden, norse.LI(norse.LIParameters(100.0, 100.0), dt=0.001)])
    return _layers(linears, [lambda x, m=m: m(x)[0] for m in modules])


def with_snntorch(network: Network) -> Step:
    import snntorch
    from snntorch import surrogate

    slope = surrogate.fast_sigmoid(slope=50)
    sizes = network.sizes
    linears = [torch.nn.Linear(a, b, bias=False) for a, b in itertools.pairwise(sizes)]

    def run(cell: torch.nn.Module, spiking: bool, recurrent: bool) -> Step:
        def over_time(x: Tensor) -> Tensor:
            state = cell.reset_mem()
            rows = []
            spikes = torch.zeros_like(x[0])
            for drive in x.unbind(0):
                if recurrent:
                    spikes, *state = cell(drive, state[0], state[1], state[2])
                    state = [spikes, *state]
                else:
                    spikes, *state = cell(drive, *state)
                rows.append(spikes if spiking else state[-1])
            return torch.stack(rows)

        return over_time

    cells = []
    for layer, size in enumerate(sizes[1:]):
        spiking = layer < len(sizes) - 2
        if network.recurrent and spiking:
            cell = snntorch.RSynaptic(0.9, 0.9, linear_features=size, spike_grad=slope, reset_mechanism="zero")
        else:
            mechanism = "zero" if spiking else "none"
            cell = snntorch.Synaptic(0.9, 0.9, spike_grad=slope, reset_mechanism=mechanism)
        cells.append(run(cell, spiking, network.recurrent and spiking))
    return _layers(linears, cells)


def with_spikingjelly(network: Network) -> Step:
    """Membranes without a filtered current, for its neurons have none: less work than the others do."""
    from spikingjelly.activation_based import functional, neuron, surrogate

    if network.recurrent:
        raise ImportError("no layer for recurrent weights within one call")
    sizes = network.sizes
    linears = [torch.nn.Linear(a, b, bias=False) for a, b in itertools.pairwise(sizes)]
    slope = surrogate.ATan()
    hidden = [neuron.LIFNode(tau=10.0, v_reset=0.0, surrogate_function=slope, step_mode="m") for _ in sizes[1:-1]]
    readout = neuron.LIFNode(tau=10.0, v_threshold=1e9, step_mode="m", store_v_seq=True)

    def read(x: Tensor) -> Tensor:
        readout(x)
        return readout.v_seq

    inner = _layers(linears, [*hidden, read])

    def step(x: Tensor) -> Tensor:
        for module in (*hidden, readout):
            functional.reset_net(module)
        return inner(x)

    return step


def with_sinabs(network: Network) -> Step:
    import sinabs.layers

    sizes = network.sizes
    linears = [torch.nn.Linear(a, b, bias=False) for a, b in itertools.pairwise(sizes)]
    times = {"tau_mem": 10.0, "tau_syn": 10.0}
    cells: list[torch.nn.Module] = [sinabs.layers.LIF(**times) for _ in sizes[1:-1]]
    if network.recurrent:
        loop = torch.nn.Linear(sizes[1], sizes[1], bias=False)
        cells = [sinabs.layers.LIFRecurrent(rec_connect=loop, **times)]
    cells.append(sinabs.layers.ExpLeak(tau_mem=10.0))
    inner = _layers(linears, list(cells))

    def step(x: Tensor) -> Tensor:
        for cell in cells:
            cell.reset_states()
        return inner(x.transpose(0, 1).contiguous())

    return step


def _layers(linears: list[torch.nn.Module], cells: list[Step]) -> Step:
    def step(x: Tensor) -> Tensor:
        for linear, cell in zip(linears, cells, strict=True):
            x = cell(linear(x))
        loss = x.square().mean()
        loss.backward()
        return loss

    return step
