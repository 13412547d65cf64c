"""Synaptic products, and dropout of neurons."""

from __future__ import annotations

import torch
from torch import Tensor


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Weighted sum ``input @ weight.T + bias``: (..., in) and (out, in) give (..., out)."""
    return torch.nn.functional.linear(input, weight, bias)


def batch_dropout(input: Tensor, mask: Tensor) -> Tensor:
    """Spikes (T, B, N) with those of the neurons set to zero for which `mask` (N,) is false."""
    return input * mask.to(input)
