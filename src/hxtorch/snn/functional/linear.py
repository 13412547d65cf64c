"""Synaptic products, and dropout of neurons."""

from __future__ import annotations

import torch
from torch import Tensor

from hxtorch.snn.functional.mode import fused_applies
from hxtorch.snn.functional.products import spike_linear


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Weighted sum ``input @ weight.T + bias``: (..., in) and (out, in) give (..., out).

    Few spikes (entries 0 and 1) in float32 on the CPU are summed from their indices where that is faster.
    """
    if (
        bias is None
        and input.ndim > 1
        and input.numel()
        and weight.numel()
        and not torch.compiler.is_compiling()
        and fused_applies(input, weight)
    ):
        return spike_linear(input, weight)
    return torch.nn.functional.linear(input, weight, bias)


def batch_dropout(input: Tensor, mask: Tensor) -> Tensor:
    """Spikes (T, B, N) with those of the neurons set to zero for which `mask` (N,) is false."""
    return input * mask.to(input)
