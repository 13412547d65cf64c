"""From traces (T, B, N) to scores (B, N)."""

from __future__ import annotations

from torch import Tensor, nn


class MaxOverTime(nn.Module):
    """Largest value over time; the gradient is shared equally among equal maxima."""

    def forward(self, input: Tensor) -> Tensor:
        """(T, B, N) to (B, N)."""
        return input.amax(0)


class SumOverTime(nn.Module):
    """Sum over time."""

    def forward(self, input: Tensor) -> Tensor:
        """(T, B, N) to (B, N)."""
        return input.sum(0)


class MeanOverTime(nn.Module):
    """Mean over time."""

    def forward(self, input: Tensor) -> Tensor:
        """(T, B, N) to (B, N)."""
        return input.mean(0)
