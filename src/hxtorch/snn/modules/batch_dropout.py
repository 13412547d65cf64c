"""Dropout of whole neurons, the same ones for all entries of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from hxtorch.snn import functional as F
from hxtorch.snn.graph.contract import Host, Node
from hxtorch.snn.handles.handle import Handle, NeuronHandle
from hxtorch.snn.modules.base import HXFunctionalModule
from hxtorch.snn.modules.masks import all_pass, drawn, mask_of
from hxtorch.snn.modules.population import Population
from hxtorch.snn.refusals import positive_int


class BatchDropout(HXFunctionalModule):
    """Silences each of `size` neurons with probability `dropout` while training.

    Follows a module of spiking neurons, whose own output shows all spikes; the output of the dropout shows those
    that pass. Before every run a new mask is drawn (in evaluation mode all neurons pass). The synapses behind the
    dropout do not hear silenced neurons: on the chip they have the weight 0 in that run, in the model the spikes
    are zero. Whoever else reads the neurons hears them, also another dropout. The mask is constant over the
    batch, and activations are not scaled.

    A subclass that draws otherwise overrides `set_mask` and assigns `mask` there.
    """

    output_type: ClassVar[type[Handle]] = NeuronHandle
    input_field = "spikes"

    def __init__(self, size: int, dropout: float, experiment: Host | None) -> None:
        super().__init__(experiment)
        self.size = positive_int("size", size)
        if not 0 <= dropout <= 1:
            raise ValueError(f"dropout is {dropout}, but must be a probability from 0 to 1.")
        self.dropout = float(dropout)
        # A buffer, so that it follows `.to(device)`. Its tensor is never changed in place, but replaced: whoever
        # holds it has the mask of that run.
        self.register_buffer("_mask", all_pass(self.size, device=None), persistent=False)
        self._mask: Tensor

    @property
    def mask(self) -> Tensor:
        """Which neurons (size,) passed their spikes on in the last run, as bool; a copy.

        What is assigned to it is copied, too. The next run draws another one.
        """
        return self._mask.clone()

    @mask.setter
    def mask(self, value: Any) -> None:
        self._mask = mask_of(value, self.size).to(self._device)

    @property
    def chip_mask(self) -> Tensor:
        """`mask`."""
        return self._mask

    def set_mask(self) -> Tensor:
        """Draw a new mask while training, else let all neurons pass; returns it."""
        device = self._device
        self._mask = drawn(self.size, self.dropout, device) if self.training else all_pass(self.size, device)
        return self.mask

    @property
    def _device(self) -> torch.device | str:
        """Where masks are: a module of the device "meta" has no place for values."""
        return "cpu" if self._mask.is_meta else self._mask.device

    @property
    def input_size(self) -> int:
        """`size`."""
        return self.size

    @property
    def output_size(self) -> int:
        """`size`."""
        return self.size

    def prepare(self, node: Node) -> None:
        """Draw the mask of this run."""
        sources = node.predecessors
        before = sources[0].module if len(sources) == 1 and sources[0] is not None else None
        if not isinstance(before, Population) or "spikes" not in before.output_type.names():
            raise TypeError("The BatchDropout module is only allowed to succeed a Neuron module.")
        self.set_mask()

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
