"""One training: a network made of settings, an epoch of it, and its test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hxtorch.examples.spiking.yinyang_model import SNN, Model
from hxtorch.reproduce.averaging import WeightAverage
from hxtorch.reproduce.data import Data, rotate
from hxtorch.reproduce.first_spike import FirstSpikeNetwork, FirstSpikeScores
from hxtorch.reproduce.settings import Settings
from hxtorch.snn import modules
from hxtorch.snn.morphology import SingleCompartmentNeuron
from hxtorch.snn.training.regularizers import burst_penalty, readout_penalty, weight_penalty
from hxtorch.snn.transforms.decode import MaxOverTime, SumOverTime
from hxtorch.snn.utils import align, clip_weights, fit_weight_scale

ALIGNMENT_BATCH = 8  # samples that show how a network is connected
_TEST_BATCH = 250
_SILENT_HIDDEN = 0.3  # share of samples, as in Göltz et al. 2021
OnBatch = Callable[[int, int, float], None]


@dataclass(eq=False)
class Training:
    """A model with what trains it."""

    settings: Settings
    data: Data
    model: Model
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    average: WeightAverage


def build(settings: Settings, data: Data, *, mock: bool) -> Training:
    """Make an untrained network; its weights are drawn from torch's generator. On the chip it is aligned."""
    repetitions = 1 if mock else settings.input_repetitions
    # in mock mode one row does what the copies do together
    copies = settings.input_repetitions if mock else 1
    init_hidden = (settings.init_hidden[0] * copies, settings.init_hidden[1] * copies)
    make = _first_spike_network if settings.decoder == "first" else _readout_network
    network = make(settings, data, mock, repetitions, init_hidden)
    for layer in (network.lif_h, network.li_readout):
        if isinstance(layer, modules.EventPropLIF):
            layer.smallest_slope = settings.smallest_slope
    network.lif_h.threshold_at_spikes = settings.threshold_at_spikes
    model = Model(data.encoder, network, _decoder(settings), 1.0 if mock else settings.readout_scale)  # type: ignore[arg-type]
    if settings.align and not mock:
        align(model, data.train[0][:ALIGNMENT_BATCH])
        network.lif_h.cadc_time_shift = network.li_readout.cadc_time_shift = settings.time_shift
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=settings.lr)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, settings.step_size, settings.gamma)
    return Training(settings, data, model, optimizer, scheduler, WeightAverage(trained, settings.averaging))


def _decoder(settings: Settings) -> nn.Module:
    if settings.decoder == "first":
        return FirstSpikeScores(settings.dt, settings.tau_syn, settings.steps * settings.dt)
    kinds: dict[str, type[nn.Module]] = {"max": MaxOverTime, "sum": SumOverTime}
    return kinds[settings.decoder]()


def _first_spike_network(
    settings: Settings, data: Data, mock: bool, repetitions: int, init_hidden: tuple[float, float]
) -> FirstSpikeNetwork:
    return FirstSpikeNetwork(
        data.inputs,
        settings.hidden,
        data.classes,
        mock,
        settings.dt,
        settings.tau_mem,
        settings.tau_syn,
        init_hidden,
        settings.init_output,
        settings.weight_scale,
        repetitions,
    )


def _readout_network(
    settings: Settings, data: Data, mock: bool, repetitions: int, init_hidden: tuple[float, float]
) -> SNN:
    extra: dict[str, Any] = {}
    if settings.estimator == "eventprop":
        extra = {"synapse_type": modules.EventPropSynapse, "neuron_type": modules.EventPropLIF}
    elif settings.estimator != "surrogate_gradient":
        raise ValueError(f"estimator is {settings.estimator!r}, not 'surrogate_gradient' or 'eventprop'.")
    return SNN(
        data.inputs,
        settings.hidden,
        data.classes,
        mock,
        settings.dt,
        settings.tau_mem,
        settings.tau_syn,
        settings.alpha,
        trace_shift_hidden=settings.time_shift,
        trace_shift_out=settings.time_shift,
        weight_init_hidden=init_hidden,
        weight_init_output=settings.init_output,
        weight_scale=settings.weight_scale,
        trace_scale=settings.trace_scale,
        input_repetitions=repetitions,
        hidden_cadc_recording=settings.estimator == "surrogate_gradient",
        recurrence=settings.recurrence,
        weight_init_recurrent=settings.init_recurrent,
        dropout=settings.dropout,
        neuron_structure=None if settings.circuits == 1 else SingleCompartmentNeuron(settings.circuits),
        leak=settings.leak,
        threshold=settings.threshold,
        readout_leak=settings.readout_leak,
        i_synin_gm=settings.i_synin_gm,
        synapse_dac_bias=settings.synapse_dac_bias,
        **extra,
    )


