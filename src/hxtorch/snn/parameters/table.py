"""The parameters of neurons by name, and whether their values are usable.

`lower`/`upper` bound every value, in the model and on the chip (`positive`: above zero). `chip_range` is the
range in which a chip can be calibrated reliably; values outside are tried, with a warning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from hxtorch.snn.parameters.description import CODE, LSB, SECONDS, NeuronParameter
from hxtorch.snn.parameters.parameter import HXBaseParameter, Value, show
from hxtorch.snn.parameters.parameter_set import DESCRIPTIONS, ParameterSet

__all__ = [
    "CODE",
    "LSB",
    "PARAMETERS",
    "SECONDS",
    "ModelUse",
    "NeuronParameter",
    "check_holdoff",
    "check_parameter",
    "chip_range_report",
]

PARAMETERS: Mapping[str, NeuronParameter] = DESCRIPTIONS


class ModelUse(NamedTuple):
    """The parameters that the equations of a module use: what decays with time, other values, and decay factors.

    `decaying` are time constants; `factors` are those whose model value is exp(-dt/tau).
    """

    decaying: tuple[str, ...]
    others: tuple[str, ...] = ()
    factors: tuple[str, ...] = ()


def check_parameter(name: str, parameter: HXBaseParameter, size: int) -> None:
    """ValueError if the model or the hardware value of a parameter of `size` neurons is unusable."""
    values = {"model": parameter.model_value, "hardware": parameter.hardware_value}
    for side, value in values.items():
        _check_value(PARAMETERS[name], side, value, size)


def check_holdoff(params: Mapping[str, HXBaseParameter], who: str) -> None:
    """ValueError if a holdoff of the neurons of `who` is longer than the refractory time that it ends."""
    ParameterSet(who, 0, **params).check_holdoff()


def chip_range_report(params: Mapping[str, HXBaseParameter]) -> list[str]:
    """One line for every parameter whose hardware value is outside of the range of reliable calibration."""
    lines = []
    for name, parameter in params.items():
        limits = PARAMETERS[name].chip_range
        value = parameter.hardware_value
        if limits is None or (name == "refractory_time" and _all_within(value, 0, 0)):  # 0: no refractory period
            continue
        if not _all_within(value, *limits):
            unit = PARAMETERS[name].unit
            lines.append(f"{name} is {show(value)}, the range is {limits[0]:g} to {limits[1]:g} {unit}")
    return lines


def _check_value(info: NeuronParameter, side: str, value: Value, size: int) -> None:
    label = f"{info.name} ({side} value)"
    if isinstance(value, Tensor):
        allowed = [tuple(size if n == "size" else n for n in shape) for shape in info.shapes]
        if value.ndim and value.shape != (1,) and tuple(value.shape) not in allowed:
            expected = " or ".join(str(shape) for shape in [(), *allowed])
            raise ValueError(
                f"{label} has shape {tuple(value.shape)}, expected {expected} for {size} neurons. "
                "Give a number or one value per neuron."
            )
    values = torch.as_tensor(value, device=value.device if isinstance(value, Tensor) else "cpu").detach()
    if values.is_meta:
        return
    if torch.isnan(values).any() and not info.may_be_nan:
        raise ValueError(f"{label} is NaN. Give a number in {info.unit}.")
    if info.positive and not bool((values > 0).all()):
        raise ValueError(
            f"{label} is {_offender(values, values <= 0)}, but must be above 0. Give a value in {info.unit}."
        )
    if info.non_negative and not bool((values >= 0).all()):
        raise ValueError(
            f"{label} is {_offender(values, values < 0)}, but must not be negative. Give a value in {info.unit}."
        )


def _offender(values: Tensor, bad: Tensor) -> str:
    return f"{values[bad][0].item():g}"


def _all_within(value: Value, low: float, high: float) -> bool:
    if isinstance(value, Tensor) and value.is_meta:
        return True
    values = torch.as_tensor(value, device=value.device if isinstance(value, Tensor) else "cpu").detach().double()
    tolerance = 1e-6 * max(abs(low), abs(high))  # float32 values of a calibration
    return bool(((values >= low - tolerance) & (values <= high + tolerance)).all())
