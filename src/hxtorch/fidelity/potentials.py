"""Rest and threshold of calibrated neurons."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hxtorch.fidelity.bench import ALL, CalibratedBench, Settings, cadc_mean, codes, halves, switch
from hxtorch.fidelity.row import Measured, Row, protocol
from hxtorch.shapes import Array

DRIVE_CODE = 600.0  # of the constant current that drives neurons over their threshold
ENTRIES = 10


def _rest(bench: CalibratedBench, settings: Settings) -> Array:
    silent = replace(settings.neurons, enable_threshold=switch(False))
    return cadc_mean(bench.run(Settings(silent, settings.common), 60.0, entries=ENTRIES, cadc=ALL))


def _peak(bench: CalibratedBench, settings: Settings) -> Array:
    """Highest CADC code (512,) under constant current, mean over the entries."""
    driven = replace(
        settings.neurons, enable_threshold=switch(True), enable_offset=switch(True), i_offset=codes(DRIVE_CODE)
    )
    recording = bench.run(Settings(driven, settings.common), 100.0, entries=ENTRIES, cadc=ALL)
    peaks = []
    for _, entry, value in halves(recording):
        peaks.append(np.mean([value[entry == e].max(axis=0) for e in range(ENTRIES)], axis=0))
    return np.concatenate(peaks)


@protocol(
    "All 512 neurons of a nightly calibration are read at rest with the CADC. Then a constant current (code 600) "
    "makes them fire; the threshold is the highest CADC code in 100 µs, averaged over ten runs, as upstream "
    "measures it. The distance is its mean over the neurons above the mean rest; spreads leave out neurons that "
    "the calibration reports as failed, and 5 % on both sides, as the vendor's test does.",
    Row("rest, default calibration", "CADC LSB", "79 to 80", "CALIX target 80; DEMO-ts_12 figure -49", "D",
        78.0, 82.0, "target ± 2", 1),
    Row("rest, spread over neurons", "CADC LSB", "1.0 to 1.5, below 4", "chip.md 4.3; CALIX-T limit", "E",
        0.5, 3.5, "documented is the limit, the typical value is an estimate"),
    Row("threshold distance, default calibration", "CADC LSB", "45", "CALIX targets; DEMO-ts_12 figure 46", "D",
        41.0, 50.0, "targets 125 - 80, ± 10 %: HXT's test allows far more (trace scale 1/45 ± 0.007)", 1),
    Row("threshold distance, spiking2", "CADC LSB", "70", "CALIX targets; 1/0.0147 = 68 in HXT", "D",
        63.0, 77.0, "targets 150 - 80, ± 10 %", 1),
    Row("threshold, spread over neurons", "CADC LSB", "1.5 to 2, below 2.5; 3.1 % of the distance", "chip.md 4.3; "
        "DELGRAD", "E", 0.8, 2.8, "estimate; documented are the limit 2.5 (± measuring error) and DELGRAD's 3.1 %"),
)  # fmt: skip
def levels(bench: CalibratedBench) -> Measured:
    """Rest and threshold at both nightly calibrations."""
    good = bench.good()
    settings = bench.calibrated()
    rest, peak = _rest(bench, settings), _peak(bench, settings)
    second = bench.calibrated("spiking2")
    distance2 = float(np.mean((_peak(bench, second) - _rest(bench, second))[bench.good("spiking2")]))
    return Measured(
        (
            float(np.mean(rest[good])),
            trimmed_std(rest[good]),
            float(np.mean((peak - rest)[good])),
            distance2,
            trimmed_std(peak[good]),
        ),
        {"rest": rest, "peak": peak},
    )


def trimmed_std(values: Array, part: float = 0.05) -> float:
    """Return the standard deviation without the lowest and the highest `part` of the values."""
    ordered = np.sort(values)
    cut = int(part * ordered.size)
    return float(np.std(ordered[cut : ordered.size - cut]))
