"""Reset, refractory time and ten uncalibrated neurons that fire by themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hxtorch.fidelity.bench import CalibratedBench, MadcTrace, Settings, codes, fit_exponential, smooth, switch
from hxtorch.fidelity.raw import leak_over_threshold
from hxtorch.fidelity.row import Measured, Row, protocol
from hxtorch.shapes import Array

DRIVE_CODE = 400.0
NEURONS = 6
RUNTIME = 400.0
RUNNING_MEAN = 5  # samples: 0.17 µs
BEFORE, AFTER = 12, 110  # samples around a spike
PLATEAU = (0.9, 1.8)  # µs after the spike
STAMP = 0.08  # µs from a spike to its stamp, JAXSNN


def _cycles(trace: MadcTrace) -> Array:
    """Samples around every spike (cycles, BEFORE + AFTER); the spike lies behind the first BEFORE of them."""
    found = []
    for values, stamps in zip(trace.value, trace.spikes, strict=True):
        for stamp in stamps:
            near = int(np.searchsorted(trace.time, stamp - STAMP))
            if near >= BEFORE and near + AFTER <= values.size:
                found.append(values[near - BEFORE : near + AFTER])
    return np.array(found)


def _period(trace: MadcTrace) -> float:
    return float(trace.time[1] - trace.time[0])


@protocol(
    "Neurons of the default calibration fire under a constant current (code 400) and are recorded with the MADC. "
    "The "
    "courses after all spikes are laid over each other (the stamps come 0.08 µs after the spikes). An exponential "
    "is fitted to the mean from 0.07 to 1 µs "
    "after the spike. The plateau is left when the running mean of a course (0.17 µs) has risen two standard "
    "deviations above it.",
    Row("reset time constant, calibrated", "µs", "0.19 ± 0.02", "DEMO superspike figure", "M", 0.15, 0.23,
        "HALDLS' register comment says 0.5 (D); followed is the measurement on a calibrated chip", 3),
    Row("noise on the reset plateau", "MADC LSB", "1.0 to 1.5", "DEMO superspike figure", "M", 1.0, 1.5, "as "
        "published"),
    Row("plateau left after the spike", "µs", "2.2 to 2.5", "DEMO superspike figure", "M", 2.0, 2.6,
        "refractory time 2 µs plus the time of a visible rise; ± 0.1 for reading a figure"),
)  # fmt: skip
def reset(bench: CalibratedBench) -> Measured:
    """Reset and refractory time of calibrated neurons."""
    base = bench.calibrated()
    driven = replace(base.neurons, enable_offset=switch(True), i_offset=codes(DRIVE_CODE))
    good = bench.good()
    taus, noises, lefts, shown = [], [], [], np.empty(0)
    for circuit in good[np.linspace(0, good.size - 1, NEURONS).astype(np.int64)]:
        settings = Settings(replace(driven, enable_threshold=switch(np.array([circuit]))), base.common)
        trace = bench.madc(settings, int(circuit), RUNTIME, spikes=True)
        cycles = _cycles(trace)
        period = _period(trace)
        time = (np.arange(float(BEFORE + AFTER)) - BEFORE) * period
        mean = np.asarray(cycles.mean(axis=0), dtype=np.float64)
        fitted = (time > 0.06) & (time < 1.0)
        taus.append(fit_exponential(time[fitted], mean[fitted], 0.02, 2.0)[0])
        held = (time > PLATEAU[0]) & (time < PLATEAU[1])
        plateau = cycles[:, held]
        noises.append(float(np.mean(plateau.std(axis=1))))
        lefts.append(_left(cycles, time, plateau))
        shown = mean
    return Measured(
        (float(np.mean(taus)), float(np.mean(noises)), float(np.mean(lefts))), {"time": time, "course": shown}
    )


def _left(cycles: Array, time: Array, plateau: Array) -> float:
    """Mean time at which the running mean of a course rises above its plateau for good."""
    running = smooth(cycles, RUNNING_MEAN)
    centre = time[RUNNING_MEAN // 2 : running.shape[1] + RUNNING_MEAN // 2]
    limit = plateau.mean(axis=1) + 2 * plateau.std(axis=1)
    late = centre > PLATEAU[1]
    above = running[:, late] > limit[:, None]
    return float(np.mean(centre[late][np.argmax(above, axis=1)]))


@protocol(
    "Uncalibrated leak-over-threshold neurons with the same codes (i_bias_reset 1022) fire every 13 µs; the "
    "courses after "
    "their spikes are averaged over the 2.05 µs of the refractory time and an exponential is fitted.",
    Row("reset time constant, uncalibrated", "µs", "1.77 ± 0.09 (1.63 to 1.87)", "DEMO-ts_00 figure", "M", 1.55,
        1.95,
        "range of ten neurons ± 5 %. That the shared bias cells make the difference to the calibrated 0.19 is an "
        "estimate"),
    Row("way to the reset voltage, uncalibrated", "%", "67", "DEMO-ts_00 figure", "M", 60, 75, "two thirds", 0),
)  # fmt: skip
def raw_reset(bench: CalibratedBench) -> Measured:
    """Reset of uncalibrated neurons."""
    taus, ways, shown = [], [], np.empty(0)
    for circuit in np.arange(5, 512, 512 // NEURONS):
        trace = bench.madc(leak_over_threshold(13.0, np.array([circuit])), int(circuit), RUNTIME, spikes=True)
        cycles = _cycles(trace)
        if len(cycles) < 5:
            continue
        mean = np.asarray(cycles.mean(axis=0), dtype=np.float64)
        time = (np.arange(float(BEFORE + AFTER)) - BEFORE) * _period(trace)
        fitted = (time > 0.06) & (time < 1.95)
        tau, base, amplitude = fit_exponential(time[fitted], mean[fitted], 0.1, 20.0)
        end = base + amplitude * np.exp(-2.05 / tau)
        taus.append(tau)
        ways.append(100 * float((mean[BEFORE] - end) / (mean[BEFORE] - base)))
        shown = mean
    return Measured((float(np.mean(taus)), float(np.median(ways))), {"time": time, "course": shown})


@protocol(
    "Sixty neurons with the same codes fire by themselves (leak over threshold) on the uncalibrated chip, each "
    "recorded for "
    "100 µs with the MADC. Thresholds are the peaks of the running mean (0.17 µs), reset minima its lowest values. "
    "Spreads are standard deviations over ten neighbours, as published, averaged (root mean square) over the six "
    "groups of ten.",
    Row("ten uncalibrated neurons: threshold", "MADC LSB", "10.4 (ten neurons); 16.6 (CUBE66)",
        "DEMO-ts_00 figure; CUBE66", "M", 7.2, 21.5, "ten neurons know a spread to a factor: 7.2 to 19 (95 %). "
        "CUBE66, "
        "with 512 neurons, has 14 codes (16.6 ± 4.8 for groups like these): both are held, the twin follows "
        "CUBE66", 1),
    Row("ten uncalibrated neurons: reset minimum", "MADC LSB", "10 (ten neurons); 24 (CUBE66)",
        "DEMO-ts_00 figure; CUBE66", "M", 6.9, 32.0, "the sources disagree: two thirds of CUBE66's reset spread "
        "(34 "
        "codes) with a third of its threshold's are 24 ± 8 for groups like these; the twin follows the 512 "
        "neurons", 1),
    Row("ten uncalibrated neurons: interval CV", "%", "13", "DEMO-ts_00 figure", "M", 8.9, 23.7,
        "95 % interval of ten neurons", 1),
    Row("threshold from cycle to cycle", "MADC LSB", "0.26 to 0.66, mean 0.5", "DEMO-ts_00 figure", "M", 0.26, 1.0,
        "running mean over 0.17 µs, as published; a running mean still holds 0.6 of readout noise"),
)  # fmt: skip
def ten_neurons(bench: CalibratedBench) -> Measured:
    """Ten uncalibrated leak-over-threshold neurons, several times."""
    chosen = (np.arange(6)[:, None] * 85 + np.arange(10)).reshape(-1)
    peaks, lows, intervals, jitter = [], [], [], []
    for circuit in chosen:
        trace = bench.madc(leak_over_threshold(6.0, np.array([circuit])), int(circuit), 100.0, spikes=True)
        cycles = _cycles(trace)
        stamps = trace.spikes[0]
        running = smooth(cycles, RUNNING_MEAN)
        top = running[:, : BEFORE + RUNNING_MEAN].max(axis=1)
        peaks.append(float(np.mean(top)))
        jitter.append(float(np.std(top)))
        lows.append(float(np.mean(running.min(axis=1))))
        intervals.append(float(np.median(np.diff(stamps))))
    spread = [np.reshape(values, (6, 10)).std(axis=1, ddof=1) for values in (peaks, lows)]
    cv = np.reshape(intervals, (6, 10)).std(axis=1, ddof=1) / np.reshape(intervals, (6, 10)).mean(axis=1)
    return Measured(
        (
            float(np.sqrt(np.mean(spread[0] ** 2))),
            float(np.sqrt(np.mean(spread[1] ** 2))),
            100 * float(np.sqrt(np.mean(cv**2))),
            float(np.mean(jitter)),
        ),
        {"threshold": np.array(peaks), "minimum": np.array(lows), "interval": np.array(intervals)},
    )
