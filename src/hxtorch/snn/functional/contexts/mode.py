"""Which implementation computes: fused kernels or plain torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

_reference_only: ContextVar[bool] = ContextVar("reference_only", default=False)


@contextmanager
def reference_numerics() -> Iterator[None]:
    """Within this context everything is computed in plain torch, for example for second derivatives.

    Examples:
        >>> from hxtorch.snn import Experiment, InputNeuron, NeuronHandle, run
        >>> import torch
        >>> experiment = Experiment(mock=True)
        >>> z = InputNeuron(1, experiment)(NeuronHandle(torch.ones(3, 1, 1)))
        >>> with reference_numerics():
        ...     run(experiment, None)
        >>> z.spikes.shape
        torch.Size([3, 1, 1])
    """
    token = _reference_only.set(True)
    try:
        yield
    finally:
        _reference_only.reset(token)


def fused_applies(*tensors: Tensor) -> bool:
    """Whether the kernels can take these tensors: float32 on the CPU, outside of transforms of `torch.func`."""
    if not all(tensor.dtype == torch.float32 and tensor.device.type == "cpu" for tensor in tensors):
        return False
    # torch.compile cannot see the variable, and turns the transforms into plain calls itself.
    return torch.compiler.is_compiling() or not (
        _reference_only.get() or torch._C._are_functorch_transforms_active()
    )


def autocasts(like: Tensor) -> bool:
    """Whether torch's autocast would shorten numbers on the device of `like`."""
    device = like.device.type
    return device != "meta" and torch.is_autocast_enabled(device)
