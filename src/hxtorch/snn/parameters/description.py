"""What is known of a parameter of neurons: default, unit, limits and meaning, as the description of a field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hxtorch._ranges import RELIABLE

LSB = "CADC LSB"
CODE = "CapMem LSB"
SECONDS = "s"
_US_PER_S = 1e6


@dataclass(frozen=True)
class NeuronParameter:
    """What is known of one parameter.

    `default` is that of a spiking neuron; None means not used unless given. `shapes` lists the shapes that
    a tensor may have besides (), with "size" for the number of neurons. `may_be_nan`: nan stands for neurons
    that do not use it. `divides`: a model that uses it needs it above zero. `may_be_infinite`: also in a model.
    """

    name: str
    default: float | tuple[float, ...] | None
    unit: str
    doc: str
    positive: bool = False
    non_negative: bool = False
    chip_range: tuple[float, float] | None = None
    shapes: tuple[tuple[int | str, ...], ...] = (("size",),)
    may_be_nan: bool = False
    divides: bool = False
    may_be_infinite: bool = False


def described(
    default: float | tuple[float, ...] | None, unit: str, doc: str, *, target: str | None = None, **limits: Any
) -> Any:
    """A field of a dataclass that a parameter fills, or nothing; `limits` as in `NeuronParameter`.

    Its `chip_range` is the one in which calibrations are known to reach their `target` of this name.
    """
    if target is not None:
        low, high = RELIABLE[target]
        limits["chip_range"] = (low / _US_PER_S, high / _US_PER_S) if unit == SECONDS else (low, high)
    return field(default=None, metadata={_KEY: NeuronParameter("", default, unit, doc, **limits)})


def description_of(name: str, metadata: Mapping[str, Any]) -> NeuronParameter | None:
    """What a field says of its parameter; None if it holds none."""
    told = metadata.get(_KEY)
    return None if told is None else replace(told, name=name)


_KEY = "parameter"
