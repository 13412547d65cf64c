"""Operations on 8-bit activations, element by element. They are exact, with or without a chip."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hxtorch.perceptron import constants as c
from hxtorch.perceptron.backend import require_connection
from hxtorch.perceptron.product import clamp_output
from hxtorch.perceptron.tracer import note


def add(input: Tensor, other: Tensor, alpha: float = 1, mock: bool = False) -> Tensor:
    """Add 8-bit activations: both are floored and clamped to -128..127, so is the sum.

    `other` may be broadcast. `alpha` must be 1 (RuntimeError). The gradient is that of a sum.
    """
    if alpha != 1:
        raise RuntimeError(f"alpha is {alpha}, but the chip adds without a factor. Scale before adding.")
    _door(mock)
    result: Tensor = _Add.apply(input, other)  # type: ignore[no-untyped-call]
    note("add", input, result, other=other, mock=mock)
    return result


def relu(input: Tensor, mock: bool = False) -> Tensor:
    """Floor and clamp to 0..127. The gradient passes where `input` > 0."""
    _door(mock)
    result: Tensor = _ReLU.apply(input, 0, c.output_activation_max)  # type: ignore[no-untyped-call]
    note("relu", input, result, mock=mock)
    return result


def converting_relu(input: Tensor, shift: int = 2, mock: bool = False) -> Tensor:
    """Turn outputs into inputs of the next layer: ``clamp(floor(relu(input) / 2**shift), 0, 31)``.

    The gradient is divided by ``2**shift`` and passes where `input` > 0. A negative `shift`: RuntimeError.
    """
    if shift < 0:
        raise RuntimeError(f"shift is {shift}, but must be at least 0.")
    _door(mock)
    result: Tensor = _ReLU.apply(input, shift, c.input_activation_max)  # type: ignore[no-untyped-call]
    note("converting_relu", input, result, shift=shift, mock=mock)
    return result


def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False, mock: bool = False) -> Tensor:
    """Index of the largest 8-bit activation (floored and clamped to -128..127), like `torch.argmax`."""
    _door(mock)
    result = torch.argmax(clamp_output(input.detach().floor()), dim, keepdim)
    note("argmax", input, result, dim=dim, keepdim=keepdim, mock=mock)
    return result


def _door(mock: bool) -> None:
    if not mock:
        require_connection()


class _Add(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, other: Tensor) -> Tensor:
        ctx.shapes = input.shape, other.shape
        return clamp_output(clamp_output(input.floor()) + clamp_output(other.floor()))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        return grad.sum_to_size(ctx.shapes[0]), grad.sum_to_size(ctx.shapes[1])


class _ReLU(torch.autograd.Function):
    """ReLU of 8-bit values, shifted to the right and clamped to `largest`."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, shift: int, largest: int) -> Tensor:
        ctx.save_for_backward(input)
        factor: float = 2.0**-shift
        ctx.factor = factor
        positive = input.floor().clamp(0, c.output_activation_max)
        return (positive * factor).floor().clamp(0, largest)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (input,) = ctx.saved_tensors
        return grad * ctx.factor * (input > 0), None, None
