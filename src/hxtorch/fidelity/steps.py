"""Whether the engine's step shows in any row: the same chips with two steps, several times each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from tqdm import tqdm

from hxtorch.calibration import CalibrationResult, calibrate
from hxtorch.calibration.cache import NIGHTLY
from hxtorch.fidelity.bench import CalibratedBench
from hxtorch.fidelity.measure import chosen_protocols
from hxtorch.fidelity.row import Row
from hxtorch.shapes import Array
from hxtorch.twin import Chip

ERRORS = 4.0  # standard errors of a difference that are still noise; one row of 15,000 exceeds them by chance
RESOLUTION = 0.01  # of the band: a few rows hardly have any noise


@dataclass(frozen=True, eq=False)
class StepRow:
    """A row with its values (chips, trials) at two steps of the engine."""

    row: Row
    coarse: Array
    fine: Array

    @property
    def difference(self) -> float:
        """Mean at the coarse step minus mean at the fine one."""
        return float(self.coarse.mean() - self.fine.mean())

    @property
    def spread(self) -> float:
        """Standard deviation of a chip's value from trial to trial."""
        return float(np.sqrt((self.coarse.var(axis=1, ddof=1).mean() + self.fine.var(axis=1, ddof=1).mean()) / 2))

    @property
    def in_spreads(self) -> float:
        """Size of the difference in units of the spread; infinite if there is one without spread."""
        if self.difference == 0:
            return 0.0
        return abs(self.difference) / self.spread if self.spread > 0 else float("inf")

    @property
    def in_bands(self) -> float:
        """Size of the difference in units of the row's band; 0 where that is open."""
        return abs(self.difference) / (self.row.high - self.row.low)

    @property
    def unchanged(self) -> bool:
        """Whether the difference is no more than the noise of the two means allows."""
        error = self.spread * np.sqrt(2 / self.coarse.size)
        width = self.row.high - self.row.low
        slack = RESOLUTION * width if np.isfinite(width) else 0.0
        return bool(abs(self.difference) <= ERRORS * error + slack)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "name": self.row.name,
            "unit": self.row.unit,
            "coarse": self.coarse,
            "fine": self.fine,
            "difference": self.difference,
            "spread": self.spread,
            "in_bands": self.in_bands,
            "unchanged": self.unchanged,
        }


def compare_steps(
    pairs: Sequence[tuple[Chip, Chip]], only: Sequence[str] = (), *, trials: int = 3, progress: bool | None = None
) -> tuple[StepRow, ...]:
    """Measure each chip with two steps; `pairs` are the chips with the coarse and the fine step.

    Every trial has noise and calibrations of its own, so that the spread of a row holds everything that changes
    when somebody measures again. `only` selects rows as `measure` does. ValueError if there is no pair, no row or
    less than two trials.
    """
    if not pairs:
        raise ValueError("There is no chip to compare: name one at least.")
    if trials < 2:
        raise ValueError(f"A spread needs two trials at least, not {trials}.")
    chosen = chosen_protocols(only)
    rows = [row for item in chosen for row in item.rows]
    values = np.empty((2, len(pairs), trials, len(rows)))
    total = 2 * len(pairs) * trials * len(chosen)
    with tqdm(total=total, disable=None if progress is None else not progress, leave=False) as bar:
        for place in np.ndindex(values.shape[:3]):
            side, number, trial = place
            chip = pairs[number][side]
            seed = 1000 * (trial + 1) + number
            bench = CalibratedBench(chip, seed, partial(_calibrated, chip, seed))
            found: list[float] = []
            for item in chosen:
                bar.set_description(f"{chip.identifier}: {item.name.replace('_', ' ')}")
                found.extend(item.measure(bench).values)
                bar.update()
            values[place] = found
    return tuple(StepRow(row, values[0, :, :, i], values[1, :, :, i]) for i, row in enumerate(rows))


def _calibrated(chip: Chip, seed: int, name: str) -> CalibrationResult:
    """Return a nightly calibration made anew, with noise of its own."""
    return calibrate(chip, NIGHTLY[name], trial_seed=seed, progress=False)