def prepare_weights(training: Training) -> None:
    """Keep the weights in the range of the chip; nothing in mock mode."""
    network = training.model.network
    if network.exp.mock:
        return
    clip_weights(network.linear_h)
    if network.linear_r is not None:
        clip_weights(network.linear_r)
    if isinstance(network, FirstSpikeNetwork):  # its output has a threshold, and so a scale
        clip_weights(network.linear_o)
        return
    fit_weight_scale(network.linear_o, training.settings.largest_output_scale)


def loss_of(training: Training, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Loss with regularisation, and scores, of a batch."""
    settings, model = training.settings, training.model
    scores = model(inputs)
    loss = nn.functional.cross_entropy(scores, labels, label_smoothing=settings.label_smoothing)
    loss = loss + settings.reg_readout * readout_penalty(scores)
    hidden = model.network.s_h
    if settings.reg_bursts and hidden is not None and hidden.spikes is not None:
        loss = loss + settings.reg_bursts * burst_penalty(hidden.spikes)
    if settings.reg_hidden:
        loss = loss + settings.reg_hidden * weight_penalty(model.network.linear_h.weight)
    return loss, scores


def limit_gradient(weight: Tensor, times: float) -> None:
    """Clamp the gradient of `weight` to +- `times` the median of its absolute values that are not 0.

    The gradient of a spike time is inverse to the slope of the membrane at the threshold. A single spike that
    hardly reached it, in one sample of a batch, would otherwise decide the step.
    """
    if weight.grad is None:
        return
    sizes = weight.grad.abs()
    there = sizes[sizes > 0]
    if len(there):
        limit = float(there.median()) * times
        weight.grad.clamp_(-limit, limit)


def train_batch(training: Training, chosen: Tensor) -> tuple[float, int]:
    """Train with the samples of the given numbers; returns loss and number of right answers."""
    training.model.train()
    samples, labels = training.data.train
    inputs = samples[chosen]
    if training.settings.rotation:
        inputs = rotate(inputs, training.settings.rotation)
    prepare_weights(training)
    training.optimizer.zero_grad()
    loss, scores = loss_of(training, inputs, labels[chosen])
    loss.backward()  # type: ignore[no-untyped-call]
    if training.settings.largest_gradient:
        for weight in training.model.parameters():
            limit_gradient(weight, training.settings.largest_gradient)
    training.optimizer.step()
    network = training.model.network
    if isinstance(network, FirstSpikeNetwork):
        # falls with the learning rate: otherwise late in a training it is stronger than what the loss says
        left = training.optimizer.param_groups[0]["lr"] / training.settings.lr
        network.wake(training.settings.wake * left, _SILENT_HIDDEN)
    training.average.update()
    return float(loss.detach()), int((scores.argmax(1) == labels[chosen]).sum())


def train_epoch(training: Training, on_batch: OnBatch | None = None) -> tuple[float, float]:
    """Train once with every sample; returns mean loss and accuracy. `on_batch(done, total, loss)` follows."""
    labels = training.data.train[1]
    size = training.settings.batch_size
    batches = torch.split(torch.randperm(len(labels))[: len(labels) // size * size], size)
    losses, right = 0.0, 0
    for number, chosen in enumerate(batches):
        loss, hits = train_batch(training, chosen)
        losses += loss
        right += hits
        if on_batch is not None:
            on_batch(number + 1, len(batches), loss)
    training.scheduler.step()
    return losses / len(batches), right / (len(batches) * size)


@torch.no_grad()
def predict(training: Training, samples: Tensor) -> tuple[Tensor, float]:
    """Scores (n, classes) in evaluation mode, and the mean number of spikes per hidden neuron and sample."""
    training.model.eval()
    scores, spikes = [], 0.0
    with training.average.in_place():
        prepare_weights(training)
        for chunk in torch.split(samples, _TEST_BATCH):
            scores.append(training.model(chunk))
            hidden = training.model.network.s_h
            if hidden is not None and hidden.spikes is not None:
                spikes += float(hidden.spikes.sum()) / hidden.spikes.shape[2]
    return torch.cat(scores), spikes / len(samples)


def accuracy(training: Training) -> float:
    """Share of the test set that is classified rightly."""
    scores, _ = predict(training, training.data.test[0])
    return float((scores.argmax(1) == training.data.test[1]).float().mean())
