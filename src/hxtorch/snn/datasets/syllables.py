"""Words of a few syllables as spikes of many channels: a generated task that needs memory.

All words consist of the same syllables, and only their order tells them apart. Where a syllable follows the
one before at once, neurons that see the change from one to the other learn most of it without recurrence. With
a silent `gap` of several membrane time constants between them nothing is left of a syllable when the next one
comes, and the activity of a recurrent network has to hold it. It needs no file and has the shape of the
recordings of spoken words that recurrent networks on the chip were trained with (70 channels, Cramer et al.
2022), but it is no speech.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset


class SyllableDataset(Dataset[tuple[Any, int]]):
    """Spikes (T, channels) of words, and the number of the word.

    * `size`, `seed`: number of samples and their random stream; `template_seed` draws the syllables, so that
      training and test set (same `template_seed`, different `seed`) speak the same language.
    * `channels`, `syllables`: every order of the syllables is a word, so there are ``syllables!`` classes.
    * `duration` (s) of a syllable; `gap` (s): silence between two of them; `pause` (s) at the end of a
      word, for the answer; `dt` (s) of the grid.
    * `events`: mean number of spikes of a channel in a syllable.
    * `jitter` (s): standard deviation of every spike time; `warp`: relative spread of the speed of a sample;
      `loss`: probability that a spike is missing; `extra`: random spikes per channel and sample.
    * `transform`: applied to the spikes when a sample is read.
    """

    def __init__(
        self,
        size: int = 1000,
        seed: int = 42,
        *,
        template_seed: int = 0,
        channels: int = 70,
        syllables: int = 3,
        duration: float = 16e-6,
        gap: float = 0.0,
        pause: float = 12e-6,
        dt: float = 1e-6,
        events: float = 0.5,
        jitter: float = 1e-6,
        warp: float = 0.05,
        loss: float = 0.1,
        extra: float = 0.2,
        transform: Callable[[Tensor], Any] | None = None,
    ) -> None:
        if not 2 <= syllables <= 5:
            raise ValueError(f"syllables is {syllables}, but must be 2..5: there is a class for every order.")
        if gap < 0:
            raise ValueError(f"gap is {gap} s, but silence lasts at least 0 s.")
        self.words = tuple(itertools.permutations(range(syllables)))
        spoken = syllables * duration + (syllables - 1) * gap
        self.steps = round((spoken + pause) / dt)
        self.transform = transform
        templates = _templates(template_seed, syllables, channels, events)
        random = np.random.default_rng([seed, template_seed])
        self.labels = torch.from_numpy(random.integers(len(self.words), size=size))
        self.spikes = torch.zeros((size, self.steps, channels), dtype=torch.bool, device="cpu")
        for sample, word in enumerate(self.labels.tolist()):
            times, which = [], []
            for position, syllable in enumerate(self.words[word]):
                time, channel = templates[syllable]
                times.append(time * duration + position * (duration + gap))
                which.append(channel)
            time, channel = np.concatenate(times), np.concatenate(which)
            time = time * np.exp(warp * random.standard_normal()) + jitter * random.standard_normal(time.size)
            kept = random.random(time.size) >= loss
            number = random.poisson(extra * channels)
            noise_time = random.random(number) * spoken
            noise_channel = random.integers(channels, size=number)
            rows = np.rint(np.concatenate([time[kept], noise_time]) / dt).astype(np.int64)
            columns = np.concatenate([channel[kept], noise_channel])
            inside = (rows >= 0) & (rows < self.steps)
            self.spikes[sample, rows[inside], columns[inside]] = True

    def __getitem__(self, index: int) -> tuple[Any, int]:
        spikes = self.spikes[index].to(torch.float32)
        return (spikes if self.transform is None else self.transform(spikes)), int(self.labels[index])

    def __len__(self) -> int:
        return len(self.labels)


def _templates(
    seed: int, syllables: int, channels: int, events: float
) -> list[tuple[NDArray[np.float64], NDArray[np.int64]]]:
    """Times (in durations of a syllable) and channels of the spikes of every syllable."""
    random = np.random.default_rng(seed)
    templates = []
    for _ in range(syllables):
        channel = np.repeat(np.arange(channels), random.poisson(events, channels))
        templates.append((random.random(channel.size), channel))
    return templates
