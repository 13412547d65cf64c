"""Synaptic products."""

from __future__ import annotations

import torch
from torch import Tensor


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Weighted sum ``input @ weight.T + bias``: (..., in) and (out, in) give (..., out)."""
    return torch.nn.functional.linear(input, weight, bias)
