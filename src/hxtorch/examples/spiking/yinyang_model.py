"""A network of one hidden layer for the chip, and a model that turns data into scores with it."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

import hxtorch.snn as hxsnn
from hxtorch.snn.modules import LI, LIF, BatchDropout, Neuron, Synapse
from hxtorch.snn.morphology import Morphology, SingleCompartmentNeuron
from hxtorch.snn.training.regularizers import burst_penalty, readout_penalty, weight_penalty
from hxtorch.snn.transforms.weight_transforms import linear_saturating
from hxtorch.twin.places.coordinates import COLUMNS, AtomicNeuronOnDLS, LogicalNeuronOnDLS

Init = tuple[float, float]  # mean and standard deviation of a normal distribution


class SNN(nn.Module):
    """Inputs, a hidden layer of spiking neurons, and a readout of leaky integrators.

    * `n_in`, `n_hidden`, `n_out`: sizes; `dt`, `tau_mem`, `tau_syn` in seconds; `alpha`: steepness of the
      surrogate gradient.
    * `trace_shift_hidden`, `trace_shift_out`: `cadc_time_shift` of the layers.
    * `weight_init_hidden`, `weight_init_output`: mean and standard deviation of the first weights.
    * `weight_scale`: weight on the chip per weight of the model; `trace_scale`: membrane of the model per
      CADC LSB. `hxtorch.snn.utils.align` measures both.
    * `input_repetitions`: each input drives the chip over this many synapse rows, for larger weights.
    * `synapse_type`, `neuron_type`: classes of the synapses and of the hidden layer.
    * `hidden_cadc_recording`: whether the chip records the membranes of the hidden layer.
    * `recurrence`: None, or how the hidden layer feeds itself: with "trained" or "frozen" weights of
      `weight_init_recurrent`.
    * `dropout`: probability of `BatchDropout` behind the hidden layer.
    * `neuron_structure`: shape of the neurons; None is one circuit, with the readout in the lower hemisphere.
    * `leak`, `threshold`, `readout_leak`: potentials on the chip in CADC LSB; reset is at the leak. `i_synin_gm`,
      `synapse_dac_bias`: strength of the synapses there.

    Attributes: `exp`, `linear_h`, `lif_h`, `linear_o`, `li_readout`, and `s_h`, the handle of the hidden layer
    of the last run.
    """

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        n_out: int,
        mock: bool,
        dt: float = 1e-6,
        tau_mem: float = 8e-6,
        tau_syn: float = 8e-6,
        alpha: float = 50.0,
        trace_shift_hidden: int = 0,
        trace_shift_out: int = 0,
        weight_init_hidden: Init | None = None,
        weight_init_output: Init | None = None,
        weight_scale: float = 1.0,
        trace_scale: float = 1.0,
        input_repetitions: int = 1,
        synapse_type: type[Synapse] = Synapse,
        neuron_type: type[Neuron] = LIF,
        hidden_cadc_recording: bool = False,
        device: torch.device | str = "cpu",
        *,
        recurrence: str | None = None,
        weight_init_recurrent: Init = (0.0, 0.1),
        dropout: float = 0.0,
        neuron_structure: Morphology | None = None,
        leak: int = 80,
        threshold: int = 150,
        readout_leak: int = 80,
        i_synin_gm: int = 500,
        synapse_dac_bias: int = 1000,
    ) -> None:
        super().__init__()
        if recurrence not in (None, "trained", "frozen"):
            raise ValueError(f"recurrence is {recurrence!r}, but it is None, 'trained' or 'frozen'.")
        self.device = torch.device(device)
        self.input_repetitions = input_repetitions
        self.exp = hxsnn.Experiment(mock=mock, dt=dt)
        transform = partial(partial, linear_saturating, scale=weight_scale)  # one for each layer, to be set apart
        same: dict[str, Any] = {
            "tau_mem": tau_mem,
            "tau_syn": tau_syn,
            "i_synin_gm": i_synin_gm,
            "synapse_dac_bias": synapse_dac_bias,
            "shift_cadc_to_first": True,
            "trace_scale": trace_scale,
            "neuron_structure": neuron_structure,
        }
        self.linear_h = synapse_type(n_in * input_repetitions, n_hidden, self.exp, transform=transform())
        self.lif_h = neuron_type(
            n_hidden,
            self.exp,
            leak=hxsnn.MixedHXModelParameter(0.0, leak),
            reset=hxsnn.MixedHXModelParameter(0.0, leak),
            threshold=hxsnn.MixedHXModelParameter(1.0, threshold),
            membrane_capacitance=hxsnn.MixedHXModelParameter(tau_mem, 63),
            alpha=alpha,
            enable_cadc_recording=hidden_cadc_recording,
            cadc_time_shift=trace_shift_hidden,
            **same,
        )
        self.linear_r: Synapse | None = None
        if recurrence is not None:
            self.linear_r = Synapse(n_hidden, n_hidden, self.exp, transform=transform())
            self.linear_r.weight.requires_grad_(recurrence == "trained")
        self.dropout = BatchDropout(n_hidden, dropout, self.exp) if dropout else None
        self.linear_o = synapse_type(n_hidden, n_out, self.exp, transform=transform())
        self.li_readout = LI(
            n_out,
            self.exp,
            leak=hxsnn.MixedHXModelParameter(0.0, readout_leak),
            cadc_time_shift=trace_shift_out,
            placement_constraint=_second_row(n_out) if neuron_structure is None else None,
            **same,
        )
        self._init_weights(n_in, weight_init_hidden, weight_init_output, weight_init_recurrent)
        self.s_h: hxsnn.NeuronHandle | None = None
        self.to(self.device)

    def _init_weights(self, n_in: int, hidden: Init | None, output: Init | None, recurrent: Init) -> None:
        with torch.no_grad():
            if hidden is not None:
                weight = torch.empty(self.lif_h.size, n_in).normal_(*hidden)
                self.linear_h.weight.copy_(weight.repeat(1, self.input_repetitions))
            if output is not None:
                self.linear_o.weight.normal_(*output)
            if self.linear_r is not None:
                self.linear_r.weight.normal_(*recurrent)

    def forward(self, spikes: Tensor) -> Tensor:
        """Membranes (T, B, n_out) of the readout for input spikes (T, B, n_in)."""
        # copies of all channels one after another, as the columns of the weights are
        tiled = spikes.to(self.device).repeat(1, 1, self.input_repetitions)
        current = [self.linear_h(hxsnn.NeuronHandle(tiled))]
        if self.linear_r is not None:
            current.append(self.linear_r(self.lif_h.output_handle))
        hidden = self.lif_h(*current)
        passed = hidden if self.dropout is None else self.dropout(hidden)
        readout = self.li_readout(self.linear_o(passed))
        hxsnn.run(self.exp, spikes.shape[0])
        assert isinstance(readout.membrane_cadc, Tensor)
        self.s_h = hidden
        return readout.membrane_cadc


def _second_row(size: int) -> list[LogicalNeuronOnDLS]:
    """Places of so many neurons of one circuit each."""
    one = SingleCompartmentNeuron(1)
    return [one.at(AtomicNeuronOnDLS(COLUMNS + column)) for column in range(size)]


class Model(nn.Module):
    """Encoder, network and decoder: from data to one score per class."""

    def __init__(self, encoder: nn.Module, network: SNN, decoder: nn.Module, readout_scale: float = 1.0) -> None:
        super().__init__()
        self.encoder = encoder
        self.network = network
        self.decoder = decoder
        self.readout_scale = readout_scale
        self.scores = torch.empty(0)

    def forward(self, inputs: Tensor) -> Tensor:
        """Scores (B, classes) of inputs as the encoder takes them."""
        self.scores = self.decoder(self.network(self.encoder(inputs))).clone()
        with torch.no_grad():  # scales what the loss sees, not the gradient behind it
            self.scores *= self.readout_scale
        return self.scores

    def regularize(self, reg_readout: float, reg_bursts: float, reg_w_hidden: float, reg_w_output: float) -> Tensor:
        """Penalty on large scores, on many spikes per hidden neuron, and on large weights, of the last run."""
        net = self.network
        penalty = reg_readout * readout_penalty(self.scores)
        if net.s_h is not None and net.s_h.spikes is not None:
            penalty = penalty + reg_bursts * burst_penalty(net.s_h.spikes)
        return (
            penalty
            + reg_w_hidden * weight_penalty(net.linear_h.weight)
            + reg_w_output * weight_penalty(net.linear_o.weight)
        )
