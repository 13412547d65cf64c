"""Convolutions and pooling of NIR as matrices: each value of the output is a sum of inputs with known weights.

Values are numbered as in memory, channel by channel and row by row, as Flatten does.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Shape = tuple[int, ...]

SPATIAL = {"Conv1d": 1, "Conv2d": 2, "SumPool2d": 2, "AvgPool2d": 2}
"""Nodes that this file knows, with the number of their spatial dimensions."""


def unrolled(node: Any, name: str, arriving: Shape | None) -> tuple[Matrix, Matrix | None, Shape]:
    """Matrix (out, in), bias (out,) and shape (channels, *spatial) of what a convolution or a pooling computes.

    `arriving` is the shape of its input, None if the graph does not say; then a convolution's own `input_shape`
    counts. Shapes that do not fit each other: ValueError that names the node `name`.
    """
    kind = type(node).__name__
    dimensions = SPATIAL[kind]
    if kind.startswith("Conv"):
        weight = np.asarray(node.weight, dtype=np.float64)
        groups, dilation, bias = int(node.groups), node.dilation, node.bias
        if weight.ndim != dimensions + 2 or groups < 1 or weight.shape[0] % groups:
            raise ValueError(
                f"{name!r} ({kind}) has weights of shape {weight.shape} in {groups} groups, expected (out, in / "
                f"groups, {', '.join(['kernel'] * dimensions)})."
            )
        source = _input_shape(name, kind, arriving, node.input_shape, weight.shape[1] * groups, dimensions)
        return _convolution(name, kind, weight, source, node.stride, node.padding, dilation, groups, bias)
    source = _input_shape(name, kind, arriving, None, None, dimensions)
    kernel = _each(node.kernel_size, dimensions)
    share = 1.0 if kind == "SumPool2d" else 1.0 / math.prod(kernel)
    weight = np.full((source[0], 1, *kernel), share)  # every channel for itself
    return _convolution(name, kind, weight, source, node.stride, node.padding, 1, source[0], None)


def _input_shape(
    name: str, kind: str, arriving: Shape | None, own: Any, channels: int | None, dimensions: int
) -> Shape:
    """(channels, *spatial) of the input; a single channel may be left out of the shape that arrives."""
    given = None if own is None else tuple(int(n) for n in np.atleast_1d(own))
    if arriving is None:
        if given is None or channels is None:
            raise ValueError(
                f"Nothing says which shape arrives at {name!r} ({kind}). Give the Input before it its shape "
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
        raise ValueError(f"{name!r} ({kind}) expects the shape ({expected}), but {arriving} arrives.")
    return shape


def _convolution(
    name: str,
    kind: str,
    weight: Matrix,
    source: Shape,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    bias: Any,
) -> tuple[Matrix, Matrix | None, Shape]:
    """The matrix of a convolution with `weight` (out, in / groups, *kernel) over an input of shape `source`."""
    kernel, spatial = weight.shape[2:], source[1:]
    steps, spread = _each(stride, len(kernel)), _each(dilation, len(kernel))
    before, after = _padding(name, kind, padding, kernel, steps, spread)
    reach = [gap * (size - 1) + 1 for gap, size in zip(spread, kernel)]
    sizes = tuple(
        (size + left + right - span) // step + 1
        for size, left, right, span, step in zip(spatial, before, after, reach, steps)
    )
    if min(sizes) < 1:
        raise ValueError(f"{name!r} ({kind}) has a kernel that reaches over {tuple(reach)}, but {spatial} arrives.")
    outs, ins, values = weight.shape[0], weight.shape[1], weight.reshape(*weight.shape[:2], -1)
    matrix = np.zeros((outs, math.prod(sizes), source[0], math.prod(spatial)))
    feeds = (np.arange(outs) // (outs // groups))[:, None] * ins + np.arange(ins)  # (outs, ins): channels
    for number, place in enumerate(np.ndindex(kernel)):
        lines = []  # for each dimension: outputs, and the inputs under this place of the kernel
        for axis, at in enumerate(place):
            outputs = np.arange(sizes[axis])
            inputs = outputs * steps[axis] - before[axis] + at * spread[axis]
            inside = (inputs >= 0) & (inputs < spatial[axis])
            lines.append((outputs[inside], inputs[inside]))
        to, of = (np.meshgrid(*side, indexing="ij") for side in zip(*lines))
        rows, columns = (np.ravel_multi_index(grid, size).ravel() for grid, size in ((to, sizes), (of, spatial)))
        matrix[np.arange(outs)[:, None, None], rows, feeds[:, :, None], columns] = values[:, :, number, None]
    constant = None if bias is None else np.repeat(np.asarray(bias, dtype=np.float64).ravel(), math.prod(sizes))
    return matrix.reshape(outs * math.prod(sizes), -1), constant, (outs, *sizes)


def _padding(
    name: str, kind: str, padding: Any, kernel: Shape, steps: Shape, spread: Shape
) -> tuple[list[int], list[int]]:
    """Zeros before and after the input, for each dimension."""
    if isinstance(padding, str) and padding == "same":
        if any(step != 1 for step in steps):
            raise ValueError(f"{name!r} ({kind}) has strides {steps}, but padding 'same' needs strides of 1.")
        total = [gap * (size - 1) for gap, size in zip(spread, kernel)]
        return [n // 2 for n in total], [n - n // 2 for n in total]
    width = [0] * len(kernel) if isinstance(padding, str) else list(_each(padding, len(kernel)))
    return width, width


def _each(value: Any, dimensions: int) -> Shape:
    """One number for each dimension, of one for all or of several."""
    values = np.broadcast_to(np.asarray(value, dtype=np.int64).ravel(), (dimensions,))
    return tuple(int(n) for n in values)
