"""Searches for codes, for all circuits at the same time and each circuit on its own.

Every search calls ``measure(codes)`` with whole codes (N,) and gets one value per circuit back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hxtorch.shapes import Array, BoolArray
from hxtorch.twin.places.coordinates import MAX_CAPMEM_CODE


@dataclass(frozen=True, eq=False)
class Found:
    """Codes that a search settled on, each (N,).

    `residual` is what remains between value and target: absolute, or relative after a logarithmic search.
    """

    codes: Array
    residual: Array
    success: BoolArray


@dataclass(frozen=True, eq=False)
class Response:
    """How a value is expected to answer to its code.

    Linear: it changes by `slope` per code. Logarithmic: it goes with code**slope. The search corrects the
    slope of each circuit, within a factor of two, from changes of the value larger than `significant`
    (absolute, or in the logarithm).
    """

    slope: float | Array
    logarithmic: bool = False
    significant: float = 10.0


def predict(
    measure: Callable[[Array], Array],
    start: Array,
    target: Array,
    response: Response,
    *,
    runs: int,
    average: int,
    tolerance: float,
    low: float = 0,
    high: float = MAX_CAPMEM_CODE,
) -> Found:
    """Follow the slope to `target`: each run predicts the code at which the value would be right.

    The last `average` of `runs` predictions are averaged, because every run has noise of its own. The residual
    is what the mean prediction expects of the code that it is rounded to. Success means a residual within
    `tolerance` and a code inside ``low..high``. Circuits whose value is not finite keep their code and fail.
    """
    log = response.logarithmic
    goal = np.log(target) if log else target
    slope = np.broadcast_to(np.asarray(response.slope, dtype=np.float64), start.shape).copy()
    nominal = slope.copy()
    codes = _whole(start, low, high)
    x, y = _axis(codes, log), np.full(start.shape, np.nan)
    predictions: list[Array] = []
    for run in range(runs):
        x_before, y_before, x = x, y, _axis(codes, log)
        y = _values(measure(codes), log)
        slope = _secant(slope, nominal, x - x_before, y - y_before, response.significant)
        root = x + np.where(np.isfinite(y), (goal - y) / slope, 0.0)
        predictions = [*predictions, root] if run > runs - average else [root]
        best = np.mean(predictions, axis=0)
        codes = _whole(np.exp(np.minimum(best, 20.0)) if log else best, low, high)
    measured = np.isfinite(y)
    residual = slope * (_axis(codes, log) - best)
    residual = np.where(measured, np.expm1(residual) if log else residual, np.inf)
    success = measured & (np.abs(residual) <= tolerance) & (codes > low) & (codes < high)
    return Found(codes, residual, success)


def bisect(above: Callable[[Array], BoolArray], low: Array, high: Array) -> tuple[Array, BoolArray]:
    """Smallest whole codes between `low` and `high` (N,) for which ``above(codes)`` holds.

    It is assumed to hold from there on. Returns codes and success, each (N,); success means that the codes
    lie inside the range.
    """
    below, beyond = low, high
    while np.any(beyond - below > 1):
        middle = np.floor((below + beyond) / 2)
        reached = above(middle)
        beyond = np.where(reached, middle, beyond)
        below = np.where(reached, below, middle)
    return beyond, (beyond < high) & (beyond > low + 1)


def _whole(codes: Array, low: float, high: float) -> Array:
    return np.clip(np.rint(codes), low, high)


def _axis(codes: Array, log: bool) -> Array:
    return np.log(np.maximum(codes, 0.5)) if log else codes


def _values(values: Array, log: bool) -> Array:
    if not log:
        return values
    positive = values > 0
    return np.where(positive, np.log(np.where(positive, values, 1.0)), np.nan)


def _secant(slope: Array, nominal: Array, dx: Array, dy: Array, significant: float) -> Array:
    """Slopes from two runs where the value changed enough to say something."""
    known = np.isfinite(dy) & (np.abs(dy) >= significant) & (dx != 0)
    seen = dy / np.where(dx == 0, 1.0, dx)
    factor = np.clip(seen / nominal, 0.5, 2.0)
    return np.where(known, factor * nominal, slope)
