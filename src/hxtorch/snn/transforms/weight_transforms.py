"""From weights of the model to weights of the chip."""

from __future__ import annotations

from torch import Tensor

from hxtorch.snn.transforms.arguments import Values, dense_tensor


def linear_saturating(
    weight: Values, scale: float | Tensor = 1.0, min_weight: float = -63.0, max_weight: float = 63.0
) -> Tensor:
    """``clamp(scale * weight, min_weight, max_weight)``; `scale` may be a tensor, as one of each row (out, 1)."""
    return (scale * dense_tensor(weight, "The weights")).clamp(min_weight, max_weight)
