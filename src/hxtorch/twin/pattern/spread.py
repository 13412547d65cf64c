"""How far the values of an effect spread over a chip, and how alike two chips are in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hxtorch.shapes import Array
from hxtorch.twin.places.coordinates import CIRCUITS, QUADRANTS


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviations of an effect; the last two are nan where it has no value per circuit."""

    mean: float
    total: float
    within_quadrants: float
    of_quadrant_means: float


@dataclass(frozen=True)
class Likeness:
    """Correlation of an effect of two dies (nan where one of them does not vary), and the difference's rms."""

    correlation: float
    difference: float


def spread_of(values: Array) -> Spread:
    """Mean and spread of the values of an effect."""
    within = between = float("nan")
    if values.shape == (CIRCUITS,):
        quadrants = values.reshape(QUADRANTS, -1)
        within = float(np.sqrt(np.mean(quadrants.var(axis=1, ddof=1))))
        between = float(quadrants.mean(axis=1).std(ddof=1))
    return Spread(float(values.mean()), float(values.std(ddof=1)), within, between)


def likeness_of(one: Array, other: Array) -> Likeness:
    """Correlation and difference of an effect's values on two chips."""
    difference = float(np.sqrt(np.mean((one - other) ** 2)))
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return Likeness(float("nan"), difference)
    return Likeness(float(np.corrcoef(one.reshape(-1), other.reshape(-1))[0, 1]), difference)
