"""The last run of an experiment in TensorBoard: rates, membranes and weights over the steps of a training."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from hxtorch.snn.experiment import Experiment
from hxtorch.snn.modules.population import Population
from hxtorch.snn.modules.synapse import Synapse
from hxtorch.twin.places.coordinates import MAX_WEIGHT


class Writer(Protocol):
    """What is used of a `torch.utils.tensorboard.SummaryWriter`."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int | None = None) -> None:
        """Add a number."""
        ...

    def add_histogram(self, tag: str, values: Tensor, global_step: int | None = None) -> None:
        """Add a distribution."""
        ...


def log_run(writer: Writer, experiment: Experiment, step: int, prefix: str = "") -> None:
    """Write what the last run of `experiment` recorded as step number `step`.

    Of spiking neurons the spikes per neuron and the part of silent neurons, of membranes and weights the
    distribution, of weights on the chip the part at its limits, and the times and counters of the run. Needs
    nothing but a writer, for example ``torch.utils.tensorboard.SummaryWriter`` (extra `tensorboard`). Nothing
    run: ValueError.
    """
    ran = experiment.last_run
    if ran is None:
        raise ValueError("There is nothing to log: the experiment has not been run yet.")
    for index, item in enumerate(ran.modules):
        name = f"{prefix}{index}_{type(item.module).__name__}"
        if isinstance(item.module, Synapse):
            with torch.no_grad():
                weight = item.module.weight.detach()
                on_chip = item.module.weight_transform(weight).abs()
            writer.add_histogram(f"{name}/weight", weight.cpu(), step)
            writer.add_scalar(f"{name}/saturated", (on_chip >= MAX_WEIGHT - 0.5).float().mean().item(), step)
        if isinstance(item.module, Population):
            spikes, membrane = item.recorded.get("spikes"), item.recorded.get("membrane_cadc")
            if spikes is not None:
                per_neuron = spikes.sum((0, 1)) / spikes.shape[1]
                writer.add_scalar(f"{name}/spikes_per_neuron", per_neuron.mean().item(), step)
                writer.add_scalar(f"{name}/silent", (per_neuron == 0).float().mean().item(), step)
            if membrane is not None:
                writer.add_histogram(f"{name}/membrane", membrane.cpu(), step)
    if ran.info is not None:
        for key, seconds in ran.info.time.items():
            writer.add_scalar(f"{prefix}time/{key}", seconds, step)
        for key, count in ran.info.health.items():
            writer.add_scalar(f"{prefix}health/{key}", count, step)
