"""What the transforms take: tensors, arrays of numpy and lists; and how anything else is refused."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Values = Tensor | NDArray[Any] | Sequence[Any] | float
"""Numbers: a tensor of any layout, an array, a (nested) list of numbers, or a list of tensors of one shape."""

_WIDER = {torch.uint16: torch.int64, torch.uint32: torch.int64, torch.uint64: torch.float64}


def dense_tensor(values: Values, name: str, dtype: torch.dtype | None = None) -> Tensor:
    """`values` as a dense tensor; with its gradient, if it has one. `name` (plural) begins the error.

    Sparse tensors become dense, lists of tensors are stacked, arrays keep their type. Python's floats become
    `dtype`, else torch's default type. What holds no real numbers, or has no shape, raises TypeError.
    """
    if isinstance(values, Tensor):
        tensor = values
    elif isinstance(values, (list, tuple)) and values and all(isinstance(item, Tensor) for item in values):
        tensor = _stacked(values, name)
    else:
        tensor = _from_numbers(values, name, dtype)
    if tensor.is_nested:
        raise TypeError(f"{name} are a nested tensor, whose rows differ in length. Pad them to one length.")
    if tensor.is_complex():
        raise TypeError(f"{name} are complex ({tensor.dtype}). Give real numbers.")
    if tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    return tensor.to(_WIDER.get(tensor.dtype, tensor.dtype))  # torch can hardly compute with the wide unsigned ones


def _stacked(values: Sequence[Tensor], name: str) -> Tensor:
    try:
        return torch.stack(tuple(values))
    except RuntimeError as error:
        raise TypeError(f"{name} are a list of tensors that make no tensor: {error}") from error


def _from_numbers(values: Any, name: str, dtype: torch.dtype | None) -> Tensor:
    refusal = (
        f"{name} are of type {type(values).__name__}, and make no tensor of numbers. Give a tensor, an array or a "
        "list of numbers, all rows of one length; of a handle, one of its tensors."
    )
    if np.ma.is_masked(values):
        raise TypeError(f"{name} are an array with masked entries. Give numbers for them: .filled(value).")
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:
        raise TypeError(refusal) from error
    if array.dtype.kind not in "biuf":
        raise TypeError(refusal)
    if array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    if not array.dtype.isnative or not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.astype(array.dtype.newbyteorder("="), order="C")  # a copy, as torch takes none of these
    tensor = torch.from_numpy(array)
    if isinstance(values, (np.ndarray, np.generic)) or not tensor.is_floating_point():
        return tensor
    return tensor.to(dtype or torch.get_default_dtype())


def finite(name: str, value: float) -> float:
    """`value` as it is, if it is a finite number, else TypeError or ValueError."""
    try:
        known = math.isfinite(value)
    except TypeError as error:
        raise TypeError(f"{name} is {value!r}, but must be a number.") from error
    if not known:
        raise ValueError(f"{name} is {float(value):g}. Give a finite number.")
    return value


def positive(name: str, value: float) -> float:
    """`value` as it is, if it is a finite number above zero, else TypeError or ValueError."""
    if finite(name, value) <= 0:
        raise ValueError(f"{name} is {float(value):g}, but must be above 0.")
    return value


def at_least_one(name: str, value: int) -> int:
    """`value` as an int, if it is a whole number from 1 on, else TypeError or ValueError."""
    try:
        number = operator.index(value)
    except TypeError as error:
        raise TypeError(f"{name} is {value!r}, but must be a whole number (int).") from error
    if number < 1:
        raise ValueError(f"{name} is {number}, but must be at least 1.")
    return number
