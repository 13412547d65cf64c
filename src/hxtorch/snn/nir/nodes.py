"""The nodes of NIR: which of them the chip has something for, and what can be read from each."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Node: TypeAlias = Any
"""A node of a graph. The package nir has no types, so nothing is known of its attributes."""

Library: TypeAlias = Any
"""The package nir itself, which has no types."""

Matrix: TypeAlias = NDArray[np.float64]
Shape: TypeAlias = tuple[int, ...]

SPATIAL = {"Conv1d": 1, "Conv2d": 2, "SumPool2d": 2, "AvgPool2d": 2}
"""Convolutions and pooling, with the number of their spatial dimensions."""

SPIKING = ("CubaLIF", "LIF", "IF", "Threshold")
SILENT = ("CubaLI", "LI", "I")
LINEAR = ("Linear", "Affine", "Scale", "Flatten", *SPATIAL)

KNOWN = frozenset((*SPIKING, *SILENT, *LINEAR, "Input", "Output"))

INSTEAD = {
    "Delay": "Spikes cross the chip at once. Shift the input spikes by the delay, and leave the node out.",
}
"""What to do about nodes that the chip has nothing for."""

_OF_NEURONS = ("tau", "tau_mem", "tau_syn", "r", "v_leak", "v_reset", "v_threshold", "w_in", "threshold")


def import_nir() -> Library:
    """The package `nir`; ImportError that says how to get it."""
    try:
        import nir
    except ImportError as error:
        raise ImportError("NIR needs the package nir. Install it: pip install 'hxtorch[nir]'") from error
    return nir


def kind(node: Node) -> str:
    """Name of a node's primitive."""
    return type(node).__name__


def input_shape(node: Node) -> Shape:
    """Shape of what flows into an Input, without the batch of one that some writers count."""
    (value,) = node.input_type.values()
    shape = tuple(int(n) for n in np.atleast_1d(np.asarray(value)))
    return shape[1:] if len(shape) > 1 and shape[0] == 1 else shape


def shapes_of_parameters(node: Node) -> list[Shape]:
    """Shapes of the parameters that a node of neurons has."""
    values = (getattr(node, name, None) for name in _OF_NEURONS)
    return [np.shape(value) for value in values if value is not None]


def linear(node: Node) -> tuple[Matrix | None, Matrix | None]:
    """Matrix (out, in) (None: identity) and bias (out,) of a linear node without spatial dimensions."""
    if kind(node) == "Flatten":
        return None, None
    if kind(node) == "Scale":
        return np.diag(np.asarray(node.scale, dtype=np.float64).reshape(-1)), None
    weight = np.asarray(node.weight, dtype=np.float64)
    if weight.ndim != 2:
        raise NotImplementedError(f"Weights of shape {weight.shape} are not supported, expected (out, in).")
    bias = getattr(node, "bias", None)
    return weight, None if bias is None else np.asarray(bias, dtype=np.float64).reshape(-1)
