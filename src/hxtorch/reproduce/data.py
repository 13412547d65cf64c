"""Data of the trainings, as tensors, and the encoders that make spikes of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from hxtorch.reproduce.settings import Settings
from hxtorch.snn.datasets import MNIST, FashionMNIST, ImageDataset, SyllableDataset, YinYangDataset
from hxtorch.snn.transforms.encode import CoordinatesToSpikes, PixelsToSpikeTimes, SpikeTimesToDense

_IMAGE_SIZE = 16
_LATENCY_TAU = 8e-6  # s, encoding of Cramer et al. 2022
_LATENCY_THRESHOLD = 0.2
_CHANNELS = 70  # as in Cramer et al. 2022; with 186 recurrent neurons, the inputs of two circuits
# With three syllables (six words), frozen recurrence remembers as much as a trained one: 0.870 and 0.872 in the
# mean of three seeds. Of four, it forgets too many of the 24 orders.
_SYLLABLES, _SYLLABLE, _GAP = 4, 12e-6, 10e-6  # number, duration and silence between two in s


@dataclass(frozen=True, eq=False)
class Data:
    """Samples (n, ...) and classes (n,) of training and test; `encoder` makes spikes (T, B, inputs) of a batch."""

    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    encoder: nn.Module
    inputs: int
    classes: int


class ImagesToSpikes(nn.Module):
    """Latency code of images (B, h, w): bright pixels spike early, dark ones never. Returns (T, B, h w)."""

    def __init__(self, steps: int, dt: float) -> None:
        super().__init__()
        self._times = PixelsToSpikeTimes(_LATENCY_TAU, _LATENCY_THRESHOLD, t_max=steps * dt)
        self._bins = SpikeTimesToDense(dt, steps)

    def forward(self, images: Tensor) -> Tensor:
        """Encode a batch."""
        spikes: Tensor = self._bins(self._times(images.flatten(1)))
        return spikes.to(torch.float32)


class TimeFirst(nn.Module):
    """Spikes (B, T, C), of any type, to (T, B, C) as float."""

    def forward(self, spikes: Tensor) -> Tensor:
        """Reorder a batch."""
        return spikes.transpose(0, 1).to(torch.float32)


def load_data(settings: Settings) -> Data:
    """Load what `settings.data` names; a name that does not exist: ValueError."""
    if settings.data not in _LOADERS:
        raise ValueError(f"There is no data set {settings.data!r}. Known: {', '.join(_LOADERS)}.")
    data = _LOADERS[settings.data](settings)
    if settings.validation:
        (samples, labels), held = data.train, settings.validation
        data = replace(data, train=(samples[:-held], labels[:-held]), test=(samples[-held:], labels[-held:]))
    train, test = _first(data.train, settings.train_size), _first(data.test, settings.test_size)
    return replace(data, train=train, test=test)


def _first(part: tuple[Tensor, Tensor], limit: int | None) -> tuple[Tensor, Tensor]:
    return part[0][:limit], part[1][:limit]


def _yinyang(settings: Settings) -> Data:
    """5000 points to train with, 1000 to test, coordinates as spike times."""

    def part(size: int, seed: int) -> tuple[Tensor, Tensor]:
        made = YinYangDataset(size=size, seed=seed)
        return torch.tensor(made.points, dtype=torch.float32), torch.tensor(made.classes)

    bias = settings.bias_time
    encoder = CoordinatesToSpikes(settings.steps, *settings.input_times, settings.dt, t_bias=bias)
    return Data(part(5000, 42), part(1000, 40), encoder, 4 if bias is None else 5, 3)


def _images(kind: type[ImageDataset]) -> Callable[[Settings], Data]:
    def load(settings: Settings) -> Data:
        train, test = kind(train=True, size=_IMAGE_SIZE), kind(train=False, size=_IMAGE_SIZE)
        encoder = ImagesToSpikes(settings.steps, settings.dt)
        return Data((train.images, train.labels), (test.images, test.labels), encoder, _IMAGE_SIZE**2, 10)

    return load


def _syllables(settings: Settings) -> Data:
    made: list[Any] = [
        SyllableDataset(
            size, seed, channels=_CHANNELS, syllables=_SYLLABLES, duration=_SYLLABLE, gap=_GAP, dt=settings.dt
        )
        for size, seed in ((3000, 42), (1000, 40))
    ]
    if made[0].steps != settings.steps:
        raise ValueError(f"Words take {made[0].steps} steps of {settings.dt:g} s, but steps is {settings.steps}.")
    train, test = ((item.spikes, item.labels) for item in made)
    return Data(train, test, TimeFirst(), _CHANNELS, len(made[0].words))


_LOADERS: dict[str, Callable[[Settings], Data]] = {
    "yinyang": _yinyang,
    "mnist16": _images(MNIST),
    "fashion16": _images(FashionMNIST),
    "syllables": _syllables,
}


def rotate(images: Tensor, largest: float) -> Tensor:
    """Turn every image (B, h, w) by its own random angle of at most `largest` degrees."""
    angle = (torch.rand(len(images)) * 2 - 1) * math.radians(largest)
    turn = torch.zeros(len(images), 2, 3)
    turn[:, 0, 0] = turn[:, 1, 1] = angle.cos()
    turn[:, 0, 1], turn[:, 1, 0] = -angle.sin(), angle.sin()
    shape = [len(images), 1, *images.shape[1:]]
    grid = nn.functional.affine_grid(turn, shape, align_corners=False)
    return nn.functional.grid_sample(images[:, None], grid, align_corners=False)[:, 0].clamp(0, 1)
