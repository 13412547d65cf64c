"""Amplitudes of PSPs: per weight, over the range of weights, over neurons."""

from __future__ import annotations

import numpy as np

from hxtorch.fidelity.bench import ALL, CalibratedBench, cadc_course, volleys
from hxtorch.fidelity.row import Measured, Row, protocol
from hxtorch.shapes import Array
from hxtorch.twin.pattern import process as facts

EVENT = 20.0  # µs
TOTALS = [36, 72, 144, 216, 288]
WEIGHT = 63


def _amplitude(course: Array, centre: Array) -> Array:
    """Largest deflection (N,) of courses (S, N), above the mean before the event; noise averaged over 3 bins."""
    baseline = np.nanmean(course[centre < EVENT - 1.5], axis=0)
    late = course[centre > EVENT]
    averaged = (late[:-2] + late[1:-1] + late[2:]) / 3
    away = averaged - baseline
    return np.asarray(np.where(np.abs(away.max(axis=0)) > np.abs(away.min(axis=0)), away.max(0), away.min(0)))


def _sweep(
    bench: CalibratedBench, name: str, totals: list[int], repeats: int
) -> tuple[dict[int, Array], Array, Array]:
    """Amplitude (512,) by total weight, and the mean courses (S, totals) with the centres of their bins."""
    stimulus = volleys(totals, time=EVENT, repeats=repeats)
    entries = repeats * len(totals)
    recording = bench.run(bench.calibrated(name), 60.0, entries=entries, stimulus=stimulus, cadc=ALL)
    grid = np.arange(0.0, 58.1, 1.0)
    centre = (grid[1:] + grid[:-1]) / 2
    amplitude, means = {}, []
    for i, total in enumerate(totals):
        course = cadc_course(recording, grid, slice(i, None, len(totals)))
        amplitude[total] = _amplitude(course, centre)
        means.append(course.mean(axis=1))
    return amplitude, np.stack(means, axis=1), centre


@protocol(
    "One event goes to all neurons with the spike threshold off; total weights above 63 are parallel synapses. "
    "The CADC samples 60 runs with different phases, which are binned at 1 µs; the amplitude is the largest "
    "deflection above the baseline of the same runs, smoothed over 3 µs. Values in MADC LSB are CADC LSB times "
    "2.85.",
    Row("PSP per weight, default calibration", "CADC LSB", "0.28 to 0.32", "DEMO-ts_06, ts_12 figures", "M",
        0.25, 0.37, "the figures differ by 14 %, ts_00 has 0.26, and weight scales of 50 to 66 mean ± 14 % between "
        "chips; HXT's test (weight scale 50 ± 20 %) would be 0.29 to 0.44", 3),
    Row("PSP per weight, spiking2", "CADC LSB", "0.38 to 0.46", "DEMO-ts_12 figure, HXT weight scales", "I",
        0.34, 0.50, "the two limits belong to weight scales 66 and 55, ± 10 %", 3),
    Row("excitation: slope to 288 / slope to 72", "", "1.0 (linear)", "DEMO-ts_06 figure", "M", 0.90, 1.05,
        "226 MADC LSB at 288, no bend to be seen by eye"),
    Row("inhibition / excitation at weight 36", "", "0.83", "DEMO-ts_06 figure", "M", 0.75, 1.04,
        "initial slopes 0.65 and 0.785 MADC LSB; CALIX matches both signs to one target, 1.0 ± 4 % (E): "
        "the band holds both"),
    Row("inhibition / excitation at weight 288", "", "0.57", "DEMO-ts_06 figure", "M", 0.45, 0.69,
        "-128 and +226 MADC LSB, ± 20 %"),
    Row("inhibition at weight -288", "MADC LSB", "-128", "DEMO-ts_06 figure", "M", -150, -106,
        "± 17 MADC LSB, by which the two baselines of that figure differ, and ± 4 for the chip", 0),
    Row("PSP spread over neurons at 288", "%", "3 to 6", "DEMO-ts_06 figure (3.1 %)", "M", 2.0, 6.5,
        "standard deviation over the 512 neurons; the figure shows eight", 1),
)  # fmt: skip
def psp(bench: CalibratedBench) -> Measured:
    """Single PSPs of both signs."""
    totals = TOTALS + [-total for total in TOTALS]
    amplitude, course, centre = _sweep(bench, "spiking", totals, 60)
    single, _, _ = _sweep(bench, "spiking", [WEIGHT], 60)
    single2, _, _ = _sweep(bench, "spiking2", [WEIGHT], 60)
    good = bench.good()
    mean = {total: float(np.mean(values[good])) for total, values in amplitude.items()}
    slope = facts.MADC_SLOPE.value
    return Measured(
        (
            float(np.mean(single[WEIGHT][good])) / WEIGHT,
            float(np.mean(single2[WEIGHT][bench.good("spiking2")])) / WEIGHT,
            mean[288] / mean[72] / 4,
            -mean[-36] / mean[36],
            -mean[-288] / mean[288],
            slope * mean[-288],
            100 * float(np.std(amplitude[288][good]) / mean[288]),
        ),
        {
            "time": centre,
            "course": course,
            "total": np.array(totals, dtype=np.float64),
            "amplitude": np.stack([amplitude[total] for total in totals], axis=1),
        },
    )
