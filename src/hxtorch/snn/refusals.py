"""What is refused at the door: numbers that no run can use, and how users are warned."""

from __future__ import annotations

import math
import sys
import warnings
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from hxtorch.twin.places.coordinates import CYCLES_PER_US, MAX_RUNTIME_CYCLES


def positive_int(name: str, value: Any) -> int:
    """`value` if it is a whole number above zero, else ValueError or TypeError."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} is {value!r}, but must be a whole number.")
    number = int(value)
    if number < 1:
        raise ValueError(f"{name} is {number}, but must be at least 1.")
    return number


def check_runtime(runtime: Any, dt: float) -> int:
    """The run time on the chip in steps of `dt`, if it is a whole number that the timer holds."""
    if isinstance(runtime, bool) or not isinstance(runtime, Integral):
        raise ValueError(f"Requested runtime invalid. It is {runtime!r}, but must be a whole number of time steps.")
    steps = int(runtime)
    longest = int(MAX_RUNTIME_CYCLES / (dt * 1e6 * CYCLES_PER_US))
    if steps < 0:
        raise ValueError(f"Requested runtime invalid. It is {runtime}, but must not be negative.")
    if steps > longest:
        raise ValueError(f"Runtime of {runtime} to long. Maximum supported runtime {longest} steps of {dt:g} s.")
    return steps


def all_finite(tensor: Tensor) -> bool:
    """Whether a tensor holds neither NaN nor infinite values."""
    if not tensor.is_floating_point():
        return True
    # One reduction is much cheaper than an elementwise test; only an overflow of the sum needs the latter.
    # And a number of Python tells in a tenth of the time of torch's own test.
    total = tensor.detach().sum()
    return (not total.is_meta and math.isfinite(total.item())) or bool(torch.isfinite(tensor).all())


def check_wait(cycles: int) -> int:
    """Wait between batch entries in cycles of 8 ns; TypeError or ValueError if the chip's timer cannot hold it."""
    if isinstance(cycles, bool) or not isinstance(cycles, Integral):
        raise TypeError(f"inter_batch_entry_wait is {cycles!r}, but must be a whole number of cycles of 8 ns.")
    if not 0 <= cycles <= MAX_RUNTIME_CYCLES:
        raise ValueError(
            f"inter_batch_entry_wait is {cycles} cycles of 8 ns, but the chip's timer holds 0 to "
            f"{MAX_RUNTIME_CYCLES} (34 s)."
        )
    return int(cycles)


def warn_user(message: str) -> None:
    """Give a UserWarning that points at the user's line: the nearest caller outside of hxtorch and torch."""
    warnings.warn(message, UserWarning, stacklevel=_level_of_the_user())


def warn_deprecated(old: str, new: str) -> None:
    """Give a DeprecationWarning that points at the user's line and says what to write (docs/versions.md)."""
    warnings.warn(f"{old} is deprecated. Use {new}.", DeprecationWarning, stacklevel=_level_of_the_user())


def _level_of_the_user() -> int:
    """Level of the nearest caller outside of hxtorch and torch, for `warnings.warn` in the function that asks."""
    frame, level = sys._getframe(2), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in ("hxtorch", "torch"):
        frame, level = frame.f_back, level + 1
    return level
