"""What a calibration hands over."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxtorch.calibration.targets import CalibrationTarget
from hxtorch.twin import CommonConfig, NeuronConfig
from hxtorch.twin.coordinates import CIRCUITS

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

    def __repr__(self) -> str:
        return (
            f"CalibrationResult(chip={self.chip_identifier!r}, date={self.date!r}, "
            f"{CIRCUITS - self.failed.size} of {CIRCUITS} circuits met the target)"
        )
