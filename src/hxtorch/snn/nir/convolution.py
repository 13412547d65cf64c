"""Convolutions and pooling of NIR as matrices: each value of the output is a sum of inputs with known weights.

Values are numbered as in memory, channel by channel and row by row, as Flatten does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hxtorch.snn.nir.nodes import SPATIAL, Matrix, Node, Shape, kind


@dataclass(frozen=True)
class _Window:
    """How a kernel slides over an input: one number for each spatial dimension.

    `size` of the kernel, its steps (`stride`), the gaps between its weights (`dilation`), and the zeros `before`
    and `after` the input.
    """

    size: Shape
    stride: Shape
    dilation: Shape
    before: Shape
    after: Shape

    @property
    def reach(self) -> Shape:
        """Inputs from the first to the last under the kernel."""
        return tuple(gap * (size - 1) + 1 for gap, size in zip(self.dilation, self.size))

    def positions(self, spatial: Shape) -> Shape:
        """How many places the kernel takes over an input of shape `spatial`."""
        around = zip(spatial, self.before, self.after, self.reach, self.stride)
        return tuple((size + left + right - span) // step + 1 for size, left, right, span, step in around)

    def under(self, place: Shape, spatial: Shape) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Numbers of the outputs, and of the inputs that lie under the weight `place` of the kernel for each."""
        positions = self.positions(spatial)
        lines = []
        for axis, at in enumerate(place):
            outputs = np.arange(positions[axis])
            inputs = outputs * self.stride[axis] - self.before[axis] + at * self.dilation[axis]
            inside = (inputs >= 0) & (inputs < spatial[axis])
            lines.append((outputs[inside], inputs[inside]))
        to, of = (np.meshgrid(*side, indexing="ij") for side in zip(*lines))
        return np.ravel_multi_index(to, positions).ravel(), np.ravel_multi_index(of, spatial).ravel()


def unrolled(node: Node, name: str, arriving: Shape | None) -> tuple[Matrix, Matrix | None, Shape]:
    """Matrix (out, in), bias (out,) and shape (channels, *spatial) of what a convolution or a pooling computes.

    `arriving` is the shape of its input, None if the graph does not say; then a convolution's own `input_shape`
    counts. Shapes that do not fit each other: ValueError that names the node `name`.
    """
    dimensions = SPATIAL[kind(node)]
    label = f"{name!r} ({kind(node)})"
    if kind(node).startswith("Conv"):
        weight = np.asarray(node.weight, dtype=np.float64)
        groups = int(node.groups)
        if weight.ndim != dimensions + 2 or groups < 1 or weight.shape[0] % groups:
            raise ValueError(
                f"{label} has weights of shape {weight.shape} in {groups} groups, expected (out, in / "
                f"groups, {', '.join(['kernel'] * dimensions)})."
            )
        source = _input_shape(label, arriving, node.input_shape, weight.shape[1] * groups, dimensions)
        window = _window(label, weight.shape[2:], node.stride, node.padding, node.dilation)
        matrix, shape = _convolution(label, weight, groups, source, window)
        if node.bias is None:
            return matrix, None, shape
        return matrix, np.repeat(np.asarray(node.bias, dtype=np.float64).ravel(), math.prod(shape[1:])), shape
    source = _input_shape(label, arriving, None, None, dimensions)
    kernel = _each(node.kernel_size, dimensions)
    share = 1.0 if kind(node) == "SumPool2d" else 1.0 / math.prod(kernel)
    weight = np.full((source[0], 1, *kernel), share)  # every channel for itself
    window = _window(label, kernel, node.stride, node.padding, dilation=1)
    matrix, shape = _convolution(label, weight, source[0], source, window)
    return matrix, None, shape


def _input_shape(
    label: str, arriving: Shape | None, own: ArrayLike | None, channels: int | None, dimensions: int
) -> Shape:
    """(channels, *spatial) of the input; a single channel may be left out of the shape that arrives."""
    given = None if own is None else tuple(int(n) for n in np.atleast_1d(own))
    if arriving is None:
        if given is None or channels is None:
            raise ValueError(
                f"Nothing says which shape arrives at {label}. Give the Input before it its shape "
                f"(channels, {', '.join(['size'] * dimensions)})."
            )
        return (channels, *given)
    if given is not None and channels is not None and arriving == (channels * math.prod(given),):
        return (channels, *given)  # flat, but the node says its shape
    shape = (1, *arriving) if len(arriving) == dimensions else arriving
    wrong = len(shape) != dimensions + 1
    wrong |= channels is not None and shape[0] != channels
    wrong |= given is not None and shape[1:] != given
    if wrong:
        expected = ", ".join(map(str, (channels or "channels", *(given or ["size"] * dimensions))))
        raise ValueError(f"{label} expects the shape ({expected}), but {arriving} arrives.")
    return shape


def _convolution(label: str, weight: Matrix, groups: int, source: Shape, window: _Window) -> tuple[Matrix, Shape]:
    """Matrix and output shape of `weight` (out, in / groups, *kernel) over an input (channels, *spatial)."""
    spatial = source[1:]
    sizes = window.positions(spatial)
    if min(sizes) < 1:
        raise ValueError(f"{label} has a kernel that reaches over {window.reach}, but {spatial} arrives.")
    outs, ins, values = weight.shape[0], weight.shape[1], weight.reshape(*weight.shape[:2], -1)
    matrix = np.zeros((outs, math.prod(sizes), source[0], math.prod(spatial)))
    feeds = (np.arange(outs) // (outs // groups))[:, None] * ins + np.arange(ins)  # (outs, ins): channels
    for number, place in enumerate(np.ndindex(window.size)):
        rows, columns = window.under(place, spatial)
        matrix[np.arange(outs)[:, None, None], rows, feeds[:, :, None], columns] = values[:, :, number, None]
    return matrix.reshape(outs * math.prod(sizes), -1), (outs, *sizes)


def _window(label: str, size: Shape, stride: ArrayLike, padding: ArrayLike, dilation: ArrayLike) -> _Window:
    """The window of a node; `padding` is one number for all dimensions, one for each, "same" or "valid"."""
    steps, spread = _each(stride, len(size)), _each(dilation, len(size))
    if isinstance(padding, str) and padding == "same":
        if any(step != 1 for step in steps):
            raise ValueError(f"{label} has strides {steps}, but padding 'same' needs strides of 1.")
        total = [gap * (length - 1) for gap, length in zip(spread, size)]
        return _Window(size, steps, spread, tuple(n // 2 for n in total), tuple(n - n // 2 for n in total))
    width = (0,) * len(size) if isinstance(padding, str) else _each(padding, len(size))
    return _Window(size, steps, spread, width, width)


def _each(value: ArrayLike, dimensions: int) -> Shape:
    """One number for each dimension, of one for all or of several."""
    values = np.broadcast_to(np.asarray(value, dtype=np.int64).ravel(), (dimensions,))
    return tuple(int(n) for n in values)
