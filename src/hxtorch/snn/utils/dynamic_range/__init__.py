"""Measurements of the dynamic range under the path that scripts know."""

from typing import TYPE_CHECKING

from hxtorch._alias import moved_modules_of
from hxtorch._moved import MOVED
from hxtorch.snn.alignment.dynamic_range import (
    Boundaries,
    Threshold,
    WeightScaling,
    get_dynamic_range,
    get_trace_scaling,
    get_weight_scaling,
)

__all__ = [
    "Boundaries",
    "Threshold",
    "WeightScaling",
    "get_dynamic_range",
    "get_trace_scaling",
    "get_weight_scaling",
]

if not TYPE_CHECKING:  # a type checker would take any name for a module
    __getattr__ = moved_modules_of(__name__, MOVED)
