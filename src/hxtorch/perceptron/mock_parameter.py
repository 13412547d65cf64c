"""Gain and noise of the mock mode."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hxtorch.perceptron import constants
from hxtorch.perceptron.backend import require_mac_chip


@dataclass(frozen=True)
class MockParameter:
    """What the mock mode computes with.

    * `noise_std`: standard deviation of the noise on every output of the matrix, in LSB; at least 0.
    * `gain`: output LSB per unit of activation times weight, in (0, 1].
    """

    noise_std: float = constants.defaults.noise_std
    gain: float = constants.defaults.gain


_current = MockParameter()


def get_mock_parameter() -> MockParameter:
    """Return the parameters in use."""
    return _current


def set_mock_parameter(parameter: MockParameter) -> None:
    """Use `parameter` from now on. A gain outside (0, 1] or a noise below 0: OverflowError."""
    global _current
    if not 0 < parameter.gain <= 1:
        raise OverflowError(f"The gain of the mock mode is {parameter.gain}, but must be in (0, 1].")
    if not (math.isfinite(parameter.noise_std) and parameter.noise_std >= 0):
        raise OverflowError(f"The noise of the mock mode is {parameter.noise_std}, but must be at least 0.")
    _current = parameter


def measure_mock_parameter() -> MockParameter:
    """Measure gain and noise on the connected chip, which needs the multiply-accumulate mode."""
    require_mac_chip()
