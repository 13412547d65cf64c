"""What a line of the fidelity table is: `Row`, and the `Protocol` that measures one or several of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from hxtorch.fidelity.bench import CalibratedBench
from hxtorch.shapes import Array

Mark = Literal["D", "M", "I", "E"]
Verdict = Literal["pass", "fail"]

MARKS: dict[Mark, str] = {"D": "documented", "M": "measured", "I": "inferred", "E": "estimate"}


@dataclass(frozen=True)
class Row:
    """One quantity with what is published of it.

    * `name`, `unit`: the quantity; names are unique.
    * `published`: the published value as text, `source` the tag of the fact sheet, `mark` how sure it is.
    * `low`, `high`: band in which the value of a chip has to lie; `why` says where the band comes from, and
      which source is followed where they disagree.
    * `digits`: decimals to print.
    """

    name: str
    unit: str
    published: str
    source: str
    mark: Mark
    low: float
    high: float
    why: str = ""
    digits: int = 2

    @property
    def band(self) -> str:
        """The band as text."""
        if np.isinf(self.high):
            return f"≥ {self.low:.{self.digits}f}"
        if np.isinf(self.low):
            return f"≤ {self.high:.{self.digits}f}"
        return f"{self.low:.{self.digits}f} to {self.high:.{self.digits}f}"

    def holds(self, value: float) -> bool:
        """Whether `value` lies in the band."""
        return bool(self.low <= value <= self.high)


@dataclass(frozen=True, eq=False)
class Measured:
    """Result of a protocol on one chip: one value per row, and named arrays for its figure."""

    values: tuple[float, ...]
    curves: dict[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Protocol:
    """How some rows are measured: `how` in plain words for readers, `measure` for the chip."""

    name: str
    how: str
    rows: tuple[Row, ...]
    measure: Callable[[CalibratedBench], Measured]


def protocol(how: str, *rows: Row) -> Callable[[Callable[[CalibratedBench], Measured]], Protocol]:
    """Turn a measuring function into the `Protocol` of `rows`, whose values it returns in that order."""

    def wrap(measure: Callable[[CalibratedBench], Measured]) -> Protocol:
        return Protocol(measure.__name__, how, rows, measure)

    return wrap


@dataclass(frozen=True, eq=False)
class RowResult:
    """A row with its values on several chips."""

    row: Row
    values: Array

    @property
    def value(self) -> float:
        """Mean over the chips."""
        return float(np.mean(self.values))

    @property
    def spread(self) -> float:
        """Standard deviation over the chips; 0 of a single one."""
        return float(np.std(self.values, ddof=1)) if self.values.size > 1 else 0.0

    @property
    def passed(self) -> int:
        """Number of chips whose value lies in the band."""
        return sum(self.row.holds(value) for value in self.values)

    @property
    def verdict(self) -> Verdict:
        """Return "pass" where at least nine of ten chips lie in the band."""
        return "pass" if 10 * self.passed >= 9 * self.values.size else "fail"

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "name": self.row.name,
            "unit": self.row.unit,
            "published": self.row.published,
            "source": self.row.source,
            "mark": self.row.mark,
            "band": [self.row.low, self.row.high],
            "value": self.value,
            "spread": self.spread,
            "values": self.values,
            "passed": self.passed,
            "verdict": self.verdict,
        }
