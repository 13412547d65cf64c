"""Dropout of whole neurons, the same ones for all entries of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from hxtorch.snn import functional as F
from hxtorch.snn.checks import positive_int
from hxtorch.snn.handle import Handle, NeuronHandle
from hxtorch.snn.modules.base import HXFunctionalModule
from hxtorch.snn.modules.population import Population

if TYPE_CHECKING:
    from hxtorch.snn.experiment import Experiment
    from hxtorch.snn.graph import Node


class BatchDropout(HXFunctionalModule):
    """Silences each of `size` neurons with probability `dropout` while training.

    Follows a module of spiking neurons. Before every run a new mask is drawn (all neurons in evaluation
    mode); on the chip it switches off the event outputs of the neurons, in the model it sets their spikes to
    zero. The mask is constant over the batch, and activations are not scaled.
    """

    output_type: ClassVar[type[Handle]] = NeuronHandle
    input_field = "spikes"

    def __init__(self, size: int, dropout: float, experiment: Experiment | None) -> None:
        super().__init__(experiment)
        self.size = positive_int("size", size)
        if not 0 <= dropout <= 1:
            raise ValueError(f"dropout is {dropout}, but must be a probability from 0 to 1.")
        self.dropout = float(dropout)
        self.register_buffer("_mask", torch.ones(self.size, dtype=torch.bool), persistent=False)
        self._mask: Tensor

    @property
    def mask(self) -> Tensor:
        """Which neurons (size,) pass their spikes on, as bool."""
        return self._mask

    @mask.setter
    def mask(self, value: Tensor) -> None:
        mask = torch.as_tensor(value).detach().to(self._mask)
        if mask.shape != (self.size,):
            raise ValueError(f"mask has shape {tuple(mask.shape)}, expected ({self.size},).")
        self._mask = mask

    def set_mask(self) -> Tensor:
        """Draw a new mask while training, else let all neurons pass; returns it."""
        if self.training:
            self._mask = torch.rand(self.size, device=self._mask.device) > self.dropout
        else:
            self._mask = torch.ones_like(self._mask)
        return self._mask

    @property
    def input_size(self) -> int:
        """`size`."""
        return self.size

    @property
    def output_size(self) -> int:
        """`size`."""
        return self.size

    def prepare(self, node: Node) -> None:
        """Draw a mask and give it to the neurons in front."""
        sources = node.predecessors
        before = sources[0].module if len(sources) == 1 and sources[0] is not None else None
        if not isinstance(before, Population) or "spikes" not in before.output_type.names():
            raise TypeError("The BatchDropout module is only allowed to succeed a Neuron module.")
        before.mask = self.set_mask()

    if TYPE_CHECKING:  # so that an editor knows what a call returns

        def __call__(self, *inputs: Handle) -> NeuronHandle:
            """The handle that `run` fills."""
            ...

    def forward_func(self, input: NeuronHandle) -> NeuronHandle:
        """The input with the spikes (T, B, size) of the silenced neurons set to zero."""
        before = input.peek("spikes")
        assert before is not None
        spikes = F.CarriedSpikes(F.batch_dropout(F.carried(before).values(), self._mask))
        handle = NeuronHandle()
        handle.put(spikes, *(input.peek(name) for name in ("membrane_cadc", "current", "membrane_madc")))
        return handle

    def extra_repr(self) -> str:
        """Size and probability, as `print` shows them."""
        return f"size={self.size}, dropout={self.dropout:g}"
