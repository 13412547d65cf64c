"""From weights of the model to weights of the chip."""

from __future__ import annotations

from torch import Tensor


def linear_saturating(
    weight: Tensor, scale: float = 1.0, min_weight: float = -63.0, max_weight: float = 63.0
) -> Tensor:
    """``clamp(scale * weight, min_weight, max_weight)``."""
    return (scale * weight).clamp(min_weight, max_weight)
