"""From traces (T, B, N) to scores (B, N).

Traces are tensors, arrays of numpy or lists; sparse ones become dense. Booleans and integers, such as spikes, have
maxima and sums of integers, and means of torch's default type. A maximum or a mean over no time steps raises
ValueError.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hxtorch.snn.transforms.arguments import Values, dense_tensor


class MaxOverTime(nn.Module):
    """Largest value over time; the gradient is shared equally among equal maxima."""

    def forward(self, input: Values) -> Tensor:
        """(T, B, N) to (B, N)."""
        return _with_steps(_trace(input)).amax(0)


class SumOverTime(nn.Module):
    """Sum over time."""

    def forward(self, input: Values) -> Tensor:
        """(T, B, N) to (B, N)."""
        return _trace(input).sum(0)


class MeanOverTime(nn.Module):
    """Mean over time."""

    def forward(self, input: Values) -> Tensor:
        """(T, B, N) to (B, N)."""
        trace = _with_steps(_trace(input))
        return (trace if trace.is_floating_point() else trace.to(torch.get_default_dtype())).mean(0)


def _trace(values: Values) -> Tensor:
    trace = dense_tensor(values, "The values of the trace")
    if trace.ndim == 0:
        raise ValueError("The trace is a single number, expected (time, batch, neuron).")
    return trace


def _with_steps(trace: Tensor) -> Tensor:
    if trace.shape[0] == 0:
        raise ValueError(f"The trace has no time steps, its shape is {tuple(trace.shape)}. Give at least one.")
    return trace
