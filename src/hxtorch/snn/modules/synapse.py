"""Synapses: the weights between two populations."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from hxtorch.snn import functional as F
from hxtorch.snn.execution_instance import ExecutionInstance
from hxtorch.snn.graph.contract import Host
from hxtorch.snn.handles.handle import Handle, NeuronHandle, SynapseHandle, empty_handle
from hxtorch.snn.modules.base import HXModule
from hxtorch.snn.recording.changes import State, function_state
from hxtorch.snn.refusals import positive_int
from hxtorch.snn.transforms.weight_transforms import linear_saturating
from hxtorch.twin.places.coordinates import MAX_WEIGHT

if TYPE_CHECKING:  # needed with a chip alone
    from hxtorch.mapping import Connections


class Projection(HXModule):
    """What connects two populations: base of all synapses, with `in_features` and `out_features`."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        experiment: Host | None,
        execution_instance: ExecutionInstance | None = None,
        chip_coordinate: Any = None,
    ) -> None:
        super().__init__(experiment, execution_instance, chip_coordinate)
        self.in_features = positive_int("in_features", in_features)
        self.out_features = positive_int("out_features", out_features)

    @property
    def input_size(self) -> int:
        """`in_features`."""
        return self.in_features

    @property
    def output_size(self) -> int:
        """`out_features`."""
        return self.out_features


Transform = Callable[[Tensor], Tensor]


def in_present_order(
    chip_coordinate: Any, device: Any, dtype: Any, transform: Transform
) -> tuple[Any, torch.device | str | None, torch.dtype | None, Transform]:
    """The arguments of synapses by position as they are today.

    Scripts of the earlier generation, which had no `chip_coordinate`, give device, dtype and transform one place
    earlier. Types tell.
    """
    earlier = (
        isinstance(chip_coordinate, str | torch.device)
        or isinstance(device, torch.dtype)
        or (callable(dtype) and not isinstance(dtype, torch.dtype))
    )
    if not earlier:
        return chip_coordinate, device, dtype, transform
    return None, chip_coordinate, device, transform if dtype is None else dtype


class Synapse(Projection):
    """All-to-all synapses without bias: ``graded_spikes = spikes @ weight.T``.

    `weight` has shape (out_features, in_features) and starts uniform in +-1/sqrt(in_features). On the chip
    the weights are ``transform(weight)``, rounded to integers -63..63; the model uses `weight` itself. The
    transform is kept as `weight_transform` and may be exchanged between runs.

    Weights beyond 63 need several synapses: with `parallel_rows` p, every connection has p of them, and the
    chip's weights reach to +-63 p. Each counts as an input of its neuron.
    """

    told_of_clipping = (
        False  # whether the user was warned that the chip's weights end before those of the transform
    )
    output_type: ClassVar[type[Handle]] = SynapseHandle
    input_field = "spikes"

    def __init__(
        self,
        in_features: int,
        out_features: int,
        experiment: Host | None,
        execution_instance: ExecutionInstance | None = None,
        chip_coordinate: Any = None,
        device: Any = None,
        dtype: Any = None,
        transform: Callable[[Tensor], Tensor] = linear_saturating,
        plasticity_rule: None = None,
        *,
        parallel_rows: int = 1,
    ) -> None:
        chip_coordinate, device, dtype, transform = in_present_order(chip_coordinate, device, dtype, transform)
        if plasticity_rule is not None:
            raise NotImplementedError(
                "plasticity_rule needs a plasticity processor, which the virtual chip has not. Leave it out."
            )
        super().__init__(in_features, out_features, experiment, execution_instance, chip_coordinate)
        self.parallel_rows = positive_int("parallel_rows", parallel_rows)
        if transform is linear_saturating and self.parallel_rows > 1:
            limit = MAX_WEIGHT * self.parallel_rows
            transform = partial(linear_saturating, min_weight=-limit, max_weight=limit)
        self.weight = nn.Parameter(torch.empty((out_features, in_features), device=device, dtype=dtype))
        self.weight_transform = transform
        self.plasticity_rule = plasticity_rule
        self.reset_parameters()

    @property
    def effective_weight(self) -> Tensor:
        """The weights (out, in) that the model computes with."""
        return self.weight

    @property
    def chip_connections(self) -> Connections | None:
        """The synapses that exist, as the mapping wants them; None: all."""
        return None

    def chip_state(self) -> State:
        """Weights, and the transform that makes those of the chip."""
        return {"weights": (self.weight, *function_state(self.weight_transform))}

    def reset_parameters(self) -> None:
        """Draw new weights, uniform in +-1/sqrt(in_features)."""
        bound = 1 / math.sqrt(self.in_features)
        nn.init.uniform_(self.weight, -bound, bound)

    if TYPE_CHECKING:  # so that an editor knows what a call returns

        def __call__(self, *inputs: Handle) -> SynapseHandle:
            """The handle that `run` fills."""
            ...

    def forward_func(self, input: NeuronHandle) -> SynapseHandle:
        """Weighted sum of the `spikes` (T, B, in) of the input: (T, B, out)."""
        spikes = input.peek("spikes")
        assert spikes is not None
        handle = empty_handle(SynapseHandle)
        handle.put(F.linear_later(spikes, self.effective_weight))
        return handle

    def extra_repr(self) -> str:
        """Sizes, as `print` shows them."""
        return f"in_features={self.in_features}, out_features={self.out_features}"
