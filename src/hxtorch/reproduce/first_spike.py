"""Networks that answer with the time of their first spikes, trained with EventProp.

Each class has a spiking output neuron, and the first one to fire decides. Loss and its gradient speak of spike
times alone, as in Göltz et al. 2021.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

import hxtorch.snn as hxsnn
from hxtorch.snn.modules import EventPropLIF, EventPropSynapse
from hxtorch.snn.transforms.weight_transforms import linear_saturating

_REFRACTORY = 30e-6  # s: a neuron answers once


class _FirstSpike(torch.autograd.Function):
    """Times (B, N) in s of the first spikes; their gradient goes to the spikes in the convention of EventProp."""

    @staticmethod
    def forward(ctx: Any, spikes: Tensor, dt: float, late: float) -> Tensor:
        """First rows with a spike times `dt`; `late` where there is none."""
        fired = spikes > 0
        row = fired.to(torch.uint8).argmax(0)
        there = fired.any(0)
        ctx.save_for_backward(row, there)
        ctx.steps = len(spikes)
        return torch.where(there, row * dt, torch.full_like(row, 0, dtype=spikes.dtype) + late)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        """Minus the gradient of the time, in the row of the spike, as in `EventPropLIFFunction`."""
        (grad,) = grads
        row, there = ctx.saved_tensors
        rows = torch.zeros(ctx.steps, *grad.shape, dtype=grad.dtype)
        rows.scatter_(0, row[None], (-grad * there)[None])
        return rows, None, None


class FirstSpikeScores(nn.Module):
    """Scores (B, N) of output spikes (T, B, N): minus the time of the first spike in units of `scale` (s).

    Neurons that stay silent count as if they fired `late` (s).
    """

    def __init__(self, dt: float, scale: float, late: float) -> None:
        super().__init__()
        self.dt, self.scale, self.late = dt, scale, late

    def forward(self, spikes: Tensor) -> Tensor:
        """Scores of a batch."""
        times: Tensor = _FirstSpike.apply(spikes, self.dt, self.late)  # type: ignore[no-untyped-call]
        return -times / self.scale


class FirstSpikeNetwork(nn.Module):
    """Inputs, a hidden and an output layer of neurons that fire once per sample.

    Arguments as in `hxtorch.examples.spiking.yinyang_model.SNN`; `weight_init_...` are mean and standard
    deviation. Returns the spikes (T, B, n_out) of the output.
    """

    linear_r = None

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        n_out: int,
        mock: bool,
        dt: float,
        tau_mem: float,
        tau_syn: float,
        weight_init_hidden: tuple[float, float],
        weight_init_output: tuple[float, float],
        weight_scale: float,
        input_repetitions: int,
    ) -> None:
        super().__init__()
        self.input_repetitions = input_repetitions
        self.exp = hxsnn.Experiment(mock=mock, dt=dt)
        neuron: dict[str, Any] = {
            "leak": hxsnn.MixedHXModelParameter(0.0, 80),
            "reset": hxsnn.MixedHXModelParameter(0.0, 80),
            "threshold": hxsnn.MixedHXModelParameter(1.0, 150),
            "tau_mem": tau_mem,
            "tau_syn": tau_syn,
            "i_synin_gm": 500,
            "membrane_capacitance": hxsnn.MixedHXModelParameter(tau_mem, 63),
            "synapse_dac_bias": 1000,
            "refractory_time": _REFRACTORY,
            "enable_cadc_recording": False,
        }
        scaled = partial(linear_saturating, scale=weight_scale)
        self.linear_h = EventPropSynapse(n_in * input_repetitions, n_hidden, self.exp, transform=scaled)
        self.lif_h = EventPropLIF(n_hidden, self.exp, **neuron)
        scaled = partial(linear_saturating, scale=weight_scale)
        self.linear_o = EventPropSynapse(n_hidden, n_out, self.exp, transform=scaled)
        self.li_readout = EventPropLIF(n_out, self.exp, **neuron)
        self.s_h: hxsnn.NeuronHandle | None = None
        self.s_o: hxsnn.NeuronHandle | None = None
        with torch.no_grad():
            weight = torch.empty(n_hidden, n_in).normal_(*weight_init_hidden)
            self.linear_h.weight.copy_(weight.repeat(1, input_repetitions))
            self.linear_o.weight.normal_(*weight_init_output)

    def forward(self, spikes: Tensor) -> Tensor:
        """Output spikes for input spikes (T, B, n_in)."""
        tiled = spikes.repeat(1, 1, self.input_repetitions)
        self.s_h = self.lif_h(self.linear_h(hxsnn.NeuronHandle(tiled)))
        self.s_o = self.li_readout(self.linear_o(self.s_h))
        hxsnn.run(self.exp, spikes.shape[0])
        assert self.s_o.spikes is not None
        return self.s_o.spikes

    @torch.no_grad()
    def wake(self, bump: float, allowed: float) -> None:
        """Raise all weights into neurons that were silent for more than a share `allowed` of the last samples.

        A neuron without a spike has no gradient. `allowed` is that of hidden neurons; an output neuron must
        answer always.
        """
        for handle, synapse, most in ((self.s_h, self.linear_h, allowed), (self.s_o, self.linear_o, 0.0)):
            if handle is None or handle.spikes is None:
                continue
            silent = (handle.spikes.sum(0) == 0).to(torch.float32).mean(0)
            synapse.weight[silent > most] += bump
