"""Bringing trained networks onto other chips, and training on several chips at once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor

import hxtorch
from hxtorch.reproduce.data import Data
from hxtorch.reproduce.runner import train_seed
from hxtorch.reproduce.settings import Settings
from hxtorch.reproduce.training import ALIGNMENT_BATCH, Training, build, train_batch
from hxtorch.snn.utils import align, code_version, load_checkpoint, save_checkpoint
from hxtorch.study import Condition, connected, prepare
from hxtorch.twin import Die, VirtualChip

Weights = dict[str, Tensor]


def weights_of(training: Training) -> Weights:
    """A copy of all weights."""
    return {name: value.detach().clone() for name, value in training.model.state_dict().items()}


def software_weights(settings: Settings, seed: int, data: Data, state: Path) -> Weights:
    """Weights trained in the model alone, in the shape that a network on the chip has. Kept in `state`."""
    trained = train_seed(settings, seed, data=data, mock=True, state=state, name="software").training
    weights = weights_of(trained)
    if settings.input_repetitions > 1:  # one row in mock mode, several on the chip
        name = "network.linear_h.weight"
        copies = settings.input_repetitions
        weights[name] = (weights[name] / copies).repeat(1, copies)
    return weights


def chip_weights(settings: Settings, seed: int, data: Data, chip: int, state: Path) -> Weights:
    """Weights trained in the loop on a healthy chip. Kept in `state`."""
    with connected(Condition(chip=chip)):
        return weights_of(train_seed(settings, seed, data=data, state=state, name="home").training)


def on_chip(settings: Settings, condition: Condition, data: Data) -> Training:
    """Untrained network on the connected chip of a condition.

    It is calibrated and aligned while the chip is healthy, and suffers what the condition says afterwards.
    """
    training = build(replace(settings, align=False), data, mock=False)
    batch = data.train[0][:ALIGNMENT_BATCH]
    healthy = replace(condition, decalibration=0.0, dead_neurons=0.0, dead_synapses=0.0, dead_columns=0.0)
    prepare(training.model, batch, healthy)
    network = training.model.network
    if settings.align:
        with torch.random.fork_rng(devices=[]):
            align(training.model, batch)
        network.lif_h.cadc_time_shift = network.li_readout.cadc_time_shift = settings.time_shift
    if healthy != condition:
        prepare(training.model, batch, condition)
    return training


def train_steps(training: Training, steps: int) -> None:
    """Train with `steps` random batches in the loop."""
    size = training.settings.batch_size
    for _ in range(steps):
        train_batch(training, torch.randint(len(training.data.train[1]), (size,)))


def population_weights(settings: Settings, seed: int, data: Data, chips: Sequence[int], state: Path) -> Weights:
    """Weights trained in the loop on several chips, another one for every batch. Kept in `state`."""
    content = {**asdict(settings), "seed": seed, "chips": tuple(chips), "code": code_version()}
    key = hashlib.sha256(repr(sorted(content.items())).encode()).hexdigest()[:12]
    path = state / f"population-{key}.pt"
    state.mkdir(parents=True, exist_ok=True)
    dies = [VirtualChip(Die.from_seed(chip)) for chip in chips]
    try:
        hxtorch.init_hardware(dies[0])
        torch.manual_seed(seed)
        first = build(settings, data, mock=False)
        if path.is_file() and load_checkpoint(path, first.model).extra["epoch"] == settings.epochs:
            return weights_of(first)
        members = [first]
        for die in dies[1:]:
            hxtorch.init_hardware(die)
            with torch.random.fork_rng(devices=[]):
                members.append(_member(settings, data, first))
        size = settings.batch_size
        for _ in range(settings.epochs):
            order = torch.randperm(len(data.train[1]))
            for number, chosen in enumerate(torch.split(order[: len(order) // size * size], size)):
                hxtorch.init_hardware(dies[number % len(dies)])
                train_batch(members[number % len(dies)], chosen)
            first.scheduler.step()
        first.average.adopt()
        hxtorch.init_hardware(dies[0])  # whose name the checkpoint bears
        save_checkpoint(path, first.model, epoch=settings.epochs)
        return weights_of(first)
    finally:
        hxtorch.release_hardware()


def _member(settings: Settings, data: Data, first: Training) -> Training:
    """A network on the connected chip that shares weights and optimiser with `first`."""
    training = build(settings, data, mock=False)
    own, shared = training.model.network, first.model.network
    for name in ("linear_h", "linear_o", "linear_r"):
        layer = getattr(own, name)
        if layer is not None:
            layer.weight = getattr(shared, name).weight
    training.optimizer, training.average = first.optimizer, first.average
    return training
