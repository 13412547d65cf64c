"""Model values of neurons as they are at a run: learned, assigned or read from a calibration since construction."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import _C, Tensor

from hxtorch.snn.functional.gradients.surrogate import check_alpha
from hxtorch.snn.functional.model.neuron_model import Membrane
from hxtorch.snn.functional.model.stepping import check_dt, step_gain, step_rate
from hxtorch.snn.graph.graph import Graph
from hxtorch.snn.modules.population import Population
from hxtorch.snn.parameters.parameter import HXBaseParameter, Value, show
from hxtorch.snn.parameters.table import LSB, PARAMETERS, SECONDS, ModelUse
from hxtorch.snn.refusals import warn_user

_ALL = ModelUse((), tuple(PARAMETERS))

# Open intervals of values with which nothing can be wrong, apart from time constants below the time step.
_CLEAR = {
    name: (0.0 if item.positive or item.divides else -5e-324 if item.non_negative else -math.inf, math.inf)
    for name, item in PARAMETERS.items()
}


def check_model(graph: Graph, dt: float) -> None:
    """ValueError if parameters of the model are out of their limits, however they came there.

    One warning for all time constants that are shorter than the time step.
    """
    check_dt(dt)
    lines: list[str] = []
    for node in graph.modules_in_order:
        if node.module.remembers:
            module = cast(Population, node.module)
            lines += check_model_values(module, dt)
            check_alpha(getattr(module, "alpha", 50.0))
    if lines:
        warn_user(
            f"Time constants of the model are shorter than its time step of {dt:g} s: {', '.join(lines)}. They "
            "decay by exp(-dt/tau) per step, which is stable, but nothing happens within a step. Choose a smaller "
            "dt of the experiment."
        )


def check_model_values(module: Population, dt: float) -> list[str]:
    """ValueError if a model value of neurons is unusable now, whoever set it.

    Of a module with equations of its own (`model_use` None) all values are checked, as at construction. The lines
    returned name time constants that are shorter than the step `dt`, for a warning.
    """
    lines = []
    parameters = module._modules
    decaying, others, factors = module.model_use or _ALL
    shortest = dt * (1 - 1e-6)  # a float32 may be a rounding below the step
    # Numbers within their limits, the common case, are done within a microsecond.
    for name in decaying:
        value = getattr(parameters.get(name), "model_value", 1.0)
        if not (shortest <= value < math.inf if value.__class__ is float else False):
            low, high = _range_of(value)
            if not shortest <= low <= high < math.inf:
                _refuse(module, name, low, high, dt)
                lines += _shorter(module, name, shortest)
    for name in others:
        value = getattr(parameters.get(name), "model_value", 1.0)
        above, below = _CLEAR[name]
        if not (above < value < below if value.__class__ in (float, int) else False):
            low, high = _range_of(value)
            if not above < low <= high < below:
                _refuse(module, name, low, high, dt)
    for name in factors:
        low, high = _range_of(module.params[name].model_value)
        if not 0 < low <= high < 1:
            raise ValueError(
                f"{name} (model value) of {module.short_name} is {high if low > 0 else low:g}, but here it is the "
                f"factor exp(-dt/tau), above 0 and below 1. Give math.exp(-dt / {name})."
                + _bound(name, module.params[name], 1e-6, 0.999999)
            )
    if "tau_adap" in decaying and "tau_adap" in parameters:
        _check_coupling(module, dt)
    return lines


def _check_coupling(module: Population, dt: float) -> None:
    """ValueError if membrane and adaptation swing each other up from step to step.

    With r and q the rates of both, k the gain of the membrane and a the strength, the step of (v, w) is stable for
    a q k < (2 - r)(2 - q), the condition that no eigenvalue is below -1.
    """
    if not getattr(module, "subthreshold_adaptation", False):
        return
    names = ("subthreshold_adaptation_strength", "tau_adap", "membrane_capacitance", "tau_mem")
    strength, tau, c, tau_mem = (module.params[name].model_value for name in names)
    if not any(isinstance(value, Tensor) for value in (strength, tau, c)) and strength * dt * dt < tau * c:
        return  # far from it
    values = [torch.as_tensor(value).detach().double() for value in (strength, tau, c, tau_mem)]
    if any(value.is_meta or _C._functorch.is_functorch_wrapped_tensor(value) for value in values):
        return
    strengths, tau, c, tau_mem = values
    leaky = getattr(module, "leaky", True)
    gain, rate = step_gain(Membrane(0.0, 1.0, c, c / tau_mem, leaky), dt), step_rate(tau, dt, "tau_adap")
    left = (2 - gain * c / tau_mem if leaky else 2) * (2 - rate)
    largest = left / (rate * gain)
    swings = torch.as_tensor(strengths >= largest)
    if bool(swings.any()):
        worst = torch.broadcast_to(strengths, swings.shape)[swings][0].item()
        limit = torch.broadcast_to(torch.as_tensor(largest), swings.shape)[swings][0].item()
        raise ValueError(
            f"{names[0]} (model value) of {module.short_name} is {worst:g}, but with these time constants and a dt "
            f"of {dt:g} s it must be below {limit:g}: beyond, membrane and adaptation swing each other up from "
            "step to step. Choose a smaller one, or a smaller dt."
            + _bound(names[0], module.params[names[0]], None, limit / 2)
        )


def _range_of(value: Value) -> tuple[float, float]:
    """Smallest and largest value, NaN if one is; (1/2, 1/2), which suits all, if there is nothing to see."""
    if not isinstance(value, Tensor):
        return value, value
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


def _refuse(module: Population, name: str, low: float, high: float, dt: float) -> None:
    """ValueError if values of `name` from `low` to `high` are out of its limits."""
    info, parameter, use = PARAMETERS[name], module.params[name], module.model_use
    label, unit = f"{name} (model value) of {module.short_name}", info.unit
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


def _bound(name: str, parameter: HXBaseParameter, least: float | None, most: float | None = None) -> str:
    """How to keep a trained value within its limits."""
    if not parameter.is_trainable():
        return ""
    limits = ", ".join(f"{k}={v:g}" for k, v in (("min", least), ("max", most)) if v is not None)
    return (
        " It is trained: clamp it after each optimizer step, "
        f"`with torch.no_grad(): neuron.{name}.model_value.clamp_({limits})`."
    )


def _shorter(module: Population, name: str, shortest: float) -> list[str]:
    """One line if time constants are shorter than the time step."""
    value = module.params[name].model_value
    if isinstance(value, Tensor):
        value = value.detach()
        value = value.mean(0) if value.ndim == 2 else value  # as the model does
        shorter = bool((value < shortest).any())
    else:
        shorter = value < shortest
    return [f"{name} of {module.short_name} is {show(value)} s"] if shorter else []
