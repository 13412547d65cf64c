"""Which step of a time grid a time belongs to.

A time that was meant to be ``k dt`` is rarely exactly that: the type rounds it, by up to k times its epsilon. So
the division alone puts it into step k or k - 1 by chance. Here it is in step k, in every type.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

# Relative, in epsilons of the type: the largest sum of roundings on the usual ways to a time: a product with a
# rounded dt, torch.linspace, a change of the unit.
_ROUNDINGS = 2.0
_LEAST = 1e-6  # steps, for sums of many times in double precision
_MOST = 0.25  # steps


def in_steps(times: Tensor, dt: float, error: Tensor | None = None) -> Tensor:
    """Return times in units of `dt`, in double precision, without gradient.

    What is within rounding of a whole or half number of steps is exactly that, so that ``floor``, ``ceil`` and
    ``round`` of the result (half to even) do not depend on the type of the times. Rounding means `error`, in the
    unit of the times; by default two epsilons of their type, relative. At least 1e-6 steps, at most a quarter.
    NaN and infinite times stay what they are.
    """
    exact = times.detach().to(torch.float64)
    steps = exact / float(dt)
    if error is None:
        error = _ROUNDINGS * torch.maximum(type_epsilon(times) * exact.abs(), _spacing_at_zero(times))
    of_dt = _ROUNDINGS * _epsilon_of_number(dt) * steps.abs()
    tolerance = (error / float(dt) + of_dt).clamp(_LEAST, _MOST)
    grid = (2 * steps).round() / 2
    return torch.where((steps - grid).abs() <= tolerance, grid, steps)


def type_epsilon(values: Tensor) -> Tensor:
    """Relative error of each of `values`, in double precision.

    It follows from the type. A number in double precision that float32 holds exactly has the error of float32: it
    most likely comes from there.
    """
    exact = values.detach().to(torch.float64)
    double = torch.full_like(exact, torch.finfo(torch.float64).eps)
    if not values.is_floating_point():
        return double
    if values.dtype != torch.float64:
        return torch.full_like(exact, torch.finfo(values.dtype).eps)
    return torch.where(exact == exact.float().double(), torch.finfo(torch.float32).eps, double)


def check_resolution(times: Tensor, dt: float, end: float, name: str) -> None:
    """ValueError if the type of a time up to step `end` cannot tell neighbouring steps apart."""
    if not times.is_floating_point() or times.dtype == torch.float64:
        return
    exact = times.detach().to(torch.float64)
    _, exponent = torch.frexp(exact)
    spacing = torch.finfo(times.dtype).eps * torch.exp2(exponent.to(torch.float64) - 1)
    spacing = torch.maximum(spacing, _spacing_at_zero(times))
    coarse = (spacing > 0.5 * float(dt)) & (exact != 0) & (exact <= end * float(dt))
    if bool(coarse.any()):
        index = first_index(coarse)
        raise ValueError(
            f"{name} are {times.dtype}, whose numbers at {float(exact[index]):g} are {float(spacing[index]):.2g} "
            f"apart, but a step is {float(dt):g} long. Give them in a wider type, float32 or float64."
        )


def first_index(mask: Tensor) -> tuple[int, ...]:
    """Index of the first entry of `mask` that is true."""
    return tuple(mask.nonzero()[0].tolist())


def _spacing_at_zero(times: Tensor) -> Tensor:
    """Smallest difference of two numbers of the type, as a scalar in double precision."""
    spacing = 0.0
    if times.is_floating_point():
        spacing = torch.finfo(times.dtype).tiny * torch.finfo(times.dtype).eps
    return torch.tensor(spacing, dtype=torch.float64, device=times.device)


def _epsilon_of_number(value: Any) -> float:
    """Relative error of a Python number, a number of numpy or a tensor with one element."""
    if isinstance(value, Tensor) and value.is_floating_point():
        return float(torch.finfo(value.dtype).eps)
    return float(np.finfo(value.dtype).eps) if isinstance(value, np.floating) else 0.0
