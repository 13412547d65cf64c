"""Bringing a network onto a chip under a condition."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import nn

import hxtorch
from hxtorch.snn.execution_instance import ExecutionInstance
from hxtorch.snn.modules import Neuron
from hxtorch.study.conditions import Condition
from hxtorch.study.damage import damaged, decalibrated
from hxtorch.twin import Die, Noise

_NOT_STRENGTHS = ("membrane_time", "cadc_phase")


@contextmanager
def connected(condition: Condition) -> Iterator[None]:
    """Connect to the chip of a condition, with its dead synapses and its noise, and release it afterwards."""
    die = damaged(Die.from_seed(condition.chip), condition)
    hxtorch.init_hardware(die, noise=_noise(condition))
    try:
        yield
    finally:
        hxtorch.release_hardware()


def _noise(condition: Condition) -> Noise:
    noise = Noise()
    strengths = {name: value * condition.noise for name, value in vars(noise).items() if name not in _NOT_STRENGTHS}
    strengths["spike_loss"] = min(strengths["spike_loss"], 1.0)
    return replace(noise, **strengths)


def prepare(model: nn.Module, inputs: Any, condition: Condition) -> None:
    """Calibrate for `model`, as it is, then spoil the calibration as the condition says.

    `inputs` is any batch that `model(inputs)` runs. The healthy die is calibrated: faults come afterwards.
    """
    die = Die.from_seed(condition.chip)
    hxtorch.init_hardware(die)  # of the same name as the damaged one, and whole
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        model(inputs)
    for instance in _instances(model):
        made = instance.calibration
        if made is None:
            assert instance.made_calibration is not None  # by the run above
            made = instance.made_calibration[1]
        instance.calibration = decalibrated(made, condition)
    hxtorch.init_hardware(damaged(die, condition), noise=_noise(condition))
    with warnings.catch_warnings(), torch.no_grad(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore", UserWarning)  # the parameters take over the targets they asked for
        model(inputs)


def _instances(model: nn.Module) -> list[ExecutionInstance]:
    found = [module.execution_instance for module in model.modules() if isinstance(module, Neuron)]
    return [item for item in dict.fromkeys(found) if isinstance(item, ExecutionInstance)]
