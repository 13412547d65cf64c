"""A running average of the weights of a training, which is what is tested and kept.

The last steps of a training still shake the weights, on a chip by its noise, too. Their average over the last
batches generalises better (Polyak and Juditsky 1992; Izmailov et al. 2018). `torch.optim.swa_utils.AveragedModel`
would copy the whole model, and with it the experiment and its place on the chip.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor


class WeightAverage:
    """Exponential average of trained `parameters`; `decay` per batch, 0 for none.

    At first it forgets faster: what the weights were before the first batch is soon without weight. Before that
    batch there is no average, and the weights stand for themselves.
    """

    def __init__(self, parameters: Iterable[Tensor], decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"The decay of the average is {decay}, but must be at least 0 and below 1.")
        self.parameters = list(parameters) if decay else []
        self.weights = [parameter.detach().clone() for parameter in self.parameters]
        self.decay, self.batches = decay, 0

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after a batch."""
        self.batches += 1
        decay = min(self.decay, self.batches / (self.batches + 10))
        for average, parameter in zip(self.weights, self.parameters, strict=True):
            average.lerp_(parameter, 1 - decay)

    @torch.no_grad()
    def adopt(self) -> None:
        """Make the average the weights of the model."""
        if not self.batches:
            return
        for average, parameter in zip(self.weights, self.parameters, strict=True):
            parameter.copy_(average)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model has the average as weights within this context."""
        kept = [parameter.detach().clone() for parameter in self.parameters]
        self.adopt()
        try:
            yield
        finally:
            with torch.no_grad():
                for weights, parameter in zip(kept, self.parameters, strict=True):
                    parameter.copy_(weights)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"batches": self.batches, "weights": list(self.weights)}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.batches = int(state["batches"])
        weights: list[Tensor] = state["weights"]
        for average, found in zip(self.weights, weights, strict=True):
            average.copy_(found)
