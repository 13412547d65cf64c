"""Convolutional layers: torch's arguments and padding, products on the synapse matrix."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from hxtorch.perceptron import constants as c
from hxtorch.perceptron import convolution
from hxtorch.perceptron.nn.layer import MACLayer, Transform
from hxtorch.perceptron.nn.scaling import clamp_weight_

Size = int | tuple[int, ...]


class _ConvNd(MACLayer):
    """Forward pass and constructor of all convolutions; which one is told by the class of torch beside it."""

    _conv: Callable[..., Tensor]
    _torch_layer: type[torch.nn.Conv1d] | type[torch.nn.Conv2d]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: str | Size = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        num_sends: int | None = None,
        wait_between_events: int = c.defaults.wait_between_events,
        mock: bool = False,
        *,
        input_transform: Transform | None = None,
        weight_transform: Transform | None = clamp_weight_,
    ) -> None:
        super().__init__(
            num_sends,
            wait_between_events,
            mock,
            input_transform=input_transform,
            weight_transform=weight_transform,
        )
        # torch's own layer knows how to read these arguments; on "meta" it has no weights of its own
        shape: Any = self._torch_layer(
            in_channels,
            out_channels,
            kernel_size,  # type: ignore[arg-type]
            stride,  # type: ignore[arg-type]
            padding,  # type: ignore[arg-type]
            dilation,  # type: ignore[arg-type]
            groups,
            bias,
            padding_mode,  # type: ignore[arg-type]
            device="meta",
        )
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride, self.padding = shape.kernel_size, shape.stride, shape.padding
        self.dilation, self.groups, self.padding_mode = shape.dilation, groups, padding_mode
        self._padding: tuple[int, ...] = tuple(shape._reversed_padding_repeated_twice)
        self.make_parameters(tuple(shape.weight.shape), bias)

    def forward(self, input: Tensor) -> Tensor:
        """Pad and convolve. Dilation and groups: ValueError."""
        if any(value != 1 for value in self.dilation):
            raise ValueError(f"The dilation is {self.dilation}, but the chip convolves without. Use dilation=1.")
        if self.groups != 1:
            raise ValueError(f"There are {self.groups} groups, but the chip convolves with one. Use groups=1.")
        x, weight = self.transformed(input)
        if any(self._padding):
            x = F.pad(x, self._padding, mode="constant" if self.padding_mode == "zeros" else self.padding_mode)
        return self._conv(x, weight, self.bias, self.stride, **self.options)


class Conv1d(_ConvNd):
    """`torch.nn.Conv1d` on the synapse matrix; further arguments as in `MACLayer`."""

    _torch_layer = torch.nn.Conv1d
    _conv = staticmethod(convolution.conv1d)


class Conv2d(_ConvNd):
    """`torch.nn.Conv2d` on the synapse matrix; further arguments as in `MACLayer`."""

    _torch_layer = torch.nn.Conv2d
    _conv = staticmethod(convolution.conv2d)


def _with_expansions() -> inspect.Signature:
    """Arguments of `Conv1d`, and `num_expansions` as the first of those by keyword alone."""
    shown = list(inspect.signature(Conv1d.__init__).parameters.values())
    first = next(place for place, one in enumerate(shown) if one.kind is one.KEYWORD_ONLY)
    shown.insert(first, inspect.Parameter("num_expansions", inspect.Parameter.KEYWORD_ONLY, default=None))
    return inspect.Signature(shown)


class ExpandedConv1d(Conv1d):
    """`Conv1d` that puts the kernel `num_expansions` times on the matrix; None: as often as it fits."""

    def __init__(self, *settings: Any, num_expansions: int | None = None, **options: Any) -> None:
        super().__init__(*settings, **options)
        self.num_expansions = self._fitting() if num_expansions is None else num_expansions
        self._conv = partial(convolution.expanded_conv1d, num_expansions=self.num_expansions)

    __init__.__signature__ = _with_expansions()  # type: ignore[attr-defined]  # as `help` and `print` show it

    def _fitting(self) -> int:
        """How often the kernel fits on the matrix: in width, and shifted by one stride each in height."""
        by_width = c.hardware_matrix_width // self.out_channels
        rows = c.hardware_matrix_height // self.in_channels
        by_height = int((rows - self.kernel_size[0]) // self.stride[0] + 1)
        return max(1, min(by_width, by_height))
