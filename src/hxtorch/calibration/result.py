"""What a calibration hands over."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxtorch._html import details, facts, note, strip, table
from hxtorch.calibration.targets import CalibrationTarget
from hxtorch.twin import CommonConfig, NeuronConfig
from hxtorch.twin.coordinates import CIRCUITS, COLUMNS

VERSION = 2
"""Version of the calibration's steps: results of other versions are not taken from the cache."""


@dataclass(frozen=True, eq=False)
class CalibrationResult:
    """Registers of a calibrated chip, and how well its circuits met the target.

    * `neurons`, `common`: registers of all 512 circuits and of the chip; thresholds are not enabled.
    * `success`: quantity -> (512,), whether a circuit met the target.
    * `residuals`: quantity -> (512,), what remained: CADC LSB for potentials and `cadc`, codes for
      `i_shift_exc` and `i_shift_inh`, relative for all others. A measured value with its noise; inf for
      circuits that could not be measured.
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

    @property
    def failed(self) -> NDArray[np.int64]:
        """Numbers of the circuits that missed the target in any quantity."""
        good = np.ones(CIRCUITS, dtype=np.bool_)
        for passed in self.success.values():
            good &= passed
        return np.flatnonzero(~good)

    def _repr_html_(self) -> str:
        """The target, and what remained by quantity, for notebooks."""
        rows = []
        for name, residual in self.residuals.items():
            finite = residual[np.isfinite(residual)]
            missed = int((~self.success[name]).sum()) if name in self.success else 0
            rows.append((name, f"{finite.std():.3g}" if finite.size else "none", missed))
        target = {
            name: f"{np.mean(value):g}" + (" (mean)" if np.ndim(value) else "")
            for name, value in vars(self.target).items()
        }
        met = f"{CIRCUITS - self.failed.size} of {CIRCUITS}"
        places = np.isin(np.arange(CIRCUITS), self.failed).astype(np.float64).reshape(-1, COLUMNS)
        return facts(
            f"Calibration of {self.chip_identifier}",
            {"made": self.date, "circuits that met the target": met},
            details("target", table(target.items()))
            + table(rows, ("quantity", "standard deviation of the residual", "missed"))
            + note("Circuits that missed the target: 2 hemispheres × 256 columns")
            + strip(places),
        )

    def __repr__(self) -> str:
        return (
            f"CalibrationResult(chip={self.chip_identifier!r}, date={self.date!r}, "
            f"{CIRCUITS - self.failed.size} of {CIRCUITS} circuits met the target)"
        )
