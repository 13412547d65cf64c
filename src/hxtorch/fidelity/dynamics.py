"""Firing rates: leak over threshold, constant current."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hxtorch import calibration
from hxtorch.fidelity.bench import ALL, CalibratedBench, Settings, cadc_mean, codes, switch
from hxtorch.fidelity.row import Measured, Row, protocol
from hxtorch.shapes import Array
from hxtorch.twin import NeuronConfig
from hxtorch.twin.places.coordinates import CIRCUITS, CYCLES_PER_US, MAX_CAPMEM_CODE

RUNTIME = 400.0  # µs
RATE_TARGET = calibration.CalibrationTarget(leak=160.0, reset=50.0, threshold=110.6)  # 10 µs between spikes
CURRENTS = np.arange(0.0, 801.0, 50.0)
GROUPS = 8


def _rates(bench: CalibratedBench, neurons: NeuronConfig, settings: Settings) -> Array:
    """Firing rates (512,) in kHz: intervals over the time from the first to the last spike."""
    number = np.zeros(CIRCUITS, dtype=np.int64)
    first, last = np.full(CIRCUITS, RUNTIME), np.zeros(CIRCUITS)
    for group in np.split(ALL, GROUPS):  # all at once, in step from the start, would overrun the link
        fires = np.zeros(CIRCUITS, dtype=np.bool_)
        fires[group] = True
        firing = replace(neurons, enable_threshold=fires)
        spikes = bench.run(Settings(firing, settings.common), RUNTIME, spikes=group).spikes
        assert spikes is not None
        number += np.bincount(spikes.circuit, minlength=CIRCUITS)
        time = spikes.time / CYCLES_PER_US
        np.minimum.at(first, spikes.circuit, time)
        np.maximum.at(last, spikes.circuit, time)
    spans = np.where(number > 1, last - first, RUNTIME)
    return np.asarray(1000 * np.maximum(number - 1, 0) / spans)


@protocol(
    "A calibration puts the leak (160) above the threshold (110.6, reset 50 CADC LSB), which makes an ideal "
    "neuron with tau_mem 10 µs and "
    "2 µs refractory time fire at 100 kHz. The rate is that of the intervals within 400 µs.",
    Row("leak over threshold: neurons near 100 kHz", "%", "above 90", "CALIX-T test_neuron_spiking", "D", 90.0,
        100.0,
        "share of neurons within -10 to +15 %, as that test", 1),
)  # fmt: skip
def calibrated_rate(bench: CalibratedBench) -> Measured:
    """Rates of calibrated neurons that fire by themselves."""
    result = calibration.cached(bench.chip, RATE_TARGET)
    settings = Settings(result.neurons, result.common)
    rate = _rates(bench, settings.neurons, settings)[np.setdiff1d(ALL, result.failed)]
    return Measured((100 * float(np.mean((rate > 90.0) & (rate < 115.0))),), {"rate": rate})


@protocol(
    "Constant current (codes 0 to 800 in steps of 50) drives the neurons of the default calibration; rates are "
    "those of the intervals within 400 µs. "
    "The deviation from a line is the largest one of the mean over the neurons, between the first code with more "
    "than 10 kHz "
    "and the last, in parts of the highest rate. For the linearity of the source, the threshold is off and the "
    "leak four times stronger.",
    Row("f-I curve: deviation from a line", "%", "near-linear", "DEMO-cns_02 solution", "D", 0.0, 10.0,
        "documented in words; 10 % is what the eye calls near-linear", 1),
    Row("f-I curve: rate at half the rheobase", "kHz", "0", "DEMO-cns_02 solution", "D", 0.0, 0.5, "silent below"),
    Row("constant current at code 800 / at 400", "", "2 (linear)", "CALIX", "D", 1.8, 2.1, "linear up to about "
        "800"),
)  # fmt: skip
def current_and_rate(bench: CalibratedBench) -> Measured:
    """f-I curve."""
    settings = bench.calibrated()
    good = bench.good()
    rates = []
    for current in CURRENTS:
        driven = replace(settings.neurons, enable_offset=switch(True), i_offset=codes(current))
        rates.append(_rates(bench, driven, settings)[good])
    mean = np.mean(rates, axis=1)
    upper = np.flatnonzero(mean > 10.0)
    line = np.polyval(np.polyfit(CURRENTS[upper], mean[upper], 1), CURRENTS[upper])
    half = int(upper[0]) // 2
    strong = np.clip(np.rint(4 * settings.neurons.i_bias_leak), 0, MAX_CAPMEM_CODE)
    rest = [_level(bench, settings, strong, current)[good] for current in (0.0, 400.0, 800.0)]
    return Measured(
        (
            100 * float(np.max(np.abs(line - mean[upper])) / mean[-1]),
            float(mean[half]),
            float(np.mean(rest[2] - rest[0]) / np.mean(rest[1] - rest[0])),
        ),
        {"current": CURRENTS, "rate": np.array(rates)},
    )


def _level(bench: CalibratedBench, settings: Settings, i_bias_leak: Array, current: float) -> Array:
    neurons = replace(
        settings.neurons,
        i_bias_leak=i_bias_leak,
        enable_threshold=switch(False),
        enable_offset=switch(True),
        i_offset=codes(current),
    )
    return cadc_mean(bench.run(Settings(neurons, settings.common), 60.0, entries=4, cadc=ALL))
