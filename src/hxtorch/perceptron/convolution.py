"""Convolutions as products with the synapse matrix. The bias is added in torch, without quantisation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from hxtorch.perceptron import constants as c
from hxtorch.perceptron.product import matmul


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    num_sends: int = 1,
    wait_between_events: int = c.defaults.wait_between_events,
    mock: bool = False,
) -> Tensor:
    """1-D convolution: `input` (B, in, length), `weight` (out, in, kernel), returns (B, out, length').

    Ranges, gain and noise as in `mac`. Wrong shapes, or a kernel larger than the input: RuntimeError.
    """
    return _convolve(input, weight, bias, stride, num_sends, wait_between_events, mock)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    num_sends: int = 1,
    wait_between_events: int = c.defaults.wait_between_events,
    mock: bool = False,
) -> Tensor:
    """2-D convolution: `input` (B, in, height, width), `weight` (out, in, kh, kw). Otherwise as `conv1d`."""
    return _convolve(input, weight, bias, stride, num_sends, wait_between_events, mock, dims=2)


def expanded_conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    num_expansions: int = 1,
    num_sends: int = 1,
    wait_between_events: int = c.defaults.wait_between_events,
    mock: bool = False,
) -> Tensor:
    """`conv1d` that puts the kernel `num_expansions` times on the matrix, each shifted by one stride.

    One product then gives that many neighbouring positions of the output.
    """
    _check(input, weight, dims=1)
    if num_expansions < 1:
        raise RuntimeError(f"num_expansions is {num_expansions}, but the kernel is placed at least once.")
    (step,) = _strides(stride, 1)
    features, _, kernel = weight.shape
    positions = (input.shape[-1] - kernel) // step + 1
    # the kernels side by side are one kernel, which moves on by all of their positions
    wide = kernel + (num_expansions - 1) * step
    kernels = torch.cat([F.pad(weight, (i * step, wide - kernel - i * step)) for i in range(num_expansions)])
    windows = math.ceil(positions / num_expansions)
    length = (windows - 1) * num_expansions * step + wide
    padded = F.pad(input, (0, max(length - input.shape[-1], 0)))[..., :length]
    result = _convolve(padded, kernels, None, num_expansions * step, num_sends, wait_between_events, mock)
    result = result.reshape(-1, num_expansions, features, windows).permute(0, 2, 3, 1)
    return _with_bias(result.reshape(-1, features, windows * num_expansions)[..., :positions], bias)


def _convolve(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: int | Sequence[int],
    num_sends: int,
    wait_between_events: int,
    mock: bool,
    dims: int = 1,
) -> Tensor:
    _check(input, weight, dims)
    patches = input
    for dim, (kernel, step) in enumerate(zip(weight.shape[2:], _strides(stride, dims)), start=2):
        patches = patches.unfold(dim, kernel, step)  # (B, in, *positions, *kernel)
    positions = patches.shape[2 : 2 + dims]
    batch, channels, *_ = patches.shape
    rows = patches.movedim(1, 1 + dims).reshape(batch, math.prod(positions), channels * math.prod(weight.shape[2:]))
    result = matmul(rows, weight.flatten(1).t(), num_sends, wait_between_events, mock)
    return _with_bias(result.transpose(1, 2).reshape(batch, -1, *positions), bias)


def _with_bias(result: Tensor, bias: Tensor | None) -> Tensor:
    if bias is not None:
        if bias.shape != result.shape[1:2]:
            raise RuntimeError(f"The bias has shape {tuple(bias.shape)}, expected ({result.shape[1]},).")
        result = result + bias.reshape(-1, *[1] * (result.ndim - 2))
    return result.contiguous()


def _check(input: Tensor, weight: Tensor, dims: int) -> None:
    if input.ndim != dims + 2 or weight.ndim != dims + 2:
        raise RuntimeError(
            f"A {dims}-D convolution takes an input and a weight with {dims + 2} dimensions each, got "
            f"{tuple(input.shape)} and {tuple(weight.shape)}."
        )
    if input.shape[1] != weight.shape[1]:
        raise RuntimeError(f"The input has {input.shape[1]} channels, but the weight is for {weight.shape[1]}.")
    if any(size < kernel for size, kernel in zip(input.shape[2:], weight.shape[2:])):
        raise RuntimeError(
            f"The kernel {tuple(weight.shape[2:])} is larger than the input {tuple(input.shape[2:])}."
        )


def _strides(stride: int | Sequence[int], dims: int) -> tuple[int, ...]:
    values = (stride,) * dims if isinstance(stride, int) else tuple(stride)
    if len(values) != dims or any(value < 1 for value in values):
        raise RuntimeError(f"The stride is {stride}, but must be one or {dims} whole numbers of at least 1.")
    return values
