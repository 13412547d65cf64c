"""How far the states move in a time step: forward Euler, and exact decays where that would be unstable.

Forward Euler multiplies what decays with `tau` by 1 - dt/tau in each step. If tau is shorter than the step, that is
below zero, and below -1 the state grows without limit. There the factor is exp(-dt/tau), that of the exact
solution; the point at which a state comes to rest stays the same. The kernels and the reference take their factors
from here, so that both compute the same.

Every function checks what it is given: not above zero, or NaN, is a ValueError. Tensors are only looked at where
that is cheap: on the CPU, outside of compiled code and of transforms of `torch.func`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hxtorch.snn.functional.kernels.layout import LARGEST_EXPONENT, OVERSHOOT
from hxtorch.snn.functional.model.neuron_model import Exponential, Firing, Membrane
from hxtorch.snn.parameters.parameter import Value

EXACT_ABOVE = 1 + 1e-6  # dt/tau; a quotient of float32 numbers may miss 1 by its rounding
_FASTEST = 80.0  # dt/tau: beyond, the factor counts as e^-80, so that its gradient is no 0 times infinity


def step_decay(tau: Value, dt: float, name: str) -> Value:
    """What is left after a step of what decays with `tau` seconds: 1 - dt/tau, or exp(-dt/tau) if dt > tau."""
    if not isinstance(tau, Tensor):
        ratio = _ratio(tau, dt, name)
        return 1 - ratio if ratio <= EXACT_ABOVE else math.exp(-ratio)
    if _all_slow(tau, dt, name):
        return 1 - dt / tau
    above, slow, fast = _by_speed(tau, dt)
    return torch.where(above, torch.exp(-dt / fast), 1 - dt / slow)


def step_rate(tau: Value, dt: float, name: str) -> Value:
    """What a step takes from what decays with `tau` seconds: dt/tau, or 1 - exp(-dt/tau) if dt > tau."""
    if not isinstance(tau, Tensor):
        ratio = _ratio(tau, dt, name)
        return ratio if ratio <= EXACT_ABOVE else -math.expm1(-ratio)
    if _all_slow(tau, dt, name):
        return dt / tau
    above, slow, fast = _by_speed(tau, dt)
    return torch.where(above, -torch.expm1(-dt / fast), dt / slow)


def step_gain(membrane: Membrane, dt: float) -> Value:
    """By what a drive moves the membrane in a step: dt/c, or (1 - exp(-dt g/c))/g with a leak and dt > c/g."""
    c, g = membrane.c, membrane.g
    if not isinstance(c, Tensor):
        _ratio(c, dt, "The capacitance c")
    if not membrane.leaky:
        if isinstance(c, Tensor):
            _all_slow(c, dt, "The capacitance c")
        return dt / c
    if not isinstance(c, Tensor) and not isinstance(g, Tensor):
        ratio = g * dt / c
        _check_leak(ratio, ratio)
        return dt / c if ratio <= EXACT_ABOVE else -math.expm1(-ratio) / g
    held = (g.detach() if isinstance(g, Tensor) else g) * (dt / (c.detach() if isinstance(c, Tensor) else c))
    assert isinstance(held, Tensor)
    limit = _limit(held)
    if readable(held):
        low, high = (float(item) for item in held.aminmax())
        _check_leak(low, high)
        if high <= limit:
            return dt / c
    above = held > limit
    c = c if isinstance(c, Tensor) else torch.as_tensor(c, dtype=held.dtype, device=held.device)
    g = g if isinstance(g, Tensor) else torch.as_tensor(g, dtype=held.dtype, device=held.device)
    some_g = torch.where(above, g, 1.0)  # any value will do where the branch is not taken
    ratios = dt / torch.where(above, torch.maximum(c / some_g, torch.full_like(held, dt / _FASTEST)), dt)
    return torch.where(above, -torch.expm1(-ratios) / some_g, dt / torch.where(above, 1.0, c))


def exponential_bounds(
    exponential: Exponential, membrane: Membrane, firing: Firing | None
) -> tuple[Value, Value | None]:
    """The highest potential within the exponential, and the highest one to which the term carries a membrane.

    The second is None without a peak, where there is no such limit. For neurons that fire both are constants: no
    gradient comes to the threshold, or to the leak, from a bound.
    """
    peak, leak = exponential_peak(exponential, firing), membrane.leak
    highest = exponential.threshold + LARGEST_EXPONENT * exponential.slope
    if peak is None:
        return highest, None
    if firing is not None:
        peak = peak.detach() if isinstance(peak, Tensor) else peak
        leak = leak.detach() if isinstance(leak, Tensor) else leak
    distance: Value = abs(peak - leak)  # type: ignore[assignment]  # of numbers and of tensors
    return _smaller(peak, highest), peak + OVERSHOOT * distance


def exponential_peak(exponential: Exponential, firing: Firing | None) -> Value | None:
    """The peak of the exponential term, if there is one: the threshold, where neurons fire."""
    slope, peak = exponential.slope, firing.threshold if firing else exponential.peak
    steepest = slope if not isinstance(slope, Tensor) else float(slope.detach().min()) if readable(slope) else 1.0
    if not 0 < steepest < math.inf:
        raise ValueError(
            f"The slope of the exponential term is {steepest:g}, but must be above 0, and finite. Give one."
        )
    if peak is not None and not isinstance(peak, Tensor) and not math.isfinite(peak):
        raise ValueError(
            f"The threshold, which is the peak of the exponential term, is {peak:g}, but must be finite: nothing "
            "else ends the rise of the membrane. Give a finite threshold, or leave the exponential term out."
        )
    return peak


def _smaller(a: Value, b: Value) -> Value:
    if isinstance(a, Tensor):
        return torch.minimum(a, b) if isinstance(b, Tensor) else a.clamp(max=b)
    return b.clamp(max=a) if isinstance(b, Tensor) else min(a, b)


def check_dt(dt: float) -> None:
    """ValueError unless a time step is above zero, and finite."""
    if not 0 < dt < math.inf:
        raise ValueError(f"dt is {dt:g}, but must be a positive time step in seconds, for example 1e-6.")


def _ratio(tau: float, dt: float, name: str) -> float:
    check_dt(dt)
    if not tau > 0:
        raise ValueError(f"{name} is {tau:g}, but must be above 0. Give a positive value.")
    return dt / tau


def _check_leak(low: float, high: float) -> None:
    if not (low >= 0 and high < math.inf):
        raise ValueError(
            f"The leak moves the membrane by g dt/c = {low if not low >= 0 else high:g} of its way per step, "
            "but this must be at least 0, and finite. Give a positive capacitance and time constant, and g >= 0."
        )


def _all_slow(tau: Tensor, dt: float, name: str) -> bool:
    """Whether all are known to be as long as the step."""
    if not readable(tau):
        return False
    low = float(tau.detach().min())
    return _ratio(low, dt, name) <= _limit(tau)


def _by_speed(tau: Tensor, dt: float) -> tuple[Tensor, Tensor, Tensor]:
    """Which are shorter than the step, and the values for both cases: gradients of the other case stay finite."""
    above = dt / tau.detach() > _limit(tau)
    return above, torch.where(above, dt, tau), tau.clamp(min=dt / _FASTEST)


def _limit(value: Tensor) -> float:
    return max(EXACT_ABOVE, 1 + 4 * torch.finfo(value.dtype).eps) if value.is_floating_point() else EXACT_ABOVE


def readable(value: Tensor) -> bool:
    """Whether a look at the values is cheap and allowed."""
    return (
        value.device.type == "cpu"
        and value.numel() > 0
        and not torch.compiler.is_compiling()
        and not torch._C._are_functorch_transforms_active()
    )
