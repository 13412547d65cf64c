"""Model values of neurons as they are at a run: learned, assigned or read from a calibration since construction."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import _C, Tensor

from hxtorch.snn.neuron_parameters import LSB, PARAMETERS, SECONDS, ModelUse
from hxtorch.snn.parameter import show

# Open intervals of values with which nothing can be wrong, apart from time constants below the time step.
_CLEAR = {
    name: (0.0 if item.positive or item.divides else -5e-324 if item.non_negative else -math.inf, math.inf)
    for name, item in PARAMETERS.items()
}


def check_model_values(modules: Mapping[str, Any], use: ModelUse | None, dt: float, who: str) -> list[str]:
    """ValueError if a model value of the neurons `who` is unusable now, whoever set it; what decays within a step.

    `modules` holds their parameters by name. Of a module with equations of its own (`use` None) all are checked,
    as at construction. The lines returned name time constants that are shorter than the step `dt`, for a warning.
    """
    lines = []
    shortest = dt * (1 - 1e-6)  # a float32 may be a rounding below the step
    decaying, others, factors = ((), tuple(PARAMETERS), ()) if use is None else use
    for name in decaying:
        parameter = modules.get(name)
        low, high = _range_of(parameter)
        if not shortest <= low <= high < math.inf:
            _refuse(name, parameter, low, high, who, dt, use)
            lines += _shorter(name, parameter, shortest, who)
    for name in others:
        low, high = _range_of(modules.get(name))
        above, below = _CLEAR[name]
        if not above < low <= high < below:
            _refuse(name, modules.get(name), low, high, who, dt, use)
    for name in factors:
        low, high = _range_of(modules.get(name))
        if not 0 < low <= high < 1:
            raise ValueError(
                f"{name} (model value) of {who} is {high if low > 0 else low:g}, but here it is the factor "
                f"exp(-dt/tau), above 0 and below 1. Give math.exp(-dt / {name})."
                + _bound(name, modules.get(name), 1e-6, 0.999999)
            )
    return lines


def _range_of(parameter: Any) -> tuple[float, float]:
    """Smallest and largest model value, NaN if one is; (1/2, 1/2), which suits all, if there is nothing to see."""
    value = getattr(parameter, "model_value", None)
    if not isinstance(value, Tensor):
        return (0.5, 0.5) if value is None else (value, value)
    value = value.detach()
    while _C._functorch.is_functorch_wrapped_tensor(value):
        value = _C._functorch.get_unwrapped(value)
    if value.is_meta or not value.numel():
        return 0.5, 0.5
    if value.numel() == 1:
        number = value.item()
        return number, number
    low, high = value.aminmax()
    return low.item(), high.item()


def _refuse(name: str, parameter: Any, low: float, high: float, who: str, dt: float, use: ModelUse | None) -> None:
    """ValueError if values of `name` from `low` to `high` are out of its limits."""
    info = PARAMETERS[name]
    label, unit = f"{name} (model value) of {who}", info.unit
    if low != low:
        if info.may_be_nan:
            return
        hint = (
            " It is trained: its gradient was not finite, or the learning rate is too high. Start from finite "
            "values, clip gradients, and bound it after each optimizer step."
        )
        raise ValueError(f"{label} is NaN. Give a number in {unit}.{hint if parameter.is_trainable() else ''}")
    positive = info.positive or (info.divides and use is not None)
    if (positive and not low > 0) or (info.non_negative and not low >= 0):
        limit = "be above 0" if positive else "not be negative"
        least = 0.0 if not positive else dt if unit == SECONDS else 1e-3 if unit == LSB else 1e-7
        raise ValueError(
            f"{label} is {low:g}, but must {limit}. Give a value in {unit}." + _bound(name, parameter, least)
        )
    peak = name == "threshold" and use is not None and "exponential_slope" in use.others
    if use is not None and (math.isinf(low) or math.isinf(high)) and (peak or not info.may_be_infinite):
        why = ": it is the peak that ends the rise of the exponential term" if peak else ""
        raise ValueError(
            f"{label} is {high if math.isinf(high) else low:g}, but must be finite{why}. Give a number in {unit}."
        )


def _bound(name: str, parameter: Any, least: float, most: float | None = None) -> str:
    """How to keep a trained value within its limits."""
    if not parameter.is_trainable():
        return ""
    end = "" if most is None else f", max={most:g}"
    return (
        " It is trained: clamp it after each optimizer step, "
        f"`with torch.no_grad(): neuron.{name}.model_value.clamp_(min={least:g}{end})`."
    )


def _shorter(name: str, parameter: Any, shortest: float, who: str) -> list[str]:
    """One line if time constants are shorter than the time step."""
    value = parameter.model_value
    if isinstance(value, Tensor):
        value = value.detach()
        value = value.mean(0) if value.ndim == 2 else value  # as the model does
        shorter = bool((value < shortest).any())
    else:
        shorter = value < shortest
    return [f"{name} of {who} is {show(value)} s"] if shorter else []
