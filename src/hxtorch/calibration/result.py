"""What a calibration hands over."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hxtorch._html import details, facts, note, strip, table
from hxtorch.calibration.options import CalibrationOptions
from hxtorch.calibration.quantities import QUANTITIES
from hxtorch.calibration.targets import CalibrationTarget
from hxtorch.twin import CommonConfig, NeuronConfig, PlasticityConfig
from hxtorch.twin.places.coordinates import CIRCUITS, COLUMNS

VERSION = 6
"""Version of the calibration's steps: results of other versions are not taken from the cache."""


UNITS = {name: quantity.unit for name, quantity in QUANTITIES.items() if quantity.unit}
"""Of the residuals; what is not listed is relative."""

TRIM = 0.05  # of the circuits at each end, which do not count for spreads (CALIX-T)


@dataclass(frozen=True, eq=False)
class Drivers:
    """Synapse drivers with short-term plasticity.

    `plasticity` holds the calibrated offsets (2, 128); plasticity itself is off in it. `before`, `after`: relative
    deviation (256,) of the charge of each driver from the median, with the middle offset and with these; empty
    if they were not calibrated.
    """

    plasticity: PlasticityConfig = field(default_factory=PlasticityConfig)
    before: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    after: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True, eq=False)
class CalibrationResult:
    """Registers of a calibrated chip, and how well its circuits met the target.

    * `neurons`, `common`: registers of all 512 circuits and of the chip; thresholds are not enabled.
    * `success`: quantity -> (512,), whether a circuit met the target.
    * `residuals`: quantity -> (512,), how far circuits are from the target: CADC LSB for potentials and
      `cadc`, codes for `i_shift_exc` and `i_shift_inh`, relative for all others. Measured values with their
      noise; inf for circuits that could not be measured.
    * `before`: the same with nominal codes, as far as it was measured; the leak without synaptic inputs.
    * `drivers`: offsets of the synapse drivers for short-term plasticity.
    * `chip_identifier`: the chip; `date`: when (ISO 8601, UTC); `version`: of the calibration's steps.
    """

    target: CalibrationTarget
    chip_identifier: str
    neurons: NeuronConfig
    common: CommonConfig
    success: dict[str, NDArray[np.bool_]]
    residuals: dict[str, NDArray[np.float64]]
    date: str
    version: int = VERSION
    options: CalibrationOptions = field(default_factory=CalibrationOptions)
    before: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    drivers: Drivers = field(default_factory=Drivers)

    @property
    def defective(self) -> NDArray[np.int64]:
        """Numbers of the circuits that failed in something of their own.

        The refractory time is none: it is a matter of the clocks that all circuits share.
        """
        return _any_failed({name: good for name, good in self.success.items() if name != "refractory_time"})

    @property
    def failed(self) -> NDArray[np.int64]:
        """Numbers of the circuits that missed the target in any quantity."""
        return _any_failed(self.success)

    def _repr_html_(self) -> str:
        """The target, and what remained by quantity, for notebooks."""
        rows = []
        for name, residual in self.residuals.items():
            finite = residual[np.isfinite(residual)]
            missed = int((~self.success[name]).sum()) if name in self.success else 0
            unit = UNITS.get(name, "")
            shown = f"{finite.std():.3g} {unit}" if unit else f"{finite.std():.2%}"
            rows.append((name, shown if finite.size else "none", missed))
        target = {
            name: f"{np.nanmean(value):g}" + (" (mean)" if np.ndim(value) else "")
            for name, value in vars(self.target).items()
            if value is not None
        }
        made = f"{self.date[:16].replace('T', ' ')} UTC" if self.date else "at an unknown time"
        met = f"{CIRCUITS - self.failed.size} of {CIRCUITS}"
        places = np.isin(np.arange(CIRCUITS), self.failed).astype(np.float64).reshape(-1, COLUMNS)
        return facts(
            f"Calibration of {self.chip_identifier}",
            {"made": made, "circuits that met the target": met},
            details("target", table(target.items()))
            + table(rows, ("quantity", "standard deviation of the residual", "missed"))
            + note("Circuits that missed the target: 2 hemispheres × 256 columns")
            + strip(places),
        )

    @property
    def spread_ratio(self) -> dict[str, float]:
        """Per quantity: spread of the residuals after over that before, without 5 % at each end (chip.md 4.3)."""
        return {name: spread(self.residuals[name]) / spread(values) for name, values in self.before.items()}

    def __repr__(self) -> str:
        return (
            f"CalibrationResult(chip={self.chip_identifier!r}, date={self.date!r}, "
            f"{CIRCUITS - self.failed.size} of {CIRCUITS} circuits met the target)"
        )


def _any_failed(success: dict[str, NDArray[np.bool_]]) -> NDArray[np.int64]:
    good = np.ones(CIRCUITS, dtype=np.bool_)
    for passed in success.values():
        good &= passed
    return np.flatnonzero(~good)


def spread(values: NDArray[np.float64]) -> float:
    """Return the standard deviation of the finite values without `TRIM` at each end; nan for less than ten."""
    finite = np.sort(values[np.isfinite(values)])
    cut = int(TRIM * finite.size)
    return float(finite[cut : finite.size - cut].std()) if finite.size >= 10 else float("nan")
