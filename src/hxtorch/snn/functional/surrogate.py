"""Spikes with a surrogate gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class SuperSpike(torch.autograd.Function):
    """Heaviside step whose gradient is that of a fast sigmoid.

    Forward: 1 where x > 0, else 0. Backward: ``grad / (alpha |x| + 1)**2``. Zenke & Ganguli, "SuperSpike:
    Supervised learning in multilayer spiking neural networks", Neural Computation 30 (2018), eq. 3.3.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, alpha: float) -> Tensor:
        """Step of `x`, in its dtype."""
        ctx.save_for_backward(x)
        ctx.alpha = alpha
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """Surrogate gradient with respect to `x`."""
        (x,) = ctx.saved_tensors
        return grads[0] / (ctx.alpha * x.abs() + 1).square(), None


def threshold(input: Tensor, method: str = "superspike", alpha: float = 50.0) -> Tensor:
    """Spikes where `input` (membrane minus threshold) is above zero. `method`: "superspike" only."""
    check_method(method)
    return SuperSpike.apply(input, alpha)  # type: ignore[no-any-return, no-untyped-call]


def check_method(method: str) -> None:
    """ValueError for an unknown surrogate gradient."""
    if method != "superspike":
        raise ValueError(f"Threshold function '{method}' is not implemented yet. Use method='superspike'.")
