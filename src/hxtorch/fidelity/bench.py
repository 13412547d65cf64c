"""The bench on which a chip is measured: registers, input events and runs through the public door.

Nothing here looks into the die. Voltages are in CADC or MADC LSB, times in µs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hxtorch import calibration
from hxtorch.calibration import bench as measuring
from hxtorch.calibration.bench import ALL, BUS_ROWS, SRAM_RUNTIME, Settings, Stimulus, cadc_mean, halves
from hxtorch.shapes import Array, BoolArray, IntArray
from hxtorch.twin import Chip, InputEvents, Recording, RoutingConfig, RowMode
from hxtorch.twin.chip import at_usual_step
from hxtorch.twin.places.coordinates import CIRCUITS, COLUMNS, CYCLES_PER_US, HEMISPHERES, MAX_WEIGHT, ROWS

__all__ = [
    "ALL",
    "SRAM_RUNTIME",
    "Array",
    "Bench",
    "BoolArray",
    "CalibratedBench",
    "IntArray",
    "MadcTrace",
    "Settings",
    "Stimulus",
    "cadc_course",
    "cadc_mean",
    "codes",
    "fit_exponential",
    "halves",
    "sample_times",
    "smooth",
    "switch",
    "volleys",
]

Calibrate = Callable[[str], calibration.CalibrationResult]
RUNS = 1 << 20  # that a trial has seeds for


class CalibratedBench(measuring.Bench):
    """A bench for chips with nightly calibrations, which also records single circuits with the MADC.

    `calibrate` makes the nightly calibration of a name; without it, that comes from the user's cache.
    """

    def __init__(self, chip: Chip, trial_seed: int = 0, calibrate: Calibrate | None = None) -> None:
        super().__init__(chip, trial_seed, runs=RUNS)
        # One calibration for all steps of the integration: they are compared.
        usual = at_usual_step(chip)
        self._calibrate = calibrate if calibrate is not None else lambda name: calibration.nightly(name, usual)
        self._calibrations: dict[str, calibration.CalibrationResult] = {}

    def calibration(self, name: str) -> calibration.CalibrationResult:
        """The nightly calibration "spiking" or "spiking2" of the chip."""
        if name not in self._calibrations:
            self._calibrations[name] = self._calibrate(name)
        return self._calibrations[name]

    def calibrated(self, name: str = "spiking") -> Settings:
        """Registers of a nightly calibration."""
        result = self.calibration(name)
        return Settings(result.neurons, result.common)

    def good(self, name: str = "spiking") -> IntArray:
        """Circuits that met the target of a nightly calibration; the others are left out, as in the lab."""
        return np.setdiff1d(ALL, self.calibration(name).failed)

    def madc(
        self,
        settings: Settings,
        circuit: int,
        runtime: float,
        *,
        entries: int = 1,
        stimulus: Stimulus | None = None,
        spikes: bool = False,
    ) -> MadcTrace:
        """Record one circuit with the MADC, and its spikes on request."""
        chosen = np.array([circuit])
        recording = self.run(
            settings, runtime, entries=entries, stimulus=stimulus, madc=chosen, spikes=chosen if spikes else None
        )
        assert recording.madc is not None
        stamps: list[Array] = []
        if recording.spikes is not None:
            time = recording.spikes.time / CYCLES_PER_US
            stamps = [time[recording.spikes.entry == entry] for entry in range(entries)]
        value = recording.madc.value[:, :, 0].astype(np.float64)
        return MadcTrace(recording.madc.time / CYCLES_PER_US, value, stamps)


Bench = CalibratedBench
"""The name that scripts know."""


@dataclass(frozen=True, eq=False)
class MadcTrace:
    """MADC samples of one circuit: `time` (S,) in µs, `value` (B, S), spike stamps (µs) of each entry."""

    time: Array
    value: Array
    spikes: list[Array]


def switch(on: bool | IntArray) -> BoolArray:
    """Switch (512,): all on, all off, or on for the circuits named."""
    if isinstance(on, bool):
        return np.full(CIRCUITS, on)
    chosen = np.zeros(CIRCUITS, dtype=np.bool_)
    chosen[on] = True
    return chosen


def codes(value: float) -> Array:
    """The same CapMem code for all circuits."""
    return np.full(CIRCUITS, float(value))


def sample_times(recording: Recording, entry: int, side: int) -> Array:
    """Stamps (µs) of the valid CADC samples of a hemisphere in a batch entry."""
    cadc = recording.cadc
    assert cadc is not None
    return np.asarray(cadc.time[entry, side, : cadc.count[entry, side]] / CYCLES_PER_US)


def cadc_course(recording: Recording, grid: Array, entries: slice = slice(None)) -> Array:
    """Mean course (grid - 1, N) of the CADC codes: samples of all entries, binned between `grid` edges (µs)."""
    courses = []
    for time, entry, value in halves(recording):
        assert recording.cadc is not None
        wanted = np.isin(entry, np.arange(recording.cadc.count.shape[0])[entries])
        place = np.digitize(time[wanted], grid) - 1
        inside = (place >= 0) & (place < grid.size - 1)
        place, chosen = place[inside], value[wanted][inside].astype(np.float64)
        order = np.argsort(place, kind="stable")
        starts = np.searchsorted(place[order], np.arange(grid.size - 1))
        number = np.bincount(place, minlength=grid.size - 1)
        total = np.add.reduceat(np.vstack([chosen[order], np.zeros((1, chosen.shape[1]))]), starts, axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            courses.append(np.where(number[:, None] > 0, total / number[:, None], np.nan))
    return np.concatenate(courses, axis=1)


def volleys(totals: list[int], *, time: float = 20.0, repeats: int = 1) -> Stimulus:
    """One event per batch entry: entry ``i`` (modulo the number of `totals`) gets total weight ``totals[i]``.

    Weights above 63 are built of several synapses in parallel rows, as everybody does on the chip. Every
    total has rows of its own, told apart by the label; a negative one has inhibitory rows.
    """
    labels = np.zeros((HEMISPHERES, ROWS, COLUMNS), dtype=np.uint8)
    weights = np.zeros((HEMISPHERES, ROWS, COLUMNS), dtype=np.uint8)
    mode = np.zeros((HEMISPHERES, ROWS), dtype=np.uint8)
    free = iter(BUS_ROWS)
    for source, total in enumerate(totals):
        rows = [next(free) for _ in range(max(1, -(-abs(total) // MAX_WEIGHT)))]
        parts = np.full(len(rows), abs(total) // len(rows))
        parts[: abs(total) % len(rows)] += 1
        labels[:, rows] = source
        mode[:, rows] = int(RowMode.INHIBITORY if total < 0 else RowMode.EXCITATORY)
        weights[:, rows] = parts[:, None]
    number = len(totals)
    entry = np.arange(repeats * number, dtype=np.int64)
    events = InputEvents(
        entry,
        np.full(entry.size, round(time * CYCLES_PER_US), dtype=np.int64),
        entry % number,
        np.arange(number, dtype=np.int64),
    )
    mask = np.zeros_like(RoutingConfig().driver_mask)  # every driver of the bus answers, the label decides
    return Stimulus(RoutingConfig(labels=labels, row_mode=mode, driver_mask=mask), weights, events)


def fit_exponential(time: Array, value: Array, shortest: float, longest: float) -> tuple[float, float, float]:
    """Time constant, base and amplitude of ``base + amplitude * exp(-time / tau)``, least squares.

    Base and amplitude are linear and solved for; the time constant is searched between `shortest` and `longest`.
    """
    best = (np.inf, np.nan, np.nan, np.nan)
    low, high = np.log(shortest), np.log(longest)
    for _ in range(4):
        for log_tau in np.linspace(low, high, 25):
            design = np.stack([np.ones_like(time), np.exp(-time / np.exp(log_tau))], axis=1)
            solution, *_ = np.linalg.lstsq(design, value, rcond=None)
            error = float(np.sum((design @ solution - value) ** 2))
            if error < best[0]:
                best = (error, float(log_tau), float(solution[0]), float(solution[1]))
        width = (high - low) / 12
        low, high = best[1] - width, best[1] + width
    return float(np.exp(best[1])), best[2], best[3]


def smooth(value: Array, width: int) -> Array:
    """Running mean over `width` samples along the last axis."""
    total = np.cumsum(np.pad(value, [(0, 0)] * (value.ndim - 1) + [(1, 0)]), axis=-1)
    return np.asarray((total[..., width:] - total[..., :-width]) / width)
