"""Temporal noise: of a silent membrane, from run to run, and of spike times."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hxtorch.fidelity.bench import ALL, CalibratedBench, Settings, cadc_mean, codes, halves, switch
from hxtorch.fidelity.raw import leak_over_threshold, raw_settings
from hxtorch.fidelity.row import Measured, Row, protocol
from hxtorch.shapes import Array, IntArray
from hxtorch.twin.pattern import process as facts
from hxtorch.twin.places.coordinates import CYCLES_PER_US

NEURONS = 8
MADC_RUNTIME = 2200.0  # µs, nearly as long as the MADC samples
LAGS = (0.34, 3.4, 6.8)  # µs
RUNS = 10


def _silent(settings: Settings) -> Settings:
    return Settings(replace(settings.neurons, enable_threshold=switch(False)), settings.common)


def _chosen(circuits: IntArray) -> IntArray:
    """Eight circuits spread over the chip."""
    return circuits[np.linspace(0, circuits.size - 1, NEURONS).astype(np.int64)]


def autocorrelation(value: Array, lags: IntArray) -> Array:
    """Autocorrelation of a series at `lags` samples."""
    centred = value - value.mean()
    product = [np.mean(centred[lag:] * centred[: centred.size - lag]) for lag in lags]
    return np.asarray(product / np.mean(centred**2), dtype=np.float64)


@protocol(
    "Eight silent neurons of the default calibration are recorded with the MADC for 2.2 ms each (mean of their "
    "standard deviations), and all 512 with the CADC (median over neurons of the standard deviation of "
    "successive samples of one run).",
    Row("silent membrane on the MADC", "MADC LSB", "1.3 to 1.9, mean 1.6", "DEMO multicompartment figure", "M",
        1.3, 1.9, "as published; the vendor's MADC test warns at 2"),
    Row("silent membrane on the CADC", "CADC LSB", "about 1, below 1.2 to 2", "CALIX hagen noise target; chip.md "
        "4.5",
        "E", 0.6, 1.2, "documented is the limit alone"),
)  # fmt: skip
def silent(bench: CalibratedBench) -> Measured:
    """Noise of a silent, calibrated membrane."""
    settings = _silent(bench.calibrated())
    good = bench.good()
    madc = [bench.madc(settings, int(circuit), MADC_RUNTIME).value[0] for circuit in _chosen(good)]
    recording = bench.run(settings, 160.0, cadc=ALL)
    cadc = np.concatenate([value.std(axis=0) for _, _, value in halves(recording)])
    return Measured((float(np.mean([value.std() for value in madc])), float(np.median(cadc[good]))))


@protocol(
    "Eight silent, uncalibrated neurons with a strong leak (code 1022) are recorded with the MADC for 2.2 ms; the "
    "autocorrelation is the mean over the neurons. The twin's slow noise is that of the leak potential (0.34 CADC "
    "LSB, correlated over 12 µs): a silent membrane follows it, one that fires starts anew at every reset. So the "
    "same noise is behind these rows and behind the small jitter of intervals below.",
    Row("silent membrane, uncalibrated, strong leak", "MADC LSB", "1.65", "DEMO-ts_00 figure", "M", 1.3, 2.0,
        "± 20 %; one neuron on one chip"),
    Row("autocorrelation at 0.34 µs", "", "0.33", "DEMO-ts_00 figure", "M", 0.22, 0.44, "± 0.11; one neuron"),
    Row("autocorrelation at 3.4 µs", "", "0.26", "DEMO-ts_00 figure", "M", 0.15, 0.37, "± 0.11; one neuron"),
    Row("autocorrelation at 6.8 µs", "", "0.19", "DEMO-ts_00 figure", "M", 0.08, 0.30,
        "± 0.11; the values below 0.3 µs (0.63, 0.46) are inflated by dropped points of the figure and not used"),
)  # fmt: skip
def slow_and_fast(bench: CalibratedBench) -> Measured:
    """How much of the noise is slow."""
    settings = raw_settings(i_bias_leak=codes(1022), enable_exc=switch(False), enable_inh=switch(False))
    traces = [bench.madc(settings, int(circuit), MADC_RUNTIME).value[0] for circuit in _chosen(ALL)]
    lags = np.unique(np.rint(np.geomspace(1, 600, 40)).astype(np.int64))
    period = facts.MADC_PERIOD.value
    at = np.rint(np.array(LAGS) / period).astype(np.int64)
    course = np.asarray(np.mean([autocorrelation(trace, lags) for trace in traces], axis=0))
    values = np.mean([autocorrelation(trace, at) for trace in traces], axis=0)
    return Measured(
        (float(np.mean([trace.std() for trace in traces])), *(float(value) for value in values)),
        {"lag": np.asarray(lags * period), "autocorrelation": course},
    )


@protocol(
    "The baseline of all 512 silent neurons of the default calibration is measured in ten runs one after another "
    "(mean of the CADC over 30 µs, four times each run); the value is the standard deviation over the runs, "
    "median over the neurons.",
    Row("baseline from run to run", "CADC LSB", "1 to 2", "DEMO-ts_12 figure", "M", 0.6, 2.0,
        "0.03 to 0.11 of the threshold distance between the extremes of ten runs is a standard deviation of 0.8 to "
        "1.6"),
)  # fmt: skip
def run_to_run(bench: CalibratedBench) -> Measured:
    """Shift of the baseline from run to run."""
    settings = _silent(bench.calibrated())
    means = [cadc_mean(bench.run(settings, 30.0, entries=4, cadc=ALL)) for _ in range(RUNS)]
    return Measured((float(np.median(np.std(means, axis=0, ddof=1)[bench.good()])),), {"baseline": np.stack(means)})


@protocol(
    "Uncalibrated leak-over-threshold neurons fire every 6 and every 13 µs; the intervals between the 8 ns stamps "
    "of "
    "their spikes are collected for 1 ms in two runs of 64 neurons. Values are medians over the neurons of the "
    "standard "
    "deviation.",
    Row("interval jitter at 6 µs", "ns", "17", "DEMO-ts_00 figure", "M", 9.0, 34.0, "a factor of two; one "
        "neuron", 0),
    Row("interval jitter at 13 µs", "ns", "41", "DEMO-ts_00 figure", "M", 20.0, 82.0, "a factor of two; one "
        "neuron", 0),
    Row("interval jitter, relative", "%", "0.3", "DEMO-ts_00 figure", "M", 0.15, 0.6, "a factor of two; one "
        "neuron"),
)  # fmt: skip
def interval_jitter(bench: CalibratedBench) -> Measured:
    """Jitter of inter-spike intervals."""
    jitter, relative = [], []
    for interval in (6.0, 13.0):
        chosen = np.arange(0, 512, 8)
        settings = leak_over_threshold(interval, chosen)
        spikes = bench.run(settings, 1000.0, entries=2, spikes=chosen).spikes
        assert spikes is not None
        each = []
        for circuit in chosen:
            found = []
            for entry in range(2):
                mine = (spikes.circuit == circuit) & (spikes.entry == entry)
                found.append(np.diff(spikes.time[mine] / CYCLES_PER_US))
            intervals = np.concatenate(found)
            if intervals.size > 20:
                intervals = intervals[intervals < 1.5 * np.median(intervals)]  # a lost spike makes a double one
                each.append((intervals.std(), intervals.std() / intervals.mean()))
        jitter.append(1000 * float(np.median([item[0] for item in each])))
        relative.append(100 * float(np.median([item[1] for item in each])))
    return Measured((jitter[0], jitter[1], float(np.mean(relative))))
